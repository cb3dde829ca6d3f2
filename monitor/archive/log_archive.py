"""From the log into the store, exactly once, without a transaction.

The intent stands in the commit. Commit ``(lo, metadata = hi)``; insert [lo, hi) under
the token ``topic_id:partition:lo:hi``; commit ``(hi, "")``. After a crash in between,
the pending hi says which range to read again, and the same token makes the second
insert add nothing. Ranges may be cut anywhere: the cut is written down before it is
used.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from monitor.archive.messages import STRUCT_TOPICS, Message, Place, refuse, struct_rows
from monitor.archive.pane_sets import LOOKBACK_MESSAGES, assemble, begins_inside
from monitor.archive.raw import RAW_TOPICS, RawTopics
from monitor.archive.writes import Archive, range_token
from monitor.core.crash_points import Reach, pass_through
from monitor.core.topics import PANES
from schemas.panes import Pane
from schemas.refused import DeadLetter

GROUP = "driftline-archive"
MAX_MESSAGES = 5_000
"""Of one range: one insert of one partition."""


class Committed(Protocol):
    """Where a group starts again."""

    @property
    def offset(self) -> int:
        """The next message to read."""
        ...

    @property
    def metadata(self) -> str:
        """What was written beside it."""
        ...


class Log(Protocol):
    """What the archive needs of a log; ``monitor.transport.memory.MemoryLog`` has it."""

    def fetch(
        self, topic: str, partition: int, offset: int, max_messages: int
    ) -> Sequence[Message]:
        """Return messages from ``offset`` on; none at the end."""
        ...

    def partitions(self, topic: str) -> list[int]:
        """Return the topic's partitions."""
        ...

    def commit(
        self, group: str, topic: str, partition: int, offset: int, metadata: str = ""
    ) -> None:
        """Remember a position."""
        ...

    def committed(self, group: str, topic: str, partition: int) -> Committed | None:
        """Return the last position, or None."""
        ...


class PaneReader:
    """Puts the names of their variables beside panes.

    Parameters
    ----------
    variables : mapping of (tenant, model) to sequence of str
        ``ModelSchema.variables`` of each model.
    """

    def __init__(self, variables: Mapping[tuple[str, str], Sequence[str]]) -> None:
        self._variables = variables

    def named(self, pane: Pane) -> tuple[Pane, Sequence[str]]:
        """Put the names beside the pane; numbers where the model is gone from the config."""
        whose = (pane.series.tenant, pane.series.model)
        n_variables = pane.segments.counts.shape[1]
        names = self._variables.get(whose, ())
        if len(names) == n_variables:
            return pane, names
        return pane, [*(str(i) for i in range(n_variables - 1)), "score"]


class LogArchive:
    """Archives every topic of a log, range by range.

    Parameters
    ----------
    archive : Archive
        Where rows go.
    log : Log
    topic_id : callable
        Topic name -> its id. It must differ between two logs that are archived into one
        store: offsets repeat, and rows under a used token are dropped without a word.
    raw : RawTopics, optional
        Decoders for the topics producers write; those without one are not archived here.
    panes : PaneReader, optional
        Without it the panes topic is not archived here.
    max_messages : int
        Upper end of a range.
    reach : callable, optional
        Crash points.

    Attributes
    ----------
    n_missing : int
        Messages that were gone from the log when an interrupted range was read again.
    n_unreadable : int
        Messages of our own topics that nobody can read; each is a dead letter.
    """

    def __init__(
        self,
        archive: Archive,
        log: Log,
        *,
        topic_id: Callable[[str], str],
        raw: RawTopics | None = None,
        panes: PaneReader | None = None,
        max_messages: int = MAX_MESSAGES,
        reach: Reach = pass_through,
    ) -> None:
        self._archive = archive
        self._log = log
        self._topic_id = topic_id
        self._raw = raw or RawTopics()
        self._panes = panes
        self._max_messages = max_messages
        self._reach = reach
        self.n_missing = 0
        self.n_unreadable = 0

    def topics(self) -> tuple[str, ...]:
        """Return the topics archived here."""
        panes = (PANES,) if self._panes is not None else ()
        return (*self._raw.topics(), *panes, *STRUCT_TOPICS)

    def drain(self) -> int:
        """Archive everything there is; return the number of messages."""
        n_messages = 0
        for topic in self.topics():
            for partition in self._log.partitions(topic):
                while n := self.step(topic, partition):
                    n_messages += n
        return n_messages

    def step(self, topic: str, partition: int) -> int:
        """Archive one range; return how many messages it held, 0 at the end of the log.

        Raises
        ------
        StorageError
            The range is then pending: the next step repeats it.
        """
        lo, pending = self._position(topic, partition)
        if pending is None:
            messages = self._log.fetch(topic, partition, lo, self._max_messages)
            if not messages:
                return 0
            hi = messages[-1].offset + 1
            self._log.commit(GROUP, topic, partition, lo, str(hi))
            self._reach("archive:intent")
        else:
            hi = pending
            messages = self._fetch_range(topic, partition, lo, hi)
        self._write(topic, partition, messages, lo, hi)
        self._reach("archive:rows")
        self._log.commit(GROUP, topic, partition, hi, "")
        self._reach("archive:commit")
        return max(len(messages), 1)

    def _position(self, topic: str, partition: int) -> tuple[int, int | None]:
        """Return where to start, and the end of a range that was begun."""
        last = self._log.committed(GROUP, topic, partition)
        if last is None:
            return 0, None
        return last.offset, int(last.metadata) if last.metadata else None

    def _fetch_range(self, topic: str, partition: int, lo: int, hi: int) -> list[Message]:
        """Read exactly [lo, hi); a log may hand on fewer messages than asked for."""
        messages: list[Message] = []
        position = lo
        while position < hi:
            more = self._log.fetch(topic, partition, position, hi - position)
            messages.extend(message for message in more if message.offset < hi)
            if not more:
                break
            position = more[-1].offset + 1
        if topic != PANES:  # compacted: gaps are its nature
            self.n_missing += hi - lo - len(messages)
        return messages

    def _write(
        self, topic: str, partition: int, messages: Sequence[Message], lo: int, hi: int
    ) -> None:
        """Write a range under its token."""
        place = Place(self._topic_id(topic), partition)
        token = range_token(place.source, partition, lo, hi)
        if topic in RAW_TOPICS:
            self._raw.write(self._archive, topic, messages, place, token)
        elif topic == PANES and self._panes is not None:
            self._write_panes(self._panes, place, messages, lo, token)
        else:
            target = STRUCT_TOPICS[topic]
            rows, refused = struct_rows(target, messages, place)
            self._write_refused(refused, token)
            self._archive.write(target.table, rows, token)

    def _write_refused(self, refused: Sequence[DeadLetter], token: str) -> None:
        """Keep what nobody can read."""
        self.n_unreadable += len(refused)
        # The dead-letter topic's own rows and its unreadable ones share a table.
        self._archive.write_dead_letters(refused, f"{token}:refused")
        if refused:
            self._reach("archive:refused")

    def _write_panes(
        self,
        reader: PaneReader,
        place: Place,
        messages: Sequence[Message],
        lo: int,
        token: str,
    ) -> None:
        """Write the panes that a range completes."""
        before: Sequence[Message] = ()
        if not begins_inside(messages):
            start = max(0, lo - LOOKBACK_MESSAGES)
            before = self._log.fetch(PANES, place.partition, start, lo - start)
        panes, refused = assemble(before, messages)
        self._write_refused([refuse(r.message, place, r.detail) for r in refused], token)
        self._archive.write_panes([reader.named(pane) for pane in panes], token)
