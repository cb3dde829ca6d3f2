"""When a change began, in words."""

from __future__ import annotations

from schemas.time_text import day_text, moment_of
from schemas.time_units import DAY_US


def onset_text(onset_us: int, low_us: int, high_us: int, now_us: int | None = None) -> str:
    """Write the most likely beginning of a change, and the interval of its beginning.

    Parameters
    ----------
    onset_us, low_us, high_us : int
        Most likely beginning, and the first and the last likely one.
    now_us : int, optional
        When the text is read; the day is left out where the beginning is less than a day ago.

    Examples
    --------
    >>> minute = 60_000_000
    >>> onset_text(845 * minute, 840 * minute, 855 * minute, 900 * minute)
    'since about 14:05 (14:00 to 14:15) UTC'
    >>> onset_text(845 * minute, 840 * minute, 855 * minute)
    'since about 14:05 (14:00 to 14:15) UTC on 1 January 1970'
    >>> onset_text(0, -1_440 * minute, 60 * minute, 60 * minute)
    'since about 00:00 (31 Dec 00:00 to 01:00) UTC'
    """
    low, high = _moment(low_us, onset_us), _moment(high_us, onset_us)
    text = f"since about {moment_of(onset_us):%H:%M} ({low} to {high}) UTC"
    is_recent = now_us is not None and now_us - onset_us < DAY_US
    return text if is_recent else f"{text} on {day_text(onset_us)}"


def _moment(time_us: int, onset_us: int) -> str:
    """Write a time of day, with its day where that is not the day of the beginning."""
    is_same_day = time_us // DAY_US == onset_us // DAY_US
    return f"{moment_of(time_us):%H:%M}" if is_same_day else f"{moment_of(time_us):%d %b %H:%M}"
