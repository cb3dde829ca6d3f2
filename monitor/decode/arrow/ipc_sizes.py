"""What an Arrow IPC stream declares about itself, read before anything is allocated for it.

A stream of 288 bytes may declare 10**12 rows (columns of nulls have no buffers), one of
19 KB buffers of 5 GB (compressed), and a dictionary of 400 KB may be extended once a batch,
each time as a copy. All of it is in the metadata of its messages and in the eight bytes
before each compressed buffer; nothing is decompressed here, and nothing is trusted: every
offset is checked against its message.

References
----------
Apache Arrow columnar format 1.5, "Encapsulated message format", "Buffer compression",
``Message.fbs`` and ``Schema.fbs``; FlatBuffers internals (tables, vtables, vectors).
"""

from __future__ import annotations

import ctypes
from typing import NamedTuple

import numba
import numpy as np

from detectors.kernels.jit import kernel
from monitor.decode.memory import Address
from schemas.batch import Int64Array, Uint8Array

if numba.config.DISABLE_JIT:

    def load_int(at: Address) -> int:
        """One int64."""
        return ctypes.c_int64.from_address(at).value

    def load_byte(at: Address) -> int:
        """One byte."""
        return ctypes.c_uint8.from_address(at).value

    def store_int(at: Address, value: int) -> None:
        """Write an int64."""
        ctypes.c_int64.from_address(at).value = value

else:
    from monitor.decode.memory import load_byte, load_int, store_int

_SCHEMA, _DICTIONARY, _RECORDS = 1, 2, 3
_BROKEN = -(1 << 62)
"""No offset, length or count: it lies outside its message, or contradicts it."""
_MOST = 1 << 50
"""Sums stop here, far below where they would overflow."""
_MAX_DEPTH = 64
"""Of nested types; Arrow refuses deeper ones."""

_ROWS, _VALUES, _BYTES, _MESSAGES, _COLUMNS, _IS_WHOLE, _DICTIONARY_BYTES, _AT = range(8)
_LEFT = _AT + _MAX_DEPTH + 1
_N_SUMS = _LEFT + _MAX_DEPTH + 1
"""Behind the sums stand places in the schema's tree, and fields left there."""


class StreamSizes(NamedTuple):
    """Sums over all messages of a stream, capped at 2**50."""

    n_rows: int
    n_values: int
    """Of all columns, their children and dictionaries: 0 bytes may declare any number."""
    n_bytes: int
    """Of all buffers once they are decompressed."""
    n_messages: int
    n_columns: int
    """Children of nested columns included."""
    is_whole: bool
    """Whether the metadata could be followed to the end; if not, the rest says nothing."""


@kernel
def _int(at: Address, n_bytes: int, begin: Address, end: Address) -> int:
    """Read a little-endian integer; one of eight bytes is signed."""
    if at < begin or at + n_bytes > end:
        return _BROKEN
    if n_bytes == 8:
        return load_int(at)
    value = 0
    for k in range(n_bytes):
        value |= load_byte(at + k) << (8 * k)
    return value


@kernel
def _field(table: Address, index: int, begin: Address, end: Address) -> int:
    """Return where a table keeps a field; 0 where it has none."""
    found = 0
    back = _int(table, 4, begin, end)
    if back >= 1 << 31:
        back -= 1 << 32
    vtable = table - back
    size = _int(vtable, 2, begin, end)
    if size == _BROKEN or back == _BROKEN:
        found = _BROKEN
    elif 4 + 2 * index + 2 <= size:
        offset = _int(vtable + 4 + 2 * index, 2, begin, end)
        if offset == _BROKEN:
            found = _BROKEN
        elif offset:
            found = table + offset
    return found


@kernel
def _follow(at: Address, begin: Address, end: Address) -> int:
    """Return what an offset points to; 0 where there is none."""
    found = at
    if at > 0:
        step = _int(at, 4, begin, end)
        found = _BROKEN if step == _BROKEN else at + step
    return found


@kernel
def _vector(at: Address, width: int, begin: Address, end: Address) -> int:
    """Return the length of a vector whose elements all stand in the message."""
    n = 0
    if at != 0:
        n = _int(at, 4, begin, end)
        if n == _BROKEN or at + 4 + n * width > end:
            n = _BROKEN
    return n


@kernel
def _add(sums: Address, k: int, n: int) -> None:
    store_int(sums + 8 * k, min(load_int(sums + 8 * k) + min(n, _MOST), _MOST))


@kernel
def _count_columns(schema: Address, begin: Address, end: Address, sums: Address) -> int:
    """Count the fields of a schema and their children; depth first, without recursion."""
    n_columns = 0
    n_steps = 0
    vector = _follow(_field(schema, 1, begin, end), begin, end)
    n = _vector(vector, 4, begin, end)
    if n == _BROKEN:
        return n
    depth = 0
    store_int(sums + 8 * _AT, vector + 4)
    store_int(sums + 8 * _LEFT, n)
    while depth >= 0:
        left = load_int(sums + 8 * (_LEFT + depth))
        if left == 0:
            depth -= 1
            continue
        # several fields may share their children: no more steps than there are bytes
        n_steps += 1
        if n_steps > end - begin:
            return _BROKEN
        at = load_int(sums + 8 * (_AT + depth))
        field = _follow(at, begin, end)
        store_int(sums + 8 * (_AT + depth), at + 4)
        store_int(sums + 8 * (_LEFT + depth), left - 1)
        n_columns += 1
        children = _follow(_field(field, 5, begin, end), begin, end)
        n = _vector(children, 4, begin, end)
        if n == _BROKEN or (n and depth == _MAX_DEPTH):
            return _BROKEN
        if n:
            depth += 1
            store_int(sums + 8 * (_AT + depth), children + 4)
            store_int(sums + 8 * (_LEFT + depth), n)
    return n_columns


@kernel
def _add_batch(
    batch: Address,
    begin: Address,
    end: Address,
    n_body: int,
    sums: Address,
    is_dictionary: bool,
) -> bool:
    """Add the rows, values and bytes of a record batch or of a dictionary.

    Its body follows at ``end``.
    """
    at = _field(batch, 0, begin, end)
    n_rows = 0 if at == 0 else _int(at, 8, begin, end)
    nodes = _follow(_field(batch, 1, begin, end), begin, end)
    buffers = _follow(_field(batch, 2, begin, end), begin, end)
    compression = _field(batch, 3, begin, end)
    n_nodes = _vector(nodes, 16, begin, end)
    n_buffers = _vector(buffers, 16, begin, end)
    if n_rows < 0 or n_nodes < 0 or n_buffers < 0 or compression < 0:
        return False
    if not is_dictionary:
        _add(sums, _ROWS, n_rows)
    for k in range(n_nodes):
        n = _int(nodes + 4 + 16 * k, 8, begin, end)
        if n < 0:
            return False
        _add(sums, _VALUES, n)
    for k in range(n_buffers):
        offset = _int(buffers + 4 + 16 * k, 8, begin, end)
        n = _int(buffers + 12 + 16 * k, 8, begin, end)
        if offset < 0 or n < 0 or offset > n_body or n > n_body - offset:
            return False
        if compression and n >= 8:
            declared = _int(end + offset, 8, end, end + n_body)
            n = n - 8 if declared == -1 else declared
            if n < 0:
                return False
        _add(sums, _BYTES, n)
        if is_dictionary:
            _add(sums, _DICTIONARY_BYTES, n)
    return True


@kernel
def _add_message(begin: Address, end: Address, whole_end: Address, sums: Address) -> int:
    """Add what one message declares; return the length of its body."""
    message = begin + _int(begin, 4, begin, end)
    at = _field(message, 3, begin, end)
    n_body = 0 if at == 0 else _int(at, 8, begin, end)
    at = _field(message, 1, begin, end)
    kind = 0 if at == 0 else _int(at, 1, begin, end)
    header = _follow(_field(message, 2, begin, end), begin, end)
    if n_body < 0 or n_body > whole_end - end or kind == _BROKEN or header <= 0:
        return _BROKEN
    is_fine = True
    if kind == _SCHEMA:
        n = _count_columns(header, begin, end, sums)
        _add(sums, _COLUMNS, max(n, 0))
        is_fine = n != _BROKEN
    elif kind == _RECORDS:
        is_fine = _add_batch(header, begin, end, n_body, sums, False)
    elif kind == _DICTIONARY:
        batch = _follow(_field(header, 1, begin, end), begin, end)
        at = _field(header, 2, begin, end)
        if at > 0 and _int(at, 1, begin, end) != 0:
            # a delta is joined with what the dictionary held before, as a copy
            _add(sums, _BYTES, load_int(sums + 8 * _DICTIONARY_BYTES))
        is_fine = batch > 0 and _add_batch(batch, begin, end, n_body, sums, True)
    return n_body if is_fine else _BROKEN


@kernel
def _sizes(start: Address, end: Address, sums: Address) -> bool:
    """Go through the messages; return whether their metadata could be followed."""
    at = start
    while at + 4 <= end:
        n_metadata = _int(at, 4, start, end)
        at += 4
        if n_metadata == 0xFFFFFFFF:
            if at + 4 > end:
                return False
            n_metadata = _int(at, 4, start, end)
            at += 4
        if n_metadata == 0:
            return True
        if n_metadata > end - at:
            return False
        n_body = _add_message(at, at + n_metadata, end, sums)
        if n_body == _BROKEN:
            return False
        _add(sums, _MESSAGES, 1)
        at += n_metadata + n_body
    return at == end


@kernel
def _sizes_of(
    base: Address, starts: Address, ends: Address, n: int, rows: Address, sums: Address
) -> None:
    """Write the sums of each stream."""
    for i in range(n):
        for k in range(_N_SUMS):
            store_int(sums + 8 * k, 0)
        start, end = load_int(starts + 8 * i), load_int(ends + 8 * i)
        is_whole = _sizes(base + start, base + end, sums)
        store_int(sums + 8 * _IS_WHOLE, 1 if is_whole else 0)
        for k in range(_DICTIONARY_BYTES):
            store_int(rows + 8 * (_DICTIONARY_BYTES * i + k), load_int(sums + 8 * k))


def stream_sizes(buffer: Uint8Array, starts: Int64Array, ends: Int64Array) -> Int64Array:
    """Sum up what the messages of each stream declare.

    Parameters
    ----------
    starts, ends : ndarray of int64, shape (n,)
        Where the streams stand in it.

    Returns
    -------
    ndarray of int64, shape (n, 6)
        The fields of :class:`StreamSizes`.

    Notes
    -----
    Only metadata and the prefixes of compressed buffers are read: about 1 us a stream.

    Examples
    --------
    >>> import pyarrow as pa
    >>> sink = pa.BufferOutputStream()
    >>> with pa.ipc.new_stream(sink, pa.schema({"a": pa.null()})) as writer:
    ...     writer.write_batch(pa.record_batch({"a": pa.nulls(10**6)}))
    >>> stream = np.frombuffer(sink.getvalue(), np.uint8)
    >>> (sizes,) = stream_sizes(stream, np.array([0]), np.array([len(stream)])).tolist()
    >>> StreamSizes(*sizes).n_rows
    1000000
    """
    starts, ends = (np.ascontiguousarray(a, dtype=np.int64) for a in (starts, ends))
    rows = np.zeros((len(starts), _DICTIONARY_BYTES), np.int64)
    sums = np.zeros(_N_SUMS, np.int64)
    base, first, last = (a.ctypes.data for a in (buffer, starts, ends))
    _sizes_of(base, first, last, len(starts), rows.ctypes.data, sums.ctypes.data)
    return rows
