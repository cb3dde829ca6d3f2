"""A small monitored model with everything in it: drift, a bad replica, late and broken events."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from monitor.baseline.build import build_baseline
from monitor.core.topics import GPU, PREDICTIONS
from monitor.core.windowing.catalog import Catalog
from monitor.transport.memory import MemoryLog
from schemas.config.model import ModelConfig

SECOND_US = 1_000_000
START_US = 1_700_000_000 * SECOND_US // (100 * SECOND_US) * (100 * SECOND_US)
WINDOW_S = 100
N_WINDOWS = 12
ROWS_PER_WINDOW = 160

CONFIG = ModelConfig.model_validate(
    {
        "model": "small",
        "features": {
            "a": {"kind": "numeric", "importance": "high"},
            "c": {"kind": "categorical"},
        },
        "positive": "yes",
        "segments": ["region"],
        "slices": {"expected": 4},
        "window": {
            "pane": "10s",
            "length": f"{WINDOW_S}s",
            "bound": "2s",
            "lateness": "20s",
            "max_skew": "60s",
        },
        "decision": {"rule": 1, "max_false_pages_per_month": 40},
    }
)


@dataclass(frozen=True)
class SmallWorld:
    """A catalog, and unread source topics."""

    catalog: Catalog
    predictions: list[tuple[bytes, int]]
    """Message and record time."""
    gpu: list[tuple[bytes, int]]

    def log(self) -> MemoryLog:
        """Return a new log with only the source topics in it."""
        log = MemoryLog()
        for topic, messages in ((PREDICTIONS, self.predictions), (GPU, self.gpu)):
            for value, time_us in messages:
                log.produce(topic, value, timestamp_us=time_us)
        return log


def build_small_world(seed: int = 0, *, has_storm: bool = False) -> SmallWorld:
    """Build it; the same seed gives the same bytes.

    In the storm half of the events of window 1 are rejected.
    """
    rng = np.random.default_rng(seed)
    baseline = build_baseline(reference_table(rng), CONFIG)
    predictions = _predictions(rng)
    if has_storm:
        predictions = [(_stormy(value, i), t) for i, (value, t) in enumerate(predictions)]
    return SmallWorld(Catalog.of([CONFIG], [baseline]), predictions, _gpu())


def reference_table(rng: np.random.Generator) -> pa.Table:
    """Build the reference: a row a second before the first event."""
    n = 6_000
    reference = event_rows(rng, n, 0)
    return pa.table(
        {
            "time_us": [START_US - (n - i) * SECOND_US for i in range(n)],
            "score": [r["score"] for r in reference],
            "prediction": [r["prediction"] for r in reference],
            "features.a": [r["features"]["a"] for r in reference],
            "features.c": [r["features"]["c"] for r in reference],
            "segments.region": [r["segments"]["region"] for r in reference],
        }
    )


def _stormy(value: bytes, i: int) -> bytes:
    """Break every second event of window 1, every fourth without a time."""
    if i % 2 or b'"id": "1-' not in value:
        return value
    event = json.loads(value)
    event |= {"features": {"a": "high", "c": "x"}} if i % 4 else {"time_us": "then"}
    return json.dumps(event).encode()


def event_rows(rng: np.random.Generator, n: int, window: int) -> list[dict]:
    """Events of one window, before they are stamped; broken from window 5 on."""
    a = rng.normal(size=n) + (1.2 if window >= 5 else 0.0)
    c = rng.choice(["x", "y", "z"], n, p=[0.5, 0.3, 0.2]).astype(object)
    if window >= 7:
        c[rng.random(n) < 0.4] = "never seen"
    score = 1 / (1 + np.exp(-rng.normal(size=n)))
    gpu = rng.integers(0, 4, n)
    if window >= 6:
        score = np.where(gpu == 2, 0.5, score)
    return [
        {
            "model": "small",
            "model_version": "1",
            "features": {"a": float(a[i]), "c": str(c[i])},
            "segments": {"region": ["eu", "us"][int(rng.random() < 0.4)]},
            "score": float(score[i]),
            "prediction": "yes" if score[i] > 0.5 else "no",
            "host": f"node-{gpu[i] // 2}",
            "gpu_uuid": f"GPU-{gpu[i]}",
        }
        for i in range(n)
    ]


def _predictions(rng: np.random.Generator) -> list[tuple[bytes, int]]:
    """Events of all windows, a little out of order, some late, some broken."""
    events = []
    for window in range(N_WINDOWS):
        for i, row in enumerate(event_rows(rng, ROWS_PER_WINDOW, window)):
            time_us = START_US + window * WINDOW_S * SECOND_US
            time_us += int((i + rng.random()) / ROWS_PER_WINDOW * WINDOW_S * SECOND_US)
            row |= {"id": f"{window}-{i}", "time_us": time_us}
            delay_us = int(rng.exponential(0.5) * SECOND_US)
            if rng.random() < 0.02:
                delay_us += int(rng.uniform(5, 60) * SECOND_US)
            events.append((_spoil(rng, row), time_us + delay_us))
    return sorted(events, key=lambda event: event[1])


def _spoil(rng: np.random.Generator, row: dict) -> bytes:
    """Encode an event; one in fifty is corrupted."""
    kind = rng.random()
    if kind < 0.005:
        return b'{"model": "small", "time_us":'
    if kind < 0.010:
        return json.dumps(row | {"model": "absent"}).encode()
    if kind < 0.015:
        return json.dumps(row | {"time_us": row["time_us"] + 3_600 * SECOND_US}).encode()
    if kind < 0.020:
        return json.dumps(row | {"features": {"a": "high", "c": "x"}}).encode()
    return json.dumps(row).encode()


def _gpu() -> list[tuple[bytes, int]]:
    """Samples of four GPUs every 30 s; GPU-2 reports double-bit errors in window 6."""
    events = []
    for tick in range(N_WINDOWS * WINDOW_S // 30):
        time_us = START_US + tick * 30 * SECOND_US
        for gpu in range(4):
            is_bad = gpu == 2 and tick * 30 >= 6 * WINDOW_S + 20
            fields = {"gpu_temp": 60, "ecc_dbe_vol_total": 3 if is_bad else 0}
            event = {
                "host": f"node-{gpu // 2}",
                "gpu_uuid": f"GPU-{gpu}",
                "gpu": gpu,
                "time_us": time_us,
                "fields": fields,
            }
            events.append((json.dumps(event).encode(), time_us))
            if is_bad and tick * 30 < 6 * WINDOW_S + 50:
                xid = event | {"fields": {}, "xid": 48, "xid_sequence": 1}
                events.append((json.dumps(xid).encode(), time_us))
    return events
