"""A member of a consumer group: everything about reading but how messages get out.

Two kinds take the messages out: :class:`~monitor.transport.kafka.readers.bulk.BulkReader` and
:class:`~monitor.transport.kafka.readers.consume.ConsumeReader`. What they share is here: joining,
rebalancing, commits with metadata, positions, the end of the log, errors. The file is
long because it is one contract.
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
"""What the client stops at for good: a record batch that is damaged, or that takes more than
``receive.message.max.bytes`` (100 MB) once it is decompressed: 13 KB of zstd can."""
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
}
"""Why a commit may be refused without anything being wrong: a rebalance is under way (the
generation is older for a moment), the member was given up on (``on_lost`` follows), or the
broker is away."""


class GroupReader(ABC):
    """Reads one topic as a member of a group; one thread, no object per message.

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
        The topic's id, which a recreated topic does not keep.
    n_partitions : int
        Partitions the topic had when it was last looked at (at each assignment).
    counters : Counter of str
        Messages, bytes, and every fault by its name.

    Notes
    -----
    Messages come in log order, each once, from the offset ``on_assign`` chose. Not
    reading a partition is back-pressure by itself: the client stops fetching when
    ``queue_bytes`` lie ready; :meth:`pause` also frees what was read ahead.
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
        """Position and damaged offset for which the client was sent back, by partition."""
        self._failure: BaseException | None = None
        config = {**settings.consumer_config(), "error_cb": self._on_client_error}
        self._consumer = Consumer(config, logger=CLIENT_LOG)
        self._is_closed = False
        self._orphan_watch: OrphanWatch | None = None

    def _subscribe(self) -> None:
        """Join the group at the next poll; a static member also looks after its group."""
        if self._settings.member is not None:
            admin = self._watch.admin()
            self._orphan_watch = OrphanWatch(admin, self._settings, lambda: self.n_partitions)
        self._consumer.subscribe(
            [self._settings.topic],
            on_assign=self._on_assign,
            on_revoke=self._on_revoke,
            on_lost=self._on_lost,
        )

    # What the two kinds do differently.

    @abstractmethod
    def _serve(self, timeout_s: float) -> None:
        """Run callbacks; return early when messages may be there."""

    @abstractmethod
    def _take_chunk(self, partition: int, max_messages: int, timeout_s: float) -> Chunk:
        """Take messages of an owned partition."""

    @abstractmethod
    def _take_records(self, partition: int, max_messages: int, timeout_s: float) -> Records:
        """Take messages of an owned partition, with keys."""

    @abstractmethod
    def _empty(self, partition: int) -> Records:
        """Return nothing, in the right shape."""

    def _attach(self, partition: int) -> None:  # noqa: B027
        """Get ready for a partition; called before and again after it is assigned."""

    def _detach(self, partition: int) -> None:  # noqa: B027
        """Release a partition that is no longer assigned."""

    def _forget(self, partition: int) -> None:  # noqa: B027
        """Drop what was read ahead: the position moved."""

    # Reading.

    @property
    def partitions(self) -> tuple[int, ...]:
        """Partitions owned now."""
        return tuple(sorted(self._positions))

    def poll(self, timeout_s: float = 0.0) -> None:
        """Serve the group, and wait until messages may be there.

        Parameters
        ----------
        timeout_s : float
            Bound of the wait.

        Raises
        ------
        TransportError
            If reading cannot go on: no authorization, fenced by another process with the
            same static member id, a recreated topic.
        """
        self._check_open()
        self._guarded(lambda: self._serve(timeout_s))

    def read(self, partition: int, max_messages: int, timeout_s: float = 0.0) -> Chunk:
        """Take messages of one partition.

        Parameters
        ----------
        timeout_s : float
            How long to wait for the first one; what is there by then is taken.

        Returns
        -------
        Chunk
            Empty when there is none, or the partition is not owned (any more). A
            tombstone is an empty payload.

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
        """Move the position past what is handed on; before events that came after it."""
        if len(chunk) and chunk.partition in self._positions:
            self._positions[chunk.partition] = int(chunk.log_offset[-1]) + 1
            self.counters["messages"] += len(chunk)
            self.counters["bytes"] += int(chunk.offsets[-1])

    # Position of the reading.

    def position(self, partition: int) -> int:
        """Return the offset that is read next."""
        return self._positions[self._owned(partition)]

    def is_at_end(self, partition: int) -> bool:
        """Whether the log's end was reached and nothing has come since."""
        return partition in self._at_end

    def watermarks(self, partition: int) -> tuple[int, int]:
        """Ask the broker for the first offset of the log and the one after its last.

        Raises
        ------
        TransportError
            If there is no answer in time.
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
        """Return the end of the log as the last fetch saw it; asks when there was none."""
        place = TopicPartition(self._settings.topic, self._owned(partition))
        _, high = self._consumer.get_watermark_offsets(place, cached=True)
        return high if high >= 0 else self.watermarks(partition)[1]

    def lag(self, partition: int) -> int:
        """Return how many offsets lie between the position and the end of the log."""
        return max(0, self.high_watermark(partition) - self.position(partition))

    def seek(self, partition: int, offset: int) -> None:
        """Read from another offset; what was read ahead is dropped.

        Raises
        ------
        TransportError
            If the partition is not owned, or the client refuses.
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
        """Whether the client went on too far along; then it is sent back, once.

        At a rebalance the client stops and goes on by itself, and was seen to deliver what
        follows before what it had read and dropped. Compaction and transactions leave holes
        too: a hole that is still there after going back is one of the log's own.
        """
        if partition not in self._unproven or offset < expected:
            return False  # what came before and is known already proves nothing
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
        """Fetch from elsewhere; a partition that stopped at an error is assigned again."""
        try:
            self._consumer.seek(place)
        except KafkaException as error:
            if error.args[0].code() != KafkaError._STATE:
                raise
            self._consumer.incremental_unassign([place])
            self._consumer.incremental_assign([place])
            self._attach(place.partition)

    def pause(self, partition: int) -> None:
        """Stop fetching a partition, and free what was read ahead of it."""
        self._consumer.pause([TopicPartition(self._settings.topic, self._owned(partition))])
        self._forget(partition)

    def resume(self, partition: int) -> None:
        """Fetch a partition again, from its position."""
        self._consumer.resume([TopicPartition(self._settings.topic, self._owned(partition))])
        self.seek(partition, self.position(partition))

    def check_source(self) -> None:
        """Ask whether the topic is still the one that is being read; a few milliseconds.

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
        """Remember where the group wants to start again; waits for the answer.

        Parameters
        ----------
        metadata : str
            Comes back with the offset; under 1 KiB.

        Returns
        -------
        bool
            Whether the group took it. False while the group is rebalancing or its
            coordinator is away: nothing is wrong, and the next commit says more; or the
            partition is lost, and ``on_lost`` follows.

        Raises
        ------
        TransportError
            If it can never be taken: the metadata is too long, no authorization, fenced.
        """
        return self.commit_all({partition: Committed(offset, metadata)})

    def commit_all(self, commits: Mapping[int, Committed]) -> bool:
        """Commit several partitions in one request; True if all were taken."""
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
        """Refuse what the broker would refuse."""
        n_bytes = len(metadata.encode())
        if n_bytes >= MAX_METADATA_BYTES:
            raise TransportError(
                f"commit metadata of {n_bytes} bytes",
                where=f"{self._settings.group} on {self._settings.topic}:{partition}",
                fix=f"keep it under {MAX_METADATA_BYTES}",
            )

    def _took(self, error: KafkaError | None) -> bool:
        """Whether a commit was taken; raises where it never will be."""
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
        """Take over partitions, each from where its owner-to-be says."""
        if self._is_closed:  # it was under way when we left: the client gives it back
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
        # A pause outlives an assignment: what was paused and lost would never be fetched again.
        self._consumer.resume(places)
        for partition in numbers:
            self._attach(partition)
        self._positions.update(starts)
        self._unproven.update(self._positions)

    def _prepare_assignment(self) -> None:
        """Read the topic's metadata again: partitions may have been added."""
        self.check_source()

    def _starts(self, numbers: list[int]) -> dict[int, int]:
        """Return the offset to start from, of each partition."""
        places = [TopicPartition(self._settings.topic, p) for p in numbers]
        try:
            answers = retry_transient(lambda: self._committed(places))
        except KafkaException as error:
            raise self._refused("the group's commits are unknown", -1, error) from None
        return {answer.partition: self._start(answer) for answer in answers}

    def _committed(self, places: list[TopicPartition]) -> list[TopicPartition]:
        """Ask for the group's commits; raise where there is no answer for one of them."""
        answers = self._consumer.committed(places, timeout=self._settings.timeout_s)
        for answer in answers:
            if answer.error is not None:
                raise KafkaException(answer.error)
        return answers

    def _start(self, answer: TopicPartition) -> int:
        """Return where one partition starts: as requested, as committed, or at the log's ends."""
        low, high = self.watermarks(answer.partition)
        committed = Committed(answer.offset, answer.metadata or "") if answer.offset >= 0 else None
        wanted = self._callbacks.on_assign(answer.partition, committed)
        if wanted is None and committed is not None:
            wanted = committed.offset
        if wanted is None:
            return high if self._settings.is_from_end else low
        return self._within(answer.partition, wanted, low, high)

    def _within(self, partition: int, wanted: int, low: int, high: int) -> int:
        """Return ``wanted``, or the log's first offset after saying what is missing."""
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
        """Give partitions back in good order."""
        self._give_up((p.partition for p in places), self._callbacks.on_revoke)

    def _on_lost(self, _: Consumer, places: list[TopicPartition]) -> None:
        """Partitions were lost after the session timed out."""
        self.counters["lost"] += 1
        self._give_up((p.partition for p in places), self._callbacks.on_lost)

    def _give_up(self, numbers: Iterable[int], tell: Callable[[int], None]) -> None:
        """Call the owner, unassign and release; an error of the owner prevents none of it."""
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
        """Report what concerns no single partition: brokers away, credentials refused."""
        self._report(-1, error)

    def _report(self, partition: int, error: KafkaError) -> None:
        """Count a fault the client goes on from."""
        self.counters[f"fault_{error.name()}"] += 1
        self._callbacks.on_fault(ReadFault(partition, error.name(), error.str()))

    def _on_event(self, partition: int, error: KafkaError, offset: int) -> bool:
        """Handle an error that came in place of a message; say if the client was sent back."""
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
        """Go on behind a message that cannot be unpacked; the client would stay for ever.

        One offset at a time: where its record batch ends is not known, only where it begins.
        Where that is ahead of the position, good messages before it may have been dropped (at
        a rebalance, or while paused): they are read first. What is still ahead then is a hole.
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
        """Find out whether a topic that is gone is back as another one."""
        try:
            self.check_source()
        except TransportError as error:
            if "recreated" in error.what:
                raise
            self.counters["topic_gone"] += 1

    def _on_end(self, partition: int, offset: int) -> bool:
        """Remember that the end was reached, if it is where we are; else as a message would."""
        position = self._positions.get(partition, offset + 1)
        if offset < position:
            return False
        if self._has_skipped(partition, position, offset):
            # All up to the position was handed on; what waits behind this comes again.
            self._forget(partition)
            return True
        self._positions[partition] = offset
        self._at_end.add(partition)
        return False

    def _on_missing(self, partition: int) -> None:
        """Go on where the log begins: what we wanted is no longer in it."""
        if partition in self._positions:
            self.check_source()
            low, high = self.watermarks(partition)
            self.seek(partition, self._within(partition, self._positions[partition], low, high))

    def _refused(self, what: str, partition: int, error: KafkaException) -> TransportError:
        """Make our error out of the client's."""
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
                fix="ask only between on_assign and on_revoke",
            )
        return partition

    def _check_open(self) -> None:
        """Refuse what a reader that is closed or broken cannot do."""
        if self._is_closed or self._failure is not None:
            state = "is closed" if self._is_closed else f"failed: {self._failure}"
            raise TransportError(
                f"the reader {state}", where=self._settings.topic, fix="open another one"
            )

    def _guarded(self, act: Callable[[], T]) -> T:
        """Run something that may call back; after an exception only closing is left."""
        try:
            return act()
        except KafkaException as error:
            self._failure = error
            raise self._refused("reading failed", -1, error) from None
        except BaseException as error:
            self._failure = error
            raise

    # The end.

    def close(self) -> None:
        """Give partitions back through ``on_revoke``, leave the group, free everything.

        A static member does not leave: its partitions wait for it until the session
        times out. Closing twice is closing once. After a failure nothing is called back.
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
        """Close what was never closed: a client that is only collected may never end."""
        if not getattr(self, "_is_closed", True):
            self._failure = self._failure or ReferenceError("it was left unclosed")
            with suppress(Exception):
                self.close()

    def _release(self) -> None:  # noqa: B027
        """Free what must be gone before the client is."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
