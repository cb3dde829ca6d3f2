"""A stream judged by ticks: rows by counter, their panes, and a partition that takes them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache

import msgspec
import numpy as np
import pyarrow as pa

from monitor.baseline.build import build_baseline
from monitor.core.drift.decide import SeriesState
from monitor.core.drift.partition import KIND, DriftPartition
from monitor.core.drift.state import read_model_state
from monitor.core.state.result_messages import read_results
from monitor.core.state.snapshot_store import SnapshotStore
from monitor.core.topics import ALERTS, RESULTS, STATE
from monitor.core.windowing.catalog import Catalog
from monitor.core.windowing.codec import encode, pane_key
from monitor.core.windowing.watermark_message import WatermarkMessage
from schemas.alerts import Alert
from schemas.baselines import Baseline
from schemas.config.model import ModelConfig
from schemas.panes import ALL, MISSING, N_COUNTERS, Pane, SeriesId, SeriesStats
from schemas.results import DetectorResult
from schemas.time_units import HOUR_US, MINUTE_US, SECOND_US

START_US = 1_700_000_000 * SECOND_US // HOUR_US * HOUR_US
TICK_US = 5 * MINUTE_US
SETTINGS = {
    "model": "ticked",
    "features": {"a": {"kind": "numeric", "importance": "high"}, "c": {"kind": "categorical"}},
    "window": {"pane": "1m", "length": "1h", "lateness": "1m"},
    "decision": {"rule": 2},
}
CONFIG = ModelConfig.model_validate(SETTINGS)


@cache
def baseline() -> Baseline:
    """Baseline of 20,000 rows without usable times: a normal number, three categories, a score."""
    rng = np.random.default_rng(1)
    n = 20_000
    table = pa.table(
        {
            "time_us": START_US - HOUR_US + np.arange(n) * 1_000,
            "features.a": rng.normal(size=n),
            "features.c": rng.choice(["x", "y", "z"], n, p=[0.5, 0.3, 0.2]),
            "score": rng.random(n),
        }
    )
    return build_baseline(table, CONFIG)


def catalog(config: ModelConfig = CONFIG) -> Catalog:
    """The model and its baseline."""
    return Catalog.of([config], [baseline()])


@dataclass(frozen=True)
class Rows:
    """Rows of a stretch: their minute from its start, and their counter in every variable."""

    minute: np.ndarray
    bins: np.ndarray
    """Shape (n, 3)."""

    def at(self, chosen: np.ndarray) -> Rows:
        """Some of the rows."""
        return Rows(self.minute[chosen], self.bins[chosen])


def draw(
    rng: np.random.Generator,
    n_minutes: int,
    rate: int,
    shift: float = 0.0,
    shift_from: int = 0,
    missing_from: int | None = None,
) -> Rows:
    """Draw rows evenly over minutes; ``a`` shifted from one, ``c`` missing from another on."""
    minute = np.repeat(np.arange(n_minutes), rate)
    a = rng.normal(size=len(minute)) + np.where(minute >= shift_from, shift, 0.0)
    variables = {v.name: v for v in baseline().variables}
    c = rng.choice(3, len(minute), p=[0.5, 0.3, 0.2])
    if missing_from is not None:
        c = np.where(minute >= missing_from, MISSING, c)
    score = rng.integers(0, variables["score"].n_bins, len(minute))
    own = np.searchsorted(variables["a"].edges[1:-1], a)
    return Rows(minute, np.stack([own, c, score], axis=1))


def series() -> SeriesId:
    """The id of the stream."""
    return SeriesId("default", "ticked", "1", baseline().profile_id)


def stats_of(bins: np.ndarray) -> SeriesStats:
    """Count rows."""
    stats = SeriesStats.empty((ALL,), bins.shape[1])
    stats.n_rows[0] = len(bins)
    for v in range(bins.shape[1]):
        stats.counts[0, v] = np.bincount(bins[:, v], minlength=N_COUNTERS)
    return stats


def panes_of(rows: Rows, partition: np.ndarray | None = None, version: int = 1) -> list[Pane]:
    """One pane a minute and partition with rows, in order of time."""
    of = np.zeros(len(rows.minute), int) if partition is None else partition
    found = []
    for minute in np.unique(rows.minute).tolist():
        for p in np.unique(of[rows.minute == minute]).tolist():
            own = (rows.minute == minute) & (of == p)
            start_us = START_US + minute * MINUTE_US
            stats = stats_of(rows.bins[own])
            end_us = start_us + MINUTE_US
            found.append(Pane(series(), start_us, end_us, "s", p, "o", version, stats))
    return found


Message = tuple[bytes, bytes]
Messages = list[Message]


def pane_messages(pane: Pane) -> Messages:
    """A pane as messages of the log."""
    return [(pane_key(pane, i).encode(), value) for i, value in enumerate(encode(pane))]


def word(
    minute: int, partition: int = 0, n: int = 1, *, is_end: bool = False
) -> tuple[bytes, bytes]:
    """The watermark of a partition."""
    said = WatermarkMessage("s", partition, n, "o", START_US + minute * MINUTE_US, is_end=is_end)
    return said.key(), said.encode()


@dataclass
class Driver:
    """Takes messages of the panes topic, and keeps what is written; state as compacted."""

    config: ModelConfig = CONFIG
    catalog: Catalog = field(init=False)
    state: dict[bytes, bytes] = field(default_factory=dict)
    alerts: dict[str, Alert] = field(default_factory=dict)
    results: list[DetectorResult] = field(default_factory=list)
    n_owners: int = 0

    def __post_init__(self) -> None:
        self.catalog = catalog(self.config)
        self.restart()

    def restart(self) -> None:
        """Continue as another owner does, with the stored state only."""
        snapshots = SnapshotStore()
        for key, value in self.state.items():
            snapshots.add(key, value or b"")
        self.n_owners += 1
        self.core = DriftPartition(self.catalog, 0, f"o{self.n_owners}")
        self._note([self.core.restore(snapshots)])

    def run(self, messages: Sequence[tuple[bytes, bytes]], begin: int = 0) -> None:
        """Take messages of the log from an offset on."""
        for offset in range(begin, len(messages)):
            self._note(self.core.take(offset, *messages[offset]))
            self._reread(messages)

    def _reread(self, messages: Sequence[tuple[bytes, bytes]]) -> None:
        """Read a part of the log again if the last message has changed a folded pane."""
        rereading = self.core.rereading
        if rereading is not None:
            for offset in range(rereading.first_offset, rereading.end_offset):
                rereading.read(offset, *messages[offset])
            rereading.end()

    def _note(self, groups: Iterable[list]) -> None:
        for group in groups:
            for write in (w for phase in group for w in phase.writes):
                if write.topic == STATE:
                    self.state[write.key] = write.value
                elif write.topic == ALERTS:
                    alert = msgspec.msgpack.decode(write.value, type=Alert)
                    assert self.alerts.setdefault(alert.alert_id, alert) == alert
                elif write.topic == RESULTS:
                    self.results += read_results(write.value)

    def series_state(self) -> SeriesState:
        """What the last state message holds of the stream."""
        snapshots = SnapshotStore()
        for key, value in self.state.items():
            snapshots.add(key, value or b"")
        stored = next(iter(snapshots.stored(KIND, ("default", "ticked"))))
        (entry,) = read_model_state(stored.body).series
        return entry.state

    def opened(self) -> list[Alert]:
        """Alerts that opened, in order."""
        return [a for a in self.alerts.values() if a.transition == "opened"]


def log_of(panes: Iterable[Pane], n_minutes: int, n_partitions: int = 1) -> Messages:
    """A log in which the watermarks of all partitions follow the panes minute by minute."""
    by_minute: dict[int, list[Pane]] = {}
    for pane in panes:
        by_minute.setdefault((pane.start_us - START_US) // MINUTE_US, []).append(pane)
    messages: Messages = []
    for minute in range(n_minutes):
        for pane in by_minute.get(minute, []):
            messages += pane_messages(pane)
        messages += [word(minute + 1, p, n_partitions) for p in range(n_partitions)]
    ends = [word(n_minutes, p, n_partitions, is_end=True) for p in range(n_partitions)]
    return messages + ends
