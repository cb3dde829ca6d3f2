"""The reporter: what a model's service holds, one a process."""

from __future__ import annotations

import atexit
import copy
import functools
import os
import socket
import threading
import time
import uuid
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from driftline.batches import Batches
from driftline.buffer import Buffer
from driftline.canonical import category_of
from driftline.counters import Counters
from driftline.courier import Courier
from driftline.errors import DomainError
from driftline.events import Features, Identity, Reported, time_of
from driftline.kafka_sender import KafkaSender, Sender
from driftline.rows import copied as _copied
from driftline.scalars import plain
from driftline.watch import Extract, watched
from driftline.wire import DEFAULT_TENANT

HOST_VARIABLE = "DRIFTLINE_HOST"
GPU_VARIABLE = "DRIFTLINE_GPU_UUID"


class Reporter:
    """Reports a model's predictions and labels to Driftline, beside the model's own work.

    Parameters
    ----------
    bootstrap : str or sequence of str
        Kafka's ``host:port``.
    model : str
        As in the model's configuration.
    tenant, model_version : str, optional
    feature_names : sequence of str, optional
        Needed where features come in order and without names.
    host, gpu_uuid : str, optional
        Where the model runs: by default ``DRIFTLINE_HOST`` or the host's name, and
        ``DRIFTLINE_GPU_UUID`` or the only GPU that ``CUDA_VISIBLE_DEVICES`` names by UUID.
    predictions_topic, labels_topic : str, optional
    format : {"json", "arrow"}, optional
        Of predictions; Arrow needs pyarrow.
    n_buffered : int, optional
        Events the buffer holds; beyond it the oldest are dropped, and counted.
    n_batch : int, optional
        Most events of one message.
    linger_s : float, optional
        How long an event may wait for others.
    exit_s : float, optional
        How long the end of the process may take for what is left.
    kafka : mapping, optional
        Further options of ``kafka.KafkaProducer`` (TLS, SASL, compression).

    Raises
    ------
    DomainError
        If an argument is out of its domain. Nothing else raises, ever: whatever fails
        afterwards is counted.

    Notes
    -----
    ``predict`` costs the model's thread about 2.5 us of CPU with ten features, and 2 us
    more where it makes up the id: it copies the features into the buffer. By the clock
    it is 7 us while the other thread encodes, which takes turns with it. Values are
    looked at, encoded and sent on that daemon thread, which starts with the first
    event. After a fork the child has a reporter of its own, empty, with its own thread
    and connection; the parent's events stay the parent's.

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
        format: str = "json",
        n_buffered: int = 100_000,
        n_batch: int = 500,
        linger_s: float = 0.5,
        n_in_flight: int = 16,
        exit_s: float = 2.0,
        kafka: Mapping[str, Any] | None = None,
        _sender: Callable[[], Sender] | None = None,
    ) -> None:
        _check(model, format, n_buffered, n_batch, n_in_flight, linger_s, exit_s)
        self._identity = Identity(model, tenant, model_version, tuple(feature_names))
        self._host = host or os.environ.get(HOST_VARIABLE) or socket.gethostname()
        self._gpu_uuid = gpu_uuid or os.environ.get(GPU_VARIABLE) or _only_gpu()
        self._batches = Batches(
            self._identity, predictions_topic, labels_topic, is_arrow=format == "arrow"
        )
        options = dict(kafka or {})
        self._new_sender = _sender or (lambda: KafkaSender(bootstrap, options))
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
        """Report one prediction; never raises, never waits for Kafka.

        Parameters
        ----------
        features : mapping or sequence
            What the model saw. A pandas Series, a frame of one row and a named tuple are
            matched by name; arrays and sequences by ``feature_names``. Values may be scalars
            of any library: ``driftline/canonical.py`` has their forms. None, NaN, NA, NaT and
            infinities are missing; so is a value without a form, which is counted
            (``counters.n_odd_values``).
        score : number, optional
            Probability of the positive class, or the regression's output.
        prediction : optional
            The decided class.
        id : str, optional
            Joins the label; one is made up by default.
        segments : mapping, optional
        host, gpu_uuid : str, optional
            Where this one was made, if not where the reporter is.
        time_us : int or datetime, optional
            Event time, microseconds UTC; now by default. Seconds, as ``time.time()`` gives
            them, milliseconds and nanoseconds are recognised by their magnitude.

        Returns
        -------
        str
            The id, for :meth:`label`.
        """
        id_: str = uuid.uuid4().hex if id is None else id
        try:
            id_ = _id_of(id_)
            event = Reported(
                False,
                id_,
                time.time_ns() // 1000 if time_us is None else time_of(time_us),
                _copied(features),
                score,
                prediction,
                segments.copy() if isinstance(segments, dict) else segments,
                host or self._host,
                gpu_uuid or self._gpu_uuid,
            )
            self._put(event)
        except Exception as error:
            self._count_invalid(error)
        return id_

    def label(self, id: str, label: Any, *, time_us: int | None = None) -> None:
        """Report what proved true of the prediction with this id; never raises.

        Parameters
        ----------
        id : str
        label : number or str
        time_us : int, optional
            When it became known; now by default.
        """
        try:
            now_us = time.time_ns() // 1000 if time_us is None else time_of(time_us)
            self._put(Reported(True, _id_of(id), now_us, score=label))
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
        """Decorate a function, plain or async, so that each call is reported.

        Parameters
        ----------
        features, id, segments : callable, optional
            Given the call's arguments. By default the features are the keyword
            arguments, or the first argument where there are none.
        score, prediction : callable, optional
            Given the result. By default the score is the result, where that is a number.

        Returns
        -------
        callable
            What the function returns, or raises, is left alone; a call that raises is
            not reported.

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
        """What became of the events so far: a copy."""
        with self._lock:
            return copy.copy(self._counters)

    def close(self, timeout: float = 10.0) -> bool:
        """Send what is left, and stop; whatever is reported afterwards is counted unsent.

        Parameters
        ----------
        timeout : float
            Seconds it may take; it may take less.

        Returns
        -------
        bool
            Whether everything that was sent is acknowledged and nothing was left.
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
            # From here on a late answer must not be counted a second time.
            self._counters = copy.copy(self._counters)
        return left == 0

    def _begin(self) -> None:
        """Start with nothing: in a new process, or in a forked one."""
        self._buffer = Buffer(self._n_buffered, self._n_batch)
        self._counters = Counters()
        self._lock = threading.Lock()
        self._courier = None
        self._sender = None
        self._is_closed = False
        self._pid = os.getpid()

    def _put(self, event: Reported) -> None:
        """Take an event into the buffer, and see that somebody empties it."""
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
        """Start the thread; an interpreter that is ending starts none."""
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
        """In a forked child: leave what is the parent's to the parent."""
        was_closed, sender = self._is_closed, self._sender
        self._begin()
        self._is_closed = was_closed
        if sender is not None:
            sender.abandon()

    def _count_invalid(self, error: BaseException) -> None:
        """Count an event that could not even be taken."""
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
    """Refuse arguments out of their domain, at the start and never later."""
    if not model:
        raise DomainError("model is empty", where="Reporter", fix="name the model")
    if format_ not in ("json", "arrow"):
        raise DomainError(f"format is {format_!r}", where="Reporter", fix="json or arrow")
    for name, n in (("n_buffered", n_buffered), ("n_batch", n_batch), ("n_in_flight", n_in_flight)):
        if n < 1:
            raise DomainError(f"{name} is {n}", where="Reporter", fix="1 or more")
    if linger_s < 0 or exit_s < 0:
        raise DomainError("a time is negative", where="Reporter", fix="0 or more seconds")


def _id_of(given: Any) -> str:
    """Return the text of an id, in its form: 7.0 is the row 7; a missing one is made up."""
    if type(given) is str:
        return given
    found = plain(given)
    return (found if isinstance(found, str) else category_of(found)) or uuid.uuid4().hex


def _only_gpu() -> str | None:
    """Return the GPU this process sees, where it sees one and by its UUID."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES") or os.environ.get("NVIDIA_VISIBLE_DEVICES", "")
    names = [name.strip() for name in visible.split(",") if name.strip()]
    return names[0] if len(names) == 1 and names[0].startswith(("GPU-", "MIG-")) else None


def _watch_process(reporter: Reporter) -> None:
    """Have the reporter told of forks and of the end; hold it no longer than others do."""
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
