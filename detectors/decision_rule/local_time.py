"""Event times on the local clock, with daylight saving."""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from schemas.errors import DomainError, ShapeError
from schemas.time_zones import UTC_NAME, find_zone

_DAY_S: Final = 86_400
_RANGE_S: Final = (-62_135_000_000, 253_370_000_000)
"""The years 1 to 9998: outside, the offset of the nearest of them is used."""

Times = NDArray[np.int64]


def local_time_us(time_us: ArrayLike, timezone: str = UTC_NAME) -> Times:
    """Return local time as microseconds since 1 January 1970, local.

    Parameters
    ----------
    time_us : array_like of int
        Event times, microseconds since the epoch.
    timezone : str, default "UTC"
        IANA name.

    Returns
    -------
    ndarray of int64
        Of the same shape. In autumn one hour occurs twice, in spring one is skipped.

    Raises
    ------
    ShapeError
        If the times are not integers.
    DomainError
        If there is no such zone.

    Notes
    -----
    O(n log t + days): the zone's offset is looked up once a day, the moment of each
    change is found by bisection.

    Examples
    --------
    >>> from datetime import UTC, datetime
    >>> spring = round(datetime(2024, 3, 31, tzinfo=UTC).timestamp() * 1e6)
    >>> hours = spring + 3_600_000_000 * np.arange(3)
    >>> (local_time_us(hours, "Europe/Berlin") // 3_600_000_000 % 24).tolist()
    [1, 3, 4]
    """
    times = np.asarray(time_us)
    if times.dtype.kind not in "iu":
        raise ShapeError(f"dtype is {times.dtype}", where="local_time_us", fix="pass microseconds")
    times = times.astype(np.int64)
    if timezone == UTC_NAME or not times.size:
        return times
    starts_us, offsets_us = clock_offsets(timezone, int(times.min()), int(times.max()))
    return times + offsets_us[np.searchsorted(starts_us, times, side="right") - 1]


def clock_offsets(timezone: str, first_us: int, last_us: int) -> tuple[Times, Times]:
    """Return the offsets from UTC of a local clock over a stretch of time.

    Parameters
    ----------
    timezone : str
        IANA name.
    first_us, last_us : int
        Both ends, microseconds since the epoch.

    Returns
    -------
    starts_us, offsets_us : ndarray of int64
        Start of each offset, the first one at ``first_us``, and the offset,
        microseconds to be added to UTC. Neighbours differ.

    Raises
    ------
    DomainError
        If there is no such zone.

    Examples
    --------
    >>> starts, offsets = clock_offsets("Europe/Berlin", 1_704_067_200_000_000,
    ...                                 1_735_689_600_000_000)  # 2024
    >>> (offsets // 3_600_000_000).tolist()
    [1, 2, 1]
    """
    days = [*range(first_us // 1_000_000, last_us // 1_000_000, _DAY_S), last_us // 1_000_000]
    starts_us, offsets = [first_us], [zone_offset_s(timezone, days[0])]
    for low_s, high_s in pairwise(days):
        offset_s = zone_offset_s(timezone, high_s)
        if offset_s != offsets[-1]:
            starts_us.append(_change_s(timezone, low_s, high_s) * 1_000_000)
            offsets.append(offset_s)
    return np.array(starts_us, np.int64), np.array(offsets, np.int64) * 1_000_000


def _change_s(timezone: str, low_s: int, high_s: int) -> int:
    """Return the first second with the offset of ``high_s``."""
    before = zone_offset_s(timezone, low_s)
    while high_s - low_s > 1:
        middle_s = (low_s + high_s) // 2
        if zone_offset_s(timezone, middle_s) == before:
            low_s = middle_s
        else:
            high_s = middle_s
    return high_s


@lru_cache(maxsize=4096)
def zone_offset_s(timezone: str, time_s: int) -> int:
    """Return a zone's offset from UTC at one moment, both in seconds.

    Raises
    ------
    DomainError
        If there is no such zone.
    """
    try:
        zone = find_zone(timezone)
    except ValueError as error:
        raise DomainError(str(error), where="timezone", fix="use another name") from None
    moment = datetime.fromtimestamp(min(max(time_s, _RANGE_S[0]), _RANGE_S[1]), zone)
    offset = moment.utcoffset()
    return round(offset.total_seconds()) if offset is not None else 0
