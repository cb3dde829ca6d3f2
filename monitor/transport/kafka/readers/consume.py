"""Reads messages with confluent's ``consume()``: portable, with headers, slower."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from confluent_kafka import KafkaError, TopicPartition

from monitor.clock import elapsed_s
from monitor.transport.kafka.group_reader import UNREADABLE, GroupReader
from monitor.transport.kafka.readers.records import Records, Row, join_records, row_of
from monitor.transport.kafka.settings import Callbacks, ReaderSettings
from schemas.batch import Chunk

Unwrap = Callable[[Mapping[str, bytes | str], bytes], bytes]
"""Converts headers and body to one payload, for binary CloudEvents."""

Headers = Mapping[str, str | bytes | None] | Sequence[tuple[str, str | bytes | None]] | None

_BATCH = 5_000
_N_AHEAD = 4 * _BATCH
"""Messages of one partition that are buffered while another is read; then it is paused."""


@dataclass(frozen=True, slots=True)
class _Event:
    """An error event, queued after the messages that preceded it."""

    error: KafkaError
    offset: int


class ConsumeReader(GroupReader):
    """Reads through ``consume()``; see :class:`GroupReader` for the contract.

    Parameters
    ----------
    unwrap : callable, optional
        Called with headers and body of every message with headers that is not a tombstone:
        ``monitor.decode.cloudevents.structured``.

    Notes
    -----
    ``consume()`` mixes partitions: messages of other partitions are buffered in Python up to a
    bound, and a partition that is not read is paused until its buffer has been read.
    """

    kind: ClassVar[str] = "consume"

    def __init__(
        self,
        settings: ReaderSettings,
        callbacks: Callbacks | None = None,
        unwrap: Unwrap | None = None,
    ) -> None:
        self._unwrap = unwrap
        self._lines: dict[int, deque[Row | _Event]] = {}
        self._line_ends: dict[int, int] = {}
        self._held: set[int] = set()
        self._paused: set[int] = set()
        super().__init__(settings, callbacks)
        self._subscribe()

    def _attach(self, partition: int) -> None:
        self._lines.setdefault(partition, deque())

    def _detach(self, partition: int) -> None:
        self._lines.pop(partition, None)
        self._line_ends.pop(partition, None)
        self._held.discard(partition)
        self._paused.discard(partition)

    def _forget(self, partition: int) -> None:
        self._lines[partition].clear()
        self._line_ends.pop(partition, None)

    def pause(self, partition: int) -> None:
        """Stop fetching a partition, and free its buffered messages."""
        super().pause(partition)
        self._paused.add(partition)
        self._held.discard(partition)

    def resume(self, partition: int) -> None:
        """Resume fetching a partition at its position."""
        super().resume(partition)
        self._paused.discard(partition)

    def _serve(self, timeout_s: float) -> None:
        has_waiting = any(self._lines.values())
        self._take_in(1, 0.0 if has_waiting else timeout_s)
        self._take_in(_BATCH, 0.0)

    def _take_in(self, n: int, timeout_s: float) -> None:
        """Sort up to ``n`` messages into the buffers of their partitions; waits for all of them."""
        sent_back: set[int] = set()
        for message in self._consumer.consume(n, timeout_s):
            partition, error = message.partition(), message.error()
            partition = -1 if partition is None else partition
            line = self._lines.get(partition)
            if partition in sent_back and (error is None or _is_outdated(error)):
                continue
            if error is None:
                if line is None or partition in self._paused:
                    continue
                if not self._line_up(partition, line, row_of(message), message.headers()):
                    sent_back.add(partition)
            elif line:
                line.append(_Event(error, message.offset() or 0))
            elif self._on_event(partition, error, message.offset() or 0):
                sent_back.add(partition)

    def _line_up(
        self, partition: int, line: deque[Row | _Event], row: Row, headers: Headers
    ) -> bool:
        """Append a message to its partition's buffer, unless it is a duplicate.

        False if earlier messages are missing; this one is delivered again after them.
        """
        offset, time_us, key, value = row
        expected = max(self._positions[partition], self._line_ends.get(partition, 0))
        if self._has_skipped(partition, expected, offset):
            return False
        if offset < expected:
            return True
        if headers and value is not None and self._unwrap is not None:
            row = (offset, time_us, key, self._unwrap(_without_nulls(headers), value))
        self._at_end.discard(partition)
        line.append(row)
        self._line_ends[partition] = offset + 1
        if len(line) >= _N_AHEAD and partition not in self._held:
            self._held.add(partition)
            self._consumer.pause([TopicPartition(self._settings.topic, partition)])
        return True

    def _rows(self, partition: int, max_messages: int, timeout_s: float) -> list[Row]:
        """Take messages from a buffer, after filling it if it is empty."""
        deadline = elapsed_s() + timeout_s
        while not self._lines.get(partition) and partition in self._lines:
            if partition in self._held:
                self._held.discard(partition)
                super().resume(partition)
            left_s = deadline - elapsed_s()
            self._take_in(max_messages, 0.0)
            if self._lines.get(partition) or left_s <= 0:
                break
            self._take_in(1, left_s)
            self._take_in(max_messages, 0.0)
        return self._off_the_line(partition, max_messages)

    def _off_the_line(self, partition: int, max_messages: int) -> list[Row]:
        """Take messages up to the next event; an event at the front is handled."""
        rows: list[Row] = []
        while (line := self._lines.get(partition)) and len(rows) < max_messages:
            first = line[0]
            if isinstance(first, _Event) and rows:
                break
            line.popleft()
            if isinstance(first, _Event):
                self._on_event(partition, first.error, first.offset)
            else:
                rows.append(first)
        return rows

    def _take_chunk(self, partition: int, max_messages: int, timeout_s: float) -> Chunk:
        return self._take_records(partition, max_messages, timeout_s).chunk

    def _take_records(self, partition: int, max_messages: int, timeout_s: float) -> Records:
        rows = self._rows(partition, max_messages, timeout_s)
        records = join_records(rows, self.source, partition)
        self._advance(records.chunk)
        return records

    def _empty(self, partition: int) -> Records:
        return join_records([], self.source, partition)


def _is_outdated(error: KafkaError) -> bool:
    """Whether an event concerns an offset from which the client has moved away."""
    return bool(error.code() == KafkaError._PARTITION_EOF or error.code() in UNREADABLE)


def _without_nulls(headers: Headers) -> dict[str, bytes | str]:
    """Return headers as a mapping, without headers that have no value."""
    pairs = headers.items() if isinstance(headers, Mapping) else headers or ()
    return {name: value for name, value in pairs if value is not None}
