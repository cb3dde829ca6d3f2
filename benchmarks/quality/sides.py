"""Peers beside us: the same rows, false alarms and delays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.quality.counter_streams import DAILY_SD, HOURS_A_MONTH, REFERENCE_WINDOWS, WINDOW_SD
from benchmarks.quality.delays import HORIZON, QUIET_WINDOWS, RuleDelay, delay_of
from benchmarks.quality.real import columns
from benchmarks.quality.rows import Column, Firing, our_firings, peer_firings

OURS = "Driftline"
N_ROWS = 1_000
N_COLUMNS = 10
SHIFTS = (0.1, 0.2, 0.3, 0.5)


@dataclass(frozen=True, slots=True)
class RuleSide:
    """One rule on one stream."""

    rule: str
    stream: str
    n_alarms: int
    """Windows of columns, while nothing was wrong."""
    model_months: float


@dataclass(frozen=True, slots=True)
class Found:
    """One rule and one planted change: how soon, how surely."""

    rule: str
    change: str
    delay: RuleDelay


def gaussian(
    n_columns: int, n_windows: int, seed: int, *, has_wobble: bool, shift: float = 0.0
) -> list[Column]:
    """Columns of N(0, 1) rows; ``shift`` begins after the quiet windows."""
    rng = np.random.default_rng(seed)

    def window(hour: int, moved: float) -> NDArray[Any]:
        if has_wobble:
            moved += DAILY_SD * np.sin(2 * np.pi * hour / 24) + rng.normal(0, WINDOW_SD)
        return rng.normal(moved, 1, N_ROWS)

    found = []
    for _ in range(n_columns):
        reference = np.concatenate([window(h, 0.0) for h in range(REFERENCE_WINDOWS)])
        windows = [window(h, shift if h >= QUIET_WINDOWS else 0.0) for h in range(n_windows)]
        found.append(Column(reference, windows))
    return found


def all_rules(model: Sequence[Column]) -> dict[str, list[Firing]]:
    """What every rule says of one model."""
    return {OURS: our_firings(model), **peer_firings(model)}


def quiet_month(stream: str, model: Sequence[Column]) -> list[RuleSide]:
    """Count alarms while nothing is wrong."""
    months = len(model[0].windows) / HOURS_A_MONTH
    return [RuleSide(rule, stream, len(f), months) for rule, f in all_rules(model).items()]


def planted(change: str, model: Sequence[Column], changed: Sequence[int]) -> list[Found]:
    """Measure every rule's delay over the columns that changed."""
    return [
        Found(rule, change, delay_of([[w for w, c in firings if c == k] for k in changed]))
        for rule, firings in all_rules(model).items()
    ]


def gaussian_sides(n_windows: int) -> tuple[list[RuleSide], list[Found]]:
    """Quiet months, and shifts, of Gaussian columns."""
    quiet: list[RuleSide] = []
    for has_wobble in (False, True):
        name = "Gaussian, wobble" if has_wobble else "Gaussian, iid"
        quiet += quiet_month(name, gaussian(N_COLUMNS, n_windows, 5, has_wobble=has_wobble))
    late: list[Found] = []
    for shift in SHIFTS:
        model = gaussian(2 * N_COLUMNS, QUIET_WINDOWS + HORIZON, 6, has_wobble=False, shift=shift)
        late += planted(f"shift {shift} sd", model, range(2 * N_COLUMNS))
    return quiet, late


def real_sides(n_windows: int) -> tuple[list[RuleSide], list[Found]]:
    """The same on car_loan and employment, the baseline and the windows from different halves."""
    quiet: list[RuleSide] = []
    late: list[Found] = []
    for data, column in (("car_loan", "car_value"), ("employment_MA", "AGEP")):
        names = columns(data, N_ROWS, n_windows, 11)
        quiet += quiet_month(data, names)
        numeric = [i for i, c in enumerate(names) if c.is_numeric]
        for shift in (0.2, 0.5):
            model = moved(data, numeric, shift)
            late += planted(f"{data}: all numbers + {shift} sd ({column}, ...)", model, numeric)
    return quiet, late


def moved(data: str, numeric: Sequence[int], shift: float) -> list[Column]:
    """Real columns whose numbers rise after the quiet windows."""
    found = columns(data, N_ROWS, QUIET_WINDOWS + HORIZON, 12)
    for i in numeric:
        rise = shift * float(np.nanstd(found[i].reference))
        windows = [w + rise if k >= QUIET_WINDOWS else w for k, w in enumerate(found[i].windows)]
        found[i] = Column(found[i].reference, windows)
    return found
