"""Bounds of the values in messages of internal topics.

Codecs check every value against them, so that readers need not: a message with a value outside its
bounds is a dead letter.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import msgspec
import numpy as np
from numpy.typing import NDArray

from driftline.times import FARTHEST_US
from schemas.errors import DomainError
from schemas.time_units import DAY_US

MAX_NAME_CHARS = 1_100
"""Length of a name in an event (version, host, GPU, ``segment=value``).

Ingest counts longer ones as ``other`` (``MAX_VALUE_CHARS``).
"""
MAX_TEXT_CHARS = 65_536
"""Length of a display text: title, action, detail."""
MAX_COUNT = 1 << 40
"""Value of one counter of a pane; the sum over a million panes fits into int64."""
MAX_OFFSET = 1 << 62
"""Value of a log offset."""
MAX_PARTITIONS = 1 << 14
"""Partitions of a source topic; a cluster has some thousands in total."""
MAX_VALUE_BYTES = 900_000
"""Size of one message; a broker's default limit is 1,048,588 bytes with key and framing."""
DECODE_ERRORS = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""Errors of msgspec for bytes that do not match the type."""
MAX_AHEAD_US = DAY_US
"""How far a time may be ahead of its record time: a day, more than any clock difference.

Without this bound one invalid watermark would close all future windows.
"""


def check_number(name: str, value: int, low: int, high: int) -> int:
    """Return the value if it is in [low, high].

    Raises
    ------
    DomainError
        If it is not.

    Examples
    --------
    >>> check_number("chunk", 3, 0, 7)
    3
    >>> check_number("chunk", 8, 0, 7)
    Traceback (most recent call last):
    ...
    driftline.errors.DomainError: chunk is 8, not in 0..7
    """
    if not low <= value <= high:
        raise DomainError(f"{name} is {value}, not in {low}..{high}")
    return value


def check_text(name: str, value: str, max_chars: int = MAX_NAME_CHARS) -> str:
    """Return the text if it is short enough and can be encoded as UTF-8.

    Raises
    ------
    DomainError
        If it is not.

    Examples
    --------
    >>> check_text("owner", "x" * 2_000)
    Traceback (most recent call last):
    ...
    driftline.errors.DomainError: owner has 2000 characters, more than 1100
    """
    if len(value) > max_chars:
        raise DomainError(f"{name} has {len(value)} characters, more than {max_chars}")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise DomainError(f"{name} holds half a surrogate pair") from None
    return value


def is_plain(text: str) -> bool:
    """Whether a text, and so every part of it, passes :func:`check_text`; False decides nothing.

    Examples
    --------
    >>> is_plain("name"), is_plain("n" * 2_000), is_plain("näme")
    (True, False, False)
    """
    return len(text) <= MAX_NAME_CHARS and text.isascii()


def check_names(name: str, values: Iterable[str], max_names: int) -> None:
    """Check a list of names: short, distinct, and not too many.

    Raises
    ------
    DomainError
        If a check fails.

    Examples
    --------
    >>> check_names("segments", ["*", "a=1", "*"], 10)
    Traceback (most recent call last):
    ...
    driftline.errors.DomainError: segments holds '*' twice
    """
    seen: set[str] = set()
    for value in values:
        if check_text(name, value) in seen:
            raise DomainError(f"{name} holds {value[:80]!r} twice")
        seen.add(value)
    if len(seen) > max_names:
        raise DomainError(f"{name} holds {len(seen)} names, more than {max_names}")


def check_time(name: str, value: int, record_time_us: int = -1) -> int:
    """Return the time if it is valid.

    Parameters
    ----------
    value : int
        Microseconds since 1970.
    record_time_us : int, optional
        Record time of the message; -1 if there is none. Times more than a day ahead of it are
        rejected.

    Raises
    ------
    DomainError
        If it is before 1684 or after 2255, or too far ahead.

    Examples
    --------
    >>> check_time("start_us", 200_000_000_000, record_time_us=0)
    Traceback (most recent call last):
    ...
    driftline.errors.DomainError: start_us lies 200000 s ahead of its record
    """
    check_number(name, value, -FARTHEST_US, FARTHEST_US)
    if 0 <= record_time_us < value - MAX_AHEAD_US:
        ahead_s = (value - record_time_us) // 1_000_000
        raise DomainError(f"{name} lies {ahead_s} s ahead of its record")
    return value


def check_counts(name: str, values: NDArray[np.int64], high: int = MAX_OFFSET) -> None:
    """Check that counters are not negative and within their bound.

    Raises
    ------
    DomainError
        If a counter is out of range.
    """
    if values.size and (int(values.min()) < 0 or int(values.max()) > high):
        raise DomainError(f"{name} holds a count outside 0..{high}")


def check_finite(name: str, values: NDArray[np.float64]) -> None:
    """Check that numbers are neither NaN nor infinite.

    Raises
    ------
    DomainError
        If a number is not finite.
    """
    if not np.isfinite(values).all():
        raise DomainError(f"{name} holds a number that is not finite")


def check_struct(value: object, name: str = "value") -> None:
    """Check all values of a decoded message, by the names of its fields.

    Parameters
    ----------
    value : object
        A struct, or a field of one: texts, numbers, bytes, lists, mappings.
    name : str, optional
        Name of the field, for the error. Fields that end in ``_us`` are times; fields that begin
        with ``n_`` or end in ``offset``, ``sequence`` or ``counts`` must not be negative.

    Raises
    ------
    DomainError
        With the first field that has a NaN, an integer whose sums could overflow, an invalid time,
        or a text that is too long.

    Examples
    --------
    >>> from schemas.alerts import Delivery
    >>> done = Delivery(notification_id="1", receiver="r", state="done", time_us=5, attempts=1)
    >>> check_struct(done)
    >>> check_struct(msgspec.structs.replace(done, detail="x" * 70_000))
    Traceback (most recent call last):
    ...
    driftline.errors.DomainError: detail has 70000 characters, more than 65536
    """
    if value is None or isinstance(value, bool | bytes):
        return
    if isinstance(value, str):
        check_text(name, value, MAX_TEXT_CHARS)
    elif isinstance(value, int):
        _check_integer(name, value)
    elif isinstance(value, float):
        if math.isnan(value):
            raise DomainError(f"{name} is not a number")
    elif isinstance(value, msgspec.Struct):
        for field in value.__struct_fields__:
            check_struct(getattr(value, field), field)
    elif isinstance(value, Mapping):
        for key, each in value.items():
            check_struct(key, "key")
            check_struct(each, name)
    elif isinstance(value, list | tuple):
        for each in value:
            check_struct(each, name)


_NOT_NEGATIVE = ("offset", "sequence", "counts")


def _check_integer(name: str, value: int) -> None:
    """Check an integer by the name of its field."""
    if name.endswith("_us"):
        check_time(name, value)
    else:
        is_count = name.startswith("n_") or name.endswith(_NOT_NEGATIVE)
        check_number(name, value, 0 if is_count else -MAX_OFFSET, MAX_OFFSET)
