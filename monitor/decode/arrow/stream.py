"""Arrow IPC streams: record batches of any models, as messages."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa

from monitor.decode.arrow.expand import Room
from monitor.decode.arrow.ipc_sizes import StreamSizes
from monitor.decode.arrow.opened import (
    MAX_COLUMNS,
    Form,
    Piece,
    check_sizes,
    flat,
    known_names,
    open_stream,
)
from monitor.decode.arrow.record_batches import batch_from_arrow, stream_of
from monitor.decode.arrow.row_models import rows_by_model
from monitor.decode.arrow.row_stream import NotEncoded, Originals, Placed
from monitor.decode.columns import Columns
from monitor.decode.dictionaries import Dictionaries
from monitor.decode.reject_cap import RowRejects
from monitor.decode.strict import MAX_DETAIL, Key, RefusedEvent
from schemas.batch import EventBatch, Int64Array
from schemas.events import Reject, RejectReason
from schemas.limits import MessageLimits

Found = tuple[list[tuple[int, EventBatch]], list[Reject]]

_COLUMN_BYTES = 4096
"""What a column adds to a stream beside its values, at most: its name, padding, metadata."""
MAX_JOINED_VALUES = 1_000
"""Values that the dictionaries of a column may hold together where streams are joined.

Arrow merges dictionaries by a hash without a secret: sixteen thousand texts that were
chosen to collide take it a second, sixty thousand thirteen.
"""


class StreamDecoder:
    """Decodes Arrow streams into the batches of a decoder's models.

    Parameters
    ----------
    models : mapping of (tenant, model) to int
        Index into ``columns``.
    max_rows : int
        ``limits.max_rows``, or fewer where a model has very many columns.
    """

    def __init__(
        self,
        models: Mapping[Key, int],
        columns: Sequence[Columns],
        limits: MessageLimits,
        max_rows: int,
    ) -> None:
        self._models, self._columns = models, columns
        self._limits, self._max_rows = limits, max_rows
        self._known = known_names(columns)

    def decode(
        self,
        payloads: Iterable[tuple[int, bytes | memoryview]],
        sizes: Int64Array,
        dictionaries: Dictionaries,
    ) -> Found:
        """Decode streams.

        Parameters
        ----------
        payloads : iterable of (int, bytes or memoryview)
            Message number and bytes of each stream, in order; never written to again, since
            batches may refer to them.
        sizes : ndarray of int64, shape (n, 6)
            What each declares, of :func:`monitor.decode.arrow.ipc_sizes.stream_sizes`.

        Returns
        -------
        (list of (model index, EventBatch), list of Reject)
            A stream that cannot be read is one UNSUPPORTED reject (INVALID_UTF8 where
            that is the fault), one that is too large an OVERSIZED one; it accepts nothing:
            it is measured and validated whole, first, since wrong offsets would be read
            as addresses.

        Notes
        -----
        Streams of one schema are joined before they are looked at column by column: in
        batches of 1,000 rows the calls cost five times what the values do.
        """
        rejects: list[Reject] = []
        pieces: list[Piece] = []
        form: Form | None = None
        for (message, payload), declared in zip(payloads, sizes.tolist(), strict=True):
            try:
                check_sizes(StreamSizes(*declared), self._limits, self._max_rows)
                room = Room(self._limits.max_bytes)
                opened, form = open_stream(message, payload, form, self._known, room)
                pieces += opened
            except RefusedEvent as fault:
                rejects.append(_refused(message, 0, bytes(payload), fault))
            except (pa.ArrowException, OSError, ValueError) as error:
                rejects.append(_refused(message, 0, bytes(payload), unreadable(error)))
        found: Found = ([], rejects)
        for neighbours in _neighbours(pieces):
            try:
                _extend(found, self._read_joined(neighbours, dictionaries))
            except pa.ArrowException:  # types that cannot be joined, or not be read at all
                self._read_alone(found, neighbours, dictionaries)
        return found

    def decode_rows(
        self, rows: pa.RecordBatch, messages: Sequence[pa.RecordBatch], dictionaries: Dictionaries
    ) -> Found | None:
        """Decode the rows of several messages, which were not encoded.

        Parameters
        ----------
        messages : sequence of pyarrow.RecordBatch
            The rows of each message: slices of ``rows``.

        Returns
        -------
        (list of (model index, EventBatch), list of Reject) or None
            What :meth:`decode` returns of the streams of these messages; None where one of the
            streams could be refused.
        """
        if not self._fits(rows, messages):
            return None
        form = Form.of(rows.schema, self._known)
        if form.fault:
            return None
        rows.validate(full=True)
        room = Room(self._limits.max_bytes)
        read = rows if form.is_whole else flat(rows, form, room)
        places = _places([(m, 0, part.num_rows) for m, part in enumerate(messages)])
        originals = [NotEncoded(m, part) for m, part in enumerate(messages)]
        return self._read(originals, places, _aligned(read), dictionaries)

    def _fits(self, rows: pa.RecordBatch, messages: Sequence[pa.RecordBatch]) -> bool:
        """Return whether these messages are clearly within the limits, all of them together."""
        n = max(rows.nbytes, rows.num_rows * rows.num_columns) + _COLUMN_BYTES * rows.num_columns
        is_short = max(m.num_rows for m in messages) <= self._max_rows
        return is_short and 2 * n <= self._limits.max_bytes and rows.num_columns <= MAX_COLUMNS

    def _read_alone(self, found: Found, pieces: Sequence[Piece], known: Dictionaries) -> None:
        """Decode pieces one by one; what cannot be read is a reject."""
        for piece in pieces:
            try:
                _extend(found, self._read_joined([piece], known))
            except pa.ArrowException as error:
                payload = stream_of(piece.original)
                fault = unreadable(error)
                found[1].append(_refused(piece.message, piece.first_row, payload, fault))

    def _read_joined(self, pieces: Sequence[Piece], dictionaries: Dictionaries) -> Found:
        """Join pieces, and decode the rows of each model."""
        joined = _join([piece.batch for piece in pieces])
        places = _places([(p.message, p.first_row, p.batch.num_rows) for p in pieces])
        return self._read(pieces, places, joined, dictionaries)

    def _read(
        self,
        originals: Sequence[Placed],
        places: tuple[Int64Array, Int64Array],
        joined: pa.RecordBatch,
        dictionaries: Dictionaries,
    ) -> Found:
        """Decode the rows of each model."""
        batches: list[tuple[int, EventBatch]] = []
        messages, numbers = places
        rejects = RowRejects(Originals(originals), self._limits.max_letters)
        for model, rows in rows_by_model(joined, self._models, messages, numbers, rejects):
            part, place = joined, (messages, numbers)
            if rows is not None:
                part, place = joined.take(rows), (messages[rows], numbers[rows])
            batch, _ = batch_from_arrow(
                part,
                self._columns[model].schema,
                place[0],
                rows=place[1],
                columns=self._columns[model],
                dictionaries=dictionaries,
                rejects=rejects,
            )
            if len(batch):
                batches.append((model, batch))
        return batches, rejects.found


def _extend(found: Found, more: Found) -> None:
    """Add what another group of record batches held."""
    found[0].extend(more[0])
    found[1].extend(more[1])


def _refused(message: int, row: int, payload: bytes, fault: RefusedEvent) -> Reject:
    return Reject(message, row, fault.reason, fault.detail, payload, *fault.key)


def unreadable(error: Exception) -> RefusedEvent:
    """Return why Arrow cannot read a stream, or a record batch of one."""
    text = str(error)
    is_utf8 = isinstance(error, UnicodeDecodeError) or "UTF8" in text or "UTF-8" in text
    reason = RejectReason.INVALID_UTF8 if is_utf8 else RejectReason.UNSUPPORTED
    return RefusedEvent(reason, f"Arrow stream: {text}"[:MAX_DETAIL])


def _neighbours(pieces: Sequence[Piece]) -> Iterator[Sequence[Piece]]:
    """Yield pieces that follow each other, have one schema, and may be joined."""
    start = n_values = 0
    for end, piece in enumerate(pieces):
        n = _n_dictionary_values(piece.batch)
        is_new = piece.form is not pieces[start].form or n_values + n > MAX_JOINED_VALUES
        if end > start and is_new:
            yield pieces[start:end]
            start, n_values = end, 0
        n_values += n
    if pieces:
        yield pieces[start:]


def _n_dictionary_values(batch: pa.RecordBatch) -> int:
    """Return how many values the longest dictionary holds."""
    columns = batch.columns
    return max((len(c.dictionary) for c in columns if pa.types.is_dictionary(c.type)), default=0)


def _join(batches: list[pa.RecordBatch]) -> pa.RecordBatch:
    """Make one batch of several of one schema."""
    if len(batches) == 1:
        return _aligned(batches[0])
    table = pa.Table.from_batches(batches).unify_dictionaries().combine_chunks()
    return pa.RecordBatch.from_arrays(
        [column.chunk(0) for column in table.columns], schema=table.schema
    )


def _aligned(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Copy a batch that begins at an odd place of its chunk: kernels take aligned columns."""
    buffers = (buffer for column in batch.columns for buffer in column.buffers())
    if all(buffer is None or buffer.address % 8 == 0 for buffer in buffers):
        return batch
    with pa.ipc.open_stream(stream_of(batch)) as reader:
        return reader.read_next_batch()


def _places(pieces: Sequence[tuple[int, int, int]]) -> tuple[Int64Array, Int64Array]:
    """Return message and row of each row of pieces: (message, first row there, rows)."""
    sizes = [n for _, _, n in pieces]
    message = np.repeat(np.array([m for m, _, _ in pieces], np.int64), sizes)
    rows = [np.arange(n, dtype=np.int64) + first for _, first, n in pieces]
    return message, np.concatenate(rows)
