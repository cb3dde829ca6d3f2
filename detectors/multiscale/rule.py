"""The multi-scale rule: one call evaluates one tick of all cells of a model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from detectors.kernels.scale_state import MIN_SAMPLES, N_CONTEXTS
from detectors.kernels.scales import CLOSED, OPENED, tick
from detectors.multiscale.plan import ScalePlan
from detectors.multiscale.state import ScaleState
from detectors.multiscale.thresholds import SCALE_HOURS, thresholds
from schemas.errors import DomainError, ShapeError
from schemas.time_units import HOUR_US

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

TICK_US: Final = 300_000_000
BUDGET: Final = 0.1
EVALUATIONS: Final = 8
"""A scale is evaluated eight times within its time constant."""
_HOURS: Final = np.array(SCALE_HOURS)
CONTEXTS: Final = ("own hour", "next hour", "hour before", "other kind of day")
EVERY_CONTEXT: Final = np.ones(N_CONTEXTS, bool)
_NO_CONTEXT: Final = np.zeros(N_CONTEXTS, bool)


def guessed_contexts(*, has_timezone: bool, has_holidays: bool) -> NDArray[np.bool_]:
    """Return the contexts in which a tick may be explained other than by its own hour.

    Parameters
    ----------
    has_timezone : bool
        Whether the slots follow a declared time zone: the neighbouring hours are then not
        compared.
    has_holidays : bool
        Whether holidays are declared, so that their slots are those of weekends: the other
        kind of day is then not compared.

    Returns
    -------
    ndarray of bool, shape (4,)
        By index into ``CONTEXTS``.

    Examples
    --------
    >>> guessed_contexts(has_timezone=True, has_holidays=False).tolist()
    [True, False, False, True]
    """
    neighbours, other_day = not has_timezone, not has_holidays
    return np.array([True, neighbours, neighbours, other_day])


@dataclass(frozen=True, slots=True, eq=False)
class ScaleRule:
    """Settings of the rule for one model, and derived quantities; see :meth:`of`."""

    budget: float
    tick_hours: float
    thresholds: Floats
    """h_s by scale, nats."""
    decay: Floats
    """g_s, the decay of an average per tick."""
    every: Integers
    """Ticks between two evaluations of a scale."""
    sample_every: Integers
    """Ticks between two samples of natural movement: 2T."""

    @staticmethod
    def of(n_components: int, budget: float = BUDGET, tick_us: int = TICK_US) -> ScaleRule:
        """Return the rule of a model.

        Parameters
        ----------
        n_components : int
            M, components of all cells of the model.
        budget : float, optional
            Incidents without cause a month of 730 hours.
        tick_us : int, optional
            Length of a tick, microseconds.

        Raises
        ------
        DomainError
            If a setting is outside its domain.

        Examples
        --------
        >>> rule = ScaleRule.of(342)
        >>> rule.every.tolist(), rule.sample_every.tolist()
        ([1, 1, 3, 12, 48, 192], [3, 12, 48, 192, 768, 3072])
        """
        if not 0 < tick_us <= HOUR_US:
            raise DomainError(f"{tick_us} us", where="tick", fix="at most an hour, above 0")
        tick_hours = tick_us / HOUR_US
        ticks = _HOURS / tick_hours
        return ScaleRule(
            budget=budget,
            tick_hours=tick_hours,
            thresholds=thresholds(n_components, budget, tick_hours),
            decay=np.exp(-1.0 / ticks),
            every=np.maximum(1, np.floor(ticks / EVALUATIONS + 1e-9)).astype(np.int64),
            sample_every=np.maximum(1, np.rint(2.0 * ticks)).astype(np.int64),
        )


def ticks_to_first_verdict(tick_us: int) -> int:
    """Return the ticks with rows after which the shortest average of a stream may fire.

    Fewer, or none, are needed where the ticks of the reference have been learned.

    Examples
    --------
    >>> ticks_to_first_verdict(TICK_US)
    15
    """
    return round(MIN_SAMPLES) * int(ScaleRule.of(1, BUDGET, tick_us).sample_every[0])


@dataclass(frozen=True, slots=True)
class Verdicts:
    """One tick of C cells; arrays of shape (C,)."""

    has_opened: NDArray[np.bool_]
    has_closed: NDArray[np.bool_]
    component: Integers
    """The component with the largest E - h, by its index in the plan; -1 where none is beyond
    6 nats or the cell has no rows.
    """
    scale: Integers
    """Index into ``SCALE_HOURS``; -1 likewise."""
    context: Integers
    """Index into ``CONTEXTS``."""
    evidence: Floats
    """E, nats; 0 without a component."""
    margin: Floats
    """E - h; negative where the change is below the smallest that matters."""
    change: Floats
    """m: change of the share or mean in the average of that scale."""
    natural: Floats
    """tau^2, the variance such averages have by themselves."""
    sampling: Floats
    """v, the variance of sampling and clusters."""


def judge(
    plan: ScalePlan,
    rule: ScaleRule,
    state: ScaleState,
    sums: Floats,
    rows: Floats,
    slot: int = 0,
    *,
    is_guessed: NDArray[np.bool_] = EVERY_CONTEXT,
    is_learning: bool = True,
    is_firing: bool = True,
) -> Verdicts:
    """Evaluate one closed tick of all cells.

    Parameters
    ----------
    state : ScaleState
        Of the ticks before; updated.
    sums, rows : ndarray of float64, shapes (I,) and (C,)
        The tick as :meth:`ComponentLayout.add_up` adds it up.
    slot : int, optional
        Hour of the day, plus 24 at weekends; of use where the plan has seasons.
    is_guessed : ndarray of bool, shape (4,), optional
        Of :func:`guessed_contexts`: what a declared clock or calendar leaves to guess.
    is_learning, is_firing : bool, optional
        The reference's own ticks are learned, and open no alert.

    Returns
    -------
    Verdicts
        What opened, closed, and the strongest evidence of each cell.

    Raises
    ------
    ShapeError
        If the arrays do not fit the plan.
    DomainError
        If the slot is not in 0 to 47.

    References
    ----------
    Decision rule 2, section 1.3.
    """
    if sums.shape != (plan.n_components,) or rows.shape != (plan.n_cells,):
        raise ShapeError(
            f"sums of shape {sums.shape}, rows of shape {rows.shape}",
            where="multi-scale rule",
            fix=f"expected {plan.n_components} components of {plan.n_cells} cells",
        )
    if not 0 <= slot < 48:
        raise DomainError(f"slot {slot}", where="multi-scale rule", fix="expected 0 to 47")
    integers = np.empty((plan.n_cells, 4), np.int64)
    floats = np.empty((plan.n_cells, 5))
    tick(
        sums,
        rows,
        slot,
        plan.constants,
        plan.codes,
        plan.season,
        plan.offsets,
        plan.references,
        _HOURS,
        rule.decay,
        rule.every,
        rule.sample_every,
        rule.thresholds,
        rule.tick_hours,
        is_guessed if plan.has_season else _NO_CONTEXT,
        is_learning,
        is_firing,
        state.components,
        state.scales,
        state.cells,
        state.model,
        np.empty(plan.n_components + N_CONTEXTS),
        integers,
        floats,
    )
    return Verdicts(
        has_opened=integers[:, 0] == OPENED,
        has_closed=integers[:, 0] == CLOSED,
        component=integers[:, 1],
        scale=integers[:, 2],
        context=integers[:, 3],
        evidence=floats[:, 0],
        margin=floats[:, 1],
        change=floats[:, 2],
        natural=floats[:, 3],
        sampling=floats[:, 4],
    )


def learn_reference(
    plan: ScalePlan,
    rule: ScaleRule,
    state: ScaleState,
    sums: Floats,
    rows: Floats,
    slots: Integers,
) -> None:
    """Learn variances from the reference's own ticks, in order of time; then restart.

    Parameters
    ----------
    sums, rows : ndarray of float64, shapes (T, I) and (T, C)
        Ticks of a reference with times.
    slots : ndarray of int64, shape (T,)
        Slot of each.

    References
    ----------
    Decision rule 2, section 1.4, "before the stream".
    """
    for tick_sums, tick_rows, slot in zip(sums, rows, slots.tolist(), strict=True):
        judge(plan, rule, state, tick_sums, tick_rows, slot, is_firing=False)
    state.restart()
