"""The background thread that sends the buffer's events to Kafka."""

from __future__ import annotations

import contextlib
import logging
import threading
import time

from driftline.batches import Batches, OutgoingMessage
from driftline.buffer import Buffer
from driftline.counters import Counters
from driftline.kafka_sender import Sender

FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 5.0
_IDLE_WAIT_S = 60.0

logger = logging.getLogger("driftline.sdk")


class Courier:
    """Encode and send batches on a thread, with retries until it is stopped.

    Parameters
    ----------
    counters : Counters
        Updated under ``lock`` only.
    n_batch : int
        Most events of a batch.
    linger_s : float
        Longest wait of an event for others of its batch.
    n_in_flight : int
        Most messages without acknowledgement; further events stay in the bounded buffer.
    """

    def __init__(
        self,
        buffer: Buffer,
        batches: Batches,
        sender: Sender,
        counters: Counters,
        lock: threading.Lock,
        *,
        n_batch: int,
        linger_s: float,
        n_in_flight: int,
    ) -> None:
        self._buffer = buffer
        self._batches = batches
        self._sender = sender
        self._counters = counters
        self._lock = lock
        self._n_batch = n_batch
        self._linger_s = linger_s
        self._in_flight = threading.Semaphore(n_in_flight)
        self._is_stopping = threading.Event()
        self._deadline_s = float("inf")
        self._has_warned = False
        self._thread = threading.Thread(target=self._run, name="driftline-sdk", daemon=True)
        self._thread.start()

    def stop(self, timeout_s: float) -> bool:
        """Send the rest and end the thread; return whether it ended in time."""
        self._deadline_s = time.monotonic() + timeout_s
        self._is_stopping.set()
        self._buffer.hurry()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    @property
    def is_alive(self) -> bool:
        """Whether the thread is running."""
        return self._thread.is_alive()

    def _run(self) -> None:
        """Send until the thread is stopped and the buffer is empty."""
        try:
            while not self._is_stopping.is_set() or len(self._buffer):
                if time.monotonic() > self._deadline_s:
                    break
                self._work()
            self._settle()
        except BaseException as error:  # must not propagate to the model's code
            self._note(error)

    def _work(self) -> None:
        """Send one batch."""
        reported = self._buffer.take(self._n_batch, wait_s=_IDLE_WAIT_S, linger_s=self._linger_s)
        if not reported:
            return
        made = self._batches.make(reported)
        if made.error:
            with self._lock:
                self._counters.n_invalid += made.n_invalid
                self._counters.n_odd_values += made.n_odd_values
                self._counters.n_waiting -= made.n_invalid
                self._counters.last_error = made.error
        for message in made.messages:
            self._send(message)

    def _send(self, message: OutgoingMessage) -> None:
        """Send one message, with retries."""
        pause_s = FIRST_PAUSE_S
        while not self._in_flight.acquire(timeout=min(1.0, max(0.0, self._left_s()))):
            if self._left_s() <= 0:
                return
            # No acknowledgement in time. A failed producer is replaced at the next message, which
            # would never be sent; flush replaces it too.
            with contextlib.suppress(Exception):
                self._sender.flush(0.0)
        while True:
            try:
                self._sender.send(message, lambda error: self._done(message, error))
                return
            except Exception as error:  # the broker is down, the topic is missing
                self._note(error)
            if self._left_s() <= 0:
                self._in_flight.release()
                return
            self._is_stopping.wait(min(pause_s, max(0.0, self._left_s())))
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
            if self._is_stopping.is_set():
                # wait() returns immediately now: spread the last attempts over the remaining time.
                time.sleep(min(FIRST_PAUSE_S, max(0.0, self._left_s())))

    def _done(self, message: OutgoingMessage, error: BaseException | None) -> None:
        """Count the outcome of a message."""
        with self._lock:
            self._counters.n_waiting -= message.n_events
            if error is None:
                self._counters.n_sent += message.n_events
            else:
                self._counters.n_failed += message.n_events
                self._counters.last_error = _said(error)
        self._in_flight.release()
        if error is not None:
            self._warn(error)

    def _settle(self) -> None:
        """Wait for the last acknowledgements and close the sender."""
        with contextlib.suppress(Exception):  # a time-out leaves events in the counters
            self._sender.flush(max(0.0, min(self._left_s(), 30.0)))
        with contextlib.suppress(Exception):
            self._sender.close(max(0.0, min(self._left_s(), 5.0)))

    def _left_s(self) -> float:
        """Return the seconds until the deadline; infinite unless stopping."""
        return self._deadline_s - time.monotonic()

    def _note(self, error: BaseException) -> None:
        """Record an error, and log the first one."""
        with self._lock:
            self._counters.last_error = _said(error)
        self._warn(error)

    def _warn(self, error: BaseException) -> None:
        """Log an error unless one was logged before."""
        if not self._has_warned:
            self._has_warned = True
            logger.warning("reporting to Kafka failed; it is retried: %s", _said(error))


def _said(error: BaseException) -> str:
    """Return an error as one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
