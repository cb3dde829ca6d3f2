"""Parses times in all forms of files and producers to microseconds since 1970, UTC.

======================================== ===============================================
written as                               read as
======================================== ===============================================
ISO 8601 text, ``T`` or a space between  the moment; without a zone it is UTC
``Z``, ``UTC``, ``+00``, ``+0530``,      the zone, with or without a space before it; a
``+05:30``                               name in brackets after it is ignored
``.5``, ``,123456789``                   a fraction of any length, cut to microseconds
``2024-03-04``, ``20240304``             midnight UTC; the latter also as a number
a number below 1e11, 1e14, 1e17          seconds, milliseconds, microseconds since 1970
a number from 1e17 on                    nanoseconds since 1970
a number below 1e8 that is no date       refused: it would be in 1970 to 1973
any number, with a declared unit         that unit
======================================== ===============================================

A number may have a fraction, and may be text. In these ranges seconds cover 1973 to 5138, and so do
the other units, so no present time is ambiguous.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Final, Literal

TimeUnit = Literal["s", "ms", "us", "ns"]

EARLIEST: Final = 100_000_000
"""The smallest number that is a time without a declared unit: March 1973 in seconds."""
LATEST: Final = 2**63 - 1
"""The largest int64; nanoseconds reach the year 2262."""
LIMITS: Final = ((10**11, 10**6), (10**14, 10**3), (10**17, 1))
"""Upper bounds of numbers, with their microseconds per unit; larger numbers are nanoseconds."""
US_OF_UNIT: Final = {"s": 10**6, "ms": 10**3, "us": 1}
"""Microseconds of a unit; a nanosecond is less than one."""

FARTHEST_US: Final = 1 << 53
"""Times above this (the year 2255) are rejected as future, regardless of the record time.

Nanoseconds read as microseconds exceed it, and one such time would make all later events late.
Times as far before 1970 are late.
"""

EARLIEST_US: Final = 10**14
"""Times from 1970 to this (March 1973) are in seconds or milliseconds, if the record is later.

Read as microseconds they would be in January 1970, and always late.
"""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_MOMENT = re.compile(
    r"([0-9]{4})([-/]?)([0-9]{2})\2([0-9]{2})"
    r"(?:[T ]([0-9]{2})(?::?([0-9]{2})(?::?([0-9]{2})(?:[.,]([0-9]+))?)?)?"
    r"\s*(Z|UTC|GMT|[+-][0-9]{2}(?::?[0-9]{2}(?::?[0-9]{2})?)?)?(?:\[[^\]]*\])?)?",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"[+-]?[0-9]+(?:\.([0-9]+))?(?:[eE][+-]?[0-9]{1,3})?")


def time_of_text(text: str, unit: TimeUnit | None = None, zone: tzinfo = UTC) -> int:
    """Parse a time in text form.

    Parameters
    ----------
    unit : {"s", "ms", "us", "ns"}, optional
        Unit of a number; by default derived from its magnitude.
    zone : tzinfo
        Time zone of times without one.

    Returns
    -------
    int
        Microseconds since 1970, UTC.

    Raises
    ------
    ValueError
        If it is not a time.

    Examples
    --------
    >>> time_of_text("1970-01-01 01:00:01,5+01"), time_of_text("1709510400")
    (1500000, 1709510400000000)
    >>> time_of_text("1709510400000.25"), time_of_text("20240304")
    (1709510400000250, 1709510400000000)
    """
    bare = text.strip()
    found = _MOMENT.fullmatch(bare)
    if found is not None and not (unit and bare.isdigit()):
        return _moment(found, zone)
    number = _NUMBER.fullmatch(bare)
    if number is None:
        raise ValueError(f"{text[:80]!r} is no time")
    is_whole = number[1] is None and "e" not in bare and "E" not in bare
    return time_of_number(int(bare) if is_whole else float(bare), unit)


def time_of_number(number: float, unit: TimeUnit | None = None) -> int:
    """Convert a number to a time, by its declared unit or its magnitude.

    Raises
    ------
    ValueError
        If it exceeds int64, or if it has no declared unit, is too small, and is not a date.

    Examples
    --------
    >>> time_of_number(1709510400.25), time_of_number(1709510400_000_000_000)
    (1709510400250000, 1709510400000000)
    >>> time_of_number(5, "s")
    5000000
    """
    size = abs(number)
    if not size <= LATEST:
        raise ValueError(f"{number} is out of range for a time")
    if unit == "ns":
        return int(number // 1000)
    if unit is not None:
        return round(number * US_OF_UNIT[unit])
    if size < EARLIEST:
        return _date_number(number)
    for limit, us in LIMITS:
        if size < limit:
            return round(number * us)
    return int(number // 1000)


def time_of_moment(moment: datetime | date) -> int:
    """Convert a datetime or a date; the default time zone is UTC.

    Examples
    --------
    >>> time_of_moment(date(1970, 1, 2))
    86400000000
    """
    if not isinstance(moment, datetime):
        moment = datetime(moment.year, moment.month, moment.day, tzinfo=UTC)
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return (aware - _EPOCH) // _MICROSECOND


def moment_text(time_us: int, *, is_zoned: bool) -> str:
    """Format a time in the canonical form of categories, ISO 8601.

    Parameters
    ----------
    time_us : int
        Microseconds since 1970, UTC; local for times without a time zone.
    is_zoned : bool
        Whether the time has a time zone, and is written in UTC with ``Z``. Without one no zone is
        written, and midnight is written as a date.


    Examples
    --------
    >>> moment_text(1_500_000, is_zoned=True), moment_text(1_000_000, is_zoned=False)
    ('1970-01-01T00:00:01.5Z', '1970-01-01T00:00:01')
    >>> moment_text(86_400_000_000, is_zoned=False), moment_text(10**18, is_zoned=True)
    ('1970-01-02', '1000000000000000000us')
    """
    try:
        moment = (_EPOCH + timedelta(microseconds=time_us)).replace(tzinfo=None)
    except OverflowError:
        return f"{time_us}us"
    if not is_zoned and time_us % 86_400_000_000 == 0:
        return moment.date().isoformat()
    text = moment.isoformat()
    text = text.rstrip("0") if "." in text else text
    return f"{text}Z" if is_zoned else text


def form_of_moment(text: str) -> str | None:
    """Return the form of a date with a time of day; None for any other text.

    Examples
    --------
    >>> form_of_moment("1970-01-01 01:00:01+01"), form_of_moment("1970-01-01")
    ('1970-01-01T00:00:01Z', None)
    """
    found = _MOMENT.fullmatch(text)
    if found is None or found[6] is None or not found[2]:
        return None
    try:
        return moment_text(_moment(found, UTC), is_zoned=found[9] is not None)
    except (ValueError, OverflowError):
        return None


def _moment(found: re.Match[str], zone: tzinfo) -> int:
    """Return the microseconds of a matched text; raise ``ValueError`` for an invalid date."""
    hour, minute, second = (int(found[group] or 0) for group in (5, 6, 7))
    if hour > 24 or minute > 59 or second > 60 or (hour == 24 and minute + second):
        raise ValueError(f"{found[0]!r} is no time of day")
    day = date(int(found[1]), int(found[3]), int(found[4])).toordinal() - 719_163
    seconds = 86_400 * day + 3_600 * hour + 60 * minute + second
    if found[9] is None and zone is not UTC:
        clock = (_EPOCH + timedelta(seconds=seconds)).replace(tzinfo=zone)
        seconds = (clock.astimezone(UTC) - _EPOCH) // timedelta(seconds=1)
    else:
        seconds -= _offset_s(found[9] or "")
    return seconds * 1_000_000 + int(f"{found[8] or '0':0<6}"[:6])


def _offset_s(zone: str) -> int:
    """Return the offset of a time zone from UTC in seconds."""
    if zone[:1] not in ("+", "-"):
        return 0
    digits = f"{zone[1:].replace(':', ''):0<6}"
    seconds = 3_600 * int(digits[:2]) + 60 * int(digits[2:4]) + int(digits[4:6])
    return -seconds if zone[0] == "-" else seconds


def _date_number(number: float) -> int:
    """Parse YYYYMMDD."""
    found = _MOMENT.fullmatch(str(int(number))) if number == int(number) else None
    if found is None:
        raise ValueError(f"{number} is no time; declare its unit with columns.time_unit")
    return _moment(found, UTC)
