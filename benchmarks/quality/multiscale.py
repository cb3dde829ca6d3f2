"""False alarms, delays and onsets of the multi-scale rule in the worlds of its acceptance.

``quiet_worst``, ``moving_worst``, ``season_worst``: incidents a model and month in the worst
world of each group, budget .1; an incident is an alert of a cell that does not open again
within 48 h of its close. ``bars_kept``: share of worlds whose rate is within their bar.
``planted_met``: share of planted changes whose median delay is within its bar, found in all
features. ``reopenings``: alerts that open again, a planted change. ``onset_ticks``: median
error of the beginning; ``onset_covered``: share of intervals that hold it.

The kernel is run on ticks of five minutes; the monitor does not use it yet. The full run, 12
models of three months in each world and four models for each change, takes about an hour of
one core; ``--quick`` takes ten days of five worlds and four changes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchmarks.output import Figures, main
from benchmarks.quality.planted import AFTER_HOURS, PlantedFigures, planted_run
from benchmarks.quality.quiet import QuietRate, quiet_run
from benchmarks.quality.worlds import MOVING, QUIET, SEASON, planted_changes, worlds

FIRST_SEED = 10_000
N_SEEDS, N_PLANTED_SEEDS = 12, 4
QUICK_DAYS, QUICK_HOURS = 10, 48
QUICK_WORLDS = {
    "independent",
    "reference of 2,000 rows",
    "hours differ by .08, 1,000 rows",
    "missing rate wanders",
    "season, 3 weeks of reference",
}
QUICK_CHANGES = {"30 % missing", "shift 0.3 sd", "sd x 1.25", "correlation 0 -> .6"}


def rates(quick: bool) -> list[QuietRate]:
    """Run the worlds in which nothing is wrong."""
    chosen = [w for w in worlds() if not quick or w.name in QUICK_WORLDS]
    seeds = range(FIRST_SEED, FIRST_SEED + (1 if quick else N_SEEDS))
    days = QUICK_DAYS if quick else None
    return [QuietRate(w, tuple(quiet_run(w, seed, days) for seed in seeds)) for w in chosen]


def delays(quick: bool) -> list[PlantedFigures]:
    """Plant the changes."""
    chosen = [p for p in planted_changes() if not quick or p.name in QUICK_CHANGES]
    seeds = range(FIRST_SEED, FIRST_SEED + (1 if quick else N_PLANTED_SEEDS))
    hours = QUICK_HOURS if quick else AFTER_HOURS
    return [PlantedFigures.of([planted_run(p, seed, hours) for seed in seeds]) for p in chosen]


def worst(found: Sequence[QuietRate], group: str) -> float:
    """Return the largest rate of a group."""
    return max(rate.per_month for rate in found if rate.world.group == group)


def measure(quick: bool) -> Figures:
    quiet, planted = rates(quick), delays(quick)
    judged = [r for r in quiet if np.isfinite(r.world.bar)]
    return {
        "quiet_worst": worst(quiet, QUIET),
        "moving_worst": worst(quiet, MOVING),
        "season_worst": worst(quiet, SEASON),
        "bars_kept": float(np.mean([r.per_month <= r.world.bar for r in judged])),
        "planted_met": float(np.mean([p.is_met for p in planted])),
        "reopenings": float(np.mean([p.n_reopened / p.n_planted for p in planted])),
        "onset_ticks": float(np.nanmedian([p.onset_error_ticks for p in planted])),
        "onset_covered": float(np.nanmean([p.share_covered for p in planted])),
        "model_months_a_world": float(np.median([r.months for r in quiet])),
    }


if __name__ == "__main__":
    main("false alarms and delays of the multi-scale rule", measure)
