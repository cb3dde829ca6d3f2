"""From decoded events to cumulative, versioned panes: a function of the log alone."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from detectors.kernels.event_time import ACCEPTED, FUTURE, LATE, find_extents, place_rows
from monitor.core.windowing.accumulators import summarize, take
from monitor.core.windowing.details.open_details import BatchRows, MixedRows
from monitor.core.windowing.held.row_pool import RowPools
from monitor.core.windowing.intake_aggregate import (
    RETIRED,
    IntakeAggregator,
    Reading,
    RejectedEvents,
)
from monitor.core.windowing.layout import Layout
from monitor.core.windowing.limits.version_cap import VersionCap, others_joined, version_name
from monitor.core.windowing.open_panes import OpenPanes, OpenSeries, Origin, bodies_of
from monitor.core.windowing.packed_pane import PackedPane
from monitor.core.windowing.watermark import NO_WATERMARK, Commit, EventClock
from schemas.batch import (
    N_NAMES,
    Chunk,
    EventBatch,
    MixedBatch,
    ModelSchema,
    code_columns,
)
from schemas.events import Reject
from schemas.intake import IntakePane
from schemas.panes import Pane, SeriesId

if TYPE_CHECKING:
    from schemas.config.model import WindowConfig

__all__ = ["Added", "Layout", "PartitionAggregator", "RefusedRows", "summarize"]

P = TypeVar("P")
Layouts = Callable[[str, str, str], Layout | Sequence[Layout] | None]
"""(tenant, model, model_version) -> its layout; of several the one
active at the start of a pane (``active_from_us``) holds; None counts rows only."""

_END_OF_TIME_US = 1 << 62
_MAX_SPAN = 1 << 16
"""Panes of one batch that are looked up in an array; beyond, they are sorted."""


@dataclass(frozen=True, slots=True)
class RefusedRows:
    """Rows of one batch that were not aggregated, to be recorded one by one."""

    batch: EventBatch
    rows: NDArray[np.int64]
    """Indices into the batch's columns."""
    watermark_us: NDArray[np.int64]
    """wm as of each event, whatever was read with it."""


@dataclass(frozen=True, slots=True)
class Added:
    """Outcomes of the events of one chunk; on a re-read none is reported again."""

    n_accepted: int
    late: tuple[RefusedRows, ...]
    """Older than S: their pane is retired."""
    future: tuple[RefusedRows, ...]
    """Further ahead of their record time than the allowed skew; a dead letter each."""


@dataclass(frozen=True, slots=True)
class RetentionGap:
    """Events that retention took before they were read again."""

    first_offset: int
    next_offset: int
    before_us: int
    """S was moved here: panes that start earlier may lack events and stay as published."""


class _Era(NamedTuple):
    """The layout that holds in a range of time; both ends are multiples of the pane."""

    layout: Layout
    from_us: int = -_END_OF_TIME_US
    until_us: int = _END_OF_TIME_US


_Dirty = Sequence[tuple[OpenSeries, int]]
_Publish = Callable[[_Dirty], list[P]]
_Part = EventBatch | MixedBatch | RejectedEvents


@dataclass(slots=True)
class _Outcome:
    """What became of the events of a chunk, so far."""

    n_accepted: int = 0
    late: list[RefusedRows] = field(default_factory=list)
    future: list[RefusedRows] = field(default_factory=list)


class PartitionAggregator:
    """Panes of one source partition: event-time rules and the commit rule of ingest.

    Read chunks in offset order, ``add`` each with what the decoder made of it, then
    ``flush``; once every returned pane is acknowledged, commit ``commit_point()``.
    After a crash ``restore`` the commit into a new aggregator and read from its
    offset: the highest version of every pane will hold the same bits.

    Parameters
    ----------
    source, partition : str, int
        Topic id or file, and the partition of it.
    owner : str
        New at each assignment.
    window : WindowConfig
        Pane, bound, lateness, max_skew: one setting for all models of the source.
    layouts : callable
        (tenant, model, model_version) -> Layout, several Layouts by
        ``active_from_us``, or None. Must give the same answer on a re-read.
    grain : int, optional
        Panes that are counted together, as one pane of ``grain`` times the length: a slot.
        Events are judged by ``window.pane`` whatever the grain, and what is counted of each
        pane (versions and slices that keep their names) does not depend on it. Where a layout
        begins to hold a slot is cut.

    Notes
    -----
    An in-order chunk of one model costs about 40 us whatever its size, so read 1,000
    events at once or more; rows are never touched by Python. Memory of an open pane: about
    9 V + 35 bytes a row, up to some fifty rows; then 544 V bytes per combination of segment
    values.

    References
    ----------
    Akidau et al., The Dataflow Model, VLDB 2015 (watermarks, lateness).
    """

    def __init__(
        self,
        source: str,
        partition: int,
        owner: str,
        window: WindowConfig,
        layouts: Layouts,
        *,
        grain: int = 1,
    ) -> None:
        self.source = source
        self.partition = partition
        self.owner = owner
        self._grain = grain
        self._pane_us: int = window.pane_us
        self._slot_us: int = grain * window.pane_us
        self._max_future_us: int = window.bound_us + window.max_skew_us
        self._clock = EventClock(window)
        self._layouts = layouts
        self._row_layouts: dict[ModelSchema, Layout] = {}
        self._series: dict[SeriesId, OpenSeries] = {}
        self._open = OpenPanes()
        self._pools = RowPools()
        self._intake = IntakeAggregator(source, partition, owner, window)
        self._has_exact_clock = True
        self._versions = VersionCap()
        self._flushed_us = NO_WATERMARK
        self._position = 0
        self._resumed: Commit | None = None
        self._commit: Commit | None = None

    @property
    def watermark_us(self) -> int:
        """wm; ``NO_WATERMARK`` before any event."""
        own = self._clock.watermark_us
        return max(own, self._resumed.watermark_us) if self._resumed is not None else own

    @property
    def position(self) -> int:
        """Offset of the next message."""
        return self._position

    @property
    def is_catching_up(self) -> bool:
        """Whether events before the restored F are being read again: nothing is published."""
        return self._resumed is not None and self._position < self._resumed.position

    @property
    def report_from(self) -> int:
        """Offset from which on events are new: what came before it was recorded already."""
        return self._resumed.position if self._resumed is not None else 0

    @property
    def n_open_panes(self) -> int:
        """How many places in time hold a pane that may still change."""
        return self._open.n_places

    @property
    def is_due(self) -> bool:
        """Whether the watermark has passed the end of a pane since the last flush."""
        return self.watermark_us // self._pane_us > self._flushed_us // self._pane_us

    @property
    def messages_to_catch_up(self) -> int | None:
        """Offsets up to the restored F; None when it has been reached."""
        if self._resumed is None or not self.is_catching_up:
            return None
        return self._resumed.position - self._position

    def restore(
        self, commit: Commit, first_offset: int = 0, first_record_time_us: int = 0
    ) -> RetentionGap | None:
        """Continue from a commit; reading starts at ``commit.offset``.

        Parameters
        ----------
        commit : Commit
            The last one committed.
        first_offset, first_record_time_us : int
            The oldest message the log still has. Where it lies beyond the commit's
            offset, S moves past every pane that may have lost events.

        Returns
        -------
        RetentionGap or None
            What was lost.
        """
        clock = commit.clock or (commit.watermark_us, commit.retired_before_us)
        self._clock.restore(*clock)
        self._has_exact_clock = commit.has_exact_clock
        self._position = commit.offset
        self._flushed_us = commit.watermark_us
        self._resumed = self._commit = commit
        return self.skip(first_offset, first_record_time_us) if first_offset else None

    def skip(self, first_offset: int, first_record_time_us: int) -> RetentionGap | None:
        """Go on behind messages that the log does not hold any more.

        Parameters
        ----------
        first_offset, first_record_time_us : int
            The oldest message the log still has.

        Returns
        -------
        RetentionGap or None
            What was lost; None where nothing is missing. Panes that may have lost events
            are published as they stand by the next flush.
        """
        if first_offset <= self._position:
            return None
        # a lost event is no newer than its record time plus the allowed skew
        newest = max(self.watermark_us, first_record_time_us) + self._max_future_us
        s = (newest // self._slot_us + 1) * self._slot_us
        s = max(self._clock.retired_before_us, s)
        gap = RetentionGap(self._position, first_offset, s)
        self._clock.restore(self.watermark_us, s)
        self._has_exact_clock = False
        self._position = first_offset
        return gap

    def add(
        self,
        chunk: Chunk,
        batches: Sequence[EventBatch],
        rejects: Sequence[Reject] = (),
        mixed: MixedBatch | None = None,
    ) -> Added:
        """Aggregate the events of one chunk.

        Parameters
        ----------
        chunk : Chunk
            Where the events came from: offsets and record times of the messages.
        batches : sequence of EventBatch
            The accepted events of the chunk, one batch a model.
        rejects : sequence of Reject, optional
            What the decoder rejected. An event of a configured model whose time could be
            read moves the watermark like any other: else a model of which everything is
            rejected would hold the windows of all.
        mixed : MixedBatch, optional
            Accepted events of models that have no batch.

        Returns
        -------
        Added
            Late and future events, to be recorded before the next commit.
        """
        outcome, clock = _Outcome(), self._clock
        retired_us = self._resumed.retired_before_us if self._resumed else NO_WATERMARK
        origin = Origin(
            int(chunk.log_offset[0]) if len(chunk) else self._position,
            clock.watermark_us,
            clock.retired_before_us,
        )
        reading = Reading(
            origin,
            is_exact=self._has_exact_clock or not self.is_catching_up,
            first_open=retired_us // self._pane_us,
            is_published=lambda index, last: self._is_published((index + 1) * self._pane_us, last),
        )
        parts: list[_Part] = [b for b in batches if len(b)]
        if mixed is not None and len(mixed):
            parts.append(mixed)
        if rejects and len(rejected := RejectedEvents.of(rejects)):
            parts.append(rejected)
        for batch, verdicts, pane in self._judge(parts, chunk):
            is_intake = isinstance(batch, RejectedEvents)
            if self.is_catching_up:
                # rejected events are counted by pane, others by slot, which retires as a whole
                grain = 1 if is_intake else self._grain
                first_open = retired_us // (grain * self._pane_us) * grain
                verdicts[(verdicts == ACCEPTED) & (pane < first_open)] = RETIRED
            if isinstance(batch, RejectedEvents):
                self._intake.count_rejected(chunk, batch, verdicts, pane, reading)
            elif isinstance(batch, MixedBatch):
                self._take_mixed(chunk, batch, verdicts, pane, reading, outcome)
            else:
                self._take_batch(chunk, batch, verdicts, pane, reading, outcome)
        if len(chunk):
            self._position = max(self._position, int(chunk.log_offset[-1]) + 1)
        return Added(outcome.n_accepted, tuple(outcome.late), tuple(outcome.future))

    def _take_batch(
        self,
        chunk: Chunk,
        batch: EventBatch,
        verdicts: NDArray[np.uint8],
        pane: NDArray[np.int64],
        reading: Reading,
        outcome: _Outcome,
    ) -> None:
        """Count the events of one model, and note those that are refused."""
        n_refused = int(np.count_nonzero(verdicts))
        outcome.n_accepted += len(batch) - n_refused
        if n_refused:
            self._intake.count_refused(chunk, batch, verdicts, pane, reading)
            is_new = chunk.log_offset[batch.message] >= self.report_from
            for kind, refused in ((LATE, outcome.late), (FUTURE, outcome.future)):
                rows = np.flatnonzero((verdicts == kind) & is_new)
                if rows.size:
                    refused.append(RefusedRows(batch, rows, pane[rows]))
        if n_refused < len(batch):
            self._aggregate(chunk, batch, verdicts, pane, reading.origin)

    def _take_mixed(
        self,
        chunk: Chunk,
        mixed: MixedBatch,
        verdicts: NDArray[np.uint8],
        pane: NDArray[np.int64],
        reading: Reading,
        outcome: _Outcome,
    ) -> None:
        """Have panes hold events of many models; a model with anything unusual gets a batch."""
        is_refused = verdicts != ACCEPTED
        refused = set(mixed.model[is_refused].tolist()) if is_refused.any() else set()
        for model, rows in mixed.by_model():
            if model not in refused and self._hold(
                chunk, mixed, model, rows, pane[rows].tolist(), reading.origin
            ):
                outcome.n_accepted += len(rows)
                continue
            batch = mixed.batch(rows)
            self._take_batch(chunk, batch, verdicts[rows], pane[rows], reading, outcome)

    def _hold(
        self,
        chunk: Chunk,
        mixed: MixedBatch,
        model: int,
        rows: NDArray[np.int64],
        places: list[int],
        origin: Origin,
    ) -> bool:
        """Have panes hold accepted rows of one model; False where they have to be counted.

        Nothing has happened then. So it is where rows are of several versions or baselines,
        where the cap on versions may be reached, and where a pane would hold too many rows.
        """
        schema, values = mixed.schemas[model], mixed.values(model)
        codes = mixed.codes[len(values) - N_NAMES, rows]
        key = (schema.tenant, schema.model)
        if (codes != codes[0]).any() or not self._versions.has_room(key, 1):
            return False
        version = version_name(values[-N_NAMES], int(codes[0]))
        era = self._era_of(schema, version, places)
        if era is None:
            return False
        series = self._series_of(schema, version, era)
        series.learn_texts(values)
        counts = Counter(places)
        if not all(series.has_room(place, n) for place, n in counts.items()):
            return False
        last = dict(zip(places, rows.tolist(), strict=True))
        for place, row in last.items():
            self._touch(chunk, mixed.message[row], series, place, origin)
        self._versions.note(key, counts, version)
        chains = np.array([series.chain(place) for place in places], np.int64)
        series.pool.append(series.layout.row_tables, mixed, rows, chains)
        own, paired = MixedRows(mixed, model, rows), series.layout.paired
        found = series.details.find(own)
        if found is None and paired is None:
            return True
        ordinals = np.array([series.details.ordinal(place) for place in places], np.int32)
        if found is not None:
            series.details.add(own, found, ordinals)
        if paired is not None:
            bins = paired.bins_of(own.columns(paired.columns))
            series.details.add_products(bins, ordinals)
        return True

    def _era_of(self, schema: ModelSchema, version: str, places: Sequence[int]) -> _Era | None:
        """Return the layout that holds at all of these places; None if there are several."""
        found = self._layouts(schema.tenant, schema.model, version)
        if isinstance(found, Layout):
            return _Era(found)
        active, eras = self._eras(schema, found or ())
        first = bisect_right(active, min(places))
        return eras[first] if first == bisect_right(active, max(places)) else None

    def _eras(self, schema: ModelSchema, layouts: Sequence[Layout]) -> tuple[list[int], list[_Era]]:
        """Return the places where each layout begins to hold; and one range more of time."""
        # of the first pane that starts when the layout holds already
        active = [-(-layout.active_from_us // self._pane_us) for layout in layouts]
        cuts = [-_END_OF_TIME_US, *(a * self._pane_us for a in active), _END_OF_TIME_US]
        every = (self._rows_only(schema), *layouts)
        return active, [_Era(layout, *cuts[i : i + 2]) for i, layout in enumerate(every)]

    def _judge(
        self, batches: Sequence[_Part], chunk: Chunk
    ) -> Iterator[tuple[_Part, NDArray[np.uint8], NDArray[np.int64]]]:
        """Run the watermark over the events of all models in source order."""
        if len(batches) == 1:
            batch = batches[0]
            yield batch, *self._clock.judge(batch.time_us, batch.message, chunk.record_time_us)
        elif batches:
            message = np.concatenate([b.message for b in batches])
            row = np.concatenate([b.row for b in batches])
            order = _source_order(message, row, len(chunk))
            times = np.concatenate([b.time_us for b in batches])[order]
            judged = self._clock.judge(times, message[order], chunk.record_time_us)
            verdicts, pane = np.empty_like(judged[0]), np.empty_like(judged[1])
            verdicts[order], pane[order] = judged
            end = 0
            for batch in batches:
                start, end = end, end + len(batch)
                yield batch, verdicts[start:end], pane[start:end]

    def _aggregate(
        self,
        chunk: Chunk,
        batch: EventBatch,
        verdicts: NDArray[np.uint8],
        pane: NDArray[np.int64],
        origin: Origin,
    ) -> None:
        """Split a batch by model version and baseline, then add each part to its panes."""
        codes = batch.model_version.codes
        is_single = bool((codes == codes[0]).all())
        key = (batch.schema.tenant, batch.schema.model)
        if not self._versions.has_room(key, 1 if is_single else len(np.unique(codes))):
            codes = self._versions.names(batch, np.flatnonzero(verdicts == ACCEPTED), pane)
            is_single = bool((codes == codes[0]).all())
        if is_single:
            version = version_name(batch.model_version.values, int(codes[0]))
            self._add_version(chunk, batch, verdicts, pane, version, origin)
            return
        codes = others_joined(batch, codes)
        for code in np.unique(codes).tolist():
            rows = np.flatnonzero(codes == code)
            version = version_name(batch.model_version.values, code)
            part = take(batch, rows)
            self._add_version(chunk, part, verdicts[rows], pane[rows], version, origin)

    def _add_version(
        self,
        chunk: Chunk,
        batch: EventBatch,
        verdicts: NDArray[np.uint8],
        pane: NDArray[np.int64],
        version: str,
        origin: Origin,
    ) -> None:
        """Choose the baseline of each pane by its start."""
        schema = batch.schema
        found = self._layouts(schema.tenant, schema.model, version)
        if isinstance(found, Layout):
            self._add_layout(chunk, batch, verdicts, pane, version, _Era(found), origin)
            return
        active, eras = self._eras(schema, found or ())
        era = np.searchsorted(np.array(active, np.int64), pane, side="right")
        for i in np.unique(era[verdicts == ACCEPTED]).tolist():
            rows = np.flatnonzero(era == i)
            if len(rows) == len(batch):
                self._add_layout(chunk, batch, verdicts, pane, version, eras[i], origin)
                continue
            part = take(batch, rows)
            self._add_layout(chunk, part, verdicts[rows], pane[rows], version, eras[i], origin)

    def _rows_only(self, schema: ModelSchema) -> Layout:
        """Return the layout of a model without a baseline."""
        if schema not in self._row_layouts:
            self._row_layouts[schema] = Layout(schema, None)
        return self._row_layouts[schema]

    def _add_layout(
        self,
        chunk: Chunk,
        batch: EventBatch,
        verdicts: NDArray[np.uint8],
        pane: NDArray[np.int64],
        version: str,
        era: _Era,
        origin: Origin,
    ) -> None:
        """Add rows of one series id to the slots they fall into."""
        accepted = pane[verdicts == ACCEPTED] if verdicts.any() else pane
        if not accepted.size:
            return
        series = self._series_of(batch.schema, version, era)
        slot = pane if self._grain == 1 else pane // self._grain
        lowest, highest = int(accepted.min()) // self._grain, int(accepted.max()) // self._grain
        indices = np.empty(0, np.int64)
        if highest - lowest >= _MAX_SPAN:
            indices = np.unique(accepted // self._grain)
            slot, lowest, highest = np.searchsorted(indices, slot), 0, len(indices) - 1
        first = np.full(highest - lowest + 1, -1, np.int64)
        last, n_rows = np.empty_like(first), np.zeros_like(first)
        find_extents(slot, verdicts, lowest, first, last, n_rows)
        ordinals = np.full(len(first), -1, np.int32)
        chains = np.full(len(first), -1, np.int32)
        found = np.flatnonzero(first >= 0)
        places = (indices[found] if indices.size else found + lowest).tolist()
        if found.size and n_rows[found].min() <= series.max_rows:
            series.learn_texts([column.values for column in code_columns(batch)])
        n_counted = 0
        details, paired = series.details.find(rows := BatchRows(batch)), series.layout.paired
        for k, index in zip(found.tolist(), places, strict=True):
            self._touch(chunk, batch.message[last[k]], series, index, origin)
            if series.has_room(index, int(n_rows[k])):
                chains[k] = series.chain(index)
            else:
                ordinals[k], n_counted = series.ordinal(index), n_counted + 1
        panes = places if self._grain == 1 else _runs(accepted)
        self._versions.note((batch.schema.tenant, batch.schema.model), panes, version)
        placed = np.empty(len(batch), np.int32)
        if n_counted < len(places):
            place_rows(slot, verdicts, lowest, chains, placed)
            _append(series, batch, placed)
        bins = None
        if paired is not None:
            bins = np.empty((len(paired.columns), len(batch)), np.uint8)
        if n_counted:
            place_rows(slot, verdicts, lowest, ordinals, placed)
            in_slot = None
            if self._grain > 1:
                in_slot = placed.astype(np.int64) * self._grain + pane % self._grain
            series.accumulator.add(batch, placed, series.n_ordinals, in_slot, bins)
        elif paired is not None:
            bins = paired.bins_of(rows.columns(paired.columns))
        if details is None and bins is None:
            return
        own = np.full(len(first), -1, np.int32)
        own[found] = [series.details.ordinal(index) for index in places]
        place_rows(slot, verdicts, lowest, own, placed)
        if details is not None:
            series.details.add(rows, details, placed)
        if bins is not None:
            series.details.add_products(bins, placed)

    def _touch(
        self, chunk: Chunk, last_message: int, series: OpenSeries, index: int, origin: Origin
    ) -> None:
        """Note that a pane gets rows, the last of them in this message of the chunk."""
        self._open.open(series, index, origin)
        ends = int(chunk.log_offset[last_message]) if self._resumed is not None else 0
        if not self._is_published((index + 1) * self._slot_us, ends):
            self._open.touch(series, index)

    def _series_of(self, schema: ModelSchema, version: str, era: _Era) -> OpenSeries:
        """Return the open panes of a model version in one layout."""
        series_id = SeriesId(schema.tenant, schema.model, version, era.layout.profile_id)
        series = self._series.get(series_id)
        if series is None:
            series = OpenSeries(series_id, era.layout, self._pools, self._grain)
            self._series[series_id] = series
        series.from_us, series.until_us = era.from_us, era.until_us
        return series

    def _is_published(self, end_us: int, last_offset: int) -> bool:
        """Whether what ends then, with rows up to this offset, was published before the restored
        commit."""
        resumed = self._resumed
        if resumed is None or last_offset >= resumed.position:
            return False
        return end_us <= resumed.watermark_us

    def flush(self, position: int | None = None, *, is_end: bool = False) -> list[Pane]:
        """Return the panes to publish now, each as the whole partial so far.

        Parameters
        ----------
        position : int, optional
            F, the position of the source partition: every message before it was
            added. One more than the last offset added where it is left out.
        is_end : bool
            Publish panes that the watermark has not passed, too.

        Returns
        -------
        list of Pane
            Panes the watermark has passed, and panes that a late but allowed event
            changed since they were published; none while catching up.
        """
        return self._flush(position, is_end, self._panes)

    def flush_packed(
        self, position: int | None = None, *, is_end: bool = False
    ) -> list[PackedPane]:
        """Return the same panes with their statistics as bytes, which cost less to make."""
        return self._flush(position, is_end, self._packed)

    def _flush(self, position: int | None, is_end: bool, publish: _Publish[P]) -> list[P]:
        """Publish what is due, and retire what cannot change any more."""
        if position is not None:
            self._position = max(self._position, position)
        if self.is_catching_up:
            return []
        wm, s = self._clock.watermark_us, self._clock.retired_before_us
        self._has_exact_clock = True
        # all that lies before this has ended, or is retired by a gap that came after it
        ended_us = max(wm, s)
        panes = publish(self._open.take_dirty(None if is_end else ended_us // self._slot_us))
        self._intake.flush(None if is_end else ended_us // self._pane_us, self._position)
        for series in self._open.retire(s // self._slot_us):
            del self._series[series.series]
        self._intake.retire(s // self._pane_us)
        self._versions.forget(s // self._pane_us)
        self._commit = self._committable(wm, s)
        self._flushed_us = wm
        return panes

    def take_intake(self) -> list[IntakePane]:
        """Return the intake panes of the last flushes: to be published with their panes."""
        return self._intake.take()

    def _committable(self, wm: int, s: int) -> Commit:
        """Return where reading has to start again, and the clock as it was there."""
        origins = [o for o in (self._open.first, self._intake.first) if o is not None]
        if not origins:
            return Commit(self._position, wm, s, self._position, self.source)
        first = min(origins)
        clock = (first.watermark_us, first.retired_before_us)
        return Commit(first.offset, wm, s, self._position, self.source, clock=clock)

    def _panes(self, dirty: _Dirty) -> list[Pane]:
        """Return panes with their current counts."""
        place = (self.source, self.partition, self.owner, self._position)
        return [
            Pane(
                series.series,
                *self._span(series, index),
                *place,
                *series.collect(index),
                series.details.collect(index),
            )
            for series, index in dirty
        ]

    def _packed(self, dirty: _Dirty) -> list[PackedPane]:
        """Return panes with the bytes of their current counts."""
        place = (self.source, self.partition, self.owner, self._position)
        return [
            PackedPane(
                series.series,
                *self._span(series, index),
                *place,
                series.layout.n_variables,
                body,
            )
            for (series, index), body in zip(dirty, bodies_of(dirty), strict=True)
        ]

    def _span(self, series: OpenSeries, index: int) -> tuple[int, int]:
        """Return when a pane begins and ends."""
        start_us, end_us = index * self._slot_us, (index + 1) * self._slot_us
        # Only within the slot: a layout's end may move into the past of what was counted in it,
        # where a baseline is heard of late.
        return (
            series.from_us if start_us < series.from_us < end_us else start_us,
            series.until_us if start_us < series.until_us < end_us else end_us,
        )

    def flush_all(self) -> list[Pane]:
        """Return every pane that is not published in its current form: the input has ended."""
        return self.flush(is_end=True)

    def commit_point(self) -> Commit | None:
        """Return what to commit once all panes of the last flush are acknowledged.

        ``offset`` is where the chunk began that opened the oldest pane that may still
        change, else F. None before the first flush.
        """
        return self._commit


def _append(series: OpenSeries, batch: EventBatch, chains: NDArray[np.int32]) -> None:
    """Add rows to panes that hold rows; those whose chain is negative are left out."""
    rows = np.flatnonzero(chains >= 0)
    mixed = MixedBatch.of(batch, rows)
    every = np.arange(len(rows), dtype=np.int64)
    series.pool.append(series.layout.row_tables, mixed, every, chains[rows].astype(np.int64))


def _runs(values: NDArray[np.int64]) -> set[int]:
    """Return the different values; quick where equal ones follow each other."""
    is_new = np.empty(len(values), np.bool_)
    is_new[0] = True
    np.not_equal(values[1:], values[:-1], out=is_new[1:])
    return set(values[is_new].tolist())


def _source_order(
    message: NDArray[np.int64], row: NDArray[np.int64], n_messages: int
) -> NDArray[np.int64]:
    """Return the permutation that puts events of several models into (message, row) order."""
    if row.any():
        return np.lexsort((row, message))
    # one event a message: each has its place, no need to sort
    at = np.full(n_messages, -1, np.int64)
    at[message] = np.arange(len(message))
    return at[at >= 0]
