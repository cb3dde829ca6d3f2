"""From the log into the store, exactly once, without a transaction.

The intent is in the commit. Commit ``(lo, metadata = hi)``; insert [lo, hi) under
the token ``topic_id:partition:lo:hi``; commit ``(hi, "")``. After a crash in between,
the pending hi says which range to read again, and the same token makes the second
insert add nothing. Ranges may be cut anywhere: the cut is written down before it is
used.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from monitor.archive.blocks import Place
from monitor.archive.messages import STRUCT_TOPICS
from monitor.archive.pane_fold import PaneReader, fold_at
from monitor.archive.position import ArchivePosition, position_of
from monitor.archive.raw import RawTopics
from monitor.archive.stage import RangeRows
from monitor.archive.writes import Archive, range_token
from monitor.core.failpoints import Hit, pass_through
from monitor.core.topics import PANES
from monitor.core.unreadable import letter_write
from monitor.transport.types import Message, ReadableLog

__all__ = ["GROUP", "LogArchive", "PaneReader"]

GROUP = "driftline-archive"
MAX_MESSAGES = 5_000
"""Of one range: one insert of one partition."""


class LogArchive:
    """Archives every topic of a log, range by range.

    Parameters
    ----------
    archive : Archive
        Where rows go.
    topic_id : callable
        Topic name -> its id. It must differ between two logs that are archived into one
        store: offsets repeat, and rows under a used token are dropped without a word.
    raw : RawTopics, optional
        Decoders for the topics producers write; those without one are not archived here.
    panes : PaneReader, optional
        Without it the panes topic is not archived here.
    max_messages : int
        Upper end of a range.
    hit : callable, optional
        Called with the name of each failpoint.

    Attributes
    ----------
    n_missing : int
        Messages that were gone from the log when an interrupted range was read again.
    n_unreadable : int
        Unreadable messages of internal topics; each is a dead letter.
    """

    def __init__(
        self,
        archive: Archive,
        log: ReadableLog,
        *,
        topic_id: Callable[[str], str],
        raw: RawTopics | None = None,
        panes: PaneReader | None = None,
        max_messages: int = MAX_MESSAGES,
        hit: Hit = pass_through,
    ) -> None:
        self._archive = archive
        self._log = log
        self._topic_id = topic_id
        self._raw = raw or RawTopics()
        self._panes = panes
        self._max_messages = max_messages
        self._hit = hit
        self._rows: dict[tuple[str, int], tuple[int, RangeRows]] = {}
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
        topic_id = self._topic_id(topic)
        archived = position_of(self._log.committed(GROUP, topic, partition), topic_id)
        if topic == PANES and self._panes is not None:
            archived = self._panes.taken_over(archived)
        lo, hi = archived.lo, archived.hi
        if hi is None:
            messages = self._log.fetch(topic, partition, lo, self._max_messages)
            if not messages:
                return 0
            hi = messages[-1].offset + 1
            begun = replace(archived, hi=hi)
            self._log.commit(GROUP, topic, partition, lo, begun.metadata(topic_id))
            self._hit("archive:intent")
        else:
            messages = self._fetch_range(topic, partition, lo, hi)
        rows = self._write(topic, Place(topic_id, partition), messages, archived, hi)
        self._hit("archive:rows")
        done = ArchivePosition(hi, back=rows.back, slots=rows.slots)
        self._log.commit(GROUP, topic, partition, hi, done.metadata(topic_id))
        self._hit("archive:commit")
        return max(len(messages), 1)

    def _fetch_range(self, topic: str, partition: int, lo: int, hi: int) -> list[Message]:
        """Read exactly the range that was begun."""
        messages = self._fetch_all(topic, partition, lo, hi)
        if topic != PANES:  # compacted: gaps are its nature
            self.n_missing += hi - lo - len(messages)
        return messages

    def _fetch_all(self, topic: str, partition: int, lo: int, hi: int) -> list[Message]:
        """Read [lo, hi); a log may hand on fewer messages than asked for."""
        messages: list[Message] = []
        position = lo
        while position < hi:
            more = self._log.fetch(topic, partition, position, hi - position)
            messages.extend(message for message in more if message.offset < hi)
            if not more:
                break
            position = more[-1].offset + 1
        return messages

    def _write(
        self,
        topic: str,
        place: Place,
        messages: Sequence[Message],
        archived: ArchivePosition,
        hi: int,
    ) -> RangeRows:
        """Write a range under its token; return what waits after it."""
        # Taken out: after a failure, what waited at ``lo`` must be read back again.
        known_lo, rows = self._rows.pop((topic, place.partition), (-1, None))
        if rows is None or known_lo != archived.lo:
            fold = None
            if topic == PANES and self._panes is not None:
                read = partial(self._fetch_all, topic, place.partition)
                fold = fold_at(archived, hi, place, self._panes, read)
            rows = RangeRows(topic, place, self._raw, self._panes, fold)
        token = range_token(place.source, place.partition, archived.lo, hi)
        blocks = rows.blocks([messages], hi, token, is_switch=archived.is_switch)
        for refusal in rows.refusals:
            self._log.append(letter_write(refusal.letter))
        for block in blocks:
            self._archive.write(block.table, block.placed.rows, block.token)
            if block.token != token:
                self.n_unreadable += len(block)
                self._hit("archive:refused")
        self._rows[topic, place.partition] = hi, rows
        return rows
