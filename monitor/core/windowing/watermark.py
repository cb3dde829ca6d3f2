"""How far event time has come: in one source partition, and over all of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec
import numpy as np
from numpy.typing import NDArray

from detectors.kernels.event_time import judge
from schemas.errors import DomainError, TransportError

if TYPE_CHECKING:
    from schemas.config.model import WindowConfig

NO_WATERMARK = -(1 << 62)
"""The watermark before any event."""
MAX_SOURCES = 64
"""Source topics that hold windows at once; there is one, and one more while it is replaced."""


class _Metadata(msgspec.Struct, frozen=True, omit_defaults=True):
    """Metadata of a committed offset."""

    wm: int
    S: int
    F: int
    source: str = msgspec.field(default="", name="T")
    note: str = msgspec.field(default="", name="N")
    clock: tuple[int, int] | None = msgspec.field(default=None, name="C")


class Commit(msgspec.Struct, frozen=True):
    """What ingest commits once every pane write has been acknowledged.

    ``offset`` is C, where reading starts again; the rest is the commit's metadata.

    Examples
    --------
    >>> commit = Commit(offset=3, watermark_us=9, retired_before_us=0, position=7)
    >>> Commit.parse(3, commit.metadata()) == commit
    True
    """

    offset: int
    watermark_us: int
    """wm at F."""
    retired_before_us: int
    """S: panes that start before it are retired, events before it are late."""
    position: int
    """F: up to here everything has been published."""
    source: str = ""
    """Topic id: offsets of a topic are meaningless after it was recreated."""
    note: str = ""
    """What the stage must not forget beside; a few hundred bytes at most."""
    clock: tuple[int, int] | None = None
    """(wm, S) before the message at ``offset``: read from there, every event is judged as it
    was the first time. None where ``offset`` is ``position``, and in commits of older versions."""

    @property
    def has_exact_clock(self) -> bool:
        """Whether the watermark at ``offset`` is known."""
        return self.clock is not None or self.offset >= self.position

    def metadata(self) -> str:
        """Return ``{wm, S, F}``, the source and the note as text below 1 KiB."""
        values = _Metadata(
            self.watermark_us,
            self.retired_before_us,
            self.position,
            self.source,
            self.note,
            self.clock,
        )
        return msgspec.json.encode(values).decode()

    @staticmethod
    def parse(offset: int, metadata: str) -> Commit:
        """Read a commit back from its offset and metadata.

        Raises
        ------
        TransportError
            If the metadata is not ingest's.
        """
        try:
            found = msgspec.json.decode(metadata.encode(), type=_Metadata)
        except msgspec.DecodeError as error:
            raise TransportError(
                f"a commit at {offset} with metadata {metadata[:80]!r}: {error}",
                where="commits of ingest",
                fix="check that only ingest uses this group; delete its offsets to start again",
            ) from None
        return Commit(offset, found.wm, found.S, found.F, found.source, found.note, found.clock)


class EventClock:
    """The watermark of one source partition.

    ``wm = max(wm, min(event time, record time) - bound)``, event by event in offset
    order; S = floor((wm - lateness) / pane) * pane. Neither ever decreases.

    Parameters
    ----------
    window : WindowConfig
        Pane, bound, lateness and max_skew.
    """

    def __init__(self, window: WindowConfig) -> None:
        self._settings = np.array(
            [window.pane_us, window.bound_us, window.lateness_us, window.max_skew_us], np.int64
        )
        self._state = np.array([NO_WATERMARK, NO_WATERMARK], np.int64)

    @property
    def watermark_us(self) -> int:
        """No event before this is expected any more."""
        return int(self._state[0])

    @property
    def retired_before_us(self) -> int:
        """S: events before it are late."""
        return int(self._state[1])

    def restore(self, watermark_us: int, retired_before_us: int) -> None:
        """Continue where a commit left off."""
        self._state[:] = (watermark_us, retired_before_us)

    def judge(
        self,
        time_us: NDArray[np.int64],
        message: NDArray[np.int64],
        record_time_us: NDArray[np.int64],
    ) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """Judge events in source order, each with the watermark as of itself.

        Parameters
        ----------
        time_us, message : ndarray of int64, shape (n,)
            Event time, and the index of the event's message.
        record_time_us : ndarray of int64, shape (messages,)
            -1 means the event time.

        Returns
        -------
        verdicts : ndarray of uint8, shape (n,)
            ``ACCEPTED``, ``LATE`` or ``FUTURE`` of ``detectors.kernels.event_time``.
        pane : ndarray of int64, shape (n,)
            Index of an accepted event's pane: it starts at index * pane. Of a late or
            future event the watermark as of that event.
        """
        verdicts = np.empty(len(time_us), np.uint8)
        pane = np.zeros(len(time_us), np.int64)
        judge(time_us, message, record_time_us, self._settings, self._state, verdicts, pane)
        return verdicts, pane


class SourceMarks(msgspec.Struct, array_like=True):
    """The last watermarks of the partitions of one source topic."""

    source: str
    n_partitions: int
    watermarks: dict[int, int]
    """By partition; without those that have sent none."""
    idle: list[int]


@dataclass(slots=True)
class _SourceState:
    """Partitions of one source topic: how many there are, and what each said last."""

    n_partitions: int = 0
    watermarks: dict[int, int] = field(default_factory=dict)
    idle: set[int] = field(default_factory=set)


class Watermarks:
    """The minimum watermark over the partitions of all sources.

    A partition that has not reported yet holds it back, an idle one does not; it
    never decreases. While all are idle it advances by the time that passes.

    Examples
    --------
    >>> marks = Watermarks()
    >>> marks.observe("topic", 0, 2, 50, is_idle=False)
    >>> marks.minimum_us is None
    True
    >>> marks.observe("topic", 1, 2, 40, is_idle=False)
    >>> marks.minimum_us
    40
    """

    def __init__(self) -> None:
        self._sources: dict[str, _SourceState] = {}
        self.minimum_us: int | None = None
        """Nothing before this is expected any more; None while a partition is unheard of."""
        self.heard_us: int | None = None
        """The part of it that rests on events, not on elapsed time."""

    def declare(self, source: str, n_partitions: int) -> None:
        """Expect a source: its partitions hold the minimum until their first message.

        Raises
        ------
        DomainError
            If it would be one of more than :data:`MAX_SOURCES`.
        """
        if source not in self._sources and len(self._sources) >= MAX_SOURCES:
            what = f"{source[:80]!r} would be one of more than {MAX_SOURCES} sources"
            raise DomainError(what, where="watermark")
        entry = self._sources.setdefault(source, _SourceState())
        entry.n_partitions = max(entry.n_partitions, n_partitions)

    def observe(
        self, source: str, partition: int, n_partitions: int, watermark_us: int, *, is_idle: bool
    ) -> None:
        """Take a partition's word: its watermark, or that it is idle.

        A watermark of ``NO_WATERMARK`` says that no event has come yet.
        """
        entry = self._sources.get(source)
        if entry is None or n_partitions > entry.n_partitions:
            self.declare(source, n_partitions)
            entry = self._sources[source]
        known = entry.watermarks.get(partition)
        if known is not None and known >= watermark_us:
            watermark_us = known
        entry.watermarks[partition] = watermark_us
        was_idle = partition in entry.idle
        if was_idle is not is_idle:
            (entry.idle.add if is_idle else entry.idle.discard)(partition)
        elif known is not None and self.minimum_us is not None and known > self.minimum_us:
            # others hold the minimum: that one of them is ahead changes nothing
            return
        self._advance()

    def retire(self, source: str) -> None:
        """Expect nothing of a source any more: its topic is gone."""
        if self._sources.pop(source, None) is not None:
            self._advance()

    @property
    def partitions(self) -> list[tuple[str, int]]:
        """(source, partition) of all that hold windows, also before their first message."""
        return [(name, p) for name, s in self._sources.items() for p in range(s.n_partitions)]

    def last_us(self, source: str, partition: int) -> int:
        """Return the last watermark of a partition; ``NO_WATERMARK`` before the first."""
        entry = self._sources.get(source)
        return NO_WATERMARK if entry is None else entry.watermarks.get(partition, NO_WATERMARK)

    def replaced_by(self, source: str) -> None:
        """Where a source is new, wait for no other one until it sends again."""
        for entry in () if source in self._sources else self._sources.values():
            entry.idle.update(range(entry.n_partitions))
            for partition in entry.idle:
                entry.watermarks.setdefault(partition, NO_WATERMARK)

    @property
    def n_sources(self) -> int:
        """Number of source topics."""
        return len(self._sources)

    def export(self) -> list[SourceMarks]:
        """Return what every source has sent, to be restored."""
        return [
            SourceMarks(name, s.n_partitions, dict(s.watermarks), sorted(s.idle))
            for name, s in sorted(self._sources.items())
        ]

    def restore(self, sources: Iterable[SourceMarks]) -> None:
        """Continue with what :meth:`export` returned."""
        for each in sources:
            idle = set(each.idle)
            entry = _SourceState(each.n_partitions, dict(each.watermarks), idle)
            self._sources[each.source] = entry
        self._advance()

    @property
    def newest_us(self) -> int | None:
        """The highest watermark of any partition; None before the first."""
        watermarks = (wm for s in self._sources.values() for wm in s.watermarks.values())
        return max((wm for wm in watermarks if wm > NO_WATERMARK), default=None)

    def _advance(self) -> None:
        """Raise the minimum to the least watermark that counts."""
        active: list[int] = []
        idle: list[int] = []
        for entry in self._sources.values():
            if len(entry.watermarks) < entry.n_partitions:
                return
            if entry.watermarks and not entry.idle:
                active.append(min(entry.watermarks.values()))
                continue
            for partition, wm in entry.watermarks.items():
                (idle if partition in entry.idle else active).append(wm)
        if not active:
            # all idle: the last one holds, or after a restart the lowest of the partitions
            active = [wm for wm in idle if wm > NO_WATERMARK] if self.minimum_us is None else []
        least = min(active, default=NO_WATERMARK)
        if least > NO_WATERMARK:
            self.heard_us = max(least, self.heard_us if self.heard_us is not None else least)
            self.minimum_us = max(least, self.minimum_us if self.minimum_us is not None else least)

    @property
    def is_idle(self) -> bool:
        """Whether every partition has sent a watermark and is idle."""
        sources = self._sources.values()
        return bool(sources) and all(len(s.idle) >= s.n_partitions for s in sources)

    def elapse(self, elapsed_us: int) -> None:
        """Advance time: moves the minimum only while all partitions are idle."""
        if self.is_idle and self.minimum_us is not None:
            self.minimum_us += max(elapsed_us, 0)
