"""False alarms, delays and onsets of the multi-scale rule in the worlds of its acceptance."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchmarks.output import Figures
from benchmarks.quality.changes import planted_changes
from benchmarks.quality.peers import N_FEATURES_SIMULATED
from benchmarks.quality.planted import AFTER_HOURS, PlantedFigures, planted_run
from benchmarks.quality.quiet import QuietRate, quiet_run
from benchmarks.quality.worlds import MOVING, QUIET, RECURRING, SEASON, World, worlds

FIRST_SEED = 70_000
N_PLANTED_SEEDS = 2
QUICK_DAYS, QUICK_HOURS, QUICK_FEATURES = 15, 24, 300
QUICK_WORLDS = {
    "independent",
    "reference of 2,000 rows",
    "hours differ by .08, 1,000 rows",
    "missing rate wanders",
    "season, 3 weeks of reference",
    "missing for half an hour twice a week",
}
QUICK_CHANGES = {"shift 0.3 sd", "sd x 1.25", "constant"}


def rates(quick: bool) -> list[QuietRate]:
    """Run the worlds in which nothing is wrong."""
    chosen = [w for w in worlds() if not quick or w.name in QUICK_WORLDS]
    days = QUICK_DAYS if quick else None

    def rate(world: World) -> QuietRate:
        seeds = range(FIRST_SEED, FIRST_SEED + (1 if quick else world.n_models))
        return QuietRate(world, tuple(quiet_run(world, seed, days) for seed in seeds))

    return [rate(world) for world in chosen]


def delays(quick: bool) -> list[PlantedFigures]:
    """Plant the changes."""
    chosen = [p for p in planted_changes() if not quick or p.name in QUICK_CHANGES]
    seeds = range(FIRST_SEED, FIRST_SEED + (1 if quick else N_PLANTED_SEEDS))
    hours = QUICK_HOURS if quick else AFTER_HOURS
    n = QUICK_FEATURES if quick else N_FEATURES_SIMULATED
    return [PlantedFigures.of([planted_run(p, seed, hours, n) for seed in seeds]) for p in chosen]


def of_group(found: Sequence[QuietRate], group: str) -> dict[str, float]:
    """Return the largest rate of a group, its upper bound, and the months of a world."""
    own = [rate for rate in found if rate.world.group == group]
    worst = max(own, key=lambda rate: rate.per_month)
    return {
        f"{group}_worst": worst.per_month,
        f"{group}_worst_upper_95": worst.interval[1],
        f"{group}_months_a_world": min(rate.months for rate in own),
    }


def planted_figures(planted: Sequence[PlantedFigures]) -> Figures:
    """Return the figures of planted changes."""
    ratios = [p.delay_ratio for p in planted]
    return {
        "planted_met": float(np.mean([p.is_met for p in planted])),
        "delay_ratio_calibrated": float(np.nanmedian(ratios)),
        "reopenings": sum(p.n_reopened for p in planted) / sum(p.n_planted for p in planted),
        "onset_ticks": float(np.nanmedian([p.onset_error_ticks for p in planted])),
        "onset_covered": float(np.nanmean([p.share_covered for p in planted])),
        "planted_rows": len(planted),
        "planted_features_a_row": min(p.n_planted for p in planted),
    }


def figures_of(quiet: Sequence[QuietRate], planted: Sequence[PlantedFigures]) -> Figures:
    """Return the figures of the acceptance, and what each rests on."""
    found: dict[str, float | int | str | bool | None] = {}
    for group in (QUIET, MOVING, SEASON, RECURRING):
        found |= of_group(quiet, group)
    judged = [rate for rate in quiet if np.isfinite(rate.world.bar)]
    found["bars_kept"] = float(np.mean([rate.is_met for rate in judged]))
    return {**found, **planted_figures(planted)}
