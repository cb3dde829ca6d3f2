"""Formats and parses times for display and options, all in UTC. Pure.

Other forms of times, in files and events, are parsed by :mod:`driftline.times`.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from driftline.times import time_of_moment

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def moment_of(time_us: int) -> datetime:
    """Return a time as a datetime in UTC.

    Raises
    ------
    OverflowError
        If it is not within the years 1 to 9999.

    Examples
    --------
    >>> moment_of(1_451_738_326_500_000).isoformat()
    '2016-01-02T12:38:46.500000+00:00'
    """
    return _EPOCH + timedelta(microseconds=time_us)


def time_of_iso(text: str) -> int:
    """Parse an ISO 8601 time; the default time zone is UTC.

    Raises
    ------
    ValueError
        If it is not such a time.

    Examples
    --------
    >>> time_of_iso("1970-01-02"), time_of_iso("1970-01-01T01:00:00.5+01:00")
    (86400000000, 500000)
    """
    return time_of_moment(datetime.fromisoformat(text))


def clock_text(time_us: int) -> str:
    """Format a time of day.

    Examples
    --------
    >>> clock_text(14 * 3_600_000_000)
    '14:00 UTC'
    """
    return f"{moment_of(time_us):%H:%M UTC}"


def short_text(time_us: int) -> str:
    """Format a day and a time of day, for figures and lists.

    Examples
    --------
    >>> short_text(1_451_738_326_000_000)
    '02 Jan 12:38'
    """
    return f"{moment_of(time_us):%d %b %H:%M}"


def tick_text(time_us: int) -> str:
    """Format a tick label: the time of day, or the day at midnight.

    Examples
    --------
    >>> tick_text(0), tick_text(3_600_000_000)
    ('01 Jan', '01:00')
    """
    moment = moment_of(time_us)
    return f"{moment:%d %b}" if moment.hour == 0 else f"{moment:%H:%M}"


def minute_text(time_us: int) -> str:
    """Format a time with minutes, for tables.

    Examples
    --------
    >>> minute_text(1_451_738_326_000_000)
    '2016-01-02 12:38'
    """
    return f"{moment_of(time_us):%Y-%m-%d %H:%M}"


def second_text(time_us: int) -> str:
    """Format a time with seconds.

    Examples
    --------
    >>> second_text(1_451_606_400_000_000)
    '2016-01-01 00:00:00 UTC'
    """
    return f"{moment_of(time_us):%Y-%m-%d %H:%M:%S UTC}"


def iso_text(time_us: int) -> str:
    """Format a time in ISO 8601; as a number outside the years 1 to 9999.

    Examples
    --------
    >>> iso_text(1_451_606_400_000_000), iso_text(1_451_606_400_000_000_000)
    ('2016-01-01T00:00:00', '1451606400000000000 us')
    """
    try:
        return f"{moment_of(time_us):%Y-%m-%dT%H:%M:%S}"
    except OverflowError:
        return f"{time_us} us"


def day_text(time_us: int) -> str:
    """Format a day.

    Examples
    --------
    >>> day_text(1_451_606_400_000_000)
    '1 January 2016'
    """
    moment = moment_of(time_us)
    return f"{moment.day} {moment:%B %Y}"


def weekday_text(time_us: int) -> str:
    """Format a time with minutes and weekday, for messages.

    Examples
    --------
    >>> weekday_text(1_451_738_326_000_000)
    'Sat 02 Jan 2016 12:38 UTC'
    """
    return f"{moment_of(time_us):%a %d %b %Y %H:%M UTC}"
