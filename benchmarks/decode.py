"""How many JSON events a second become panes on one core, against msgspec alone.

The same events (about 386 bytes, ten features, two segments, 1 % of them deviating
from the layout) lie in memory, for the decoder as it is called: one buffer and
offsets, 5,000 to a chunk, as the bulk reader leaves them; for msgspec as it is
called: one ``bytes`` a message.

``events_per_s``: decoded, and aggregated into panes of 10 s under a baseline built
from the same kind of data. ``decode_events_per_s``: without the aggregation.
``joined_events_per_s``: to panes from ``bytes``, joined into chunks first.
``msgspec_events_per_s``: the generated struct decoded by msgspec and its values put
into the same columns (numbers, dictionary codes, ids), every step one C call over a
column, in the best of four chunk sizes; msgspec makes no panes. ``ratio_msgspec`` is
the first over the last. All in one run, the best of several laps after compilation,
without garbage collection (kinder to msgspec, whose objects the collector would
walk), in seconds of this thread's CPU time, so that a busy neighbour slows neither.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterable, Iterator, Sequence

import msgspec
import numpy as np

from benchmarks.events import make_messages, model_config, reference_table
from benchmarks.output import Figures, main
from monitor.baseline.build import build_baseline
from monitor.core.windowing.aggregate import Layout, PartitionAggregator
from monitor.decode import Decoder, chunk_of
from monitor.decode.columns import assign_columns
from monitor.decode.dictionaries import Dictionaries
from monitor.decode.strict import event_struct
from schemas.batch import Chunk

CHUNK = 5_000
MSGSPEC_CHUNKS = (200, 500, 1_000, 5_000)

CONFIG = model_config()
SCHEMA = CONFIG.schema_


def cut(messages: Sequence[bytes], size: int) -> Iterator[Sequence[bytes]]:
    return (messages[i : i + size] for i in range(0, len(messages), size))


def best_rate(act: Callable[[], object], n: int, n_laps: int) -> float:
    best = float("inf")
    for _ in range(n_laps):
        begin = time.thread_time()
        act()
        best = min(best, time.thread_time() - begin)
    return n / best


def msgspec_columns(messages: Sequence[bytes], size: int) -> None:
    """The best we know to do with msgspec: every step is one C call over a column."""
    columns = assign_columns(SCHEMA, 0)
    known = Dictionaries(len(columns.dictionaries), has_table=False)
    decode, values = msgspec.json.Decoder(event_struct(SCHEMA)).decode, msgspec.structs.astuple
    for part in cut(messages, size):
        _, time_us, ids, _, features, segments, score, *names, _ = zip(
            *map(values, map(decode, part)), strict=True
        )
        np.array(time_us, dtype=np.int64)
        np.array([*zip(*map(values, features), strict=True), score], dtype=np.float64)
        texts = (*zip(*map(values, segments), strict=True), *names)
        for dictionary, column in enumerate(texts):
            known.encode(dictionary, column)
        raw = "".join(ids).encode()
        lengths = np.fromiter(map(len, ids), dtype=np.int64, count=len(ids))
        np.cumsum(lengths), np.frombuffer(raw, dtype=np.uint8)


def chunks_of(messages: Sequence[bytes]) -> Iterator[Chunk]:
    """Each is gone before the next is made: its pages are used again, as a reader's would be."""
    return (chunk_of(p, "bench", 0, CHUNK * i) for i, p in enumerate(cut(messages, CHUNK)))


def decode_all(decoder: Decoder, chunks: Iterable[Chunk]) -> int:
    return sum(len(batch) for chunk in chunks for batch in decoder.decode(chunk).batches)


def make_panes(decoder: Decoder, layout: Layout, chunks: Iterable[Chunk]) -> int:
    aggregator = PartitionAggregator("bench", 0, "one", CONFIG.window, lambda *_: layout)

    def add(chunk: Chunk) -> int:
        n_accepted = aggregator.add(chunk, decoder.decode(chunk).batches).n_accepted
        aggregator.flush()
        return n_accepted

    n = sum(map(add, chunks))
    aggregator.flush_all()
    return n


def measure(quick: bool) -> Figures:
    gc.disable()
    n, n_laps = 50_000, 12 if quick else 40
    messages = make_messages(n)
    baseline = build_baseline(reference_table(make_messages(20_000, 0.0, seed=2)), CONFIG)
    layout, decoder = Layout(SCHEMA, baseline), Decoder([SCHEMA])
    chunks = list(chunks_of(messages))
    for _ in range(2):  # compile, then learn the layouts and the dictionaries
        if make_panes(decoder, layout, chunks) != n:
            raise SystemExit("not every event was accepted")
    msgspec_rates = {
        size: best_rate(lambda size=size: msgspec_columns(messages, size), n, n_laps)
        for size in MSGSPEC_CHUNKS
    }
    msgspec_rate = max(msgspec_rates.values())
    rate = best_rate(lambda: make_panes(decoder, layout, chunks), n, n_laps)
    decode_rate = best_rate(lambda: decode_all(decoder, chunks), n, n_laps)
    joined_rate = best_rate(lambda: make_panes(decoder, layout, chunks_of(messages)), n, n_laps)
    return {
        "events_per_s": rate,
        "ratio_msgspec": rate / msgspec_rate,
        "decode_events_per_s": decode_rate,
        "decode_ratio_msgspec": decode_rate / msgspec_rate,
        "joined_events_per_s": joined_rate,
        "msgspec_events_per_s": msgspec_rate,
        "msgspec_chunk": max(msgspec_rates, key=msgspec_rates.__getitem__),
        "mean_event_bytes": sum(map(len, messages)) / n,
        "n_events": n,
    }


if __name__ == "__main__":
    main("JSON events to panes on one core, against msgspec", measure)
