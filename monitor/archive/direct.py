"""Events, panes and results into the store in one process, where no internal log carries them.

Rows wait until there are enough for one insert. The token spans the offsets of what
was gathered, so the same file replayed twice is stored once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pyarrow as pa

from monitor.archive.pane_fold import PaneReader
from monitor.archive.writes import Archive, range_token
from monitor.core.topics import PANES, RESULTS
from monitor.core.windowing.stats_codec import with_finite_sums
from monitor.storage.batcher import Batcher
from monitor.storage.event_columns import prediction_rows
from monitor.storage.joined_tables import joined
from monitor.storage.label_columns import label_rows
from monitor.storage.pane_columns import pane_rows
from monitor.storage.result_columns import kind_of, result_message_rows
from monitor.storage.rows import detectable_rows, gpu_rows
from schemas.batch import Chunk, EventBatch
from schemas.detectable import DetectableRow
from schemas.events import GpuEvent
from schemas.labels import LabelBatch
from schemas.panes import Pane
from schemas.result_table import ResultTable
from schemas.results import DetectorResult

MAX_ROWS = 20_000
"""Of one insert of events or panes."""
MAX_RESULT_ROWS = 50_000
"""Of one insert of results: about 5 MB while they wait."""

_Span = tuple[str, int, int, int]


class DirectArchive:
    """Gathers raw events by table and source partition, and inserts them in large blocks.

    Parameters
    ----------
    archive : Archive
        Where rows go.
    run_id : str
        Panes and results of a run with another one are inserted again, and replace those with the
        same key.
    reader : PaneReader, optional
        Names the variables of panes.
    """

    def __init__(self, archive: Archive, run_id: str, reader: PaneReader | None = None) -> None:
        self._archive, self._reader = archive, reader or PaneReader({})
        self._run_id = run_id
        self._panes: list[Pane] = []
        self._n_cells = self._n_panes = 0
        self._results: list[list[DetectorResult] | ResultTable] = []
        self._detectable: list[DetectableRow] = []
        self._n_result_rows = self._n_results = 0
        self._waiting: dict[tuple[str, str, int], Batcher[tuple[_Span, pa.Table]]] = {}

    def predictions(self, batch: EventBatch, chunk: Chunk) -> None:
        """Take the accepted events of one model out of one chunk."""
        if len(batch):
            whose = f"{batch.schema.tenant}/{batch.schema.model}"
            self._add("predictions", whose, chunk, prediction_rows(batch, chunk))

    def labels(self, batch: LabelBatch, chunk: Chunk) -> None:
        """Take the labels of one chunk."""
        if len(batch):
            self._add("labels", "", chunk, label_rows(batch, chunk))

    def gpu(self, events: Sequence[GpuEvent], chunk: Chunk) -> None:
        """Take the GPU samples of one chunk."""
        if events:
            self._add("gpu", "", chunk, gpu_rows(events))

    def pane(self, pane: Pane) -> None:
        """Take one version of a pane."""
        self._panes.append(pane)
        n_segments, n_variables = pane.segments.counts.shape[:2]
        self._n_cells += n_segments * max(n_variables, 1) + len(pane.slices.segments)
        if self._n_cells >= MAX_ROWS:
            self._insert_panes()

    def _insert_panes(self) -> None:
        """Insert the panes that wait, as one block; its token numbers them over the run."""
        if not self._panes:
            return
        rows = pane_rows(
            self._reader.named(
                replace(
                    pane,
                    segments=with_finite_sums(pane.segments),
                    slices=with_finite_sums(pane.slices),
                )
            )
            for pane in self._panes
        )
        lo, hi = self._n_panes, self._n_panes + len(self._panes)
        self._archive.write("panes", rows, range_token(f"{PANES}@{self._run_id}", 0, lo, hi))
        self._panes, self._n_cells, self._n_panes = [], 0, hi

    def results(
        self,
        structs: Sequence[DetectorResult],
        tables: Sequence[ResultTable],
        detectable: Sequence[DetectableRow] = (),
    ) -> None:
        """Take the results of one model, in both forms, and what would be found in its cells."""
        self._results += [list(structs), *tables]
        self._detectable += detectable
        self._n_result_rows += len(structs) + sum(map(len, tables)) + len(detectable)
        if self._n_result_rows >= MAX_RESULT_ROWS:
            self._insert_results()

    def _insert_results(self) -> None:
        """Insert the results that wait; the token numbers the lists and tables over the run."""
        lo, hi = self._n_results, self._n_results + len(self._results)
        token = range_token(f"{RESULTS}@{self._run_id}", 0, lo, hi)
        self._results.sort(key=kind_of)
        self._archive.write("results", result_message_rows(self._results), token)
        self._archive.write("detectable", detectable_rows(self._detectable), token)
        self._results, self._detectable, self._n_result_rows, self._n_results = [], [], 0, hi

    def _add(self, table: str, whose: str, chunk: Chunk, rows: pa.Table) -> None:
        """Gather rows, and insert when there are enough."""
        key = (table, f"{chunk.source}|{whose}", chunk.partition)
        batcher = self._waiting.setdefault(key, Batcher(MAX_ROWS, 0))
        lo, hi = int(chunk.log_offset[0]), int(chunk.log_offset[-1]) + 1
        span = (chunk.source, chunk.partition, lo, hi)
        full = batcher.add((span, rows), rows.num_rows, now_us=0)
        if full is not None:
            self._insert(table, whose, full)

    def flush(self) -> None:
        """Insert whatever waits."""
        self._insert_panes()
        self._insert_results()
        for (table, source, _), batcher in self._waiting.items():
            self._insert(table, source.rpartition("|")[2], batcher.flush())

    def _insert(self, table: str, whose: str, waiting: list[tuple[_Span, pa.Table]]) -> None:
        """Insert consecutive ranges as one block under one token."""
        if waiting:
            source, partition, lo, _ = waiting[0][0]
            token = range_token(source, partition, lo, waiting[-1][0][3])
            rows = joined([rows for _, rows in waiting])
            self._archive.write(table, rows, f"{token}:{whose}")
