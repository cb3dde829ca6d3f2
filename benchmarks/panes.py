"""What one pane and one window cost detect, and how long a pane is as a message.

One model of ten features and a score, two segments (eight with ``*``), four source
partitions, panes of ten seconds with 2,500 rows each, one window of an hour: 1,440 panes.
``pane_bytes``: the mean message. ``pane_us``: CPU of one, from its bytes until it is kept
for its window. ``window_ms``: CPU of closing the window: merging its panes, judging its 88
cells and the hosts', and their descriptive statistics. Pure, no broker.
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
from monitor.core.drift.windows import Windows
from monitor.core.windowing.aggregate import PartitionAggregator
from monitor.core.windowing.codec import PaneAssembler, encode
from monitor.decode.chunk import chunk_of
from monitor.decode.decoder import Decoder
from schemas.config.model import WindowConfig

N_PARTITIONS, N_PANES, ROWS = 4, 360, 2_500


def messages() -> list[list[bytes]]:
    """Panes as ingest would write them, in the order of time: each a list of chunks."""
    catalog = fraud()
    decoder = Decoder(catalog.schemas)
    window = WindowConfig()
    aggregators = [
        PartitionAggregator("s", p, "o", window, catalog.layout) for p in range(N_PARTITIONS)
    ]
    found: list[list[bytes]] = []
    decoded = decoder.decode(chunk_of(make_messages(ROWS, 0.0), "s")).batches[0]
    at = (np.arange(ROWS) * window.pane_us // ROWS).astype(np.int64)
    for k in range(N_PANES):
        batch = replace(decoded, time_us=FIRST_US + k * window.pane_us + at)
        for p, aggregator in enumerate(aggregators):
            log_offset = np.arange(k * ROWS, (k + 1) * ROWS)
            empty = chunk_of([], "s", p)
            chunk = replace(empty, log_offset=log_offset, record_time_us=np.full(ROWS, -1))
            aggregator.add(chunk, [batch])
            found += [encode(pane) for pane in aggregator.flush()]
    return found + [encode(pane) for a in aggregators for pane in a.flush_all()]


def cost(written: list[list[bytes]]) -> tuple[float, float]:
    """CPU microseconds of a pane, milliseconds of the window."""
    catalog = fraud()
    config = next(iter(catalog.configs.values()))
    windows, assembler = Windows(lambda *_: config.window), PaneAssembler()
    windows.watermarks.declare("s", N_PARTITIONS)
    begin_s = time.process_time()
    for offset, values in enumerate(written):
        for value in values:
            whole = assembler.add(value, offset)
            if whole is not None:
                windows.add(whole.pane, offset)
    pane_s = time.process_time() - begin_s
    begin_s = time.process_time()
    (window,) = windows.close_all()
    baseline = next(iter(catalog.baselines.values()))[0]
    decider = SeriesDecider(window.series, config, baseline)
    decider.decide(window)
    return pane_s / len(written) * 1e6, (time.process_time() - begin_s) * 1e3


def measure(quick: bool) -> Figures:
    written = messages()
    cost(written[:8])  # compiled before the clock starts
    found = [cost(written) for _ in range(3 if quick else 9)]
    return {
        "pane_bytes": statistics.mean(sum(map(len, values)) for values in written),
        "pane_us": statistics.median(pane_us for pane_us, _ in found),
        "window_ms": statistics.median(window_ms for _, window_ms in found),
        "n_panes": len(written),
    }


if __name__ == "__main__":
    main("CPU of a pane and of a window in detect, bytes of a pane", measure)
