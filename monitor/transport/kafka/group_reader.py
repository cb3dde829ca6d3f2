"""Base class of consumer group members: everything except the extraction of messages.

Two subclasses extract the messages: :class:`~monitor.transport.kafka.readers.bulk.BulkReader` and
:class:`~monitor.transport.kafka.readers.consume.ConsumeReader`. This module has what they share:
joining, rebalancing, commits with metadata, positions, the end of the log, errors. It is long
because it is one contract.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import ClassVar, Self, TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from monitor.transport.kafka.client_log import CLIENT_LOG, LOG
from monitor.transport.kafka.readers.orphaned_partitions import OrphanWatch
from monitor.transport.kafka.readers.records import Records
from monitor.transport.kafka.retry import retry_transient
from monitor.transport.kafka.settings import (
    Callbacks,
    LogGap,
    ReaderSettings,
    ReadFault,
    Unreadable,
)
from monitor.transport.kafka.topic_identity import TopicWatch
from monitor.transport.types import MAX_METADATA_BYTES, Committed
from schemas.batch import Chunk
from schemas.errors import TransportError

T = TypeVar("T")

_FATAL = {
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.FENCED_INSTANCE_ID,
    KafkaError._FATAL,
}
_REMADE = {
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError._UNKNOWN_PARTITION,
    KafkaError._UNKNOWN_TOPIC,
    KafkaError.UNKNOWN_TOPIC_ID,
}
UNREADABLE = {KafkaError._BAD_COMPRESSION, KafkaError._BAD_MSG, KafkaError.INVALID_MSG}
"""Errors at which the client stops permanently.

A record batch that is damaged, or larger than ``receive.message.max.bytes`` (100 MB) after
decompression, as 13 KB of zstd can be.
"""
_NOT_NOW = {
    KafkaError.REBALANCE_IN_PROGRESS,
    KafkaError.ILLEGAL_GENERATION,
    KafkaError.UNKNOWN_MEMBER_ID,
    KafkaError.NOT_COORDINATOR,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.REQUEST_TIMED_OUT,
    KafkaError._WAIT_COORD,
    KafkaError._TRANSPORT,
    KafkaError._TIMED_OUT,
    KafkaError._TIMED_OUT_QUEUE,
    KafkaError._NO_OFFSET,
    KafkaError._ASSIGNMENT_LOST,
}
"""Errors of commits that are expected in operation.

A rebalance is in progress (the generation is briefly outdated), the member was removed from the
group (``on_lost`` follows), or the broker is unavailable.
"""


class GroupReader(ABC):
    """Reads one topic as a group member; single-threaded, without an object per message.

    Parameters
    ----------
    callbacks : Callbacks, optional
        Run inside :meth:`poll`, :meth:`read` and :meth:`close`. After an exception in one
        of them the reader can only be closed.

    Raises
    ------
    TransportError
        If there is no such topic, or the broker does not answer in time.

    Attributes
    ----------
    kind : str
        ``bulk`` or ``consume``.
    source : str
        Topic ID; it changes when the topic is recreated.
    n_partitions : int
        Number of partitions of the topic at the last assignment.
    counters : Counter of str
        Messages, bytes, and faults by name.

    Notes
    -----
    Messages are returned in log order, each once, from the offset that ``on_assign`` returned. Not
    reading a partition applies back-pressure: the client stops fetching when ``queue_bytes`` are
    buffered; :meth:`pause` also frees the buffer.
    """

    kind: ClassVar[str]

    def __init__(self, settings: ReaderSettings, callbacks: Callbacks | None = None) -> None:
        self._settings, self._callbacks = settings, callbacks or Callbacks()
        self._watch = TopicWatch(settings.client, settings.topic, settings.timeout_s)
        identity = self._watch.look()
        self.source, self.n_partitions = identity.topic_id, identity.n_partitions
        self.counters: Counter[str] = Counter()
        self._positions: dict[int, int] = {}
        self._at_end: set[int] = set()
        self._unproven: set[int] = set()
        self._ahead: dict[int, tuple[int, int]] = {}
        """By partition: position and damaged offset at which the client was made to seek back."""
        self._failure: BaseException | None = None
        config = {**settings.consumer_config(), "error_cb": self._on_client_error}
        self._consumer = Consumer(config, logger=CLIENT_LOG)
        self._is_closed = False
        self._orphan_watch: OrphanWatch | None = None

    def _subscribe(self) -> None:
        """Join the group at the next poll; static members also check for orphaned partitions."""
        if self._settings.member is not None:
            admin = self._watch.admin()
            self._orphan_watch = OrphanWatch(admin, self._settings, lambda: self.n_partitions)
        self._consumer.subscribe(
            [self._settings.topic],
            on_assign=self._on_assign,
            on_revoke=self._on_revoke,
            on_lost=self._on_lost,
        )

    # Implemented by the subclasses.

    @abstractmethod
    def _serve(self, timeout_s: float) -> None:
        """Run callbacks; return early when messages may be available."""

    @abstractmethod
    def _take_chunk(self, partition: int, max_messages: int, timeout_s: float) -> Chunk:
        """Take messages of an owned partition."""

    @abstractmethod
    def _take_records(self, partition: int, max_messages: int, timeout_s: float) -> Records:
        """Take messages of an owned partition, with keys."""

    @abstractmethod
    def _empty(self, partition: int) -> Records:
        """Return an empty result."""

    def _attach(self, partition: int) -> None:  # noqa: B027
        """Prepare a partition; called before and after it is assigned."""

    def _detach(self, partition: int) -> None:  # noqa: B027
        """Release a partition that is no longer assigned."""

    def _forget(self, partition: int) -> None:  # noqa: B027
        """Drop buffered messages, because the position moved."""

    # Reading.

    @property
    def partitions(self) -> tuple[int, ...]:
        """Partitions owned now."""
        return tuple(sorted(self._positions))

    def poll(self, timeout_s: float = 0.0) -> None:
        """Serve the group, and wait until messages may be available.

        Parameters
        ----------
        timeout_s : float
            Bound of the wait.

        Raises
        ------
        TransportError
            If reading cannot continue: no authorization, fenced by another process with the same
            static member ID, or the topic was recreated.
        """
        self._check_open()
        self._guarded(lambda: self._serve(timeout_s))

    def read(self, partition: int, max_messages: int, timeout_s: float = 0.0) -> Chunk:
        """Take messages of one partition.

        Parameters
        ----------
        timeout_s : float
            Time-out of the first message; all messages available by then are returned.

        Returns
        -------
        Chunk
            Empty if there are no messages or the partition is not owned. A tombstone is an empty
            payload.

        Raises
        ------
        TransportError
            As :meth:`poll`.
        """
        self._check_open()
        if partition not in self._positions:
            return self._empty(partition).chunk
        return self._guarded(lambda: self._take_chunk(partition, max_messages, timeout_s))

    def read_records(self, partition: int, max_messages: int, timeout_s: float = 0.0) -> Records:
        """Take messages of one partition with their keys; otherwise as :meth:`read`."""
        self._check_open()
        if partition not in self._positions:
            return self._empty(partition)
        return self._guarded(lambda: self._take_records(partition, max_messages, timeout_s))

    def _advance(self, chunk: Chunk) -> None:
        """Advance the position past the returned messages, before later events are handled."""
        if len(chunk) and chunk.partition in self._positions:
            self._positions[chunk.partition] = int(chunk.log_offset[-1]) + 1
            self.counters["messages"] += len(chunk)
            self.counters["bytes"] += int(chunk.offsets[-1])

    # Position.

    def position(self, partition: int) -> int:
        """Return the next offset to read."""
        return self._positions[self._owned(partition)]

    def is_at_end(self, partition: int) -> bool:
        """Whether the end of the log was reached and no message has arrived since."""
        return partition in self._at_end

    def watermarks(self, partition: int) -> tuple[int, int]:
        """Request the log's first offset and its end offset from the broker.

        Raises
        ------
        TransportError
            If the broker does not answer in time.
        """
        place = TopicPartition(self._settings.topic, partition)
        try:
            low, high = retry_transient(
                lambda: self._consumer.get_watermark_offsets(
                    place, timeout=self._settings.timeout_s
                )
            )
        except KafkaException as error:
            raise self._refused("the log's ends are unknown", partition, error) from None
        return low, high

    def high_watermark(self, partition: int) -> int:
        """Return the end offset reported by the last fetch; requested if there was none."""
        place = TopicPartition(self._settings.topic, self._owned(partition))
        _, high = self._consumer.get_watermark_offsets(place, cached=True)
        return high if high >= 0 else self.watermarks(partition)[1]

    def lag(self, partition: int) -> int:
        """Return the number of offsets between the position and the end of the log."""
        return max(0, self.high_watermark(partition) - self.position(partition))

    def seek(self, partition: int, offset: int) -> None:
        """Continue at another offset; buffered messages are dropped.

        Raises
        ------
        TransportError
            If the partition is not owned, or the client rejects the offset.
        """
        place = TopicPartition(self._settings.topic, self._owned(partition), offset)
        try:
            self._move(place)
        except KafkaException as error:
            raise self._refused(f"cannot seek to {offset}", partition, error) from None
        self._positions[partition] = offset
        self._at_end.discard(partition)
        self._unproven.add(partition)
        self._forget(partition)

    def _has_skipped(self, partition: int, expected: int, offset: int) -> bool:
        """Whether the client skipped messages; the first time it is made to seek back.

        At a rebalance the client pauses and resumes on its own, and was observed to deliver later
        messages before those it had fetched and dropped. Compaction and transactions leave gaps
        too: a gap that remains after seeking back belongs to the log.
        """
        if partition not in self._unproven or offset < expected:
            return False  # messages below the position were already returned and prove nothing
        self._unproven.discard(partition)
        if offset == expected:
            return False
        self.counters["skips"] += 1
        LOG.warning(
            "%s:%d: the client continued at %d, not at %d; reading again from there",
            *(self._settings.topic, partition, offset, expected),
        )
        self._move(TopicPartition(self._settings.topic, partition, expected))
        return True

    def _move(self, place: TopicPartition) -> None:
        """Fetch from another offset; a partition that stopped at an error is assigned again."""
        try:
            self._consumer.seek(place)
        except KafkaException as error:
            if error.args[0].code() != KafkaError._STATE:
                raise
            self._consumer.incremental_unassign([place])
            self._consumer.incremental_assign([place])
            self._attach(place.partition)

    def pause(self, partition: int) -> None:
        """Stop fetching a partition, and free its buffered messages."""
        self._consumer.pause([TopicPartition(self._settings.topic, self._owned(partition))])
        self._forget(partition)

    def resume(self, partition: int) -> None:
        """Resume fetching a partition at its position."""
        self._consumer.resume([TopicPartition(self._settings.topic, self._owned(partition))])
        self.seek(partition, self.position(partition))

    def check_source(self) -> None:
        """Check that the topic was not recreated; takes a few milliseconds.

        Raises
        ------
        TransportError
            If it was recreated while partitions of it are owned.
        """
        identity = self._watch.look()
        if identity.topic_id != self.source and self._positions:
            raise TransportError(
                f"the topic was recreated: its id was {self.source}, now {identity.topic_id}",
                where=self._settings.topic,
                fix="restart; a recreated topic is read from its own offsets",
            )
        self.source, self.n_partitions = identity.topic_id, identity.n_partitions

    # Commits.

    def commit(self, partition: int, offset: int, metadata: str = "") -> bool:
        """Commit the offset at which the group restarts; waits for the response.

        Parameters
        ----------
        metadata : str
            Returned with the offset on assignment; under 1 KiB.

        Returns
        -------
        bool
            Whether the commit was accepted. False while the group is rebalancing or its coordinator
            is unavailable, in which case a later commit can succeed; or if the partition is lost,
            and ``on_lost`` follows.

        Raises
        ------
        TransportError
            If it can never be accepted: metadata too long, no authorization, fenced.
        """
        return self.commit_all({partition: Committed(offset, metadata)})

    def commit_all(self, commits: Mapping[int, Committed]) -> bool:
        """Commit several partitions in one request; True if all were accepted."""
        for partition, commit in commits.items():
            self._check_metadata(partition, commit.metadata)
        topic = self._settings.topic
        places = [TopicPartition(topic, p, c.offset, c.metadata) for p, c in commits.items()]
        try:
            done = self._consumer.commit(offsets=places, asynchronous=False)
        except KafkaException as error:
            return self._took(error.args[0])
        answers = [self._took(place.error) for place in done or ()]
        return all(answers)

    def _check_metadata(self, partition: int, metadata: str) -> None:
        """Raise if the metadata exceeds the broker's limit."""
        n_bytes = len(metadata.encode())
        if n_bytes >= MAX_METADATA_BYTES:
            raise TransportError(
                f"commit metadata of {n_bytes} bytes",
                where=f"{self._settings.group} on {self._settings.topic}:{partition}",
                fix=f"keep it under {MAX_METADATA_BYTES}",
            )

    def _took(self, error: KafkaError | None) -> bool:
        """Whether a commit was accepted; raises if it can never be."""
        if error is None:
            return True
        self.counters[f"commit_{error.name()}"] += 1
        if error.code() in _NOT_NOW and not error.fatal():
            return False
        raise TransportError(
            f"the group refused a commit: {error.str()}",
            where=f"{self._settings.group} on {self._settings.topic}",
            fix="is another process running under the same static member id?",
        )

    # Rebalances.

    def _on_assign(self, _: Consumer, places: list[TopicPartition]) -> None:
        """Start reading assigned partitions, each from the offset that ``on_assign`` returns."""
        if self._is_closed:  # in progress during close: the client revokes the partitions itself
            return
        numbers = sorted(place.partition for place in places)
        self.counters["assignments"] += 1
        self._prepare_assignment()
        starts = self._starts(numbers) if numbers else {}
        for partition in numbers:
            self._attach(partition)
        topic = self._settings.topic
        places = [TopicPartition(topic, p, offset) for p, offset in starts.items()]
        self._consumer.incremental_assign(places)
        # A pause survives reassignment: a paused partition would never be fetched again.
        self._consumer.resume(places)
        for partition in numbers:
            self._attach(partition)
        self._positions.update(starts)
        self._unproven.update(self._positions)

    def _prepare_assignment(self) -> None:
        """Read the topic's metadata again: partitions may have been added."""
        self.check_source()

    def _starts(self, numbers: list[int]) -> dict[int, int]:
        """Return the start offset of each partition."""
        places = [TopicPartition(self._settings.topic, p) for p in numbers]
        try:
            answers = retry_transient(lambda: self._committed(places))
        except KafkaException as error:
            raise self._refused("the group's commits are unknown", -1, error) from None
        return {answer.partition: self._start(answer) for answer in answers}

    def _committed(self, places: list[TopicPartition]) -> list[TopicPartition]:
        """Request the group's commits; raise if one of them has no answer."""
        answers = self._consumer.committed(places, timeout=self._settings.timeout_s)
        for answer in answers:
            if answer.error is not None:
                raise KafkaException(answer.error)
        return answers

    def _start(self, answer: TopicPartition) -> int:
        """Return the start offset of a partition: requested, committed, or an end of the log."""
        low, high = self.watermarks(answer.partition)
        committed = Committed(answer.offset, answer.metadata or "") if answer.offset >= 0 else None
        wanted = self._callbacks.on_assign(answer.partition, committed)
        if wanted is None and committed is not None:
            wanted = committed.offset
        if wanted is None:
            return high if self._settings.is_from_end else low
        return self._within(answer.partition, wanted, low, high)

    def _within(self, partition: int, wanted: int, low: int, high: int) -> int:
        """Return ``wanted`` if the log has it; else report the gap and return the first offset."""
        if low <= wanted <= high:
            return wanted
        self.counters["gaps"] += 1
        LOG.warning(
            "%s:%d: offset %d is not in the log, which begins at %d and ends at %d",
            *(self._settings.topic, partition, wanted, low, high),
        )
        self._callbacks.on_gap(LogGap(partition, wanted, low))
        return low

    def _on_revoke(self, _: Consumer, places: list[TopicPartition]) -> None:
        """Handle revoked partitions."""
        self._give_up((p.partition for p in places), self._callbacks.on_revoke)

    def _on_lost(self, _: Consumer, places: list[TopicPartition]) -> None:
        """Handle partitions lost by a session time-out."""
        self.counters["lost"] += 1
        self._give_up((p.partition for p in places), self._callbacks.on_lost)

    def _give_up(self, numbers: Iterable[int], tell: Callable[[int], None]) -> None:
        """Run the callback, unassign and release; an error of the callback prevents neither."""
        owned = [p for p in numbers if p in self._positions]
        try:
            for partition in owned:
                tell(partition)
        finally:
            places = [TopicPartition(self._settings.topic, p) for p in owned]
            try:
                if places:
                    self._consumer.incremental_unassign(places)
            except KafkaException as error:
                self.counters[f"unassign_{error.args[0].name()}"] += 1
            finally:
                for partition in owned:
                    self._positions.pop(partition, None)
                    self._at_end.discard(partition)
                    self._unproven.discard(partition)
                    self._ahead.pop(partition, None)
                    self._detach(partition)
                self._unproven.update(self._positions)

    # Errors.

    def _on_client_error(self, error: KafkaError) -> None:
        """Report errors without a partition: brokers unavailable, authentication failed."""
        self._report(-1, error)

    def _report(self, partition: int, error: KafkaError) -> None:
        """Count a fault from which the client recovers."""
        self.counters[f"fault_{error.name()}"] += 1
        self._callbacks.on_fault(ReadFault(partition, error.name(), error.str()))

    def _on_event(self, partition: int, error: KafkaError, offset: int) -> bool:
        """Handle an error event; return whether the client was made to seek back."""
        code = error.code()
        if code == KafkaError._PARTITION_EOF:
            return self._on_end(partition, offset)
        if error.fatal() or code in _FATAL:
            raise self._refused("reading cannot go on", partition, KafkaException(error))
        if code in UNREADABLE and partition in self._positions:
            return self._pass_over(partition, error, offset)
        if code == KafkaError._AUTO_OFFSET_RESET:
            self._on_missing(partition)
        else:
            self._report(partition, error)
            if code in _REMADE and self._positions:
                self._look_for_topic()
        return False

    def _pass_over(self, partition: int, error: KafkaError, base: int) -> bool:
        """Skip a message that cannot be decompressed, at which the client would stay forever.

        Skips one offset at a time, because only the start of its record batch is known. If that is
        ahead of the position, good messages before it may have been dropped (at a rebalance, or
        while paused); they are read first. A remaining difference is a gap in the log.
        """
        position = self._positions[partition]
        offset = max(position, base)
        if offset > position and self._ahead.get(partition) != (position, offset):
            self._ahead[partition] = (position, offset)
            self.seek(partition, position)
            return True
        self.counters["unreadable"] += 1
        LOG.warning(
            "%s:%d: the message at %d cannot be decompressed and is skipped: %s",
            *(self._settings.topic, partition, offset, error.str()),
        )
        self.seek(partition, offset + 1)
        self._callbacks.on_unreadable(Unreadable(partition, offset, error.str()))
        return True

    def _look_for_topic(self) -> None:
        """Check whether a deleted topic was recreated."""
        try:
            self.check_source()
        except TransportError as error:
            if "recreated" in error.what:
                raise
            self.counters["topic_gone"] += 1

    def _on_end(self, partition: int, offset: int) -> bool:
        """Record the end of the log if it is at the position; else handle it like a message."""
        position = self._positions.get(partition, offset + 1)
        if offset < position:
            return False
        if self._has_skipped(partition, position, offset):
            # Messages up to the position were returned; those queued after this one are fetched
            # again.
            self._forget(partition)
            return True
        self._positions[partition] = offset
        self._at_end.add(partition)
        return False

    def _on_missing(self, partition: int) -> None:
        """Continue at the log's first offset, because the wanted one was deleted."""
        if partition in self._positions:
            self.check_source()
            low, high = self.watermarks(partition)
            self.seek(partition, self._within(partition, self._positions[partition], low, high))

    def _refused(self, what: str, partition: int, error: KafkaException) -> TransportError:
        """Convert an error of the client."""
        place = f"{self._settings.topic}:{partition}" if partition >= 0 else self._settings.topic
        return TransportError(
            f"{what}: {error.args[0].str()}",
            where=f"{self._settings.group} on {place}",
            fix="check the broker's address and this client's rights; `driftline topics check`",
        )

    def _owned(self, partition: int) -> int:
        """Return the partition if it is owned."""
        if partition not in self._positions:
            raise TransportError(
                f"partition {partition} is not owned, of {list(self.partitions)}",
                where=f"{self._settings.group} on {self._settings.topic}",
                fix="call it only between on_assign and on_revoke",
            )
        return partition

    def _check_open(self) -> None:
        """Raise if the reader is closed or has failed."""
        if self._is_closed or self._failure is not None:
            state = "is closed" if self._is_closed else f"failed: {self._failure}"
            raise TransportError(
                f"the reader {state}", where=self._settings.topic, fix="open another one"
            )

    def _guarded(self, act: Callable[[], T]) -> T:
        """Run code that may call back; after an exception the reader can only be closed."""
        try:
            return act()
        except KafkaException as error:
            self._failure = error
            raise self._refused("reading failed", -1, error) from None
        except BaseException as error:
            self._failure = error
            raise

    # Closing.

    def close(self) -> None:
        """Revoke partitions through ``on_revoke``, leave the group, free all resources.

        A static member does not leave: its partitions stay assigned to it until the session times
        out. Closing twice has no effect. After a failure no callback runs.
        """
        if self._is_closed:
            return
        tell = self._callbacks.on_revoke if self._failure is None else lambda partition: None
        try:
            self._give_up(self.partitions, tell)
        finally:
            self._is_closed = True
            if self._orphan_watch is not None:
                self._orphan_watch.close()
            self._release()
            self._watch.close()
            self._consumer.close()

    def __del__(self) -> None:
        """Close a reader that was not closed: a client that is only collected may never end."""
        if not getattr(self, "_is_closed", True):
            self._failure = self._failure or ReferenceError("it was left unclosed")
            with suppress(Exception):
                self.close()

    def _release(self) -> None:  # noqa: B027
        """Free what must be freed before the client."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
