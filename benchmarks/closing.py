"""How long results take when the windows of a thousand models end at one watermark.

A thousand models of ten features and a score, two segments (eight with ``*``), eight hosts:
88 cells each, spread over eight partitions of the panes topic. Two processes own four
partitions each and judge all of them. Per window and model: four source partitions with two
panes of 2,500 rows each, folded before the window ends. The watermark of the last source
partition closes all windows of a panes partition.

``thousand_s``: from that watermark until results, states (as they are committed on Kafka) and
alerts of all models are written: the longer of both processes, median over windows. Writes go to
the log in memory of each process: encoding and compression are included, a broker and its client
are not. ``first_s``: the same for the first window after a start, in which every model's
baseline is planned. ``cpu_ms_a_model``: CPU of one model's window. ``result_bytes``,
``state_bytes``: messages of one model's window.
"""

from __future__ import annotations

import multiprocessing
import statistics
import threading
import time
from dataclasses import replace
from multiprocessing.connection import Connection
from typing import NamedTuple

import msgspec
import numpy as np

from benchmarks.events import FIRST_US, make_messages, model_config
from benchmarks.output import Figures, main
from benchmarks.worlds import fraud
from monitor.core.topics import ALERTS, PANES, RESULTS, STATE
from monitor.core.windowing.aggregate import PartitionAggregator
from monitor.core.windowing.catalog import Catalog
from monitor.core.windowing.codec import encode_one
from monitor.core.windowing.packed_pane import pack_pane
from monitor.core.windowing.watermark_message import WatermarkMessage
from monitor.decode.chunk import chunk_of
from monitor.decode.decoder import Decoder
from monitor.detect.in_memory import DriftDetect
from monitor.transport.memory import MemoryLog
from schemas.config.model import WindowConfig
from schemas.panes import Pane

N_MODELS, N_PARTITIONS, N_PROCESSES = 1_000, 8, 2
SOURCE, N_SOURCES, N_PANES, ROWS = "s", 4, 2, 2_500
WINDOW = WindowConfig()
TIMEOUT_S = 300.0


class Lap(NamedTuple):
    """One window of all models of one process."""

    wall_s: float
    cpu_s: float
    n_alerts: int
    result_bytes: int
    state_bytes: int


def panes(window: int) -> list[Pane]:
    """Return the panes of one window of one model, rows of their own in each."""
    catalog = fraud()
    decoder, found = Decoder(catalog.schemas), list[Pane]()
    for source in range(N_SOURCES):
        aggregator = PartitionAggregator(SOURCE, source, "o", WINDOW, catalog.layout)
        for k in range(N_PANES):
            seed = 10 + (window * N_SOURCES + source) * N_PANES + k
            batch = decoder.decode(chunk_of(make_messages(ROWS, 0.0, seed), SOURCE)).batches[0]
            begin_us = FIRST_US + window * WINDOW.length_us + k * WINDOW.pane_us
            times_us = begin_us + np.arange(ROWS) * WINDOW.pane_us // ROWS
            offsets = (window * N_PANES + k) * ROWS + np.arange(ROWS)
            empty = chunk_of([], SOURCE, source)
            chunk = replace(empty, log_offset=offsets, record_time_us=np.full(ROWS, -1))
            aggregator.add(chunk, [replace(batch, time_us=times_us)])
        found += aggregator.flush_all()
    return found


def models(process: int) -> tuple[Catalog, list[list[str]]]:
    """Return the models of a process, and their names by partition."""
    base = fraud()
    config, baseline = model_config(), next(iter(base.baselines.values()))[0]
    own = range(process, N_PARTITIONS, N_PROCESSES)
    names = [[f"model-{i}" for i in range(p, N_MODELS, N_PARTITIONS)] for p in own]
    every = [name for part in names for name in part]
    catalog = Catalog.of(
        [config.model_copy(update={"model": name}) for name in every],
        [replace(baseline, model=name) for name in every],
    )
    return catalog, names


def write_window(logs: list[MemoryLog], names: list[list[str]], window: int) -> None:
    """Write the panes of all models, and the watermarks of all source partitions but the last."""
    made = [pack_pane(pane) for pane in panes(window)]
    end_us = FIRST_US + (window + 1) * WINDOW.length_us
    for log, own in zip(logs, names, strict=True):
        for name in own:
            for pane in made:
                renamed = msgspec.structs.replace(pane, series=replace(pane.series, model=name))
                for value in encode_one(renamed):
                    log.produce(PANES, value, key=f"{name}|{pane.partition}".encode())
        for source in range(N_SOURCES):
            write_watermark(log, source, end_us)
        for source in range(N_SOURCES - 1):
            write_watermark(log, source, end_us + WINDOW.lateness_us)


def write_watermark(log: MemoryLog, source: int, watermark_us: int) -> None:
    word = WatermarkMessage(SOURCE, source, N_SOURCES, "o", watermark_us)
    log.produce(PANES, word.encode(), key=word.key())


def catch_up(detects: list[DriftDetect]) -> None:
    for detect in detects:
        while detect.step():
            pass


def run_process(process: int, n_windows: int, barrier: threading.Barrier, pipe: Connection) -> None:
    """Own half of the partitions; send one lap for each window."""
    catalog, names = models(process)
    logs = [MemoryLog() for _ in names]
    detects = [DriftDetect(log, catalog) for log in logs]
    for window in range(n_windows):
        write_window(logs, names, window)
        catch_up(detects)
        before = {topic: [log.end_offset(topic, 0) for log in logs] for topic in (RESULTS, STATE)}
        n_alerts = sum(log.end_offset(ALERTS, 0) for log in logs)
        end_us = FIRST_US + (window + 1) * WINDOW.length_us + WINDOW.lateness_us
        for log in logs:
            write_watermark(log, N_SOURCES - 1, end_us)
        barrier.wait(TIMEOUT_S)
        begin_s, begin_cpu_s = time.perf_counter(), time.process_time()
        catch_up(detects)
        wall_s, cpu_s = time.perf_counter() - begin_s, time.process_time() - begin_cpu_s
        sizes = [
            sum(n_bytes(log, topic, at) for log, at in zip(logs, before[topic], strict=True))
            for topic in (RESULTS, STATE)
        ]
        n_alerts = sum(log.end_offset(ALERTS, 0) for log in logs) - n_alerts
        pipe.send(Lap(wall_s, cpu_s, n_alerts, *sizes))
    closed = sum(detect.counters["windows"] for detect in detects)
    pipe.send(closed)


def n_bytes(log: MemoryLog, topic: str, first: int) -> int:
    """Return the bytes of the messages of a topic from an offset on."""
    messages = log.fetch(topic, 0, first, 1 << 30)
    return sum(len(message.key) + len(message.value) for message in messages)


def measure(quick: bool) -> Figures:
    n_windows = 2 if quick else 6
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(N_PROCESSES)
    pipes = [context.Pipe(duplex=False) for _ in range(N_PROCESSES)]
    processes = [
        context.Process(target=run_process, args=(i, n_windows, barrier, sender), daemon=True)
        for i, (_, sender) in enumerate(pipes)
    ]
    for process, (_, sender) in zip(processes, pipes, strict=True):
        process.start()
        sender.close()
    laps = [[receive(receiver) for receiver, _ in pipes] for _ in range(n_windows)]
    closed = sum(receiver.recv() for receiver, _ in pipes)
    for process in processes:
        process.join(TIMEOUT_S)
    if closed != n_windows * N_MODELS:
        raise SystemExit(f"{closed} windows closed, not {n_windows * N_MODELS}")
    walls = [max(lap.wall_s for lap in both) for both in laps]
    cpu_s = [sum(lap.cpu_s for lap in both) for both in laps[1:]]
    last = laps[-1]
    return {
        "thousand_s": statistics.median(walls[1:]),
        "first_s": walls[0],
        "cpu_ms_a_model": statistics.median(cpu_s) / N_MODELS * 1e3,
        "first_cpu_ms_a_model": sum(lap.cpu_s for lap in laps[0]) / N_MODELS * 1e3,
        "result_bytes": sum(lap.result_bytes for lap in last) / N_MODELS,
        "state_bytes": sum(lap.state_bytes for lap in last) / N_MODELS,
        "n_alerts": sum(lap.n_alerts for both in laps for lap in both),
        "n_models": N_MODELS,
    }


def receive(pipe: Connection) -> Lap:
    """Return the next lap of a process, or end if it has died."""
    try:
        lap: Lap = pipe.recv()
    except EOFError:
        raise SystemExit("a process has ended") from None
    return lap


if __name__ == "__main__":
    main("time until a thousand models' windows of 88 cells are judged and written", measure)
