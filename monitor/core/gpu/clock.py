"""Clock offsets of hosts, and the time of the telemetry stream, robust to wrong clocks."""

from __future__ import annotations

from statistics import median

import msgspec

from schemas.time_units import DAY_US

KEPT_LAGS, NEEDED_LAGS = 8, 5
STEADY_US = 15_000_000
"""Maximum variation of the lags of a wrong clock; lags of late telemetry vary more."""
_MANY_IN_A_ROW = 16
_OWN_STAMP_US = 5_000_000
"""Record times that are this close to the event's may come from the same clock."""


class StreamClock(msgspec.Struct):
    """Event time of a partition.

    Notes
    -----
    An event that is more than ``jump_us`` ahead advances the time only if a second one confirms it:
    the next one, of another host if there are several, or one of sixteen in a row. Otherwise a
    clock that is ahead would make all other hosts look silent.

    Examples
    --------
    >>> clock = StreamClock()
    >>> for time_us, host in ((0, "a"), (900, "a"), (30, "b"), (800, "b"), (810, "a")):
    ...     clock.advance(time_us, host, n_hosts=2, jump_us=60)
    ...     print(clock.now_us)
    0
    0
    30
    30
    810
    """

    now_us: int = -1
    doubted_host: str = ""
    """Host of the last event that was ahead, without an event in time since."""
    n_doubted: int = 0

    def advance(self, time_us: int, host: str, n_hosts: int, jump_us: int) -> None:
        """Process the time of an event."""
        if self.now_us < 0 or time_us <= self.now_us + jump_us:
            self.now_us, self.n_doubted = max(self.now_us, time_us), 0
            return
        is_agreed = self.n_doubted > 0 and (host != self.doubted_host or n_hosts <= 1)
        if is_agreed or self.n_doubted >= _MANY_IN_A_ROW:
            self.now_us, self.n_doubted = time_us, 0
            return
        if not self.n_doubted:
            self.doubted_host = host
        self.n_doubted += 1


class HostClock(msgspec.Struct):
    """Lags of a host's events: arrival minus event time.

    Examples
    --------
    >>> clock = HostClock()
    >>> for minute in range(6):
    ...     _ = clock.note(600_000_000 + minute * 1_000_000, 60_000_000 * minute, 30_000_000)
    >>> clock.steady_us
    602000000
    """

    lows_us: list[int] = []
    highs_us: list[int] = []
    """Smallest and largest lag of each of the last intervals."""
    began_us: int = -1
    low_us: int = 0
    high_us: int = 0
    """Start of the current interval."""
    offset_us: int = 0
    """Correction added to the host's times; 0 unless its clock is known to be wrong."""

    def note(self, lag_us: int, now_us: int, every_us: int) -> bool:
        """Record a lag; return whether it starts a new interval."""
        if self.began_us >= 0 and 0 <= now_us - self.began_us < every_us:
            self.low_us, self.high_us = min(self.low_us, lag_us), max(self.high_us, lag_us)
            return False
        if self.began_us >= 0:
            self.lows_us = [*self.lows_us, self.low_us][-KEPT_LAGS:]
            self.highs_us = [*self.highs_us, self.high_us][-KEPT_LAGS:]
        self.began_us, self.low_us, self.high_us = now_us, lag_us, lag_us
        return True

    @property
    def steady_us(self) -> int | None:
        """The common lag of all events of the last five intervals; None if lags vary.

        Lags of telemetry in bursts vary, because its last event is not late.
        """
        lags = [*self.lows_us[-NEEDED_LAGS:], *self.highs_us[-NEEDED_LAGS:]]
        if len(lags) < 2 * NEEDED_LAGS:
            return None
        middle = int(median(lags))
        return middle if all(abs(lag - middle) <= STEADY_US for lag in lags) else None

    def is_right(self, limit_us: float) -> bool:
        """Return whether the clock was close to the stream's in all stored intervals."""
        lags = [*self.lows_us, *self.highs_us]
        return len(lags) == 2 * KEPT_LAGS and all(abs(lag) < limit_us for lag in lags)


def lag_of(time_us: int, record_us: int, now_us: int) -> int:
    """Return the lag of an event: arrival minus event time; negative if it is ahead.

    Parameters
    ----------
    time_us, record_us : int
        Event time and record time; -1 without one.
    now_us : int
        Time of the stream.

    Returns
    -------
    int
        Relative to the record time, unless that is missing, a day later (imported history), or so
        close that it may come from the same clock; then relative to the stream.

    Examples
    --------
    >>> lag_of(0, 90_000_000, 5), lag_of(0, -1, 5), lag_of(0, 1_000_000, 600_000_000)
    (90000000, 5, 600000000)
    """
    by_record = record_us - time_us
    if record_us < 0 or not _OWN_STAMP_US <= abs(by_record) < DAY_US:
        return now_us - time_us
    return by_record


def offset_text(offset_us: int) -> str:
    """Format a clock offset.

    Examples
    --------
    >>> offset_text(600_000_000), offset_text(-90_000_000)
    ('clock 10 min behind', 'clock 1.5 min ahead')
    """
    return f"clock {abs(offset_us) / 6e7:.2g} min {'behind' if offset_us > 0 else 'ahead'}"
