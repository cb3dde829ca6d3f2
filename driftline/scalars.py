"""Converts Python objects to plain values: text, number, boolean or None; imports no library.

Scalars of numpy, pandas, torch, TensorFlow and JAX are recognised by their attributes (``dtype``,
``item``, ``numpy``), so that none of these libraries is required.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from typing import Any, Final
from uuid import UUID

from driftline.times import moment_text, time_of_moment, time_of_text

Plain = str | int | float | bool | None

_NAMES_OF_MISSING = frozenset({"NAType", "NaTType", "MaskedConstant"})
"""Types of pandas' NA and NaT and of numpy's masked: NA cannot even be compared with itself."""
_LARGEST_EXPONENT = 400
"""Decimals with a larger exponent exceed every float."""


def plain(value: Any) -> Plain:
    """Return a value as text, int, float, bool or None, by :mod:`driftline.canonical`.

    Parameters
    ----------
    value : object
        A Python scalar, or one of numpy, pandas, torch, TensorFlow or JAX.

    Returns
    -------
    str, int, float, bool or None
        None if it is missing; a float may be NaN or infinite.

    Raises
    ------
    ValueError, TypeError
        If it has no plain form; also any error of the object itself.

    Examples
    --------
    >>> import numpy as np
    >>> plain(np.float32(0.1)), plain(Decimal("12.50")), plain(b"web"), plain(np.array([3]))
    (0.1, 12.5, 'web', 3)
    >>> plain(datetime(2024, 3, 1, 10)), plain(timedelta(minutes=1)), plain(np.datetime64("NaT"))
    ('2024-03-01T10:00:00', 60.0, None)
    """
    kind = type(value)
    if value is None or kind in (float, int, str, bool):
        return value  # type: ignore[no-any-return]
    if kind.__name__ in _NAMES_OF_MISSING:
        return None
    for known, convert in _CONVERSIONS:
        if isinstance(value, known):
            return convert(value)
    if hasattr(value, "dtype"):
        return _of_array_scalar(value)
    if callable(item := getattr(value, "item", None)):
        return plain(item())
    if getattr(kind, "__str__", None) is not object.__str__ and not isinstance(value, _CONTAINERS):
        return str(value)
    raise TypeError(f"{kind.__name__} is no number, text or boolean")


def narrowest(value: float, kind: str) -> float:
    """Return the number with the fewest digits that rounds to a narrower float.

    Parameters
    ----------
    value : float
        A float16, bfloat16 or float32, widened.

    Returns
    -------
    float
        Of a float32: the nearest float64 to its shortest decimal digits, six or more.

    Notes
    -----
    Decimals with the first number of digits in ``_FLOATS`` are preserved by the conversion to the
    narrow float and back, so fewer digits need not be tried.

    Examples
    --------
    >>> narrowest(0.10000000149011612, "float32"), narrowest(0.0999755859375, "float16")
    (0.1, 0.1)
    """
    if value == 0 or not math.isfinite(value):
        return value
    narrowed, n_least, n_most = _FLOATS[kind]
    for n_digits in range(n_least, n_most + 1):
        candidate = float(f"{value:.{n_digits - 1}e}")
        try:
            if narrowed(candidate) == value:
                return candidate
        except OverflowError:
            continue
    return value


def _packed(code: str) -> Callable[[float], float]:
    """Round as a C type does."""
    return lambda value: float(struct.unpack(code, struct.pack(code, value))[0])


def _bfloat16(value: float) -> float:
    """Round to the upper half of a float32, ties to even."""
    (bits,) = struct.unpack("<I", struct.pack("<f", value))
    bits = (bits + 0x7FFF + (bits >> 16 & 1)) & 0xFFFF0000
    return float(struct.unpack("<f", struct.pack("<I", bits))[0])


_FLOATS: Final[dict[str, tuple[Callable[[float], float], int, int]]] = {
    "float16": (_packed("<e"), 3, 5),
    "bfloat16": (_bfloat16, 2, 4),
    "float32": (_packed("<f"), 6, 9),
}
"""By name: rounding function, digits that are always preserved, and most digits needed."""


def _of_array_scalar(value: Any) -> Plain:
    """Return a scalar of an array library: by the kind and the width of its type."""
    dtype = value.dtype
    name, kind = str(dtype).rpartition(".")[2], getattr(dtype, "kind", "")
    if kind == "M":
        text = str(value.astype("datetime64[us]"))
        return None if text == "NaT" else moment_text(time_of_text(text), is_zoned=False)
    if kind == "m":
        ns = int(value.astype("timedelta64[ns]").astype("int64"))
        return None if ns == -(1 << 63) else ns / 1e9
    if not callable(item := getattr(value, "item", None)):
        return plain(value.numpy())  # TensorFlow's eager tensors
    held = item()
    if name in _FLOATS:
        return narrowest(float(held), name)
    if type(held) is type(value):  # numpy's longdouble is its own item
        return float(held)
    return plain(held)


def _of_enum(value: Enum) -> Plain:
    """Return the value of an enumeration's member, or its name if the value has no form."""
    try:
        return plain(value.value)
    except (TypeError, ValueError):
        return value.name


def _of_decimal(value: Decimal | Fraction) -> Plain:
    """Return whole decimals as int, others as the nearest float."""
    if isinstance(value, Decimal):
        if not value.is_finite():
            return None
        if value.adjusted() > _LARGEST_EXPONENT:
            raise ValueError("a decimal beyond the largest float")
    return int(value) if value == int(value) else float(value)


def _of_moment(value: datetime | date) -> str:
    """Format a date, with or without a time of day."""
    is_zoned = isinstance(value, datetime) and value.utcoffset() is not None
    return moment_text(time_of_moment(value), is_zoned=is_zoned)


def _of_time(value: time) -> str:
    """Format a time of day."""
    text = value.replace(tzinfo=None).isoformat()
    shown = text.rstrip("0") if "." in text else text
    return shown + value.isoformat()[len(text) :]


_CONVERSIONS: Final[tuple[tuple[Any, Callable[[Any], Plain]], ...]] = (
    # Enumerations first, because a member of a text enumeration is also text.
    (Enum, _of_enum),
    # Subclasses, such as numpy's float64 and str_, as their base type.
    (bool, bool),
    (float, float.__float__),
    (int, int.__int__),
    (str, str.__str__),
    ((bytes, bytearray, memoryview), lambda value: bytes(value).decode()),
    ((Decimal, Fraction), _of_decimal),
    ((datetime, date), _of_moment),
    (time, _of_time),
    (timedelta, timedelta.total_seconds),
    (UUID, str),
)
_CONTAINERS = (list, tuple, dict, set, frozenset)
