"""Rejects rows whose values do not have the configured type. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa

from monitor.transport.decimal_comma import has_decimal_comma
from schemas.events import RejectReason

MAX_SHOWN_CHARACTERS = 100

Convert = Callable[[pa.ChunkedArray], pa.ChunkedArray]


class Misfits:
    """Collects, over the columns of one table, the rows that do not fit and why.

    Parameters
    ----------
    n_rows : int
        Number of rows of the table.

    Notes
    -----
    Free while all values fit. Otherwise misfits among the distinct values are found by bisection:
    about 15 us times twice their number times the depth.

    Examples
    --------
    >>> misfits = Misfits(3)
    >>> to_number = lambda column: column.cast(pa.float64())
    >>> misfits.map("x", pa.chunked_array([["1", "two", None]]), to_number).to_pylist()
    [1.0, None, None]
    >>> misfits.column().to_pylist()
    [None, "mistyped: 'two' is no value of x", None]
    """

    def __init__(self, n_rows: int) -> None:
        self._details: list[str | None] = [None] * n_rows
        self._is_any = False

    def __bool__(self) -> bool:
        return self._is_any

    def map(self, name: str, column: pa.ChunkedArray, convert: Convert) -> pa.ChunkedArray:
        """Convert a column; a value that does not fit becomes null, and its row is recorded.

        Parameters
        ----------
        name : str
            The internal name, for the row's detail.
        column : pyarrow.ChunkedArray
            As in the file.
        convert : callable
            Maps a column to one of the same length; raises ``ValueError`` (such as
            ``pyarrow.ArrowInvalid``) for a value, anything else for a type.

        Returns
        -------
        pyarrow.ChunkedArray
        """
        try:
            return convert(column)
        except ValueError:
            if not len(column):
                raise
        distinct, codes = _distinct(column)
        parts: list[pa.Array] = []
        faults: list[int] = []
        _halve(distinct, convert, 0, parts, faults)
        kind = next((part.type for part in parts if not pa.types.is_null(part.type)), pa.null())
        fitting = pa.concat_arrays([part.cast(kind) for part in parts])
        self._note(name, distinct, codes, faults)
        return pa.chunked_array([fitting.take(pa.array(codes))])

    def column(self) -> pa.Array:
        """Return ``reason: detail`` for every row that does not fit, null for the others."""
        return pa.array(self._details, pa.string())

    def _note(self, name: str, distinct: pa.Array, codes: Any, faults: list[int]) -> None:
        """Record the reason of each row; the first misfit of a row is kept."""
        words = {code: _words(name, distinct[code]) for code in faults}
        for row in np.flatnonzero(np.isin(codes, faults)).tolist():
            self._details[row] = self._details[row] or words[int(codes[row])]
        self._is_any = self._is_any or bool(faults)


def _distinct(column: pa.ChunkedArray) -> tuple[pa.Array, Any]:
    """Return the distinct values including null, and each row's index into them."""
    whole = column.combine_chunks()
    if pa.types.is_dictionary(whole.type):
        whole = whole.dictionary_decode()
    if pa.types.is_string(whole.type) or pa.types.is_large_string(whole.type):
        whole = whole.cast(pa.large_binary())  # so that invalid UTF-8 is reported per value
    encoded = whole.dictionary_encode(null_encoding="encode")
    return encoded.dictionary, encoded.indices.to_numpy(zero_copy_only=False)


def _halve(
    values: pa.Array, convert: Convert, first: int, parts: list[pa.Array], faults: list[int]
) -> None:
    """Convert values by bisection; a single value that cannot be converted is a misfit."""
    try:
        parts.append(pa.concat_arrays(convert(pa.chunked_array([values])).chunks))
    except ValueError:
        if len(values) == 1:
            parts.append(pa.nulls(1))
            faults.append(first)
            return
        middle = len(values) // 2
        _halve(values.slice(0, middle), convert, first, parts, faults)
        _halve(values.slice(middle), convert, first + middle, parts, faults)


def _words(name: str, value: pa.Scalar) -> str:
    """Return the reason why a value does not fit."""
    try:
        raw = value.as_py()
    except (OverflowError, ValueError):  # a date that Python cannot represent
        raw = f"{value.value} ({value.type})"
    if isinstance(raw, bytes):
        try:
            raw = raw.decode()
        except UnicodeDecodeError:
            shown = repr(raw[:MAX_SHOWN_CHARACTERS])
            return f"{RejectReason.INVALID_UTF8}: {shown} of {name} is not UTF-8"
    shown = repr(raw) if isinstance(raw, str) else str(raw)
    if len(shown) > MAX_SHOWN_CHARACTERS:
        shown = shown[:MAX_SHOWN_CHARACTERS] + " ..."
    words = f"{RejectReason.MISTYPED}: {shown} is no value of {name}"
    if isinstance(raw, str) and has_decimal_comma(raw):
        return f"{words}: it has a decimal comma, and numbers are written with a point"
    return words
