"""Encodes tables as bodies of inserts, in reused memory."""

from __future__ import annotations

import pyarrow as pa

MAX_KEPT_BYTES = 64 << 20
"""Memory of longer bodies is not kept."""


class ArrowBody:
    """Writes successive Arrow files into the same memory.

    Notes
    -----
    The client allocates a new growing buffer per body: most of the CPU of inserts, an eighth of the
    archive's, was spent on zeroing of pages by the kernel.

    Examples
    --------
    >>> import pyarrow as pa
    >>> body = ArrowBody()
    >>> with body.write(pa.table({"n": [1, 2]})) as data:
    ...     pa.ipc.open_file(data).read_all().to_pydict()
    {'n': [1, 2]}
    """

    def __init__(self) -> None:
        self._kept: pa.Buffer | None = None

    def write(self, table: pa.Table) -> Written:
        """Return the table as a file; the memory is reused after its ``with``."""
        size = _size_of(table)
        # Taken, not shared: another thread that writes meanwhile allocates its own.
        memory, self._kept = self._kept, None
        if memory is None or memory.size < size:
            memory = pa.allocate_buffer(size)
        _write(table, pa.FixedSizeBufferWriter(memory))
        return Written(self, memory, size)

    def keep(self, memory: pa.Buffer) -> None:
        """Keep memory for the next file."""
        if memory.size <= MAX_KEPT_BYTES:
            self._kept = memory


class Written:
    """A file in memory that is valid until the end of its ``with``."""

    def __init__(self, owner: ArrowBody, memory: pa.Buffer, size: int) -> None:
        self._owner, self._memory, self._size = owner, memory, size

    def __enter__(self) -> pa.Buffer:
        return self._memory.slice(0, self._size)

    def __exit__(self, *_: object) -> None:
        self._owner.keep(self._memory)


def _size_of(table: pa.Table) -> int:
    """Return the size of the file, without writing it."""
    counted = pa.MockOutputStream()
    _write(table, counted)
    return int(counted.size())


def _write(table: pa.Table, sink: pa.NativeFile) -> None:
    """Write one record batch with its dictionaries."""
    with pa.RecordBatchFileWriter(sink, table.schema) as writer:
        writer.write(table)
