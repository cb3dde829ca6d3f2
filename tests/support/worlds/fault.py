"""Three models on four hosts; event time advances as fast as events are written.

Everything that makes a log awkward is in it: events out of order, late, twice, stamped in
the future, of no configured model, and something no decoder can read in every short stretch.
Drift, GPU faults and windows of which a third is rejected come and go, so that alerts open
and resolve for as long as it is fed.
The same seed and start give the same bytes and record times, window after window; the
topics keep the producer's times (``CreateTime``), so a batch job over the log knows them.
"""

from __future__ import annotations

import json
import operator
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import yaml

from monitor.baseline.build import build_baseline
from monitor.baseline.folder import add_baseline
from monitor.core.topics import GPU, LABELS, PREDICTIONS
from monitor.core.windowing.catalog import Catalog
from schemas.baselines import Baseline
from schemas.config.model import ModelConfig
from tests.support.scenario.batch_oracle import Timing

SECOND_US = 1_000_000
WINDOW_US = 5 * SECOND_US
ENDING_US = 60 * SECOND_US
"""How far beyond the last window the events lie that let it close."""
TIMING = Timing(SECOND_US, SECOND_US // 2, 2 * SECOND_US, 10 * SECOND_US)
MODELS = ("alpha", "beta", "gamma")
N_HOSTS = 4
ROWS_PER_WINDOW = 160
POISON_EVERY = 40

MODEL: dict[str, Any] = {
    "features": {"a": {"kind": "numeric", "importance": "high"}, "c": {"kind": "categorical"}},
    "positive": "yes",
    "segments": ["region"],
    "slices": {"expected": 12},
    "window": {
        "pane": "1s",
        "length": "5s",
        "bound": "500ms",
        "lateness": "2s",
        "max_skew": "10s",
        # Which partition is idle when depends on the machine; the ending closes the windows.
        "idle": "1h",
    },
    "decision": {"rule": 1, "max_false_pages_per_month": 40},
}


class FaultEvent(NamedTuple):
    """One message as a producer writes it."""

    topic: str
    partition: int
    key: bytes
    value: bytes
    record_us: int
    """A whole number of milliseconds, as the log keeps it."""


def configs() -> list[ModelConfig]:
    """Return the models' configs."""
    return [ModelConfig.model_validate({"model": name, **MODEL}) for name in MODELS]


def recent_start_us() -> int:
    """Return the start of a window that is within the retention."""
    return (time.time_ns() // 1_000 - 7_200 * SECOND_US) // WINDOW_US * WINDOW_US


@cache
def baselines() -> tuple[Baseline, ...]:
    """Build one baseline a model, from traffic before any drift."""
    return tuple(build_baseline(_reference(config), config) for config in configs())


def catalog() -> Catalog:
    """Return a new catalog of the three models."""
    return Catalog.of(configs(), baselines())


def _reference(config: ModelConfig) -> pa.Table:
    """Return the rows a baseline is built from."""
    rows = _rows(np.random.default_rng(7), config.model, 6_000)
    return pa.table(
        {
            "time_us": [(1_000_000 + i) * SECOND_US for i in range(6_000)],
            "score": [r["score"] for r in rows],
            "prediction": [r["prediction"] for r in rows],
            "features.a": [r["features"]["a"] for r in rows],
            "features.c": [r["features"]["c"] for r in rows],
            "segments.region": [r["segments"]["region"] for r in rows],
        }
    )


def install(
    folder: Path,
    *,
    bootstrap: str,
    prefix: str,
    store: str,
    session_timeout: str = "6s",
    monitor: Mapping[str, Any] | None = None,
) -> Path:
    """Write ``driftline.yaml``, models and baselines; return the first."""
    (folder / "models").mkdir(parents=True)
    for name in MODELS:
        text = yaml.safe_dump({"model": name, **MODEL}, sort_keys=False)
        (folder / f"models/{name}.yaml").write_text(text)
    for baseline in baselines():
        add_baseline(baseline, folder / "baselines")
    written = {
        "kafka": {"bootstrap": bootstrap, "prefix": prefix, "session_timeout": session_timeout},
        "store": store,
        "models": ["models/*.yaml"],
        "receivers": {"hook": {"kind": "webhook", "url_env": "DRIFTLINE_TEST_HOOK"}},
        "gpu": {"interval": "1s"},
        "group_wait": "0s",
        **(monitor or {}),
    }
    file = folder / "driftline.yaml"
    file.write_text(yaml.safe_dump(written, sort_keys=False))
    return file


def _rows(
    rng: np.random.Generator, model: str, n: int, *, is_drifting: bool = False, bad_gpu: int = -1
) -> list[dict[str, Any]]:
    """Return events of one model before they are stamped."""
    a = rng.normal(size=n) + (1.6 if is_drifting else 0.0)
    c = rng.choice(["x", "y", "z"], n, p=[0.5, 0.3, 0.2]).astype(object)
    if is_drifting:
        c[rng.random(n) < 0.4] = "never seen"
    gpu = rng.integers(0, N_HOSTS, n)
    score = 1 / (1 + np.exp(-rng.normal(size=n)))
    score = np.where(gpu == bad_gpu, 0.5, score)
    versions = ["1", "2"] if model == "beta" else ["1"]
    return [
        {
            "model": model,
            "model_version": versions[i % len(versions)],
            "features": {"a": float(a[i]), "c": str(c[i])},
            "segments": {"region": ["eu", "us"][int(rng.random() < 0.4)]},
            "score": float(score[i]),
            "prediction": "yes" if score[i] > 0.5 else "no",
            "host": f"node-{gpu[i]}",
            "gpu_uuid": f"GPU-{gpu[i]}0",
        }
        for i in range(n)
    ]


@dataclass
class FaultWorld:
    """A stream of windows, one after the other, and an ending that lets all of them close."""

    start_us: int
    seed: int = 0
    n_partitions: int = 3
    n_gpu_partitions: int = 2
    rows_per_window: int = ROWS_PER_WINDOW
    n_windows: int = 0
    """How many have been taken."""

    def __post_init__(self) -> None:
        self._rng = np.random.default_rng(self.seed)
        self._delayed: list[FaultEvent] = []
        self._n_sent = 0

    @property
    def end_us(self) -> int:
        """End of the windows written so far."""
        return self.start_us + self.n_windows * WINDOW_US

    def next_window(self) -> list[FaultEvent]:
        """Return the messages of the next window, in order of writing."""
        w, begin_us = self.n_windows, self.end_us
        self.n_windows += 1
        sent = self._delayed
        for number, model in enumerate(MODELS):
            sent += self._predictions(w, begin_us, number, model)
        sent += self._gpu(w, begin_us)
        self._delayed = [one for one in sent if one.record_us >= self.end_us]
        due = [one for one in sent if one.record_us < self.end_us]
        return list(self._with_poison(sorted(due, key=lambda one: one.record_us)))

    def ending(self) -> list[FaultEvent]:
        """Return the remaining messages, and one much later event per partition."""
        time_us = self.end_us + ENDING_US
        last = [
            _prediction(_rows(self._rng, "alpha", 1)[0], f"end-{p}", time_us, time_us, p)
            for p in range(self.n_partitions)
        ]
        return [*sorted(self._delayed, key=lambda one: one.record_us), *last]

    def _predictions(self, w: int, begin_us: int, number: int, model: str) -> list[FaultEvent]:
        """Return one model's events of one window; some have a label."""
        rng, n = self._rng, self.rows_per_window
        is_drifting = (w + 4 * number) % 12 in (3, 4, 5, 6)
        bad_gpu = 2 if model == "alpha" and w % 14 in (8, 9, 10, 11) else -1
        is_storm = (w + 4 * number) % 12 == 0
        sent: list[FaultEvent] = []
        rows = _rows(rng, model, n, is_drifting=is_drifting, bad_gpu=bad_gpu)
        for i, row in enumerate(rows):
            time_us = begin_us + int((i + rng.random()) / n * WINDOW_US)
            delay_us = int(rng.exponential(0.1) * SECOND_US)
            if rng.random() < 0.02:
                delay_us += int(rng.uniform(2, 6) * SECOND_US)
            stamp_us = time_us + (3_600 * SECOND_US if rng.random() < 0.004 else 0)
            partition = int(rng.integers(self.n_partitions))
            name = f"{self.seed}-{model}-{w}-{i}"
            event = _prediction(row, name, stamp_us, time_us + delay_us, partition)
            if is_storm and i % 3 == 0:
                event = event._replace(value=_MISTYPED(event.value))
            sent += [event] * (2 if rng.random() < 0.01 else 1)
            if i % 10 == 0:
                label = {"model": model, "id": name, "time_us": stamp_us, "label": i % 2}
                sent.append(event._replace(topic=LABELS, value=json.dumps(label).encode()))
        return sent

    def _gpu(self, w: int, begin_us: int) -> list[FaultEvent]:
        """Sample two GPUs of each host every second; now and then one of them is faulty."""
        sent = []
        bad = w // 6 % (2 * N_HOSTS) if w % 6 == 3 else -1
        for second in range(WINDOW_US // SECOND_US):
            time_us = begin_us + second * SECOND_US
            for gpu in range(2 * N_HOSTS):
                host = gpu // 2
                event = {
                    "host": f"node-{host}",
                    "gpu_uuid": f"GPU-{host}{gpu % 2}",
                    "gpu": gpu % 2,
                    "time_us": time_us,
                    "fields": {"gpu_temp": 60, "ecc_dbe_vol_total": 3 if gpu == bad else 0},
                }
                events = [event]
                if gpu == bad and second == 1:
                    events.append({**event, "fields": {}, "xid": 48, "xid_sequence": w})
                partition, key = host % self.n_gpu_partitions, event["host"].encode()
                sent += [
                    FaultEvent(GPU, partition, key, json.dumps(e).encode(), time_us) for e in events
                ]
        return sent

    def _with_poison(self, sent: Sequence[FaultEvent]) -> Iterator[FaultEvent]:
        """Insert unusable messages between predictions repeatedly."""
        for one in sent:
            yield one
            if one.topic != PREDICTIONS or _HIGH in one.value:
                continue
            self._n_sent += 1
            if self._n_sent % POISON_EVERY == 0:
                kind = self._n_sent // POISON_EVERY % len(_POISON)
                yield one._replace(value=_POISON[kind](one.value))


_HIGH = b'{"a": "high"'
_MISTYPED = operator.methodcaller("replace", b'{"a": ', _HIGH + b', "b": ')
_POISON = (
    lambda value: value[: len(value) // 2],
    lambda value: (
        value.replace(b'"alpha"', b'"absent"').replace(b'"beta"', b'"absent"')
        if b'"gamma"' not in value
        else b"not an event"
    ),
    _MISTYPED,
    lambda value: b"",
    lambda value: value.replace(b"node-", b"\xff\xfe"),
    lambda value: value.replace(b'"time_us": ', b'"time_us": "then", "t": '),
)
"""Broken off, of no configured model, a text for a number, nothing at all, not UTF-8, no time."""


def _prediction(row: dict[str, Any], name: str, time_us: int, record_us: int, p: int) -> FaultEvent:
    """Stamp an event; the log keeps milliseconds."""
    value = json.dumps({**row, "id": name, "time_us": time_us}).encode()
    return FaultEvent(PREDICTIONS, p, row["model"].encode(), value, -(-record_us // 1_000) * 1_000)
