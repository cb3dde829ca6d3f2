"""Variables derived from columns of text, vectors or times, which can be compared.

Each becomes a few variables named ``column.variable``, made alike on both sides, with what
they need to know of the reference (its vocabulary, its centroid) taken from there.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from detectors.quality.date_statistics import hour_of_day, weekday
from detectors.quality.text_statistics import TrigramVocabulary, text_statistics
from detectors.quality.vector_statistics import Centroid, vector_statistics
from monitor.baseline.decisions import Shape
from monitor.compare.values import FloatArray, text_of
from monitor.transport.canonical import times_us
from schemas.baselines import Kind

MAX_TEXTS: Final = 50_000
"""Rows of a side whose texts or vectors are looked at, evenly spread over it."""
MAX_NUMBERS: Final = 20_000_000
"""Numbers of a side's vectors that are held at once: 160 MB."""


class DerivedSample(NamedTuple):
    """One derived variable, of both sides."""

    name: str
    kind: Kind
    reference: pa.ChunkedArray
    current: pa.ChunkedArray


def derive(
    name: str, shape: Shape, reference: pa.ChunkedArray, current: pa.ChunkedArray
) -> list[DerivedSample]:
    """Derive variables from a column by the kind of its values.

    Parameters
    ----------
    name : str
        Of the column.
    shape : Shape
        As :func:`monitor.baseline.kinds.infer_kind` decided.

    Returns
    -------
    list of DerivedSample
        Empty where nothing can be made of it: an identifier is what it is.

    Examples
    --------
    >>> said = pa.chunked_array([["All is well.", "Nothing to report."]])
    >>> [d.name for d in derive("note", Shape.TEXT, said, said)][:3]
    ['note.length', 'note.letter_share', 'note.digit_share']
    """
    if shape is Shape.TEXT:
        return list(_of_texts(name, reference, current))
    if shape is Shape.VECTOR:
        return list(_of_vectors(name, reference, current))
    if shape is Shape.TIME:
        return list(_of_times(name, reference, current))
    return []


def sampled(column: pa.ChunkedArray, n_most: int) -> pa.ChunkedArray:
    """Return at most so many rows, evenly spaced; deterministic.

    Examples
    --------
    >>> sampled(pa.chunked_array([range(10)]), 4).to_pylist()
    [0, 3, 6, 9]
    """
    if len(column) <= n_most:
        return column
    return column.take(pa.array(np.linspace(0, len(column) - 1, n_most).round().astype(np.int64)))


def _of_texts(
    name: str, reference: pa.ChunkedArray, current: pa.ChunkedArray
) -> Iterator[DerivedSample]:
    """Derive lengths, shares of character classes, and the share of new trigrams."""
    before, now = (text_of(sampled(c, MAX_TEXTS))[0].to_pylist() for c in (reference, current))
    vocabulary = TrigramVocabulary.of(before)
    sides = text_statistics(before, vocabulary, is_reference=True), text_statistics(now, vocabulary)
    for field, x, y in zip(sides[0]._fields, *sides, strict=True):
        yield _numbers(f"{name}.{field}", x, y)


def _of_vectors(
    name: str, reference: pa.ChunkedArray, current: pa.ChunkedArray
) -> Iterator[DerivedSample]:
    """Derive norms of vectors, and their angles to the reference's mean direction."""
    n_dimensions = _commonest_length(reference)
    if not n_dimensions:
        return
    n_most = min(MAX_TEXTS, max(1, MAX_NUMBERS // n_dimensions))
    before, now = (_matrix(sampled(c, n_most), n_dimensions) for c in (reference, current))
    centroid = Centroid.of(before)
    sides = vector_statistics(before, centroid), vector_statistics(now, centroid)
    for field, x, y in zip(sides[0]._fields, *sides, strict=True):
        yield _numbers(f"{name}.{field}", x, y)


def _of_times(
    name: str, reference: pa.ChunkedArray, current: pa.ChunkedArray
) -> Iterator[DerivedSample]:
    """Derive hours and weekdays; ages would need the time of the row."""
    try:
        sides = [times_us(column) for column in (reference, current)]
    except (pa.ArrowException, ValueError):
        return
    x, y = (s.cast(pa.float64()).to_numpy() for s in sides)
    made = {"hour": hour_of_day, "weekday": weekday}
    if pa.types.is_date(reference.type):
        del made["hour"]
    for field, of in made.items():
        yield DerivedSample(f"{name}.{field}", Kind.CATEGORICAL, *(_column(of(s)) for s in (x, y)))


def _numbers(name: str, reference: FloatArray, current: FloatArray) -> DerivedSample:
    """Return a numeric variable under its name."""
    return DerivedSample(name, Kind.NUMERIC, _column(reference), _column(current))


def _column(values: FloatArray) -> pa.ChunkedArray:
    """Return a column in which NaN is null."""
    return pa.chunked_array([pa.array(values, from_pandas=True)])


def _commonest_length(vectors: pa.ChunkedArray) -> int:
    """Return the dimension that most vectors have; 0 where there are none."""
    lengths = np.asarray(_lengths(vectors).drop_null().to_numpy(), np.int64)
    return int(np.bincount(lengths).argmax()) if len(lengths) else 0


def _lengths(vectors: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return how many numbers each holds; null where it is missing or no list of numbers."""
    if not _holds_numbers(vectors.type):
        return pa.chunked_array([pa.nulls(len(vectors), pa.int64())])
    return pc.list_value_length(vectors).cast(pa.int64())


def _holds_numbers(kind: pa.DataType) -> bool:
    """Return whether a type is a list of numbers."""
    lists = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    if not any(check(kind) for check in lists):
        return False
    numbers = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal)
    return any(check(kind.value_type) for check in numbers)


def _matrix(vectors: pa.ChunkedArray, n_dimensions: int) -> FloatArray:
    """Return vectors as rows; one that is missing, or of another length, is NaN."""
    rows = np.full((len(vectors), n_dimensions), np.nan)
    fits = pc.fill_null(pc.equal(_lengths(vectors), n_dimensions), False)
    if pc.any(fits).as_py():
        flat = pc.list_flatten(vectors.filter(fits)).cast(pa.float64())
        rows[fits.to_numpy()] = flat.to_numpy(zero_copy_only=False).reshape(-1, n_dimensions)
    return rows
