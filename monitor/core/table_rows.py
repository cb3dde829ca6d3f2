"""Rows of a table on their way to the decoder, as columns instead of messages."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from schemas.batch import Chunk, Uint8Array

RECORD_TIME = "record_time_us"
_NO_BYTES = np.empty(0, np.uint8)


@dataclass(frozen=True, slots=True)
class TableRows:
    """Consecutive rows of a file.

    Every ``chunk_rows`` of them are one message of one chunk, the last may be shorter: IDs of
    rows, lateness and commits follow from these, however many rows are decoded together.

    Examples
    --------
    >>> table = TableRows("f@1", pa.record_batch({"x": [5, 6, 7]}), 2, first_row=10)
    >>> [(c.log_offset.tolist(), len(c.buffer) > 0) for c in table.chunks()]
    [([10], True), ([12], True)]
    """

    source: str
    """The file's name with a digest of its content."""
    rows: pa.RecordBatch
    """The decoder's canonical columns."""
    chunk_rows: int
    first_row: int = 0
    """Offset of the first row."""

    @property
    def last_offset(self) -> int:
        """Offset of the last message."""
        n_before = (int(self.rows.num_rows) - 1) // self.chunk_rows
        return self.first_row + n_before * self.chunk_rows

    @property
    def has_record_times(self) -> bool:
        """Whether the rows have times at which they were recorded."""
        return RECORD_TIME in self.rows.schema.names

    def messages(self) -> list[pa.RecordBatch]:
        """Return the rows of each message, without copying them."""
        n, k = self.rows.num_rows, self.chunk_rows
        return [self.rows.slice(first, k) for first in range(0, n, k)]

    def places(self) -> Iterator[Chunk]:
        """Yield the chunk of each message without its bytes: what is known of decoded rows."""
        for first in range(0, self.rows.num_rows, self.chunk_rows):
            yield self._chunk(first, _NO_BYTES, -1)

    def chunks(self) -> Iterator[Chunk]:
        """Encode each message as a chunk: an Arrow IPC stream of one batch."""
        for message, rows in enumerate(self.messages()):
            buffer = np.frombuffer(encoded(rows), np.uint8)
            yield self._chunk(message * self.chunk_rows, buffer, _newest_us(rows))

    def _chunk(self, first: int, buffer: Uint8Array, record_time_us: int) -> Chunk:
        """Return the chunk of the message that begins at a row."""
        return Chunk(
            source=self.source,
            partition=0,
            buffer=buffer,
            offsets=np.array([0, len(buffer)], np.int64),
            log_offset=np.array([self.first_row + first], np.int64),
            record_time_us=np.array([record_time_us], np.int64),
        )


def encoded(rows: pa.RecordBatch) -> pa.Buffer:
    """Return rows as an Arrow IPC stream.

    Texts are copied first: of a slice Arrow also writes the first bytes of the texts behind it.
    """
    columns = [pa.concat_arrays([c]) if _is_text(c.type) else c for c in rows.columns]
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema) as writer:
        writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=rows.schema))
    return sink.getvalue()


def _is_text(kind: pa.DataType) -> bool:
    """Return whether values of a type are texts of any length."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _newest_us(rows: pa.RecordBatch) -> int:
    """Return the latest record time of rows; -1 without one."""
    if RECORD_TIME not in rows.schema.names:
        return -1
    times = rows.column(RECORD_TIME).drop_null().to_numpy()
    return int(times.max()) if len(times) else -1
