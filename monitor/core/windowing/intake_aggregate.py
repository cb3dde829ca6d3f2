"""Rejected and late events of one source partition, counted by model, reason and pane.

The counterpart of ``PartitionAggregator`` for events that are in no pane: the same watermark
judges them, and their counts are published, committed and read again like panes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from detectors.kernels.event_time import ACCEPTED, FUTURE, LATE
from monitor.core.windowing.intake_counts import LATE as LATE_COUNT
from monitor.core.windowing.intake_counts import IntakeCounts, ModelKey
from monitor.core.windowing.open_panes import Origin
from monitor.core.windowing.watermark import NO_WATERMARK
from schemas.batch import Chunk, EventBatch
from schemas.events import Reject, RejectReason
from schemas.intake import IntakePane

if TYPE_CHECKING:
    from schemas.config.model import WindowConfig

RETIRED = 3
"""Verdict of an event that is read again and whose pane was retired before the restart."""
_NO_TIME_US = -(1 << 62)
"""Time of an event that has none: it never moves the watermark."""


@dataclass(frozen=True, slots=True)
class RejectedEvents:
    """Rejected events of configured models, placed like the rows of a batch."""

    message: NDArray[np.int64]
    row: NDArray[np.int64]
    time_us: NDArray[np.int64]
    n_events: NDArray[np.int64]
    """How many events each represents."""
    rejects: tuple[Reject, ...]

    def __len__(self) -> int:
        return len(self.rejects)

    @staticmethod
    def of(rejects: Sequence[Reject]) -> RejectedEvents:
        """Take the rejects that belong to a model."""
        own = tuple(r for r in rejects if r.has_known_model)
        times = (_NO_TIME_US if r.time_us is None else r.time_us for r in own)
        return RejectedEvents(
            np.array([r.message for r in own], np.int64),
            np.array([r.row for r in own], np.int64),
            np.fromiter(times, np.int64, len(own)),
            np.array([r.n_events for r in own], np.int64),
            own,
        )


@dataclass(frozen=True, slots=True)
class Reading:
    """What the aggregator knows while it takes one chunk."""

    origin: Origin
    """A message at or before the first event, and the clock before it."""
    is_exact: bool
    """False while events are read again under a watermark other than that of the first time."""
    first_open: int
    """Index of the first pane that was not retired at the restored commit."""
    is_published: Callable[[int, int], bool]
    """Given a pane's index and the last offset in it: was it published before a restart?"""


class IntakeAggregator:
    """Counts of what ingest did not aggregate, as cumulative, versioned intake panes.

    Parameters
    ----------
    source, partition, owner : str, int, str
        As of the panes.
    window : WindowConfig
        Its pane and bound are used.
    """

    def __init__(self, source: str, partition: int, owner: str, window: WindowConfig) -> None:
        self._source, self._partition, self._owner = source, partition, owner
        self._pane_us: int = window.pane_us
        self._bound_us: int = window.bound_us
        self._counts = IntakeCounts()
        self._due: list[IntakePane] = []

    @property
    def first(self) -> Origin | None:
        """Return the origin of the oldest counter that may still change."""
        return self._counts.first

    def count_refused(
        self,
        chunk: Chunk,
        batch: EventBatch,
        verdicts: NDArray[np.uint8],
        pane: NDArray[np.int64],
        reading: Reading,
    ) -> None:
        """Count late and future events of one model at the newest time of their partition.

        Parameters
        ----------
        verdicts, pane : ndarray
            As ``EventClock.judge`` returned them: of these events the watermark, not a pane.
        """
        key = (batch.schema.tenant, batch.schema.model)
        for verdict, what in ((LATE, LATE_COUNT), (FUTURE, RejectReason.FUTURE.value)):
            rows = np.flatnonzero(verdicts == verdict)
            if rows.size:
                offsets = chunk.log_offset[batch.message[rows]]
                self._count(key, what, offsets, pane[rows], np.ones_like(rows), reading)

    def count_rejected(
        self,
        chunk: Chunk,
        rejected: RejectedEvents,
        verdicts: NDArray[np.uint8],
        pane: NDArray[np.int64],
        reading: Reading,
    ) -> None:
        """Count rejected events by model and reason, at their own time where they have one.

        Parameters
        ----------
        verdicts, pane : ndarray
            As ``EventClock.judge`` returned them, or ``RETIRED``.
        """
        groups: dict[tuple[ModelKey, str], list[int]] = {}
        for i, reject in enumerate(rejected.rejects):
            if verdicts[i] != RETIRED:
                key = (reject.tenant, reject.model)
                groups.setdefault((key, reject.reason.value), []).append(i)
        offsets = chunk.log_offset[rejected.message]
        for (key, what), found in groups.items():
            rows = np.array(found, np.int64)
            is_placed = verdicts[rows] == ACCEPTED
            watermark_us = np.where(
                is_placed, pane[rows] * self._pane_us - self._bound_us, pane[rows]
            )
            n_events = rejected.n_events[rows]
            self._count(key, what, offsets[rows], watermark_us, n_events, reading)

    def _count(
        self,
        key: ModelKey,
        what: str,
        offsets: NDArray[np.int64],
        watermark_us: NDArray[np.int64],
        n_events: NDArray[np.int64],
        reading: Reading,
    ) -> None:
        """Count events in the pane of the newest event time, wm + bound, as of each.

        Nothing is counted before the first event with a time, nor while events are read
        again under a watermark that is not the one of the first time.
        """
        if not reading.is_exact:
            return
        index = (watermark_us + self._bound_us) // self._pane_us
        # Behind a gap S is ahead of the watermark: in a pane that is retired already each
        # flush would replace the counts of the one before.
        index = np.maximum(index, reading.origin.retired_before_us // self._pane_us)
        is_open = (watermark_us > NO_WATERMARK) & (index >= reading.first_open)
        for place in np.unique(index[is_open]).tolist():
            here = is_open & (index == place)
            is_published = reading.is_published(place, int(offsets[here][-1]))
            n = int(n_events[here].sum())
            self._counts.add(key, place, what, n, reading.origin, is_published=is_published)

    def flush(self, before: int | None, position: int) -> None:
        """Make intake panes of the counters that are due.

        Parameters
        ----------
        before : int or None
            Only panes below this index; None for all.
        position : int
            F, the position of the source partition.
        """
        self._due += [
            self._pane(key, index, counts, position)
            for key, index, counts in self._counts.take_dirty(before)
        ]

    def take(self) -> list[IntakePane]:
        """Return the intake panes of the last flushes."""
        due, self._due = self._due, []
        return due

    def retire(self, before: int) -> None:
        """Forget panes below an index."""
        self._counts.retire(before)

    def _pane(self, key: ModelKey, index: int, counts: Counter[str], position: int) -> IntakePane:
        """Return the intake of one model in one pane as it is now."""
        rejected = {what: n for what, n in sorted(counts.items()) if what != LATE_COUNT}
        return IntakePane(
            tenant=key[0],
            model=key[1],
            start_us=index * self._pane_us,
            end_us=(index + 1) * self._pane_us,
            source=self._source,
            partition=self._partition,
            owner=self._owner,
            pane_version=position,
            n_late=counts[LATE_COUNT],
            rejected=rejected,
        )
