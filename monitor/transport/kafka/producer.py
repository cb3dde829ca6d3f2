"""Idempotent producer that tracks the acknowledgement of every write.

A commit is allowed only when all earlier writes are in the log. After a failed write
:meth:`LogProducer.flush_acks` therefore always raises, and the process restarts from its last
commit, which repeats the writes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from monitor.clock import elapsed_s
from monitor.core.write import Write
from monitor.transport.kafka.client_log import CLIENT_LOG
from monitor.transport.kafka.cluster import Cluster
from schemas.errors import TransportError

OnAck = Callable[[int, int], None]
"""Called with partition and offset when the write is acknowledged."""

_TICK_S = 0.1
_MAX_NAMED = 3


@dataclass(frozen=True, slots=True)
class WriteCounts:
    """Outcomes of the writes so far, for metrics."""

    n_written: int = 0
    n_acknowledged: int = 0
    n_failed: int = 0
    acknowledged_bytes: int = 0
    slowest_s: float = 0.0
    """Longest time from ``produce`` to its acknowledgement."""
    waited_s: float = 0.0
    """Time for which ``produce`` blocked because the queue was full."""

    @property
    def n_outstanding(self) -> int:
        """Writes without an outcome."""
        return self.n_written - self.n_acknowledged - self.n_failed


class LogProducer:
    """An idempotent producer whose writes are counted until each is acknowledged.

    Parameters
    ----------
    client : mapping of str to str
        Settings of the cluster's clients (``bootstrap.servers``, TLS, SASL) and any other of
        librdkafka's settings; they override the settings made here.
    queue_messages, queue_bytes : int, optional
        Bounds of the send queue.
    message_timeout_s : float, optional
        How long a write is retried; must exceed the longest restart of a broker.
    full_queue_timeout_s : float, optional
        Time-out of waiting for space in the queue; by default ``message_timeout_s``.

    Raises
    ------
    TransportError
        If a setting is rejected.

    Notes
    -----
    Single-threaded. Callbacks run inside ``produce`` (when the queue is full), ``poll``,
    ``flush_acks`` and ``close``. Idempotence covers one producer instance: after a crash writes may
    be repeated, so every write must be repeatable.
    """

    def __init__(
        self,
        client: Mapping[str, str],
        *,
        queue_messages: int = 100_000,
        queue_bytes: int = 64 << 20,
        message_timeout_s: float = 300.0,
        full_queue_timeout_s: float | None = None,
    ) -> None:
        config: dict[str, Any] = {
            "client.id": "driftline",
            "linger.ms": 5,
            # Panes shrink 1.2 to 1.4 times for .3 us of CPU each, there and back; gzip and zstd
            # cost ten times that for 1.5 to 1.7 times (docs/scaling.md).
            "compression.type": "lz4",
            "queue.buffering.max.messages": queue_messages,
            "queue.buffering.max.kbytes": max(1, queue_bytes >> 10),
            "reconnect.backoff.max.ms": 1_000,
            **client,
            "message.timeout.ms": round(message_timeout_s * 1000),
            "enable.idempotence": True,
            "acks": "all",
            "error_cb": self._on_client_error,
        }
        self._full_timeout_s = full_queue_timeout_s or message_timeout_s
        self.faults: Counter[str] = Counter()
        self._counts = Counter[str]()
        self._slowest_s = self._waited_s = 0.0
        self._failed: list[str] = []
        self._fatal: KafkaError | None = None
        self._callback_error: BaseException | None = None
        try:
            self._producer = Producer(config, logger=CLIENT_LOG)
        except KafkaException as error:
            raise TransportError(
                f"the producer's settings are rejected: {error.args[0].str()}",
                where="kafka producer",
                fix="check the client settings",
            ) from None

    @property
    def counts(self) -> WriteCounts:
        """Outcomes of the writes so far."""
        return WriteCounts(
            n_written=self._counts["written"],
            n_acknowledged=self._counts["acknowledged"],
            n_failed=self._counts["failed"],
            acknowledged_bytes=self._counts["bytes"],
            slowest_s=self._slowest_s,
            waited_s=self._waited_s,
        )

    def produce(
        self,
        topic: str,
        value: bytes | None,
        *,
        key: bytes | None = None,
        partition: int = -1,
        timestamp_us: int = -1,
        on_ack: OnAck | None = None,
    ) -> None:
        """Queue one write; returns before it is acknowledged.

        Parameters
        ----------
        value : bytes or None
            None is a tombstone.
        partition : int, optional
            By default chosen by the key, or by the client.
        timestamp_us : int, optional
            Record time, rounded down to milliseconds; by default the time of the call.
        on_ack : callable, optional
            Not called if the write fails; :meth:`flush_acks` then raises.

        Raises
        ------
        TransportError
            If the queue stays full, the message exceeds the broker's limit, or an earlier write
            failed.
        """
        self._raise_failures()

        def delivered(error: KafkaError | None, message: Message) -> None:
            self._on_delivery(error, message, on_ack)

        deadline = elapsed_s() + self._full_timeout_s
        time_ms = max(timestamp_us, 0) // 1_000
        while not self._handed_over(topic, value, key, partition, time_ms, delivered):
            self._wait_for_room(topic, deadline)
        self._counts["written"] += 1

    def append(self, cluster: Cluster, write: Write, on_ack: OnAck | None = None) -> None:
        """Queue one message for a topic of a cluster; raises like :meth:`produce`."""
        self.produce(
            cluster.topic(write.topic),
            write.value,
            key=write.key,
            partition=-1 if write.partition is None else write.partition,
            timestamp_us=write.timestamp_us,
            on_ack=on_ack,
        )

    def _handed_over(
        self,
        topic: str,
        value: bytes | None,
        key: bytes | None,
        partition: int,
        time_ms: int,
        delivered: Callable[[KafkaError | None, Message], None],
    ) -> bool:
        """Queue a write; False if the queue is full."""
        try:
            self._producer.produce(
                topic, value, key, partition, on_delivery=delivered, timestamp=time_ms
            )
        except BufferError:
            return False
        except KafkaException as error:
            raise TransportError(
                f"a write of {len(value or b'')} bytes was rejected: {error.args[0].str()}",
                where=f"{topic}:{partition}",
                fix="a message must stay under the broker's message.max.bytes",
            ) from None
        return True

    def _wait_for_room(self, topic: str, deadline: float) -> None:
        """Serve acknowledgements until there is space in the queue, or raise on time-out."""
        begin = elapsed_s()
        self._producer.poll(_TICK_S)
        self._waited_s += elapsed_s() - begin
        self._raise_failures()
        if elapsed_s() > deadline:
            raise TransportError(
                f"the queue stayed full for {self._full_timeout_s:.0f} s, "
                f"{self.counts.n_outstanding} writes are waiting",
                where=topic,
                fix="check that the broker is running; more partitions spread the load",
            )

    def poll(self) -> None:
        """Serve acknowledgements without waiting; raises like :meth:`flush_acks`."""
        self._producer.poll(0)
        self._raise_failures()

    def flush_acks(self, timeout_s: float) -> None:
        """Wait until every write is acknowledged.

        Raises
        ------
        TransportError
            If a write failed, now or earlier, or writes are still unacknowledged at the time-out.
            After a time-out the call may be repeated; after a failure it always raises.
        """
        deadline = elapsed_s() + timeout_s
        # At least one poll, so that acknowledgements that have already arrived are counted.
        self._producer.poll(0)
        while self.counts.n_outstanding and not self._failed and self._fatal is None:
            left_s = deadline - elapsed_s()
            if left_s <= 0:
                raise TransportError(
                    f"{self.counts.n_outstanding} writes are not acknowledged "
                    f"after {timeout_s:.1f} s",
                    where="kafka producer",
                    fix="check that the broker is running",
                )
            # flush() sends lingering messages immediately, and returns when the queue is empty.
            self._producer.flush(min(left_s, _TICK_S))
        self._raise_failures()

    def _on_delivery(
        self, error: KafkaError | None, message: Message, on_ack: OnAck | None
    ) -> None:
        """Count the outcome of one write."""
        if error is not None:
            self._counts["failed"] += 1
            if len(self._failed) < _MAX_NAMED:
                self._failed.append(f"{message.topic()}:{message.partition()}: {error.str()}")
            return
        self._counts["acknowledged"] += 1
        self._counts["bytes"] += len(message)
        self._slowest_s = max(self._slowest_s, message.latency() or 0.0)
        if on_ack is not None:
            self._tell(on_ack, message)

    def _tell(self, on_ack: OnAck, message: Message) -> None:
        """Run a callback; its exception is raised at the next check, not in the client's loop."""
        try:
            on_ack(message.partition() or 0, message.offset() or 0)
        except Exception as error:
            self._callback_error = self._callback_error or error

    def _on_client_error(self, error: KafkaError) -> None:
        """Count errors from which the client recovers; keep fatal errors."""
        self.faults[error.name()] += 1
        if error.fatal():
            self._fatal = error

    def _raise_failures(self) -> None:
        """Raise if any write has failed, now or earlier."""
        if self._callback_error is not None:
            raise self._callback_error
        if self._failed or self._fatal is not None:
            n = self._counts["failed"]
            named = list(self._failed)
            if self._fatal is not None:
                named.append(self._fatal.str())
            raise TransportError(
                f"{n} writes failed: {'; '.join(named)}",
                where="kafka producer",
                fix="restart; writes that are missing in the log are repeated from the last commit",
            )

    def close(self, timeout_s: float = 10.0) -> None:
        """Wait for outstanding writes, then drop the rest.

        Raises
        ------
        TransportError
            As :meth:`flush_acks`, after remaining writes have been dropped.
        """
        try:
            self.flush_acks(timeout_s)
        finally:
            self._producer.purge()
            self._producer.flush(1.0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self.close()
        else:
            self._producer.purge()
            self._producer.flush(1.0)
