"""Converts Arrow columns to canonical values (:mod:`driftline.canonical`).

Pure. Types whose form depends on the type only are cast; texts and floats are converted once per
distinct value.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from detectors.kernels.narrow import widened
from driftline.canonical import category_of_number, category_of_text, number_of_text
from driftline.times import EARLIEST, LIMITS, TimeUnit, moment_text, time_of_number, time_of_text

_US = pa.timestamp("us", tz="UTC")
_ODD_TIME = r"(?i)[.,]\d{7}|,\d|utc|gmt|z|\s[+-]"
"""Times in text that Arrow parses only after rewriting."""
_PER_SECOND = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}


def as_number(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return a column as float64, by the number rules of :mod:`driftline.canonical`.

    Parameters
    ----------
    column : pyarrow.ChunkedArray
        Numbers, decimals, booleans, durations (in seconds), or text with numbers.

    Returns
    -------
    pyarrow.ChunkedArray of float64
        Null for missing values; NaN and infinities of floats are unchanged.

    Raises
    ------
    pyarrow.ArrowException, ValueError
        If the type is not numeric, or a text is not a number.

    Examples
    --------
    >>> as_number(pa.chunked_array([["1.5", "NA", "true"]])).to_pylist()
    [1.5, None, 1.0]
    >>> as_number(pa.chunked_array([pa.array([0.1], pa.float32())])).to_pylist()
    [0.1]
    """
    column = _plain(column)
    kind = column.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return _numbers_of_text(column)
    if pa.types.is_float16(kind) or pa.types.is_float32(kind):
        return _widened(column)
    if pa.types.is_duration(kind):
        return pc.divide(column.cast(pa.int64()).cast(pa.float64()), _PER_SECOND[kind.unit])
    if pa.types.is_boolean(kind):
        column = column.cast(pa.uint8())
    if pa.types.is_temporal(kind):
        raise pa.ArrowTypeError(f"a {kind} is no number")
    if pa.types.is_integer(column.type):
        return column.cast(pa.float64(), safe=False)  # above 2**53 the nearest double
    if pa.types.is_decimal(column.type):
        column = column.cast(pa.string())  # Arrow converts decimal .0003 to .00030000000000000003
    return column.cast(pa.float64())


def _widened(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Convert narrow floats to the doubles with the same shortest decimal form."""
    chunks = [
        pa.array(
            widened(chunk.to_numpy(zero_copy_only=False)),
            mask=chunk.is_null().to_numpy(zero_copy_only=False),
        )
        for chunk in column.chunks
    ]
    return pa.chunked_array(chunks, pa.float64())


def _numbers_of_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Parse numbers with Arrow, and those that it cannot parse one by one."""
    try:
        numbers = column.cast(pa.float64())
    except pa.ArrowInvalid:
        return _mapped(column, number_of_text, pa.float64())
    if pc.all(pc.is_finite(numbers)).as_py() is False:  # texts, or numbers above the largest float
        return _mapped(column, number_of_text, pa.float64())
    return numbers


def as_text(column: pa.ChunkedArray, *, is_verbatim: bool = False) -> pa.ChunkedArray:
    """Return a column as strings, by the category rules of :mod:`driftline.canonical`.

    Parameters
    ----------
    column : pyarrow.ChunkedArray
        Text, numbers, booleans, dates, times, durations, binary that is UTF-8.
    is_verbatim : bool
        Do not convert texts: for identifiers, and columns in a model's ``verbatim``.

    Returns
    -------
    pyarrow.ChunkedArray of string
        Null for missing values.

    Raises
    ------
    pyarrow.ArrowException
        If the type has no text form, or bytes are not UTF-8.

    Notes
    -----
    Texts and floats cost .3 to 1.5 us per distinct value, regardless of the rows.

    Examples
    --------
    >>> as_text(pa.chunked_array([[7.0, 0.5, None]])).to_pylist()
    ['7', '0.5', None]
    >>> as_text(pa.chunked_array([["True", "7.00", "007", "NA"]])).to_pylist()
    ['true', '7', '007', None]
    """
    column = _plain(column)
    kind = column.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        text = column.cast(pa.string())
        return text if is_verbatim else _mapped(text, category_of_text, pa.string())
    if pa.types.is_floating(kind) or pa.types.is_duration(kind):
        return _mapped(as_number(column), category_of_number, pa.string())
    if pa.types.is_integer(kind) or pa.types.is_boolean(kind) or pa.types.is_null(kind):
        return column.cast(pa.string())
    if pa.types.is_timestamp(kind):
        spell = partial(moment_text, is_zoned=kind.tz is not None)
        return _mapped(times_us(column), spell, pa.string())
    # decimals, dates and times of day: Arrow's text is canonical
    return _mapped(column.cast(pa.string()), _form_of_text, pa.string())


def _form_of_text(text: str) -> str | None:
    """Return the canonical form of Arrow's text: no fraction of zeros."""
    if text[2:3] == ":":
        return text.rstrip("0").rstrip(".") if "." in text else text
    return category_of_text(text.replace("E", "e"))


def _mapped(
    column: pa.ChunkedArray, form: Callable[[Any], Any], kind: pa.DataType
) -> pa.ChunkedArray:
    """Map each distinct value once."""
    chunks = []
    for chunk in column.chunks:
        encoded = chunk.dictionary_encode()
        known = encoded.dictionary.to_pylist()
        forms = [form(value) for value in known]
        if forms != known or chunk.type != kind:
            chunk = pa.array(forms, kind).take(encoded.indices)
        chunks.append(chunk)
    return pa.chunked_array(chunks, kind)


def times_us(
    column: pa.ChunkedArray, unit: TimeUnit | None = None, *, is_small_us: bool = False
) -> pa.ChunkedArray:
    """Return a column as int64 microseconds UTC, by the rules of :mod:`driftline.times`.

    Parameters
    ----------
    column : pyarrow.ChunkedArray
        Timestamps, dates, text, or numbers.
    unit : {"s", "ms", "us", "ns"}, optional
        Unit of numbers; by default derived from their magnitude.
    is_small_us : bool
        Take numbers that are too small to derive their unit as microseconds.

    Returns
    -------
    pyarrow.ChunkedArray of int64

    Raises
    ------
    pyarrow.ArrowException, ValueError
        If a value is not a time.

    Examples
    --------
    >>> times_us(pa.chunked_array([["2016-01-01T00:00:00Z", "2016-01-01 00:00:01"]])).to_pylist()
    [1451606400000000, 1451606401000000]
    >>> times_us(pa.chunked_array([[1451606400, 1451606400000]])).to_pylist()
    [1451606400000000, 1451606400000000]
    """
    column = _plain(column)
    kind = column.type
    if pa.types.is_decimal(kind):
        column = column.cast(pa.float64())
    if pa.types.is_integer(kind) or pa.types.is_floating(column.type):
        return _times_of_numbers(column, unit, is_small_us)
    if pa.types.is_date(kind):
        column = column.cast(pa.timestamp("us"))
    if pa.types.is_timestamp(column.type):
        return column.cast(pa.timestamp("us", tz=column.type.tz), safe=False).cast(pa.int64())
    return _times_of_text(column.cast(pa.string()), unit, is_small_us)


def _times_of_numbers(
    column: pa.ChunkedArray, unit: TimeUnit | None, is_small_us: bool
) -> pa.ChunkedArray:
    """Scale numbers by their unit, or each by its magnitude."""
    is_float = pa.types.is_floating(column.type)
    column = column.cast(pa.float64() if is_float else pa.int64())
    if is_float:
        column = pc.if_else(pc.is_nan(column), None, column)
    if unit is not None and unit != "us":
        return _mapped_times(column, lambda number: time_of_number(number, unit))
    if unit == "us":
        return pc.round(column).cast(pa.int64())
    size = pc.abs(column)
    smallest, largest = (pc.min_max(size)[k].as_py() for k in ("min", "max"))
    if smallest is None or (smallest >= LIMITS[1][0] and largest < LIMITS[2][0]):
        return pc.round(column).cast(pa.int64())  # all are microseconds
    if is_small_us and largest < EARLIEST:
        return pc.round(column).cast(pa.int64())

    def form(number: float) -> int:
        is_small = is_small_us and abs(number) < EARLIEST
        return round(number) if is_small else time_of_number(number)

    return _mapped_times(column, form)


def _mapped_times(column: pa.ChunkedArray, form: Callable[[Any], int]) -> pa.ChunkedArray:
    """Convert each distinct number once; raise for numbers beyond int64."""
    try:
        return _mapped(column, form, pa.int64())
    except OverflowError as error:
        raise ValueError(f"a time is out of range: {error}") from None


def _times_of_text(
    column: pa.ChunkedArray, unit: TimeUnit | None, is_small_us: bool
) -> pa.ChunkedArray:
    """Parse times with Arrow, and those that it cannot parse one by one."""
    try:
        return _iso_times_us(column)
    except pa.ArrowInvalid:
        pass
    try:
        numbers = column.cast(pa.int64())
    except pa.ArrowInvalid:
        return _mapped_times(column, lambda text: time_of_text(text, unit))
    return _times_of_numbers(numbers, unit, is_small_us)


def _iso_times_us(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Parse ISO texts with and without time zone; the default is UTC.

    Fractions are first truncated to microseconds, because Arrow rejects longer ones.
    """
    if pc.any(pc.match_substring_regex(column, _ODD_TIME)).as_py():
        column = pc.replace_substring_regex(column, r"[.,](\d{1,6})\d*", r".\1")
        column = pc.replace_substring_regex(column, r"(?i)\s*(utc|gmt|z)\s*$", "Z")
        column = pc.replace_substring_regex(column, r"(:\d\d(\.\d+)?)\s+([+-])", r"\1\3")
    has_zone = pc.match_substring_regex(column, r"\d[T ]\d{2}.*(Z|[+-]\d{2}(:?\d{2})?)\s*$")
    zoned = pc.if_else(has_zone, column, None).cast(_US).cast(pa.int64())
    plain = pc.if_else(has_zone, None, column).cast(pa.timestamp("us")).cast(pa.int64())
    return pc.coalesce(zoned, plain)


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Decode a dictionary, and validate UTF-8, which readers of files do not."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_string(column.type):
        column = column.cast(pa.binary())  # no copy; the cast back validates the bytes
    elif pa.types.is_large_string(column.type):
        column = column.cast(pa.large_binary())
    if pa.types.is_binary(column.type):
        return column.cast(pa.string())
    return column.cast(pa.large_string()) if pa.types.is_large_binary(column.type) else column
