"""What rule 2 learns from the ticks of a reference with times: movement and season."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from detectors.multiscale.excursion_state import kind_bytes
from detectors.multiscale.excursion_watch import learn_excursions
from detectors.multiscale.excursions import reference_kinds
from detectors.multiscale.rule import judge
from detectors.multiscale.seasons import fit_season
from detectors.multiscale.state import ScaleState
from monitor.baseline.blocks import Range, affordable, count_ranges, time_windows
from monitor.core.drift.ticks.cells import ScaleCells
from monitor.core.drift.ticks.closing import Tick, merge_thin
from monitor.core.drift.ticks.slots import slot_at, slots_at
from monitor.core.windowing.accumulators import take
from monitor.core.windowing.layout import Layout
from schemas.baselines import Baseline, ReferenceTicks
from schemas.batch import EventBatch
from schemas.config.model import ModelConfig
from schemas.panes import N_COUNTERS
from schemas.time_units import HOUR_US
from schemas.time_zones import UTC_NAME

MIN_TICKS = 24
"""With fewer ticks the stream's own first hours say as much."""
MAX_CELL_TICKS = 10_000_000
"""About ten seconds; a year of ten features. The last ticks are learned."""
_CHUNK = 1_000


def learn_ticks(
    baseline: Baseline, batch: EventBatch, layout: Layout, config: ModelConfig
) -> ReferenceTicks | None:
    """Learn movement, season and excursions from the reference's own ticks, in order of time.

    Parameters
    ----------
    baseline : Baseline
        With reference and phi.
    batch : EventBatch
        The reference's rows, with event times.
    layout : Layout
        In which the reference was counted.
    config : ModelConfig
        ``decision``, ``timezone`` and ``calendar`` are used.

    Returns
    -------
    ReferenceTicks or None
        None with fewer than 24 ticks that have rows.

    Notes
    -----
    The season is fitted to sums of hours, with 14 days at least. Thin ticks are merged as those
    of a stream are. The state is the one with which the stream starts: variances and the mean
    rows of a tick, without averages.

    References
    ----------
    Decision rule 2, sections 1.4 ("before the stream") and 1.6.
    """
    tick_us = config.tick_us
    order, windows = time_windows(batch.time_us, tick_us)
    cells = ScaleCells.of(config, replace(baseline, seasonal=None, ticks=None))
    windows = windows[-max(1, MAX_CELL_TICKS // cells.plan.n_cells) :]
    if len(windows) < MIN_TICKS:
        return None
    ordered = take(batch, order)
    hours = _hour_ranges(ordered, config)
    counted = list(_sums(cells, baseline, ordered, layout, hours, HOUR_US))
    starts = ordered.time_us[[start for start, _ in hours]]
    slots, local = slots_at(starts, config)
    sums, rows = np.stack([t.sums for t in counted]), np.stack([t.rows for t in counted])
    plan = fit_season(cells.plan, sums, rows, slots, local // 24)
    cells, state, n_ticks = replace(cells, plan=plan), ScaleState.start(plan), 0

    def ticks() -> Iterator[Tick]:
        return merged_ticks(_sums(cells, baseline, ordered, layout, windows, tick_us))

    first_us, end_us = 0, 0
    for tick in ticks():
        slot = slot_at(tick.start_us, config)
        judge(plan, cells.rule, state, tick.sums, tick.rows, slot, is_firing=False)
        first_us, end_us = first_us if n_ticks else tick.start_us, tick.end_us
        n_ticks += 1
    state.restart()
    found = learn_excursions(
        plan,
        cells.rule,
        state,
        ((tick.sums, tick.rows) for tick in ticks()),
        (slot_at(tick.start_us, config) for tick in ticks()),
    )
    return ReferenceTicks(
        tick_us=tick_us,
        n_ticks=n_ticks,
        components=state.components,
        scales=state.scales,
        cells=state.cells,
        season=plan.season,
        is_seasonal=plan.codes[:, 4] == 1,
        season_factor=plan.constants[:, 4],
        timezone=config.timezone or UTC_NAME,
        excursions=kind_bytes(reference_kinds(found, (end_us - first_us) / HOUR_US)),
    )


def _hour_ranges(ordered: EventBatch, config: ModelConfig) -> list[Range]:
    """Return the rows of each hour of the local clock."""
    local = slots_at(ordered.time_us, config)[1]
    starts = np.flatnonzero(np.concatenate(([True], local[1:] != local[:-1]))).tolist()
    return list(zip(starts, [*starts[1:], len(local)], strict=True))


def _sums(
    cells: ScaleCells,
    baseline: Baseline,
    ordered: EventBatch,
    layout: Layout,
    ranges: Sequence[Range],
    length_us: int,
) -> Iterator[Tick]:
    """Add up each range of rows by component; counters of some ranges at a time."""
    places = [cell.place for cell in cells.cells]
    size = affordable(baseline.phi.size, _CHUNK, 1)
    for i in range(0, len(ranges), size):
        own = ranges[i : i + size]
        counts = count_ranges(ordered, layout, baseline.reference.segments, own)
        flat = counts.reshape(len(own), -1, N_COUNTERS)[:, places].astype(np.int64)
        for (start, _), one in zip(own, flat, strict=True):
            start_us = int(ordered.time_us[start]) // length_us * length_us
            yield Tick(start_us, start_us + length_us, *cells.layout.add_up(one))


def merged_ticks(ticks: Iterator[Tick]) -> Iterator[Tick]:
    """Merge thin ticks; the last one may be thin."""
    held: Tick | None = None
    for tick in ticks:
        ready, held = merge_thin(held, tick)
        yield from ready
    if held is not None:
        yield held
