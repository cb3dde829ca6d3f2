"""Converts columns of named values to Arrow maps, without an object per event."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from monitor.storage.joined_tables import distinct
from schemas.batch import StringColumn


def number_map(names: Sequence[str], columns: Sequence[NDArray[np.float64]], n: int) -> pa.Array:
    """Return a map of the non-missing numbers per event.

    Parameters
    ----------
    names : sequence of str
        Keys, one per column.
    columns : sequence of ndarray
        Each of shape (n,); NaN is missing.

    Returns
    -------
    pyarrow.MapArray

    Examples
    --------
    >>> import numpy as np
    >>> number_map(["a", "b"], [np.array([1.0]), np.array([np.nan])], 1).to_pylist()
    [[('a', 1.0)]]
    """
    if not names:
        return _empty_map(n, pa.float64())
    values = np.stack(columns, axis=1)
    missing = np.isnan(values)
    if not missing.any():
        return _full_map(names, n, pa.array(values.ravel()))
    present = ~missing
    return _map(names, present, pa.array(values[present]))


def string_map(names: Sequence[str], columns: Sequence[StringColumn], n: int) -> pa.Array:
    """Return a map of the non-null strings per event, dictionary-coded.

    Parameters
    ----------
    names : sequence of str
        Keys, one per column.
    columns : sequence of StringColumn
        Each of length n.

    Returns
    -------
    pyarrow.MapArray
    """
    if not names:
        return _empty_map(n, pa.string())
    codes = np.stack([column.codes for column in columns], axis=1)
    sizes = [len(column.values) for column in columns]
    base = np.concatenate(([0], np.cumsum(sizes[:-1]))).astype(np.int32)
    # Two columns may have the same string, and the engine rejects dictionaries with duplicates.
    words, indices = distinct([v for column in columns for v in column.values])
    places, present = codes + base, codes >= 0
    is_full = bool(present.all())
    flat = places.ravel() if is_full else places[present]
    dictionary = not_empty(pa.array(words, pa.string()))
    values = pa.DictionaryArray.from_arrays(indices[flat], dictionary)
    return _full_map(names, n, values) if is_full else _map(names, present, values)


def entry_map(keys: StringColumn, offsets: NDArray[np.int32], values: pa.Array) -> pa.Array:
    """Return maps whose entries are given one after the other.

    Parameters
    ----------
    keys : StringColumn
        Of each entry, without nulls.
    offsets : ndarray of int32, shape (n + 1,)
        Where the entries of each row begin.
    values : pyarrow.Array
        Of each entry.

    Examples
    --------
    >>> keys = StringColumn(np.array([0], np.int32), ["a"])
    >>> entry_map(keys, np.array([0, 1, 1], np.int32), pa.array([0.5])).to_pylist()
    [[('a', 0.5)], []]
    """
    names = not_empty(pa.array(list(keys.values), pa.string()))
    coded = pa.DictionaryArray.from_arrays(pa.array(keys.codes), names)
    return pa.MapArray.from_arrays(pa.array(offsets), coded, values)


def not_empty(values: pa.Array) -> pa.Array:
    """Return a dictionary with at least one value, because the engine rejects empty ones.

    Examples
    --------
    >>> import pyarrow as pa
    >>> not_empty(pa.array([], pa.string())).to_pylist()
    ['']
    """
    return values if len(values) else pa.array([""], pa.string())


def _full_map(names: Sequence[str], n: int, values: pa.Array) -> pa.Array:
    """Return the maps of an (n, F) table without missing cells, by precomputed keys and offsets."""
    n_names = len(names)
    keys = np.tile(np.arange(n_names, dtype=np.int32), n)
    offsets = np.arange(0, n * n_names + 1, n_names, dtype=np.int32)
    return _map_of(names, keys, offsets, values)


def _map(names: Sequence[str], present: NDArray[np.bool_], values: pa.Array) -> pa.Array:
    """Return one map per row of the non-missing cells of an (n, F) table."""
    keys = np.broadcast_to(np.arange(len(names), dtype=np.int32), present.shape)[present]
    offsets = np.concatenate(([0], np.cumsum(present.sum(axis=1)))).astype(np.int32)
    return _map_of(names, keys, offsets, values)


def _map_of(
    names: Sequence[str], keys: NDArray[np.int32], offsets: NDArray[np.int32], values: pa.Array
) -> pa.Array:
    """Build a map with dictionary-coded keys."""
    coded = pa.DictionaryArray.from_arrays(keys, pa.array(list(names), pa.string()))
    return pa.MapArray.from_arrays(pa.array(offsets), coded, values)


def _empty_map(n: int, value_type: pa.DataType) -> pa.Array:
    """Return n empty maps."""
    offsets = pa.array(np.zeros(n + 1, np.int32))
    return pa.MapArray.from_arrays(offsets, pa.array([], pa.string()), pa.array([], value_type))
