"""The reporter, through which a model's service reports; one per process."""

from __future__ import annotations

import atexit
import copy
import functools
import os
import socket
import threading
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from driftline.batches import Batches
from driftline.buffer import Buffer
from driftline.canonical import category_of
from driftline.compression import choose_codec
from driftline.counters import Counters
from driftline.courier import Courier
from driftline.errors import DomainError
from driftline.events import Features, Identity, Reported, receipt_of, time_of
from driftline.ids import new_id
from driftline.kafka_sender import KafkaSender, Sender
from driftline.rows import copied as _copied
from driftline.scalars import plain
from driftline.watch import Extract, watched
from driftline.wire import DEFAULT_TENANT

HOST_VARIABLE = "DRIFTLINE_HOST"
GPU_VARIABLE = "DRIFTLINE_GPU_UUID"


class Reporter:
    """Reports a model's predictions and labels to Driftline in the background.

    Parameters
    ----------
    bootstrap : str or sequence of str
        Kafka's ``host:port``.
    model : str
        As in the model's configuration.
    tenant, model_version : str, optional
        Written into every event.
    feature_names : sequence of str, optional
        Required if features are passed in order, without names.
    host, gpu_uuid : str, optional
        Where the model runs. Defaults: ``DRIFTLINE_HOST`` or the host name, and
        ``DRIFTLINE_GPU_UUID`` or the only GPU in ``CUDA_VISIBLE_DEVICES``, if it is a UUID.
    predictions_topic, labels_topic : str, optional
        Topics to write to; those of the pipeline by default.
    receipts : bool, optional
        Whether ``predict`` returns receipts instead of ids: short texts, about 150 characters,
        that one stores like an id and gives to ``label``. The label then carries its prediction
        (time, version, score, class, segments, host, GPU), which need not be looked up. Makes
        ``predict`` some 15 us slower. A damaged receipt becomes a dead letter.
    format : {"json", "arrow"}, optional
        Encoding of predictions; Arrow requires pyarrow.
    n_buffered : int, optional
        Capacity of the buffer, events; a full buffer drops and counts the oldest.
    n_batch : int, optional
        Most events of one message.
    linger_s : float, optional
        Longest wait of an event for others of its message.
    n_in_flight : int, optional
        Most messages without acknowledgement.
    exit_s : float, optional
        Longest time that the end of the process waits for unsent events.
    compression : {"auto", "zstd", "lz4", "snappy", "gzip", "none"}, optional
        Codec of the messages. By default the first of zstd, lz4 and snappy whose library
        (zstandard, lz4, python-snappy) is installed, and none without any of them.
    kafka : mapping, optional
        Further options of ``kafka.KafkaProducer`` (TLS, SASL).

    Raises
    ------
    DomainError
        If an argument is out of its domain. No other method raises; later failures are
        counted.

    Notes
    -----
    ``predict`` copies the features into the buffer: about 2.5 us of CPU on the model's
    thread with ten features, 2 us more if it generates the id, and 7 us elapsed while the
    other thread encodes and holds the interpreter lock in turn. A daemon thread, started
    with the first event, converts, encodes and sends. After a fork the child's reporter
    is empty and starts its own thread and connection; the parent sends its own events.

    Examples
    --------
    >>> reporter = Reporter("127.0.0.1:9", model="loans", exit_s=0)
    >>> reporter.counters.n_reported
    0
    >>> reporter.close(0)
    True
    """

    _buffer: Buffer
    _counters: Counters
    _lock: threading.Lock
    _courier: Courier | None
    _sender: Sender | None
    _is_closed: bool
    _pid: int

    def __init__(
        self,
        bootstrap: str | Sequence[str],
        *,
        model: str,
        tenant: str = DEFAULT_TENANT,
        model_version: str = "",
        feature_names: Sequence[str] = (),
        host: str | None = None,
        gpu_uuid: str | None = None,
        predictions_topic: str = "driftline.predictions",
        labels_topic: str = "driftline.labels",
        receipts: bool = False,
        format: str = "json",
        n_buffered: int = 100_000,
        n_batch: int = 500,
        linger_s: float = 0.5,
        n_in_flight: int = 16,
        exit_s: float = 2.0,
        compression: str = "auto",
        kafka: Mapping[str, Any] | None = None,
        _sender: Callable[[], Sender] | None = None,
    ) -> None:
        _check(model, format, n_buffered, n_batch, n_in_flight, linger_s, exit_s)
        if compression != "auto":  # chosen with the first message: loading kafka-python takes time
            choose_codec(compression)
        self._identity = Identity(model, tenant, model_version, tuple(feature_names))
        self._has_receipts = receipts
        self._host = host or os.environ.get(HOST_VARIABLE) or socket.gethostname()
        self._gpu_uuid = gpu_uuid or os.environ.get(GPU_VARIABLE) or _only_gpu()
        self._batches = Batches(
            self._identity, predictions_topic, labels_topic, is_arrow=format == "arrow"
        )
        options = dict(kafka or {})
        self._new_sender = _sender or (lambda: KafkaSender(bootstrap, options, compression))
        self._n_buffered = n_buffered
        self._n_batch, self._linger_s, self._n_in_flight = n_batch, linger_s, n_in_flight
        self._exit_s = exit_s
        self._begin()
        _watch_process(self)

    def predict(
        self,
        features: Features,
        *,
        score: Any = None,
        prediction: Any = None,
        id: str | None = None,
        segments: Mapping[str, Any] | None = None,
        host: str | None = None,
        gpu_uuid: str | None = None,
        time_us: int | None = None,
    ) -> str:
        """Report one prediction. Does not raise or wait for Kafka.

        Parameters
        ----------
        features : mapping or sequence
            The model's input. A pandas Series, a frame of one row and a named tuple are
            matched by name; arrays and sequences by ``feature_names``. Values may be scalars
            of any library; :mod:`driftline.canonical` defines their forms. None, NaN, NA, NaT
            and infinities are missing; so is a value without a form, which is counted
            (``counters.n_odd_values``).
        score : number, optional
            Probability of the positive class, or the regression's output.
        prediction : optional
            The predicted class.
        id : str, optional
            Joins the label; by default a UUID of version 7 is generated, which begins with the
            event's time.
        segments : mapping, optional
            Segment values by segment name.
        host, gpu_uuid : str, optional
            Where the prediction was made; the reporter's by default.
        time_us : int or datetime, optional
            Event time, microseconds UTC; now by default. Seconds, as from ``time.time()``,
            milliseconds and nanoseconds are recognised by their magnitude.

        Returns
        -------
        str
            The id, or the receipt, for :meth:`label`.
        """
        now_us = time.time_ns() // 1000
        found: str = "" if id is None else id
        try:
            given_us = now_us if time_us is None else time_of(time_us)
            found = new_id(given_us) if id is None else _id_of(id, given_us)
            event = Reported(
                False,
                found,
                given_us,
                _copied(features),
                score,
                prediction,
                segments.copy() if isinstance(segments, dict) else segments,
                host or self._host,
                gpu_uuid or self._gpu_uuid,
            )
            self._put(event)
            if self._has_receipts:
                return receipt_of(event, self._identity)
        except Exception as error:
            self._count_invalid(error)
        return found or new_id(now_us)

    def label(self, id: str, label: Any, *, time_us: int | None = None) -> None:
        """Report the observed outcome of a prediction. Does not raise.

        Parameters
        ----------
        id : str
            Of the prediction, or its receipt.
        label : number or str
            The outcome.
        time_us : int, optional
            When it became known; now by default.
        """
        try:
            now_us = time.time_ns() // 1000 if time_us is None else time_of(time_us)
            self._put(Reported(True, _id_of(id, now_us), now_us, score=label))
        except Exception as error:
            self._count_invalid(error)

    def watch(
        self,
        *,
        features: Extract | None = None,
        score: Extract | None = None,
        prediction: Extract | None = None,
        id: Extract | None = None,
        segments: Extract | None = None,
    ) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """Return a decorator that reports each call of a function, plain or async.

        Parameters
        ----------
        features, id, segments : callable, optional
            Called with the call's arguments. By default the features are the first
            argument, or the keyword arguments if there is none.
        score, prediction : callable, optional
            Called with the result. By default the score is the result if it is a number.

        Returns
        -------
        callable
            A decorator; results and exceptions of the function are unchanged. A call that
            raises is not reported.

        Examples
        --------
        >>> reporter = Reporter("127.0.0.1:9", model="loans")
        >>> @reporter.watch(features=lambda applicant, today: applicant)
        ... def score(applicant, today):
        ...     return 0.25
        >>> reporter.close(0), score({"age": 41}, "Monday"), reporter.counters.n_unsent
        (True, 0.25, 1)
        """
        return functools.partial(
            watched,
            self.predict,
            self._count_invalid,
            features=features,
            score=score,
            prediction=prediction,
            id=id,
            segments=segments,
        )

    @property
    def counters(self) -> Counters:
        """A copy of the counters of events by outcome."""
        with self._lock:
            return copy.copy(self._counters)

    def close(self, timeout: float = 10.0) -> bool:
        """Send the remaining events and stop; later events are counted as unsent.

        Parameters
        ----------
        timeout : float
            Longest time to take, seconds.

        Returns
        -------
        bool
            Whether no event is left without an acknowledgement or an error.
        """
        with self._lock:
            courier, self._courier = self._courier, None
            self._is_closed = True
        if courier is not None:
            courier.stop(timeout)
        with self._lock:
            left = self._counters.n_waiting
            self._counters.n_unsent += left
            self._counters.n_waiting = 0
            # A late acknowledgement must not count an event a second time.
            self._counters = copy.copy(self._counters)
        return left == 0

    def _begin(self) -> None:
        """Set the initial state, in a new process or a forked one."""
        self._buffer = Buffer(self._n_buffered, self._n_batch)
        self._counters = Counters()
        self._lock = threading.Lock()
        self._courier = None
        self._sender = None
        self._is_closed = False
        self._pid = os.getpid()

    def _put(self, event: Reported) -> None:
        """Append an event to the buffer and start the sending thread if needed."""
        if os.getpid() != self._pid:  # forked by code that runs no hooks
            self._renew()
        with self._lock:
            self._counters.n_reported += 1
            if self._is_closed:
                self._counters.n_unsent += 1
                return
            self._counters.n_waiting += 1
            if self._buffer.put(event):
                self._counters.n_dropped += 1
                self._counters.n_waiting -= 1
            if self._courier is None or not self._courier.is_alive:
                self._start()

    def _start(self) -> None:
        """Start the thread; a finalizing interpreter refuses to."""
        try:
            self._sender = self._new_sender()
            self._courier = Courier(
                self._buffer,
                self._batches,
                self._sender,
                self._counters,
                self._lock,
                n_batch=self._n_batch,
                linger_s=self._linger_s,
                n_in_flight=self._n_in_flight,
            )
        except RuntimeError as error:
            self._counters.last_error = str(error)

    def _renew(self) -> None:
        """In a forked child: discard the parent's events, thread and connection."""
        was_closed, sender = self._is_closed, self._sender
        self._begin()
        self._is_closed = was_closed
        if sender is not None:
            sender.abandon()

    def _count_invalid(self, error: BaseException) -> None:
        """Count an event that could not be recorded."""
        with self._lock:
            self._counters.n_reported += 1
            self._counters.n_invalid += 1
            self._counters.last_error = f"{type(error).__name__}: {str(error)[:200]}"


def _check(
    model: str,
    format_: str,
    n_buffered: int,
    n_batch: int,
    n_in_flight: int,
    linger_s: float,
    exit_s: float,
) -> None:
    """Raise :class:`DomainError` for an argument outside its domain."""
    if not model:
        raise DomainError("model is empty", where="Reporter", fix="name the model")
    if format_ not in ("json", "arrow"):
        raise DomainError(f"format is {format_!r}", where="Reporter", fix="json or arrow")
    for name, n in (("n_buffered", n_buffered), ("n_batch", n_batch), ("n_in_flight", n_in_flight)):
        if n < 1:
            raise DomainError(f"{name} is {n}", where="Reporter", fix="1 or more")
    if linger_s < 0 or exit_s < 0:
        raise DomainError("a time is negative", where="Reporter", fix="0 or more seconds")


def _id_of(given: Any, time_us: int) -> str:
    """Return an id as text in canonical form (7.0 is "7"); generate a missing one."""
    if type(given) is str:
        return given
    found = plain(given)
    return (found if isinstance(found, str) else category_of(found)) or new_id(time_us)


def _only_gpu() -> str | None:
    """Return the UUID of the only visible GPU; None if there are several or no UUID."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES") or os.environ.get("NVIDIA_VISIBLE_DEVICES", "")
    names = [name.strip() for name in visible.split(",") if name.strip()]
    return names[0] if len(names) == 1 and names[0].startswith(("GPU-", "MIG-")) else None


def _watch_process(reporter: Reporter) -> None:
    """Register the reporter for forks and the exit, by weak reference."""
    alive = weakref.ref(reporter)

    def renew() -> None:
        if (found := alive()) is not None:
            found._renew()

    def end() -> None:
        if (found := alive()) is not None and os.getpid() == found._pid:
            found.close(found._exit_s)

    os.register_at_fork(after_in_child=renew)
    atexit.register(end)
    weakref.finalize(reporter, atexit.unregister, end).atexit = False
