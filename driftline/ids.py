"""Ids of predictions that are given none: UUIDs of version 7, which begin with a time.

References
----------
RFC 9562, Universally Unique IDentifiers, 2024, sections 5.7 (version 7) and 6.2 (method 3: the
bits behind the milliseconds are a fraction of one).
"""

from __future__ import annotations

import os
import re

_MS_BITS, _FRACTION = 48, 1 << 12
_UUID_7 = re.compile(
    r"([0-9a-f]{8})-?([0-9a-f]{4})-?7([0-9a-f]{3})-?[89ab][0-9a-f]{3}-?[0-9a-f]{12}"
)


def new_id(time_us: int) -> str:
    """Return a UUID of version 7 for a time, in microseconds, as 32 digits.

    Ids of later times sort behind those of earlier ones; 62 bits are random.

    Examples
    --------
    >>> new_id(1_700_000_000_123_456)[:16]
    '018bcfe5687b774b'
    """
    ms, rest_us = divmod(min(max(time_us, 0), (1 << _MS_BITS) * 1000 - 1), 1000)
    head = ms << 16 | 0x7000 | rest_us * _FRACTION // 1000
    tail = int.from_bytes(os.urandom(8), "big") >> 2 | 1 << 63
    return f"{head << 64 | tail:032x}"


def time_of_id(id: str) -> int | None:
    """Return the time in a UUID of version 7, in microseconds; None for any other text.

    Notes
    -----
    Of ids by :func:`new_id` it is the time given. Where another producer fills the fraction with
    random bits, it is at most a millisecond too late.

    Examples
    --------
    >>> time_of_id("018bcfe5-687b-774b-8000-000000000000"), time_of_id("case 7")
    (1700000000123456, None)
    """
    found = _UUID_7.fullmatch(id.lower())
    if found is None:
        return None
    rest_us = -(-int(found[3], 16) * 1000 // _FRACTION)
    return int(found[1] + found[2], 16) * 1000 + rest_us
