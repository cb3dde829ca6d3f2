"""What an event of many small models costs: ingest, detect, its messages and detect's memory.

A thousand models of twenty features send ten events a minute each, spread over eight
partitions; panes are ten seconds long, so nearly every pane holds one row. One process owns
all partitions and reads each of them every eight seconds: 1.09 rows of a model at a time.

``ingest_us``: CPU of one event, from bytes to pane messages: decoding, counting, publishing,
without a broker's client. ``detect_us``: CPU of one event from pane messages until the panes
are kept for their windows; no window closes. ``message_bytes``: keys and values of pane
messages. ``pane_rows``: rows that the archive writes to the table ``panes``, an event of ten
models in ten minutes; ``pane_rows_by_pane`` if every pane were stored. ``share_of_a_core``:
both CPU figures times the events a second of 5,000 models that send 1 to 20 events a minute
(evenly: 10.5 in the mean). ``detect_mib_a_model``: what detect holds of one model with one row
in each pane of four partitions shortly before an hourly window closes. Learning the events'
layouts is not measured: two minutes of traffic come before.
"""

from __future__ import annotations

import gc
import random
import time
import tracemalloc
from collections.abc import Sequence

import numpy as np

from benchmarks.output import Figures, main
from benchmarks.worlds import N_FEATURES, N_MODELS, many
from monitor.archive.blocks import Place
from monitor.archive.pane_fold import PaneReader, fold_at
from monitor.archive.position import ArchivePosition
from monitor.archive.raw import RawTopics
from monitor.archive.stage import RangeRows
from monitor.core.topics import PANES
from monitor.core.windowing.catalog import Catalog
from monitor.core.windowing.codec import decode_all
from monitor.core.windowing.intake_message import NOT_PANES
from monitor.core.windowing.stored.spans import Spans
from monitor.decode.chunk import chunk_of
from monitor.decode.decoder import Decoder
from monitor.detect.stage import PanesRules
from monitor.ingest.stage import Assignment, Ingest
from monitor.storage.pane_columns import pane_rows
from monitor.transport.memory import MemoryLog
from monitor.transport.types import Message
from schemas.batch import Chunk
from schemas.config.model import WindowConfig

SOURCE, N_PARTITIONS = "s", 8
FIRST_US = 1_767_225_600_000_000
SECOND_US = 1_000_000
EVENTS_A_SECOND = N_MODELS * 10 / 60
CHUNK_S = N_PARTITIONS
WARM_S = 120
LARGE_MODELS, LARGE_EVENTS_A_MINUTE = 5_000, 10.5
MEMORY_PARTITIONS, MEMORY_PANES, PANE_US = 4, 360, 10 * SECOND_US
STORED_MODELS, STORED_S, STORED_CHUNK_S = 10, 600, 10
MIB = 1 << 20


def _event(rng: random.Random, i: int, time_us: int) -> bytes:
    features = ", ".join(f'"f{k}": {rng.gauss(0, 1):.4f}' for k in range(N_FEATURES))
    return (
        f'{{"id": "{rng.getrandbits(64):016x}", "model": "model-{i}", "time_us": {time_us}, '
        f'"host": "host-{i % 8}", "features": {{{features}}}, "score": {rng.random():.6f}}}'
    ).encode()


def chunks(seconds: int) -> list[Chunk]:
    """Return the chunks of all partitions by time; each has what eight seconds bring."""
    rng, found = random.Random(1), list[Chunk]()
    n = round(EVENTS_A_SECOND * CHUNK_S / N_PARTITIONS)
    for begin_s in range(0, seconds, CHUNK_S):
        for partition in range(N_PARTITIONS):
            times_s = sorted(rng.uniform(begin_s, begin_s + CHUNK_S) for _ in range(n))
            times_us = [FIRST_US + int(t * SECOND_US) for t in times_s]
            messages = [_event(rng, rng.randrange(N_MODELS), t) for t in times_us]
            first, record_us = len(found) // N_PARTITIONS * n, np.array(times_us, np.int64)
            found.append(chunk_of(messages, SOURCE, partition, first, record_us))
    return found


def run_ingest(catalog: Catalog, read: Sequence[Chunk], n_warm: int) -> tuple[float, list[Message]]:
    """Return CPU seconds of the chunks from ``n_warm`` on, and the messages they led to."""
    log = MemoryLog()
    decoder = Decoder(catalog.schemas)
    names = [Assignment(SOURCE, p, N_PARTITIONS, "o") for p in range(N_PARTITIONS)]
    owned = [Ingest(log, catalog, WindowConfig(), name, decoder=decoder) for name in names]
    begin_s, first = 0.0, 0
    for i, chunk in enumerate(read):
        if i == n_warm:
            begin_s, first = time.process_time(), log.end_offset(PANES, 0)
        owned[chunk.partition].add(chunk)
        owned[chunk.partition].publish()
    cpu_s = time.process_time() - begin_s
    return cpu_s, list(log.fetch(PANES, 0, first, 1 << 30))


def run_detect(catalog: Catalog, messages: Sequence[Message]) -> float:
    """Return the CPU seconds in which detect takes pane messages and watermarks."""
    rules = PanesRules(catalog, 0, "o", "", lambda: 0.0)
    rules.position = messages[0].offset
    gc.freeze()  # as the stage does once it has started
    begin_s = time.process_time()
    for message in messages:
        for _ in rules.hear(message):
            pass
    return time.process_time() - begin_s


def detect_mib() -> float:
    """Return what detect holds of one model with one row in every pane of an hour, MiB."""
    rng, catalog, log = random.Random(2), many(), MemoryLog()
    decoder = Decoder(catalog.schemas)
    for partition in range(MEMORY_PARTITIONS):
        assignment = Assignment(SOURCE, partition, MEMORY_PARTITIONS, "o")
        ingest = Ingest(log, catalog, WindowConfig(), assignment, decoder=decoder)
        times_us = [FIRST_US + i * PANE_US for i in range(MEMORY_PANES)]
        events = [_event(rng, 0, t) for t in times_us]
        ingest.add(chunk_of(events, SOURCE, partition, 0, np.array(times_us, np.int64)))
        ingest.publish(is_complete=True)
    messages = log.fetch(PANES, 0, 0, 1 << 30)
    rules = PanesRules(catalog, 0, "o", "", lambda: 0.0)
    tracemalloc.start()
    for message in messages:
        for _ in rules.hear(message):
            pass
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return held / MIB


def stored_rows(catalog: Catalog) -> float:
    """Return the rows of table ``panes`` an event, once all slots have closed."""
    rng, log = random.Random(3), MemoryLog()
    decoder, n_events = Decoder(catalog.schemas), 0
    names = [Assignment(SOURCE, p, N_PARTITIONS, "o") for p in range(N_PARTITIONS)]
    owned = [Ingest(log, catalog, WindowConfig(), name, decoder=decoder) for name in names]
    n = 2
    for begin_s in (*range(0, STORED_S, STORED_CHUNK_S), STORED_S + 600):
        for partition, ingest in enumerate(owned):
            times_us = [FIRST_US + (begin_s + i) * SECOND_US for i in range(n)]
            events = [_event(rng, rng.randrange(STORED_MODELS), t) for t in times_us]
            record_us = np.array(times_us, np.int64)
            ingest.add(chunk_of(events, SOURCE, partition, n_events, record_us))
            ingest.publish()
            n_events += n
    reader = PaneReader({}, Spans.of(catalog.configs.values()))
    at = reader.taken_over(ArchivePosition(0))
    messages = log.fetch(PANES, 0, 0, 1 << 30)
    place = Place("id", 0)
    fold = fold_at(at, len(messages), place, reader, lambda _lo, _hi: ())
    rows = RangeRows(PANES, place, RawTopics(), reader, fold)
    blocks = rows.blocks([messages], len(messages), "")
    return sum(map(len, blocks)) / n_events


def measure(quick: bool) -> Figures:
    catalog = many()
    seconds = WARM_S + (48 if quick else 240)
    read = chunks(seconds)
    n_warm = WARM_S // CHUNK_S * N_PARTITIONS
    n = sum(len(chunk) for chunk in read[n_warm:])
    ingest_s, messages = run_ingest(catalog, read, n_warm)
    panes = [m for m in messages if not m.key.startswith(NOT_PANES)]
    run_detect(catalog, messages[:100])
    detect_s = run_detect(catalog, messages)
    names = next(iter(catalog.baselines.values()))[0].variables
    written = [pane for m in panes for pane in decode_all([m.value])]
    stored = pane_rows((pane, [v.name for v in names]) for pane in written)
    ingest_us, detect_us = ingest_s / n * 1e6, detect_s / n * 1e6
    events_per_s = LARGE_MODELS * LARGE_EVENTS_A_MINUTE / 60
    return {
        "ingest_us": ingest_us,
        "detect_us": detect_us,
        "message_bytes": sum(len(m.key) + len(m.value) for m in panes) / n,
        "pane_rows": stored_rows(catalog),
        "pane_rows_by_pane": len(stored) / n,
        "share_of_a_core": (ingest_us + detect_us) * events_per_s / 1e6,
        "detect_mib_a_model": detect_mib(),
        "panes_an_event": len(written) / n,
        "n_events": n,
    }


if __name__ == "__main__":
    main("CPU, bytes and memory of an event of many small models", measure)
