"""Sends with kafka-python; used on the background thread only."""

from __future__ import annotations

import atexit
import contextlib
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from driftline.batches import OutgoingMessage
from driftline.compression import choose_codec
from driftline.errors import TransportError

REPLACE_PAUSE_S = 1.0
"""Minimum time between two producers, because the same error may fail the next one immediately."""

UNSUPPORTED_COMPRESSION_TYPE = 76
"""Error code of a broker that does not support a codec."""

Done = Callable[[BaseException | None], None]
"""Called once, from any thread; with None when the broker has acknowledged."""

logging.getLogger("kafka").addHandler(logging.NullHandler())
"""Its errors are counted here; without a handler Python would print them."""


class Sender(Protocol):
    """The interface between the reporter and Kafka."""

    def send(self, message: OutgoingMessage, done: Done) -> None:
        """Accept a message, or raise without keeping it."""

    def flush(self, timeout_s: float) -> None:
        """Wait for acknowledgements, at most ``timeout_s``; may raise."""

    def close(self, timeout_s: float) -> None:
        """Close the connections."""

    def abandon(self) -> None:
        """In a forked child: drop the parent's connections without using them."""


class KafkaSender:
    """Send with a ``KafkaProducer``, which the first message creates.

    Parameters
    ----------
    bootstrap : str or sequence of str
        Brokers, as ``host:port``.
    options : mapping
        Further options of ``kafka.KafkaProducer``: TLS, SASL.
    compression : str, optional
        As in :func:`driftline.compression.choose_codec`; a ``compression_type`` in ``options``
        takes precedence. If a broker rejects the codec that ``auto`` chose, the next producer sends
        uncompressed.

    Notes
    -----
    The producer is idempotent: its retries write no message twice. However, after an error that is
    not retriable (an ACL, a message too large) kafka-python fails every later message, even if the
    cause is fixed. Such a producer is replaced at the next message. There is no lock, which a fork
    could leave locked: callbacks on the producer's thread write only into the :class:`_LastError`
    of their producer.
    """

    def __init__(
        self,
        bootstrap: str | Sequence[str],
        options: Mapping[str, Any],
        compression: str = "auto",
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
            # Without it the constructor contacts a broker; if none answers it fails and leaks a
            # socket.
            "api_version": (2, 5),
            **options,
        }
        self._compression = compression
        self._now_s = _now_s
        self._producer: Any = None
        self._last_error = _LastError()
        self._next_s = float("-inf")
        self._why_none = ""

    def send(self, message: OutgoingMessage, done: Done) -> None:
        """Pass a message to the producer; block at most 5 s for metadata and memory."""
        self._drop_if_useless()
        if self._producer is None:
            self._make()
        last = self._last_error
        future = self._producer.send(message.topic, message.payload)
        if future.is_done and future.failed():  # rejected immediately: not queued
            last.note(future.exception)
            raise future.exception

        def failed(error: BaseException) -> None:
            last.note(error)  # first, because ``done`` allows the next message
            done(error)

        future.add_callback(lambda _: done(None))
        future.add_errback(failed)

    def flush(self, timeout_s: float) -> None:
        """Wait for acknowledgements, unless the producer has failed permanently."""
        self._drop_if_useless()
        if self._producer is not None:
            self._producer.flush(timeout=timeout_s)

    def close(self, timeout_s: float) -> None:
        """Close the producer; its unsent messages fail."""
        producer, self._producer = self._producer, None
        if producer is not None:
            producer.close(timeout=timeout_s)

    def abandon(self) -> None:
        """Drop the parent's producer."""
        producer, self._producer = self._producer, None
        # Kept alive: its finalizer would write to the parent's connections.
        _abandoned.append(producer)

    def _drop_if_useless(self) -> None:
        """Close a producer that has failed permanently, or whose codec the broker rejects."""
        if self._producer is None:
            return
        is_refused = self._compression == "auto" and self._last_error.is_about_codec
        why = _why_useless(self._producer, self._last_error)
        if is_refused or why:
            producer, self._producer = self._producer, None
            self._why_none = why or self._last_error.error
            if is_refused:
                self._compression = "none"
            _let_go(producer)

    def _make(self) -> None:
        """Create a producer, at most one per ``REPLACE_PAUSE_S``."""
        now_s = self._now_s()
        if now_s < self._next_s:
            raise TransportError(
                f"no producer: {self._why_none}",
                where="Kafka",
                fix=f"a new one is created in {self._next_s - now_s:.1f} s",
            )
        # Before the attempt: a constructor that fails may leave a connection open.
        self._next_s = now_s + REPLACE_PAUSE_S
        self._last_error = _LastError()
        from kafka import KafkaProducer

        try:
            codec = choose_codec(self._compression)
            version = self._options["api_version"]
            if self._compression == "auto" and codec == "zstd" and version and version < (2, 1):
                codec = None  # the constructor would reject it
            self._producer = KafkaProducer(**{"compression_type": codec, **self._options})
        except Exception as error:
            self._why_none = repr(error)
            raise
        # Its clean-up at exit would run before the reporter's, which may still send.
        _disarm(self._producer)


class _LastError:
    """The last error of one producer that is not retriable."""

    def __init__(self) -> None:
        self.error = ""
        self.is_about_codec = False

    def note(self, error: BaseException) -> None:
        """Record an error unless it is retriable; from any thread."""
        if not (getattr(error, "retriable", False) or isinstance(error, TimeoutError)):
            self.error = repr(error)
            self.is_about_codec |= getattr(error, "errno", None) == UNSUPPORTED_COMPRESSION_TYPE


def _why_useless(producer: Any, last: _LastError) -> str:
    """Return why a producer can no longer send; empty if it can."""
    try:
        manager = producer._transaction_manager
        if manager is None:  # not idempotent, by option: an error concerns one message
            return ""
        if manager.has_fatal_error():
            return repr(manager.last_error)
        # kafka-python 3.0.12 drops its producer id when a retried message times out, and
        # requests another one only in its initial state: it then waits forever.
        if manager._current_state.name == "READY" and not manager.has_producer_id():
            return "the producer lost its id after a time-out"
    except AttributeError:  # another version of kafka-python: rely on the last error
        return last.error
    return ""


def _let_go(producer: Any) -> None:
    """Close a producer without waiting; its pending messages fail on its own thread."""
    try:
        producer.close(timeout=0)
    except Exception:
        # close() flushes first and raises if messages are pending: thread and connections
        # would stay, and the finalizer would wait a second for the same.
        with contextlib.suppress(Exception):
            producer._sender.force_close()
            producer._closed = True


def _disarm(producer: Any) -> None:
    """Unregister a producer's clean-up at exit."""
    cleanup = getattr(producer, "_cleanup", None)
    if cleanup is not None:
        atexit.unregister(cleanup)


_abandoned: list[Any] = []
