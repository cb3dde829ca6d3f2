"""Encoded Arrow columns as plain ones, within a bound.

A run, a view and an index may each stand for a value of a megabyte: a column that takes a
few bytes in its message takes any number of them once it is plain.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from monitor.decode.strict import RefusedEvent
from schemas.events import RejectReason


class Room:
    """How many bytes the columns of one message may still take."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = self._left = max_bytes

    def take(self, n_bytes: int) -> None:
        """Count bytes that are about to be allocated.

        Raises
        ------
        RefusedEvent
            OVERSIZED.
        """
        self._left -= n_bytes
        if self._left < 0:
            detail = f"Arrow stream: more than {self._max_bytes:,} bytes once its columns are plain"
            raise RefusedEvent(RejectReason.OVERSIZED, detail)


def is_to_expand(name: str, kind: pa.DataType) -> bool:
    """Whether columns of this type are encoded in a way that is undone.

    Dictionaries of texts stay, but for ids, of which few repeat.
    """
    if isinstance(kind, pa.BaseExtensionType):
        return is_to_expand(name, kind.storage_type)
    if pa.types.is_dictionary(kind):
        is_text = pa.types.is_string(kind.value_type) or pa.types.is_large_string(kind.value_type)
        return name == "id" or not is_text
    return pa.types.is_run_end_encoded(kind) or _is_view(kind) or pa.types.is_nested(kind)


def expanded(name: str, column: pa.Array, room: Room) -> pa.Array:
    """Return a column as a plain one, or as a dictionary of texts.

    Parameters
    ----------
    column : pyarrow.Array
        Validated.

    Raises
    ------
    RefusedEvent
        OVERSIZED.

    Notes
    -----
    Nested columns stay as they are, since no event has them; but rows can be taken of them
    only at the price of an index for each of their values, which is counted here.

    Examples
    --------
    >>> runs = pa.RunEndEncodedArray.from_arrays([2, 3], ["a", "b"])
    >>> expanded("model", runs, Room(100)).to_pylist()
    ['a', 'a', 'b']
    """
    while is_to_expand(name, column.type):
        kind = column.type
        if isinstance(kind, pa.BaseExtensionType):
            column = column.storage
        elif pa.types.is_run_end_encoded(kind):
            column = _of_runs(name, column, room)
        elif pa.types.is_dictionary(kind):
            column = _of_dictionary(name, column, room)
        elif _is_view(kind):
            room.take(_n_bytes(column))
            is_text = pa.types.is_string_view(kind)
            column = column.cast(pa.large_string() if is_text else pa.large_binary())
        else:
            room.take(8 * _n_nested(column))
            break
    return column


def _is_view(kind: pa.DataType) -> bool:
    return pa.types.is_string_view(kind) or pa.types.is_binary_view(kind)


def _of_runs(name: str, column: pa.Array, room: Room) -> pa.Array:
    """Repeat the value of each run."""
    values = _values(name, column.values, room)
    ends = np.clip(column.run_ends.to_numpy().astype(np.int64) - column.offset, 0, len(column))
    lengths = np.diff(ends, prepend=0)
    room.take(_n_bytes(values, lengths))
    return values.take(pa.array(np.repeat(np.arange(len(values)), lengths)))


def _of_dictionary(name: str, column: pa.DictionaryArray, room: Room) -> pa.Array:
    """Put the value where its index is; of texts that were views a dictionary remains."""
    values = _values(name, column.dictionary, room)
    if not is_to_expand(name, pa.dictionary(column.indices.type, values.type)):
        return pa.DictionaryArray.from_arrays(column.indices, values)
    indices = column.indices.cast(pa.int64()).drop_null().to_numpy(zero_copy_only=False)
    room.take(len(column) + _n_bytes(values, np.bincount(indices, minlength=len(values))))
    return values.take(column.indices)


def _values(name: str, values: pa.Array, room: Room) -> pa.Array:
    """Return the values that are repeated as plain ones."""
    values = expanded(name, values, room)
    if pa.types.is_nested(values.type):
        detail = f"Arrow stream: column `{name}` repeats values of type `{values.type}`"
        raise RefusedEvent(RejectReason.UNSUPPORTED, detail)
    return values


def _n_bytes(column: pa.Array, counts: np.ndarray | None = None) -> int:
    """Return how many bytes the values take, each as often as it is counted."""
    lengths = _lengths(column)
    if counts is not None:
        lengths = lengths * counts
    return int(lengths.sum())


def _lengths(column: pa.Array) -> np.ndarray:
    """Return how many bytes each value takes."""
    kind, n = column.type, len(column)
    if _is_view(kind):
        views = np.frombuffer(column.buffers()[1], np.int32)[::4]
        lengths = views[column.offset : column.offset + n].astype(np.int64)
        return lengths * column.is_valid().to_numpy(zero_copy_only=False)
    if any(is_kind(kind) for is_kind in _VARIABLE):
        return pc.binary_length(column).fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
    width = 1 if pa.types.is_null(kind) else -(-kind.bit_width // 8)
    return np.full(n, width, np.int64)


_VARIABLE = (
    pa.types.is_string,
    pa.types.is_large_string,
    pa.types.is_binary,
    pa.types.is_large_binary,
)


def _n_nested(column: pa.Array) -> int:
    """Return how many values stand in the children of a nested column."""
    kind = column.type
    if pa.types.is_struct(kind) or pa.types.is_union(kind):
        children = [column.field(i) for i in range(kind.num_fields)]
    elif pa.types.is_dictionary(kind):
        children = [column.dictionary]
    elif pa.types.is_nested(kind) or pa.types.is_run_end_encoded(kind):
        children = [column.values]
    elif isinstance(kind, pa.BaseExtensionType):
        children = [column.storage]
    else:
        children = []
    return sum(len(child) + _n_nested(child) for child in children)
