"""Rate-limited logging: repeated records are counted instead of written."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable
from time import monotonic
from typing import IO, Final

_FIRST_N: Final = 5
_EVERY_S: Final = 10.0
_MAX_KINDS: Final = 512
_NUMBERS: Final = re.compile(r"\d+")
_PLACEHOLDERS: Final = re.compile(r"%[-#0-9. +]*[a-zA-Z]|[\W\d_]")


class RateLimitedHandler(logging.StreamHandler[IO[str]]):
    """Writes the first few records of a kind, then once an interval how many more there were.

    Parameters
    ----------
    first_n : int, optional
        Records of a kind that are written in each interval.
    every_s : float, optional
        Length of the interval.

    Notes
    -----
    Records are of one kind if logger, level and template are equal, numbers apart; of a
    template without words, as librdkafka's, the message is compared. While its broker is away
    aiokafka alone logs thirty records a second. Suppressed records are reported with the next
    record of any logger after the interval, and at the end.

    Examples
    --------
    >>> import io
    >>> out, now = io.StringIO(), [0.0]
    >>> handler = RateLimitedHandler(out, first_n=1, every_s=10, clock_s=lambda: now[0])
    >>> for now[0] in (0, 1, 2, 11):
    ...     handler.handle(logging.makeLogRecord({"msg": "try %d", "args": (now[0],)})) and None
    >>> print(out.getvalue(), end="")
    try 0
    try 2 (repeated 2 times in 10 s)
    try 11
    """

    def __init__(
        self,
        stream: IO[str],
        *,
        first_n: int = _FIRST_N,
        every_s: float = _EVERY_S,
        clock_s: Callable[[], float] = monotonic,
    ) -> None:
        super().__init__(stream)
        self._first_n, self._every_s, self._clock_s = first_n, every_s, clock_s
        self._kinds: dict[tuple[str, int, str], _Kind] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record, or count it; the handler's lock is held."""
        now_s = self._clock_s()
        self._summarize(now_s)
        key = (record.name, record.levelno, _template(record))
        kind = self._kinds.get(key)
        if kind is None:
            if len(self._kinds) >= _MAX_KINDS:
                self._summarize(float("inf"))
            kind = self._kinds[key] = _Kind(now_s)
        kind.n_seen += 1
        if kind.n_seen <= self._first_n:
            self._write(record)
        else:
            kind.last, kind.n_held = record, kind.n_held + 1

    def _summarize(self, now_s: float) -> None:
        """Write the summaries of intervals that have ended, and drop them."""
        due = [k for k, kind in self._kinds.items() if now_s - kind.since_s >= self._every_s]
        for key in due:
            kind = self._kinds.pop(key)
            if kind.last is not None:
                self._write(_summary(kind.last, kind.n_held, self._every_s))

    def _write(self, record: logging.LogRecord) -> None:
        """Write one line; a closed stream is no error."""
        try:
            self.stream.write(self.format(record) + "\n")
            self.stream.flush()
        except RecursionError:
            raise
        except (BrokenPipeError, ValueError):
            return
        except Exception:
            self.handleError(record)

    def close(self) -> None:
        """Write the remaining summaries."""
        with self.lock or threading.RLock():
            self._summarize(float("inf"))
        super().close()


class _Kind:
    """Records of one kind within one interval."""

    __slots__ = ("last", "n_held", "n_seen", "since_s")

    def __init__(self, since_s: float) -> None:
        self.since_s = since_s
        self.n_seen = self.n_held = 0
        self.last: logging.LogRecord | None = None


def _template(record: logging.LogRecord) -> str:
    """Return what records of one kind have in common.

    Examples
    --------
    >>> _template(logging.makeLogRecord({"msg": "try %d of 3", "args": (1,)}))
    'try %d of #'
    >>> _template(logging.makeLogRecord({"msg": "%s [%s] %s", "args": ("FAIL", "c-1", "refused")}))
    'FAIL [c-#] refused'
    """
    text = str(record.msg)
    return _NUMBERS.sub("#", text if _PLACEHOLDERS.sub("", text) else record.getMessage())


def _summary(last: logging.LogRecord, n_held: int, every_s: float) -> logging.LogRecord:
    """Return the record that summarises the suppressed ones."""
    record = logging.makeLogRecord(last.__dict__)
    words = f"{last.getMessage()} (repeated {n_held} times in {every_s:g} s)"
    record.msg, record.args, record.exc_info = words, (), None
    return record
