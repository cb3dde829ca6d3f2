"""Volume of traffic: rows of a tick against the rows expected for this hour of the week.

One more cell of the multi-scale rule. Its only component is a mean with p = 1: N, the rows
expected, stands for the rows of the tick, and X, the rows that came, for the sum. A tick in which
nothing came has N > 0 and X = 0, so silence is evidence.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from detectors.decision_rule.seasonal import slot_of
from detectors.kernels.scale_state import (
    HOURS_OTHER_DAY,
    IS_OPEN,
    N_CELL_VALUES,
    N_COMPONENT_VALUES,
    N_CONSTANTS,
    N_MODEL_VALUES,
    N_SCALE_VALUES,
    N_SCALES,
)
from detectors.multiscale.plan import ScalePlan
from detectors.multiscale.rule import BUDGET, ScaleRule, judge
from detectors.multiscale.state import ScaleState
from schemas.errors import DomainError
from schemas.time_units import HOUR_US
from schemas.time_zones import UTC_NAME

Floats = NDArray[np.float64]

SMALLEST_CHANGE: Final = 0.25
"""Smallest change of volume that matters: a quarter of the expected rows."""
PRIOR_SCATTER: Final = 0.1**2
PRIOR_TICKS: Final = 10.0
SCATTER_RATE: Final = 0.002
MAX_SAMPLE: Final = 6.0
_HOURS_OF_A_SLOT_DAY: Final = 24.0
"""The mean of a slot rests on one day in seven of the reference."""
_DAYS: Final = 7.0
_CUTS: Final = np.cumsum([N_COMPONENT_VALUES, N_SCALES * N_SCALE_VALUES, N_CELL_VALUES]).tolist()
_N_STORED: Final = HOURS_OTHER_DAY + 1
"""Values of contexts, which volume does not have, in the stored form."""
N_VOLUME_VALUES: Final = _CUTS[-1] + _N_STORED


def volume_plan(n_rows: float, n_weeks: float) -> ScalePlan:
    """Return the plan of the volume of one model.

    Parameters
    ----------
    n_rows, n_weeks : float
        Rows and weeks on which the expectation rests.

    Raises
    ------
    DomainError
        If either is not positive.

    References
    ----------
    Decision rule 2, sections 1.2 (volume) and 2.4.

    Examples
    --------
    >>> plan = volume_plan(70_000, 2)
    >>> plan.n_cells, plan.n_components, plan.references[0, :2].tolist()
    (1, 1, [10000.0, 48.0])
    """
    if not (n_rows > 0 and n_weeks > 0):
        raise DomainError(f"{n_rows} rows in {n_weeks} weeks", where="volume")
    return ScalePlan(
        offsets=np.array([0, 1]),
        constants=np.ones((1, N_CONSTANTS)),
        codes=np.array([[0, -1, -1, 0, 0]]),
        references=np.array(
            [[n_rows / _DAYS, _HOURS_OF_A_SLOT_DAY * n_weeks, SMALLEST_CHANGE, 1.0]]
        ),
        season=np.zeros((48, 0), np.float32),
    )


@lru_cache(maxsize=64)
def volume_rule(tick_us: int, budget: float = BUDGET) -> ScaleRule:
    """Return the rule for the volume of one model.

    Parameters
    ----------
    tick_us : int
        Time between two counts. One of more than an hour is taken for an hour, and the scales
        grow with it.
    budget : float, optional
        Incidents without cause a month.

    Notes
    -----
    Kept: solving for the thresholds costs more than judging a window's volume.
    """
    n_hours = max(1.0, tick_us / HOUR_US)
    return ScaleRule.of(1, budget * n_hours, min(tick_us, HOUR_US))


def expected_rows(
    by_slot: Floats, start_us: ArrayLike, tick_us: int, timezone: str = UTC_NAME
) -> Floats:
    """Return the rows expected in ticks.

    Parameters
    ----------
    by_slot : ndarray of float64, shape (168,)
        Rows an hour by hour of the week, from Monday 00:00.
    start_us : array_like of int, shape (T,)
        Starts of the ticks, microseconds since the epoch.
    tick_us : int
        Length of each: a part of an hour, or whole hours.

    Returns
    -------
    ndarray of float64, shape (T,)

    Examples
    --------
    >>> by_slot = np.full(168, 60.0)
    >>> expected_rows(by_slot, [0], HOUR_US // 12), expected_rows(by_slot, [0], 3 * HOUR_US)
    (array([5.]), array([180.]))
    """
    slots, share = covered_slots(start_us, tick_us, timezone)
    found: Floats = by_slot[slots].sum(axis=-1) * share
    return found


def covered_slots(
    start_us: ArrayLike, tick_us: int, timezone: str = UTC_NAME
) -> tuple[NDArray[np.int64], float]:
    """Return the hours of the week that ticks cover, and how many hours each of them counts.

    Returns
    -------
    slots : ndarray of int64, shape (T, H)
    share : float

    Examples
    --------
    >>> slots, share = covered_slots([0], 2 * HOUR_US)  # a Thursday
    >>> slots.tolist(), share
    ([[72, 73]], 1.0)
    """
    n_hours = max(1, round(tick_us / HOUR_US))
    times = np.asarray(start_us, np.int64)[..., None] + HOUR_US * np.arange(n_hours)
    return slot_of(times, timezone), tick_us / (n_hours * HOUR_US)


@dataclass(slots=True)
class VolumeState:
    """State of the volume of one model, a pure function of its ticks."""

    averages: ScaleState
    scatter: float = PRIOR_SCATTER
    """Variance of a tick's rows as a part of the expected ones, beyond that of counting."""
    n_ticks: int = 0
    """Ticks on which ``scatter`` rests."""

    @staticmethod
    def start(plan: ScalePlan) -> VolumeState:
        """Return the state before any tick."""
        return VolumeState(ScaleState.start(plan))

    def values(self) -> NDArray[np.float32]:
        """Return the averages as one array of ``N_VOLUME_VALUES``."""
        own = self.averages
        parts = (own.components, own.scales, own.cells, own.model[:_N_STORED])
        return np.concatenate([part.ravel() for part in parts])

    @staticmethod
    def of(values: NDArray[np.float32], scatter: float, n_ticks: int) -> VolumeState:
        """Return the state whose averages were :meth:`values`."""
        cuts = np.split(np.asarray(values, np.float32).copy(), _CUTS)
        components, scales, cells, stored = cuts
        model = np.zeros(N_MODEL_VALUES, np.float32)
        model[:_N_STORED] = stored
        averages = ScaleState(
            components.reshape(1, -1),
            scales.reshape(1, N_SCALES, N_SCALE_VALUES),
            cells.reshape(1, -1),
            model,
        )
        return VolumeState(averages, scatter, n_ticks)


def judge_volume(
    plan: ScalePlan,
    rule: ScaleRule,
    state: VolumeState,
    n_rows: float,
    n_expected: float,
    *,
    is_firing: bool = True,
) -> tuple[bool, float]:
    """Evaluate one tick; an alert that opens stays open until :func:`reset_volume`.

    Parameters
    ----------
    n_rows, n_expected : float
        X and N; nothing happens where N is 0.

    Returns
    -------
    has_opened : bool
    change : float
        Change of the average that opened it, as a part of the expected rows.

    Notes
    -----
    Traffic scatters in proportion to itself, not to its root: 3,000 rows in an hour vary by
    15 % as 300 do. The weight of a tick is therefore 1 / (1 / N + scatter) rows. Weighed by N,
    hourly counts with an effect of .15 sd an hour gave .84 incidents without cause a month.
    """
    if n_expected <= 0.0:
        return False, 0.0
    deviation = n_rows / n_expected - 1.0
    weight = 1.0 / (1.0 / n_expected + state.scatter)
    verdicts = judge(
        plan,
        rule,
        state.averages,
        np.array([weight * (1.0 + deviation)]),
        np.array([weight]),
        is_firing=is_firing,
    )
    _learn_scatter(state, deviation, 1.0 / n_expected)
    return bool(verdicts.has_opened[0]), float(verdicts.change[0])


def _learn_scatter(state: VolumeState, deviation: float, counting: float) -> None:
    """Follow the scatter of single ticks; one tick counts at most six times what is believed."""
    state.n_ticks += 1
    rate = max(1.0 / (state.n_ticks + PRIOR_TICKS), SCATTER_RATE)
    seen = min(deviation * deviation, MAX_SAMPLE * (state.scatter + counting))
    state.scatter = max(0.0, state.scatter + rate * (seen - counting - state.scatter))


def learn_volume(
    plan: ScalePlan, rule: ScaleRule, state: VolumeState, rows: Floats, expected: Floats
) -> None:
    """Learn the movement of volume from the ticks of a reference, in order of time.

    Parameters
    ----------
    rows, expected : ndarray of float64, shape (T,)
        X and N of each tick.
    """
    for n_rows, n_expected in zip(rows.tolist(), expected.tolist(), strict=True):
        judge_volume(plan, rule, state, n_rows, n_expected, is_firing=False)
    state.averages.restart()


def reset_volume(state: VolumeState) -> None:
    """Close the alert and forget the averages, which hold the excursion; keep what was learned.

    The longest averages would otherwise keep the alert open for days after traffic is back.
    """
    state.averages.cells[:, IS_OPEN] = 0.0
    state.averages.restart()
