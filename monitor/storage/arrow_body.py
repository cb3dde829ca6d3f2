"""Tables as bodies of inserts, written into memory that is used again."""

from __future__ import annotations

import pyarrow as pa

MAX_KEPT_BYTES = 64 << 20
"""Longer bodies are written into memory of their own, and given back."""


class ArrowBody:
    """Writes Arrow files one after another into the same memory.

    Notes
    -----
    The client writes each into memory that grows by doubling and is new every time: most
    of the CPU of inserting, an eighth of the archive's, went into the kernel's zeroing of pages.

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
        """Return the table as a file; the memory is used again after its ``with``."""
        size = _size_of(table)
        # Taken, not shared: another thread that writes meanwhile gets memory of its own.
        memory, self._kept = self._kept, None
        if memory is None or memory.size < size:
            memory = pa.allocate_buffer(size)
        _write(table, pa.FixedSizeBufferWriter(memory))
        return Written(self, memory, size)

    def keep(self, memory: pa.Buffer) -> None:
        """Take memory back."""
        if memory.size <= MAX_KEPT_BYTES:
            self._kept = memory


class Written:
    """A file in memory that is lent until the end of its ``with``."""

    def __init__(self, owner: ArrowBody, memory: pa.Buffer, size: int) -> None:
        self._owner, self._memory, self._size = owner, memory, size

    def __enter__(self) -> pa.Buffer:
        return self._memory.slice(0, self._size)

    def __exit__(self, *_: object) -> None:
        self._owner.keep(self._memory)


def _size_of(table: pa.Table) -> int:
    """Count the bytes of the file; nothing is copied."""
    counted = pa.MockOutputStream()
    _write(table, counted)
    return int(counted.size())


def _write(table: pa.Table, sink: pa.NativeFile) -> None:
    """Write one record batch, dictionaries and all."""
    with pa.RecordBatchFileWriter(sink, table.schema) as writer:
        writer.write(table)
