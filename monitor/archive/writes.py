"""The archive's inserts: each noun into its table, under a token that makes it repeatable."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import pyarrow as pa

from monitor.storage.clickhouse import Store
from monitor.storage.event_columns import prediction_rows
from monitor.storage.pane_columns import pane_rows
from monitor.storage.rows import (
    alert_rows,
    dead_letter_rows,
    delivery_rows,
    gpu_rows,
    label_rows,
    late_rows,
    result_rows,
)
from schemas.alerts import Alert, Delivery, Notification
from schemas.batch import Chunk, EventBatch
from schemas.events import GpuEvent, LabelEvent
from schemas.panes import Pane
from schemas.refused import DeadLetter, LateEvent
from schemas.results import DetectorResult


def range_token(topic_id: str, partition: int, lo: int, hi: int) -> str:
    """Spell the token of the rows of [lo, hi) of one partition.

    Notes
    -----
    The topic's *id*, because a topic made again repeats offsets, and rows under a token
    that was used before are dropped without a word. Files are told apart by
    ``Chunk.source``, which carries a digest of the file.

    Examples
    --------
    >>> range_token("dx3", 2, 100, 200)
    'dx3:2:100:200'
    """
    return f"{topic_id}:{partition}:{lo}:{hi}"


def chunk_token(chunk: Chunk) -> str:
    """Return the token of everything decoded from one chunk."""
    lo, hi = int(chunk.log_offset[0]), int(chunk.log_offset[-1]) + 1
    return range_token(chunk.source, chunk.partition, lo, hi)


class Archive:
    """Writes what flows into the store. Running again with the same token adds nothing.

    Parameters
    ----------
    store : Store
        Migrated.

    Attributes
    ----------
    n_rows : Counter of str
        Rows handed to the store by table, repeated ones included.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self.n_rows: Counter[str] = Counter()

    def write_predictions(self, batch: EventBatch, chunk: Chunk, token: str | None = None) -> None:
        """Write the accepted events of one model out of one chunk.

        ``token`` is the chunk's (default :func:`chunk_token`); the model is added to it,
        because one chunk may hold several models, all in one table.
        """
        if len(batch) == 0:
            return
        whose = f"{token or chunk_token(chunk)}:{batch.schema.tenant}|{batch.schema.model}"
        self.write("predictions", prediction_rows(batch, chunk), whose)

    def write_labels(self, labels: Sequence[LabelEvent], token: str) -> None:
        """Write labels; the newest ``time_us`` of an id stands."""
        self.write("labels", label_rows(labels), token)

    def write_gpu(self, events: Sequence[GpuEvent], token: str) -> None:
        """Write GPU samples and XIDs."""
        self.write("gpu", gpu_rows(events), token)

    def write_panes(self, panes: Iterable[tuple[Pane, Sequence[str]]], token: str) -> None:
        """Write panes, each with the names of its variables; highest version stands."""
        self.write("panes", pane_rows(panes), token)

    def write_results(self, results: Sequence[DetectorResult], token: str) -> None:
        """Write results; the highest ``result_version`` stands."""
        self.write("results", result_rows(results), token)

    def write_alerts(self, alerts: Sequence[Alert], token: str) -> None:
        """Write alerts."""
        self.write("alerts", alert_rows(alerts), token)

    def write_deliveries(
        self, deliveries: Iterable[tuple[Delivery, Notification | None]], token: str
    ) -> None:
        """Write steps of deliveries, each with what was sent where that is at hand."""
        self.write("notifications", delivery_rows(deliveries), token)

    def write_dead_letters(self, letters: Sequence[DeadLetter], token: str) -> None:
        """Write refused events."""
        self.write("dead_letters", dead_letter_rows(letters), token)

    def write_late(self, events: Sequence[LateEvent], token: str) -> None:
        """Write late events."""
        self.write("late", late_rows(events), token)

    def write(self, table: str, rows: pa.Table, token: str) -> None:
        """Write rows that are made already; nothing for none."""
        if rows.num_rows:
            self.n_rows[table] += self._store.insert(table, rows, token)
