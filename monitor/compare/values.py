"""The values of a column, read as a baseline reads them, and those that do not fit."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from detectors.kernels.narrow import widened
from monitor.transport.canonical import WORDS_FOR_MISSING, as_number, as_text

FloatArray = NDArray[np.float64]

_NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"
_BOOLEANS = ("true", "false")


def is_text(kind: pa.DataType) -> bool:
    """Return whether a type is text, or the bytes that a CSV reader leaves."""
    checks = (
        pa.types.is_string,
        pa.types.is_large_string,
        pa.types.is_binary,
        pa.types.is_large_binary,
    )
    return any(check(kind) for check in checks)


def numbers_of(column: pa.ChunkedArray) -> tuple[FloatArray, int]:
    """Return a column's numbers, and how many of its values are none.

    Parameters
    ----------
    column : pyarrow.ChunkedArray
        Of any type; text as :func:`monitor.transport.canonical.as_number` takes it.

    Returns
    -------
    values : ndarray of float64, shape (n,)
        NaN where it is missing, not finite, or no number.
    n_mistyped : int
        Values that are there and are no number.

    Examples
    --------
    >>> numbers_of(pa.chunked_array([["1.5", "NA", "two", None]]))
    (array([1.5, nan, nan, nan]), 1)
    """
    n_mistyped = 0
    if is_text(_inner(column)):
        column, n_mistyped = _numbers_in(column)
    try:
        values = as_number(column).to_numpy().astype(np.float64)
    except pa.ArrowException:
        # A type that holds no numbers at all: a time where a number was.
        return np.full(len(column), np.nan), len(column) - column.null_count
    values[~np.isfinite(values)] = np.nan
    return _meant(values), n_mistyped


def _meant(values: FloatArray) -> FloatArray:
    """Return the numbers that were meant where all are float32 copies: .1 of .10000000149."""
    known = values[~np.isnan(values)]
    with np.errstate(over="ignore"):
        is_narrow = bool((known.astype(np.float32) == known).all())
    if not is_narrow or (known == np.floor(known)).all():
        return values
    return widened(values.astype(np.float32))


def text_of(column: pa.ChunkedArray) -> tuple[pa.ChunkedArray, int]:
    """Return a column's categories, and how many of its values are none.

    Parameters
    ----------
    column : pyarrow.ChunkedArray
        Of any type; spelt as :func:`monitor.transport.canonical.as_text` spells it.

    Returns
    -------
    text : pyarrow.ChunkedArray of string
        What is not UTF-8 is there with replacement characters: a category like any other.
    n_mistyped : int
        Values that have no spelling, such as lists.

    Examples
    --------
    >>> text_of(pa.chunked_array([[7.0, 0.5, None]]))[0].to_pylist()
    ['7', '0.5', None]
    """
    try:
        return as_text(column), 0
    except pa.ArrowException:
        if is_text(_inner(column)):
            return _replaced(column), 0
        return pa.chunked_array([pa.nulls(len(column), pa.string())]), len(
            column
        ) - column.null_count


def _inner(column: pa.ChunkedArray) -> pa.DataType:
    """The type below a dictionary."""
    return column.type.value_type if pa.types.is_dictionary(column.type) else column.type


def _numbers_in(column: pa.ChunkedArray) -> tuple[pa.ChunkedArray, int]:
    """Keep of text what reads as a number or as missing; count what does not."""
    encoded = text_of(column)[0].combine_chunks().dictionary_encode()
    words = encoded.dictionary
    bare = pc.utf8_trim_whitespace(words)
    known = pa.array((*WORDS_FOR_MISSING, *_BOOLEANS), words.type)
    is_known = pc.is_in(pc.utf8_lower(bare), value_set=known)
    fits = pc.or_(is_known, pc.match_substring_regex(bare, _NUMBER))
    n_mistyped = pc.sum(pc.invert(fits).take(encoded.indices)).as_py() or 0
    spelt = pc.utf8_ltrim(pc.if_else(fits, bare, None), "+")
    kept = as_number(pa.chunked_array([spelt])).combine_chunks()
    return pa.chunked_array([kept.take(encoded.indices)]), n_mistyped


def _replaced(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Decode bytes that are not UTF-8."""
    whole = column.combine_chunks()
    if pa.types.is_dictionary(whole.type):
        whole = whole.dictionary_decode()
    encoded = whole.cast(pa.large_binary()).dictionary_encode()
    words = [value.decode(errors="replace") for value in encoded.dictionary.to_pylist()]
    return pa.chunked_array([pa.array(words, pa.string()).take(encoded.indices)])
