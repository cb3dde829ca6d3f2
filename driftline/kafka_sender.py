"""Messages to Kafka, by kafka-python; made and used on the background thread only."""

from __future__ import annotations

import atexit
import contextlib
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from driftline.batches import Message
from driftline.errors import TransportError

REPLACE_PAUSE_S = 1.0
"""Least time from one producer to the next: what ended one may end the next at once."""

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
    Idempotent: a retry inside Kafka's client adds nothing twice. The price: after an
    error that no retry mends (an ACL, a message too large) kafka-python fails whatever
    comes, for good, although the reason be gone. Such a producer is replaced at the next
    message. There is no lock, which a fork could leave held: answers, from the
    producer's thread, write only into the :class:`_Heard` of the producer that gave them.
    """

    def __init__(
        self,
        bootstrap: str | Sequence[str],
        options: Mapping[str, Any],
        *,
        _now_s: Callable[[], float] = time.monotonic,
    ) -> None:
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
        self._now_s = _now_s
        self._producer: Any = None
        self._heard = _Heard()
        self._next_s = float("-inf")
        self._why_none = ""

    def send(self, message: Message, done: Done) -> None:
        """Hand a message to the producer; waits at most 5 s for metadata and memory."""
        self._drop_if_useless()
        if self._producer is None:
            self._make()
        heard = self._heard
        future = self._producer.send(message.topic, message.payload)
        if future.is_done and future.failed():  # refused at once: nothing was taken
            heard.note(future.exception)
            raise future.exception

        def failed(error: BaseException) -> None:
            heard.note(error)  # first: ``done`` lets the next message go
            done(error)

        future.add_callback(lambda _: done(None))
        future.add_errback(failed)

    def flush(self, timeout_s: float) -> None:
        """Wait for acknowledgements; a producer that will give none is not waited for."""
        self._drop_if_useless()
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

    def _drop_if_useless(self) -> None:
        """Let go of a producer that will send nothing any more."""
        if self._producer is not None and (why := _why_useless(self._producer, self._heard)):
            producer, self._producer, self._why_none = self._producer, None, why
            _let_go(producer)

    def _make(self) -> None:
        """Make a producer, unless the last one is too young."""
        now_s = self._now_s()
        if now_s < self._next_s:
            raise TransportError(
                f"no producer: {self._why_none}",
                where="Kafka",
                fix=f"another is made {self._next_s - now_s:.1f} s from now",
            )
        # Before it is tried: a constructor that fails may leave a connection behind.
        self._next_s = now_s + REPLACE_PAUSE_S
        self._heard = _Heard()
        from kafka import KafkaProducer

        try:
            self._producer = KafkaProducer(**self._options)
        except Exception as error:
            self._why_none = repr(error)
            raise
        # Its own clean-up at the exit would come before the reporter's, which has
        # still something to send.
        _disarm(self._producer)


class _Heard:
    """What one producer has said that may be its end; it does not hold the producer."""

    def __init__(self) -> None:
        self.last = ""

    def note(self, error: BaseException) -> None:
        """Keep an error that no retry mends; from any thread."""
        if not (getattr(error, "retriable", False) or isinstance(error, TimeoutError)):
            self.last = repr(error)


def _why_useless(producer: Any, heard: _Heard) -> str:
    """Return why a producer will send nothing any more; an empty text while it may."""
    try:
        manager = producer._transaction_manager
        if manager is None:  # not idempotent, by option: a refusal is one message's own
            return ""
        if manager.has_fatal_error():
            return repr(manager.last_error)
        # kafka-python 3.0.12 gives its id up when a message times out that was tried
        # before, and asks for another only in its first state: it then waits for ever.
        if manager._current_state.name == "READY" and not manager.has_producer_id():
            return "the producer lost its id after a time-out"
    except AttributeError:  # another version: what it answered must do
        return heard.last
    return ""


def _let_go(producer: Any) -> None:
    """Close a producer without waiting; what it still holds fails, on its own thread."""
    try:
        producer.close(timeout=0)
    except Exception:
        # It flushes first and, if anything is open, ends there: thread and connections
        # would stay, and its finalizer would wait a second for the same.
        with contextlib.suppress(Exception):
            producer._sender.force_close()
            producer._closed = True


def _disarm(producer: Any) -> None:
    """Take a producer's clean-up out of the interpreter's exit."""
    cleanup = getattr(producer, "_cleanup", None)
    if cleanup is not None:
        atexit.unregister(cleanup)


_abandoned: list[Any] = []
