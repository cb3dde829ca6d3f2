"""Bounds of what a message on one of our own topics may hold.

A codec checks every value against them, so that no reader has to: a message with a value
outside is a dead letter, whatever wrote it.
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
"""Of a name that an event brings (version, host, GPU, ``segment=value``); ingest counts longer
ones as ``other`` (``MAX_VALUE_CHARS``)."""
MAX_TEXT_CHARS = 65_536
"""Of a text for people: title, action, detail."""
MAX_COUNT = 1 << 40
"""Of one counter of one pane; a million panes of it still fit into int64."""
MAX_OFFSET = 1 << 62
"""Of a position in a log."""
MAX_PARTITIONS = 1 << 14
"""Of one source topic; a cluster has some thousands in all."""
MAX_VALUE_BYTES = 900_000
"""Of one message; a broker's default limit is 1,048,588 bytes with key and framing."""
DECODE_ERRORS = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What msgspec raises on bytes that are not what was asked for."""
MAX_AHEAD_US = DAY_US
"""How far a time may lie ahead of the record that carries it: a day, beyond any difference of
clocks. Without it one watermark closes every window there will ever be."""


def check_number(name: str, value: int, low: int, high: int) -> int:
    """Return the value if it lies in [low, high].

    Raises
    ------
    DomainError
        If it does not.

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
    """Return the text if it is short enough and can be written as UTF-8.

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


def check_names(name: str, values: Iterable[str], max_names: int) -> None:
    """Check texts that name things: each short, all different, not too many.

    Raises
    ------
    DomainError
        If they are not.

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
    """Return the time if it can be one.

    Parameters
    ----------
    value : int
        Microseconds since 1970.
    record_time_us : int, optional
        Of the record that carries it; -1 where there is none. Times more than a day ahead
        of it are refused.

    Raises
    ------
    DomainError
        If it lies before 1684 or beyond 2255, or too far ahead.

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
    """Check that counters are not negative and not beyond what can be counted.

    Raises
    ------
    DomainError
        If one is.
    """
    if values.size and (int(values.min()) < 0 or int(values.max()) > high):
        raise DomainError(f"{name} holds a count outside 0..{high}")


def check_finite(name: str, values: NDArray[np.float64]) -> None:
    """Check that numbers are neither NaN nor infinite.

    Raises
    ------
    DomainError
        If one is.
    """
    if not np.isfinite(values).all():
        raise DomainError(f"{name} holds a number that is not finite")


def check_struct(value: object, name: str = "value") -> None:
    """Check everything a decoded message holds, by what its fields are called.

    Parameters
    ----------
    value : object
        A struct, or a field of one: texts, numbers, bytes, lists, mappings.
    name : str, optional
        Of the field, for the error; what ends in ``_us`` is a time, what begins with ``n_``
        or ends in ``offset``, ``sequence`` or ``counts`` is not negative.

    Raises
    ------
    DomainError
        Naming the first field that holds a NaN, an integer that sums would overflow, a time
        that is none, or a text too long for any message.

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
