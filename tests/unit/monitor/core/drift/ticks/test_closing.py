"""Ticks are folded from panes as these are retired, and hold nothing once they have closed."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from monitor.core.drift.ticks.closing import Ticks
from monitor.core.windowing.watermark import Watermarks
from schemas.config.model import ModelConfig
from schemas.panes import Pane, SeriesId, SeriesStats
from schemas.time_units import MINUTE_US
from tests.support.worlds.ticks import (
    CONFIG,
    SETTINGS,
    START_US,
    TICK_US,
    Driver,
    Messages,
    draw,
    pane_messages,
    panes_of,
    word,
)

N_MINUTES = 70
N_SLICES = 200
DENSE_BYTES = 3 * 64 * 8
"""Counters of three variables."""


def log(panes: list[Pane], *extra: Pane) -> Messages:
    """Two partitions; the second is silent until all panes of the first are retired."""
    messages: Messages = [word(0, p, 2) for p in range(2)]
    for pane in panes:
        messages += pane_messages(pane)
        messages.append(word((pane.end_us - START_US) // MINUTE_US, 0, 2))
    messages.append(word(N_MINUTES + 5, 0, 2))
    for pane in extra:
        messages += pane_messages(pane)
    return [*messages, word(N_MINUTES + 5, 1, 2)]


@pytest.mark.parametrize("minute", [2, 4, 31])
def test_a_retired_pane_that_changes_counts_in_its_open_tick(minute):
    rng = np.random.default_rng(3)
    panes = panes_of(draw(rng, N_MINUTES, 10))
    start_us = START_US + minute * MINUTE_US
    changed = panes_of(draw(rng, N_MINUTES, 25), version=9)[minute]
    assert changed.start_us == start_us
    straight = Driver()
    straight.run(log([changed if p.start_us == start_us else p for p in panes]))
    late = Driver()
    late.run(log(panes, changed))
    states = [msgspec.msgpack.encode(d.series_state()) for d in (late, straight)]
    assert states[0] == states[1]


NO_SLICES = ModelConfig.model_validate(SETTINGS | {"slices": {"host": False, "gpu_uuid": False}})


def with_slices(pane: Pane) -> Pane:
    """Return the pane with many hosts."""
    slices = SeriesStats.empty(tuple(f"host=h{i}" for i in range(N_SLICES)), 1)
    slices.n_rows[:] = slices.counts[:, 0, 0] = 1
    return Pane(
        SeriesId("default", "ticked", "1", pane.series.profile_id),
        *(pane.start_us, pane.end_us, pane.source, pane.partition, pane.owner, pane.pane_version),
        pane.segments,
        slices,
    )


def test_open_ticks_hold_their_counters_and_closed_ticks_nothing():
    marks = Watermarks()
    ticks = Ticks(lambda tenant, model: NO_SLICES, marks)
    marks.observe("s", 0, 1, START_US, is_idle=False)
    held, n_closed = [], 0
    for i, pane in enumerate(panes_of(draw(np.random.default_rng(4), N_MINUTES, 50))):
        ticks.add(with_slices(pane), i)
        marks.observe("s", 0, 1, pane.end_us, is_idle=False)
        ticks.windows.settle("s", 0)
        n_closed += len(ticks.close())
        held.append(ticks.windows.held_bytes)
    # Lateness is a minute: the panes of two minutes are open, at most two ticks.
    assert n_closed == (N_MINUTES * MINUTE_US - MINUTE_US) // TICK_US
    bodies = 2 * len(pane_messages(with_slices(pane))[0][1]) + 2 * N_SLICES
    assert max(held) <= 2 * (2 * DENSE_BYTES) + bodies + 10 * 32
    ticks.close_all()
    assert ticks.windows.held_bytes == 0


def test_a_lagging_partition_holds_the_counters_of_the_ticks_it_keeps_open():
    marks = Watermarks()
    ticks = Ticks(lambda tenant, model: NO_SLICES, marks)
    for p in range(2):
        marks.observe("s", p, 2, START_US, is_idle=False)
    for i, pane in enumerate(panes_of(draw(np.random.default_rng(5), N_MINUTES, 50))):
        ticks.add(with_slices(pane), i)
        marks.observe("s", 0, 2, pane.end_us + MINUTE_US, is_idle=False)
    ticks.windows.settle("s", 0)
    assert ticks.close() == []
    n_ticks = N_MINUTES * MINUTE_US // TICK_US
    assert ticks.windows.held_bytes <= n_ticks * (2 * DENSE_BYTES + 5 * 32)


def test_a_tick_has_the_slices_of_a_model_whose_replicas_are_compared():
    def slices_of(config: ModelConfig) -> list[int]:
        ticks = Ticks(lambda tenant, model: config, Watermarks())
        for i, pane in enumerate(panes_of(draw(np.random.default_rng(6), 6, 50))):
            ticks.add(with_slices(pane), i)
        return [tick.slices.counts.sum() for tick in ticks.close_all()]

    assert slices_of(CONFIG) == [5 * N_SLICES, N_SLICES]
    assert slices_of(NO_SLICES) == [0, 0]
