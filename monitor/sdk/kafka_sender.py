"""Messages to Kafka, by kafka-python; made and used on the background thread only."""

from __future__ import annotations

import atexit
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from monitor.sdk.batches import Message

Done = Callable[[BaseException | None], None]
"""Called once, from any thread: None when the broker has acknowledged."""

logging.getLogger("kafka").addHandler(logging.NullHandler())
"""What it logs is counted here; without any handler Python would print it."""


class Sender(Protocol):
    """The seam between the reporter and Kafka."""

    def send(self, message: Message, done: Done) -> None:
        """Hand a message over; raise if it cannot be taken now, and then keep nothing."""

    def flush(self, timeout_s: float) -> None:
        """Wait until what was taken is acknowledged, at most so long; may raise."""

    def close(self, timeout_s: float) -> None:
        """Let go of connections."""

    def abandon(self) -> None:
        """In a forked child: forget the parent's connections without touching them."""


class KafkaSender:
    """Sends by a ``KafkaProducer`` that is made when the first message comes.

    Parameters
    ----------
    bootstrap : str or sequence of str
    options : mapping
        Further options of ``kafka.KafkaProducer``: TLS, SASL, compression.

    Notes
    -----
    Idempotent: a retry inside Kafka's client adds nothing twice.
    """

    def __init__(self, bootstrap: str | Sequence[str], options: Mapping[str, Any]) -> None:
        self._options = {
            "bootstrap_servers": bootstrap,
            "acks": "all",
            "max_block_ms": 5_000,
            "delivery_timeout_ms": 120_000,
            "max_request_size": 1_048_576,
            "linger_ms": 0,
            "reconnect_backoff_max_ms": 2_000,
            # Without it the constructor asks a broker, and fails, and leaks, while there is none.
            "api_version": (2, 5),
            **options,
        }
        self._producer: Any = None

    def send(self, message: Message, done: Done) -> None:
        """Hand a message to the producer; waits at most 5 s for metadata and memory."""
        if self._producer is None:
            from kafka import KafkaProducer

            self._producer = KafkaProducer(**self._options)
            # Its own clean-up at the exit would come before the reporter's, which has
            # still something to send.
            _disarm(self._producer)
        future = self._producer.send(message.topic, message.payload)
        if future.is_done and future.failed():  # refused at once: nothing was taken
            raise future.exception
        future.add_callback(lambda _: done(None))
        future.add_errback(done)

    def flush(self, timeout_s: float) -> None:
        """Wait for acknowledgements."""
        if self._producer is not None:
            self._producer.flush(timeout=timeout_s)

    def close(self, timeout_s: float) -> None:
        """Close the producer; what it could not send fails."""
        producer, self._producer = self._producer, None
        if producer is not None:
            producer.close(timeout=timeout_s)

    def abandon(self) -> None:
        """Drop the parent's producer."""
        producer, self._producer = self._producer, None
        # Kept, not freed: closing it here would speak on the parent's connections.
        _abandoned.append(producer)


def _disarm(producer: Any) -> None:
    """Take a producer's clean-up out of the interpreter's exit."""
    cleanup = getattr(producer, "_cleanup", None)
    if cleanup is not None:
        atexit.unregister(cleanup)


_abandoned: list[Any] = []
