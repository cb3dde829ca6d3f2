"""How often rules wake people for nothing, and how soon they see what matters.

``false_pages_per_model_month``: of Driftline's rule, budget .1, while nothing is wrong, in
the worst of fifteen settings (independent rows, a wobble of .03 sd daily and .02 sd a
window, rows in identical tens, heavy tails, Zipf categories; 200, 5,000 and 100,000 rows a
window); any firing counts as a page. ``upper_95``: upper end of the exact 95 % Poisson
interval of that setting. ``delay_windows_<shift>``: mean windows of 1,000 rows until a
shift of so many sd fires.

The full run also plants other changes, and has peers watch the same streams; tables and
plots go to ``docs/quality`` with ``--write``.
"""

from __future__ import annotations

import sys

from benchmarks.output import Figures, main
from benchmarks.quality.ours import Delay, Nights, delay, nights
from benchmarks.quality.worlds import changes, null_worlds

N_MONTHS, N_MONTHS_QUICK = 30, 19
N_FEATURES, N_FEATURES_QUICK = 10, 6
PLANTED_ROWS, N_PLANTED = 1_000, 50
WRITE = "--write"


def all_nights(n_models: int, n_features: int) -> list[Nights]:
    """Nothing is wrong, in every setting."""
    return [
        nights(world, n_models, n_features, seed=1_000 + i) for i, world in enumerate(null_worlds())
    ]


def all_delays(n_features: int) -> dict[str, Delay]:
    """Every change, planted in fifty variables."""
    return {
        name: delay(world(PLANTED_ROWS), change, N_PLANTED, n_features, seed=7)
        for name, (world, change) in changes().items()
    }


def figures_of(quiet: list[Nights], delays: dict[str, Delay]) -> dict[str, float | int | str]:
    """The worst setting, and delays by shift."""
    worst = max(quiet, key=lambda n: n.upper_95)
    found: dict[str, float | int | str] = {
        "false_pages_per_model_month": worst.per_month,
        "upper_95": worst.upper_95,
        "worst_setting": worst.setting,
        "model_months_a_setting": worst.model_months,
    }
    for name, seen in delays.items():
        if name.startswith("shift"):
            size = name.split()[1]
            found[f"delay_windows_{size}"] = seen.n_windows
            found[f"power_{size}"] = seen.power
    return found


def measure(quick: bool) -> Figures:
    n_features = N_FEATURES_QUICK if quick else N_FEATURES
    quiet = all_nights(N_MONTHS_QUICK if quick else N_MONTHS, n_features)
    delays = all_delays(n_features)
    figures = figures_of(quiet, delays)
    if not quick:
        figures |= beside(quiet, delays)
    return figures


def beside(quiet: list[Nights], delays: dict[str, Delay]) -> dict[str, float | int | str]:
    """Have the peers watch the same rows; with ``--write``, write the pages."""
    from benchmarks.quality.page import write
    from benchmarks.quality.real import is_there
    from benchmarks.quality.sides import SHIFTS, gaussian_sides, real_sides
    from benchmarks.quality.worlds import HOURS_A_MONTH

    sides, found = gaussian_sides(HOURS_A_MONTH)
    if is_there():
        more_sides, more_found = real_sides(HOURS_A_MONTH)
        sides, found = sides + more_sides, found + more_found
    if WRITE in sys.argv:
        write(quiet, delays, sides, found, N_FEATURES)
    figures: dict[str, float | int | str] = {}
    for side in sides:
        figures[f"alarms_a_month, {side.rule}, {side.stream}"] = side.n_alarms / side.model_months
    for seen in found:
        if seen.change in {f"shift {s} sd" for s in SHIFTS}:
            figures[f"delay_windows, {seen.rule}, {seen.change}"] = seen.n_windows
    return figures


if __name__ == "__main__":
    main("false pages and delays of the decision rule", measure, (WRITE,))
