"""Infers the kind of a column of a reference: numeric, categorical, or not comparable."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from monitor.baseline.decisions import (
    KindDecision,
    Shape,
    empty,
    of_booleans,
    of_constant,
    of_numbers,
    of_times,
    refused,
)
from monitor.baseline.text_kinds import of_words
from schemas.baselines import Kind


def infer_kind(column: pa.ChunkedArray) -> KindDecision:
    """Infer the kind of a column from its type and values.

    Parameters
    ----------
    column : pyarrow.ChunkedArray
        Column of a reference as read, in row order; columns of CSV files are bytes.

    Returns
    -------
    KindDecision
        Kind and reason.

    Notes
    -----
    In this order: a column without values is empty; booleans are categories; dates are categories
    if there are at most 60, else rejected, because times grow without limit; dictionaries (pandas'
    ``category``) are categories. Whole numbers that are keys are rejected
    (:func:`monitor.baseline.identifiers.key_reason`), those of at most 20 values are categories;
    fractions are always numeric, because JSON events would write such categories in many ways. Text
    is classified by its values (:mod:`monitor.baseline.text_kinds`). A single value makes a
    constant, which is accepted; any other value counts as outside (numeric) or unseen
    (categorical).

    Inference can be wrong: sparse, unsorted customer numbers look like amounts. The model's config
    takes precedence.

    Examples
    --------
    >>> infer_kind(pa.chunked_array([[0.5, 1.5, None]]))
    KindDecision(shape=<Shape.NUMBER: 'number'>, kind=<Kind.NUMERIC: 'numeric'>, \
reason='2 different numbers from 0.5 to 1.5')
    >>> infer_kind(pa.chunked_array([[True, False]])).kind
    <Kind.CATEGORICAL: 'categorical'>
    """
    if pa.types.is_dictionary(column.type):
        return _of_dictionary(column)
    if column.null_count == len(column):
        return empty()
    kind = column.type
    if pa.types.is_boolean(kind):
        return of_booleans(pc.count_distinct(column).as_py(), str(column.drop_null()[0]).lower())
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return of_numbers(_numbers(column), is_whole=pa.types.is_integer(kind))
    if pa.types.is_date(kind) or pa.types.is_timestamp(kind):
        texts = pc.unique(column.drop_null().cast(pa.string()))
        return of_times(len(texts), str(texts[0]))
    if _is_text(kind):
        return of_words(column)
    if _is_list(kind):
        return _of_lists(column)
    return refused(Shape.UNSUPPORTED, f"a column of type {kind} is neither numbers nor categories")


def _of_dictionary(column: pa.ChunkedArray) -> KindDecision:
    """Decide on a column of dictionary type."""
    plain = column.cast(column.type.value_type)
    if plain.null_count == len(plain):
        return empty()
    found = infer_kind(plain)
    if found.kind is not Kind.NUMERIC:
        return found
    if found.shape is Shape.CONSTANT:
        return of_constant(Kind.CATEGORICAL, str(plain.drop_null()[0]))
    n_distinct = pc.count_distinct(plain).as_py()
    reason = f"{n_distinct:,} categories, by the column's type"
    return KindDecision(Shape.CATEGORY, Kind.CATEGORICAL, reason)


def _of_lists(column: pa.ChunkedArray) -> KindDecision:
    """Reject vectors, with a hint on derived numbers."""
    inner = column.type.value_type
    if not (pa.types.is_integer(inner) or pa.types.is_floating(inner)):
        what = f"a column of type {column.type} is neither numbers nor categories"
        return refused(Shape.UNSUPPORTED, what)
    lengths = pc.unique(pc.list_value_length(column).drop_null()).to_pylist()
    size = f"{lengths[0]}" if len(lengths) == 1 else f"{min(lengths)} to {max(lengths)}"
    return refused(
        Shape.VECTOR,
        f"vectors of {size} numbers: send their norm and their cosine to the reference's "
        "centroid as numbers (detectors.quality.vector_statistics)",
    )


def _numbers(column: pa.ChunkedArray) -> NDArray[Any]:
    """Return the values in row order; integers exactly."""
    present = column.drop_null()
    if pa.types.is_integer(present.type):
        return np.asarray(present.to_numpy())
    values = np.asarray(present.cast(pa.float64()).to_numpy(), np.float64)
    finite: NDArray[np.float64] = values[np.isfinite(values)]
    return finite


def _is_text(kind: pa.DataType) -> bool:
    """Return whether a type is text, or bytes to be decoded as text."""
    return bool(
        pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
    )


def _is_list(kind: pa.DataType) -> bool:
    """Return whether a type is a list of any form."""
    return bool(
        pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    )
