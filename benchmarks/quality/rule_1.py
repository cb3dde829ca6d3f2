"""False pages and delays of the first rule, in windows of an hour, beside those of peers.

``false_pages_per_model_month``: of Driftline's rule, budget .1, while nothing is wrong, in
the worst of fifteen settings (independent rows, a wobble of .03 sd daily and .02 sd a
window, rows in identical tens, heavy tails, Zipf categories; 200, 5,000 and 100,000 rows a
window); any firing counts as a page. ``upper_95``: upper end of the exact 95 % Poisson
interval of that setting, which takes firings for independent. ``upper_95_by_model``: of the
share of models that fire at least once in a month (Clopper-Pearson), the highest of any
setting; it holds also where one unlucky baseline fires again and again.
``delay_windows_<shift>``: median windows of 1,000 rows until a shift of so many sd fires,
misses counted as infinite; null where that is more than 48. ``power_<shift>``: share found
within 48. ``alarms_before_<shift>``: of a variable, in the 24 quiet windows before.

The full run also plants other changes, and has peers watch the same streams; tables and
plots go to ``docs/quality`` with ``--write``.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from math import isfinite

from benchmarks.output import Figures
from benchmarks.quality.counter_streams import changes, null_worlds
from benchmarks.quality.delays import RuleDelay
from benchmarks.quality.ours import Nights, delay, nights

N_MONTHS, N_MONTHS_QUICK = 40, 19
N_FEATURES, N_FEATURES_QUICK = 10, 6
PLANTED_ROWS, N_PLANTED = 1_000, 50
NONE_FIRED = "none fired"
WRITE = "--write"

Found = dict[str, float | int | str | bool | None]


def all_nights(n_models: int, n_features: int) -> list[Nights]:
    """Nothing is wrong, in every setting."""
    return [
        nights(world, n_models, n_features, seed=1_000 + i) for i, world in enumerate(null_worlds())
    ]


def all_delays(n_features: int) -> dict[str, RuleDelay]:
    """Every change, planted in fifty variables."""
    return {
        name: delay(world(PLANTED_ROWS), change, N_PLANTED, n_features, seed=7)
        for name, (world, change) in changes().items()
    }


def worst_of(quiet: Sequence[Nights]) -> tuple[Nights, str]:
    """Return the setting with the most firings, of equals with the most models; all their names."""

    def badness(n: Nights) -> tuple[int, int]:
        return n.n_firings, n.n_models_fired

    worst = max(quiet, key=badness)
    names = [n.setting for n in quiet if badness(n) == badness(worst)]
    return worst, "; ".join(names) if worst.n_firings else NONE_FIRED


def quiet_figures(quiet: Sequence[Nights]) -> Found:
    """The worst setting."""
    worst, name = worst_of(quiet)
    return {
        "false_pages_per_model_month": worst.per_month,
        "upper_95": worst.upper_95,
        "upper_95_by_model": max(n.upper_95_by_model for n in quiet),
        "worst_setting": name,
        "model_months_a_setting": worst.n_models,
    }


def delay_figures(delays: dict[str, RuleDelay]) -> Found:
    """Delays by shift, each with what it has to be read beside."""
    found: Found = {}
    for name, seen in delays.items():
        if name.startswith("shift"):
            size = name.split()[1]
            found[f"delay_windows_{size}"] = seen.median
            found[f"power_{size}"] = seen.power
            found[f"alarms_before_{size}"] = seen.alarms_before
    return found


def measure(quick: bool) -> Figures:
    n_features = N_FEATURES_QUICK if quick else N_FEATURES
    quiet = all_nights(N_MONTHS_QUICK if quick else N_MONTHS, n_features)
    delays = all_delays(n_features)
    figures = quiet_figures(quiet) | delay_figures(delays)
    if not quick:
        figures |= beside(quiet, delays)
    return {name: finite(value) for name, value in figures.items()}


def finite(value: float | int | str | bool | None) -> float | int | str | bool | None:
    """JSON has no NaN and no infinity."""
    return None if isinstance(value, float) and not isfinite(value) else value


def beside(quiet: list[Nights], delays: dict[str, RuleDelay]) -> Found:
    """Have the peers watch the same rows; with ``--write``, write the pages."""
    from benchmarks.quality.counter_streams import HOURS_A_MONTH
    from benchmarks.quality.page import write
    from benchmarks.quality.real import is_there
    from benchmarks.quality.sides import SHIFTS, gaussian_sides, real_sides

    sides, found = gaussian_sides(HOURS_A_MONTH)
    if is_there():
        more_sides, more_found = real_sides(HOURS_A_MONTH)
        sides, found = sides + more_sides, found + more_found
    if WRITE in sys.argv:
        write(quiet, delays, sides, found, N_FEATURES)
    figures: Found = {}
    for side in sides:
        figures[f"alarms_a_month, {side.rule}, {side.stream}"] = side.n_alarms / side.model_months
    for seen in found:
        if seen.change in {f"shift {s} sd" for s in SHIFTS}:
            figures[f"delay_windows, {seen.rule}, {seen.change}"] = seen.delay.median
            figures[f"power, {seen.rule}, {seen.change}"] = seen.delay.power
            figures[f"alarms_before, {seen.rule}, {seen.change}"] = seen.delay.alarms_before
    return figures
