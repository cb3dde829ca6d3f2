"""One row of an Arrow stream as a stream of its own: what a dead letter keeps of it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Protocol

import pyarrow as pa
import pyarrow.compute as pc

from monitor.core.table_rows import encoded
from schemas.refused import MAX_PAYLOAD_BYTES


def stream_of(batch: pa.RecordBatch) -> bytes:
    """An Arrow IPC stream of one batch.

    Examples
    --------
    >>> stream_of(pa.record_batch({"a": [1]}))[:4]
    b'\\xff\\xff\\xff\\xff'
    """
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return bytes(sink.getvalue())


def row_stream(batch: pa.RecordBatch, row: int) -> bytes:
    """Return one row of a batch as a stream, cut at ``MAX_PAYLOAD_BYTES``.

    Returns
    -------
    bytes
        Texts of dictionaries and views stand in it as plain ones: a slice keeps the whole
        dictionary, and a hundred letters of one message would keep a hundred of them.

    Examples
    --------
    >>> batch = pa.record_batch({"a": pa.array(["x", "y" * 9]).dictionary_encode()})
    >>> with pa.ipc.open_stream(row_stream(batch, 0)) as reader:
    ...     reader.read_all().to_pydict()
    {'a': ['x']}
    """
    one = batch.slice(row, 1)
    columns = [_alone(column) for column in one.columns]
    return stream_of(pa.RecordBatch.from_arrays(columns, names=one.schema.names))[
        :MAX_PAYLOAD_BYTES
    ]


def _alone(column: pa.Array) -> pa.Array:
    """Return a column of one row without the values of other rows."""
    kind = column.type
    if pa.types.is_dictionary(kind) and not pa.types.is_nested(kind.value_type):
        return column.dictionary_decode()
    if pa.types.is_run_end_encoded(kind) and not pa.types.is_nested(kind.value_type):
        return pc.run_end_decode(column)
    if pa.types.is_string_view(kind):
        return column.cast(pa.large_string())
    return column.cast(pa.large_binary()) if pa.types.is_binary_view(kind) else column


class Placed(Protocol):
    """A record batch, its message, and the number of its first row there."""

    @property
    def message(self) -> int:
        """Number of the message."""
        ...

    @property
    def first_row(self) -> int:
        """Number of the first row in the message."""
        ...

    @property
    def original(self) -> pa.RecordBatch:
        """All columns, as they came."""
        ...


class NotEncoded:
    """Rows of a message that was decoded without having been encoded."""

    first_row = 0

    def __init__(self, message: int, rows: pa.RecordBatch) -> None:
        self.message, self._rows = message, rows

    @cached_property
    def original(self) -> pa.RecordBatch:
        """The rows as the message would hold them: the same bytes as of a message that came."""
        with pa.ipc.open_stream(encoded(self._rows)) as reader:
            return reader.read_next_batch()


class Originals:
    """Finds rows in the record batches they came in.

    Parameters
    ----------
    pieces : sequence
        Record batches, each with its message and the number of its first row there.
    """

    def __init__(self, pieces: Sequence[Placed]) -> None:
        self._pieces = pieces
        self._of_message: dict[int, list[Placed]] = {}

    def payload(self, message: int, row: int) -> bytes:
        """Return one row of a message as a stream."""
        if not self._of_message:
            for piece in self._pieces:
                self._of_message.setdefault(piece.message, []).append(piece)
        for piece in self._of_message[message]:
            if row < piece.first_row + piece.original.num_rows:
                return row_stream(piece.original, row - piece.first_row)
        raise IndexError(f"message {message} has no row {row}")
