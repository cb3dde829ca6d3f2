"""What one pane and one window cost detect, and how long a pane is as a message.

One model of ten features and a score, two segments (eight with ``*``), four source
partitions, panes of ten seconds with 2,500 rows each, one window of an hour: 1,440 panes.
Each partition's watermark follows its panes. ``pane_bytes``: the mean message.
``pane_us``: CPU of one, from its bytes until it is part of its window's sums.
``window_ms``: CPU of closing the window: adding up its partitions, judging its 88 cells and
the hosts', and their descriptive statistics. ``encode_us``: CPU of a pane in ingest, from
counters to a message. ``tick_pane_us``: CPU of a pane for its tick of rule 2, beside its
window. ``window_bytes``, ``tick_bytes``: most bytes that the panes of the open window, and of
the open ticks, take in detect. Pure, no broker.
"""

from __future__ import annotations

import statistics
import time
from dataclasses import replace

import numpy as np

from benchmarks.events import FIRST_US, make_messages
from benchmarks.output import Figures, main
from benchmarks.worlds import fraud
from monitor.core.drift.decide import SeriesDecider
from monitor.core.drift.ticks.closing import Ticks
from monitor.core.drift.windows import Windows
from monitor.core.windowing.aggregate import PartitionAggregator
from monitor.core.windowing.codec import PaneAssembler, encode_one
from monitor.core.windowing.packed_pane import pack_pane
from monitor.decode.chunk import chunk_of
from monitor.decode.decoder import Decoder
from schemas.config.model import WindowConfig
from schemas.panes import Pane

N_PARTITIONS, N_PANES, ROWS = 4, 360, 2_500


def panes() -> list[Pane]:
    """Panes as ingest would write them, in the order of time."""
    catalog = fraud()
    decoder = Decoder(catalog.schemas)
    window = WindowConfig()
    aggregators = [
        PartitionAggregator("s", p, "o", window, catalog.layout) for p in range(N_PARTITIONS)
    ]
    found: list[Pane] = []
    decoded = decoder.decode(chunk_of(make_messages(ROWS, 0.0), "s")).batches[0]
    at = (np.arange(ROWS) * window.pane_us // ROWS).astype(np.int64)
    for k in range(N_PANES):
        batch = replace(decoded, time_us=FIRST_US + k * window.pane_us + at)
        for p, aggregator in enumerate(aggregators):
            log_offset = np.arange(k * ROWS, (k + 1) * ROWS)
            empty = chunk_of([], "s", p)
            chunk = replace(empty, log_offset=log_offset, record_time_us=np.full(ROWS, -1))
            aggregator.add(chunk, [batch])
            found += aggregator.flush()
    return found + [pane for a in aggregators for pane in a.flush_all()]


def cost(written: list[list[bytes]]) -> tuple[float, float]:
    """CPU microseconds of a pane, milliseconds of the window."""
    catalog = fraud()
    config = next(iter(catalog.configs.values()))
    windows, assembler = Windows(lambda *_: config.window), PaneAssembler()
    marks = windows.watermarks
    marks.declare("s", N_PARTITIONS)
    begin_s = time.process_time()
    for offset, values in enumerate(written):
        for value in values:
            for whole in assembler.add(value, offset):
                pane = whole.packed
                windows.add(pane, offset, whole.body)
                place = (pane.source, pane.partition)
                marks.observe(*place, N_PARTITIONS, pane.end_us, is_idle=False)
    pane_s = time.process_time() - begin_s
    begin_s = time.process_time()
    (window,) = windows.close_all()
    baseline = next(iter(catalog.baselines.values()))[0]
    decider = SeriesDecider(window.series, config, baseline)
    decider.decide(window)
    return pane_s / len(written) * 1e6, (time.process_time() - begin_s) * 1e3


def tick_cost(written: list[list[bytes]]) -> tuple[float, int, int]:
    """CPU microseconds of a pane in its tick; most bytes of the window and of the ticks."""
    catalog = fraud()
    config = next(iter(catalog.configs.values()))
    decision = config.decision.model_copy(update={"rule": 2})
    config = config.model_copy(update={"decision": decision})
    windows, assembler = Windows(lambda *_: config.window), PaneAssembler()
    marks = windows.watermarks
    ticks = Ticks(lambda *_: config, marks)
    marks.declare("s", N_PARTITIONS)
    tick_s, window_bytes, tick_bytes = 0.0, 0, 0
    for offset, values in enumerate(written):
        found = [whole for value in values for whole in assembler.add(value, offset)]
        for whole in found:
            pane = whole.packed
            windows.add(pane, offset, whole.body)
            begin_s = time.process_time()
            ticks.add(pane, offset, whole.body)
            marks.observe(pane.source, pane.partition, N_PARTITIONS, pane.end_us, is_idle=False)
            ticks.close()
            tick_s += time.process_time() - begin_s
        if offset % 16 == 0:
            window_bytes = max(window_bytes, windows.held_bytes)
            tick_bytes = max(tick_bytes, ticks.windows.held_bytes)
    return tick_s / len(written) * 1e6, window_bytes, tick_bytes


def measure(quick: bool) -> Figures:
    made = panes()
    for pane in made[:8]:
        encode_one(pack_pane(pane))
    begin_s = time.process_time()
    written = [encode_one(pack_pane(pane)) for pane in made]
    encode_us = (time.process_time() - begin_s) / len(made) * 1e6
    cost(written[:8])  # compiled before the clock starts
    found = [cost(written) for _ in range(3 if quick else 9)]
    tick_us, window_bytes, tick_bytes = tick_cost(written)
    return {
        "pane_bytes": statistics.mean(sum(map(len, values)) for values in written),
        "pane_us": statistics.median(pane_us for pane_us, _ in found),
        "window_ms": statistics.median(window_ms for _, window_ms in found),
        "encode_us": encode_us,
        "tick_pane_us": tick_us,
        "window_bytes": window_bytes,
        "tick_bytes": tick_bytes,
        "n_panes": len(written),
    }


if __name__ == "__main__":
    main("CPU of a pane and of a window in detect, bytes of a pane", measure)
