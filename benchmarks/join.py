"""What labels cost until they are rows of the store.

20,000 labels a chunk, in arrays of 500: bare, and complete (time, version, score, prediction, two
segments, host, GPU). ``labels_per_s_complete``, ``labels_per_s_bare``: decoded and made rows, a
second of CPU of one core. ``ratio_objects``: CPU of the same labels decoded one by one as objects,
and made rows from them, against that of columns; complete labels. Pure, no broker, no store.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec
import numpy as np

from benchmarks.output import Figures, main
from monitor.decode import chunk_of, decode_label_batch, decode_labels
from monitor.decode.labels.objects import batch_of_events
from monitor.storage.label_columns import label_rows
from schemas.batch import Chunk
from schemas.events import LabelEvent
from schemas.labels import LabelRule

NOON_US = 1_700_000_000_000_000
N_LABELS, N_MESSAGE = 20_000, 500
RULES = {("default", "fraud"): LabelRule(60_000_000)}


def labels(n: int, *, is_complete: bool) -> Chunk:
    """Return n labels as a chunk of JSON arrays."""
    rng = np.random.default_rng(5)
    scores = np.round(rng.random(n), 4).tolist()
    events = [
        LabelEvent(id=f"{k:032x}", model="fraud", time_us=NOON_US + k, label=float(k % 2))
        for k in rng.integers(0, 1 << 62, n).tolist()
    ]
    for i, event in enumerate(events):
        event.time_us = NOON_US + i
        if is_complete:
            event.prediction_time_us = NOON_US - 3_600_000_000 + i
            event.model_version, event.score, event.prediction = "3", scores[i], str(i % 2)
            event.segments = {"SEX": str(1 + i % 2), "RAC1P": str(i % 9)}
            event.host, event.gpu_uuid = f"node-{i % 40}", f"GPU-{i % 320:08d}"
    messages = [
        msgspec.json.encode(events[i : i + N_MESSAGE]) for i in range(0, len(events), N_MESSAGE)
    ]
    return chunk_of(messages, "labels", record_time_us=np.full(len(messages), NOON_US + n))


def by_columns(chunk: Chunk) -> int:
    """Make rows of labels as the archive does."""
    batch, _ = decode_label_batch(chunk, RULES)
    return int(label_rows(batch, chunk).num_rows)


def by_objects(chunk: Chunk) -> int:
    """Make rows of labels that are decoded one by one."""
    placed, _ = decode_labels(chunk, rules=RULES)
    return int(label_rows(batch_of_events(placed), chunk).num_rows)


def cpu_s(work: Callable[[], Any], repeats: int) -> float:
    """Return the least CPU of a call, seconds."""
    found = []
    for _ in range(repeats):
        before = time.process_time()
        work()
        found.append(time.process_time() - before)
    return min(found)


def measure(quick: bool) -> Figures:
    """Measure all figures."""
    repeats = 5 if quick else 15
    complete, bare = (labels(N_LABELS, is_complete=flag) for flag in (True, False))
    for chunk in (complete, bare):
        assert by_columns(chunk) == by_objects(chunk) == N_LABELS
    columns_s, bare_s = (cpu_s(partial(by_columns, c), repeats) for c in (complete, bare))
    objects_s = cpu_s(partial(by_objects, complete), max(2, repeats // 3))
    return {
        "labels_per_s_complete": N_LABELS / columns_s,
        "labels_per_s_bare": N_LABELS / bare_s,
        "ratio_objects": objects_s / columns_s,
    }


if __name__ == "__main__":
    main("CPU of labels until they are rows of the store", measure)
