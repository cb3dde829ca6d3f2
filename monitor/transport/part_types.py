"""Common type of a column whose type differs between parts of a table. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa


def common_type(kinds: Sequence[pa.DataType]) -> pa.DataType | None:
    """Return a type that holds the values of all given types.

    Parameters
    ----------
    kinds : sequence of pyarrow.DataType
        At least one; as :func:`monitor.transport.plain_columns.plain_column` leaves them.

    Returns
    -------
    pyarrow.DataType or None
        None if there is none, such as for a number and a text.

    Examples
    --------
    >>> common_type([pa.int64(), pa.null(), pa.float32()])
    DataType(double)
    >>> common_type([pa.int64(), pa.string()]) is None
    True
    """
    if len(set(kinds)) == 1:
        return kinds[0]
    plain = [k.value_type if pa.types.is_dictionary(k) else k for k in kinds]
    found = {kind for kind in plain if not pa.types.is_null(kind)}
    if len(found) <= 1:
        return found.pop() if found else pa.null()
    if all(map(_is_number, found)):
        is_whole = all(map(pa.types.is_integer, found))
        return pa.int64() if is_whole and pa.uint64() not in found else pa.float64()
    if all(map(_is_text, found)):
        is_bytes = any(map(_is_bytes, found))
        return pa.large_binary() if is_bytes else pa.large_string()
    if all(map(_is_moment, found)):
        return _moment(found)
    return None


def cast_column(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    """Cast a column to a type that :func:`common_type` returned.

    Integers above 2**53 become the nearest double, and times are truncated to microseconds.
    """
    if column.type == kind:
        return column
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    return column.cast(kind, safe=False)


def _is_number(kind: pa.DataType) -> bool:
    """Return whether a type is numeric."""
    return bool(
        pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    )


def _is_bytes(kind: pa.DataType) -> bool:
    """Return whether a type is binary, as CSV columns are before their conversion to text."""
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _is_text(kind: pa.DataType) -> bool:
    """Return whether a type is text or bytes."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or _is_bytes(kind))


def _is_moment(kind: pa.DataType) -> bool:
    """Return whether a type is a date or a timestamp."""
    return bool(pa.types.is_date(kind) or pa.types.is_timestamp(kind))


def _moment(kinds: set[pa.DataType]) -> pa.DataType | None:
    """Return a timestamp in microseconds; None if only some types have a time zone."""
    zones = {kind.tz for kind in kinds if pa.types.is_timestamp(kind)}
    if not zones:
        return pa.date32()
    if None in zones and len(zones) > 1:
        return None
    return pa.timestamp("us", zones.pop() if len(zones) == 1 else "UTC")
