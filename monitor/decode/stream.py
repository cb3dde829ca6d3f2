"""Arrow IPC streams: record batches of any models, as messages."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from monitor.decode.arrow import batch_from_arrow, stream_of
from monitor.decode.columns import Columns
from monitor.decode.dictionaries import Dictionaries
from monitor.decode.strict import MAX_DETAIL, Key
from schemas.batch import EventBatch, Int64Array
from schemas.events import DEFAULT_TENANT, Reject, RejectReason

Found = tuple[list[tuple[int, EventBatch]], list[Reject]]


class _Piece(NamedTuple):
    """One record batch of one message, and the number of its first row there."""

    message: int
    first_row: int
    batch: pa.RecordBatch


def decode_streams(
    payloads: Iterable[tuple[int, bytes]],
    models: Mapping[Key, int],
    columns: Sequence[Columns],
    dictionaries: Dictionaries,
) -> Found:
    """Decode streams.

    Parameters
    ----------
    payloads : iterable of (int, bytes)
        Message number and bytes of each stream, in order.
    models : mapping of (tenant, model) to int
        Index into ``columns``.
    columns : sequence of Columns
    dictionaries : Dictionaries

    Returns
    -------
    (list of (model index, EventBatch), list of Reject)
        A stream that cannot be read is one UNSUPPORTED reject (INVALID_UTF8 where
        that is the fault) and accepts nothing: it is validated whole, first, since
        wrong offsets would be read as addresses.

    Notes
    -----
    Streams of one schema are joined before they are looked at column by column: in
    batches of 1,000 rows the calls cost five times what the values do.
    """
    rejects: list[Reject] = []
    pieces: list[_Piece] = []
    for message, payload in payloads:
        try:
            pieces += _open(message, payload)
        except (pa.ArrowException, OSError, ValueError) as error:
            rejects.append(_unreadable(message, 0, payload, error))
    found: Found = ([], rejects)
    reader = _Reader(models, columns, dictionaries)
    for neighbours in _neighbours(pieces):
        try:
            _extend(found, reader.read(neighbours))
        except pa.ArrowException:  # types that cannot be joined, or not be read at all
            for piece in neighbours:
                try:
                    _extend(found, reader.read([piece]))
                except pa.ArrowException as error:
                    payload = stream_of(piece.batch)
                    rejects.append(_unreadable(piece.message, piece.first_row, payload, error))
    return found


def _extend(found: Found, more: Found) -> None:
    """Add what another group of record batches held."""
    found[0].extend(more[0])
    found[1].extend(more[1])


def _unreadable(message: int, row: int, payload: bytes, error: Exception) -> Reject:
    """Refuse a stream, or a record batch of one."""
    is_utf8 = "UTF8" in str(error) or "UTF-8" in str(error)
    reason = RejectReason.INVALID_UTF8 if is_utf8 else RejectReason.UNSUPPORTED
    return Reject(message, row, reason, f"Arrow stream: {error}"[:MAX_DETAIL], payload)


class _Reader:
    """Turns record batches of one schema into event batches."""

    def __init__(
        self, models: Mapping[Key, int], columns: Sequence[Columns], dictionaries: Dictionaries
    ) -> None:
        self._models, self._columns, self._dictionaries = models, columns, dictionaries

    def read(self, pieces: Sequence[_Piece]) -> Found:
        """Join the pieces, and decode the rows of each model."""
        batches: list[tuple[int, EventBatch]] = []
        rejects: list[Reject] = []
        joined = _join([piece.batch for piece in pieces])
        message_of, row_of = _places(pieces)
        for key, rows in _rows_by_model(joined):
            is_all = len(rows) == joined.num_rows
            part = joined if is_all else joined.take(rows)
            place = (message_of, row_of) if is_all else (message_of[rows], row_of[rows])
            if key not in self._models:
                rejects.extend(_unknown(part, *place, key))
                continue
            model = self._models[key]
            batch, faults = batch_from_arrow(
                part,
                self._columns[model].schema,
                place[0],
                rows=place[1],
                columns=self._columns[model],
                dictionaries=self._dictionaries,
            )
            rejects.extend(faults)
            if len(batch):
                batches.append((model, batch))
        return batches, rejects


def _open(message: int, payload: bytes) -> list[_Piece]:
    """Read and validate one stream."""
    with pa.ipc.open_stream(payload) as reader:
        record_batches = list(reader)
        names = reader.schema.names
    pieces, first = [], 0
    for record_batch in record_batches:
        record_batch.validate(full=True)
        if record_batch.num_rows:
            pieces.append(_Piece(message, first, _takeable(record_batch)))
        first += record_batch.num_rows
    if "model" not in names:
        raise pa.ArrowInvalid("the stream has no column `model`")
    return pieces


def _takeable(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Undo encodings of which rows cannot be taken, or that cannot be joined."""
    kinds = batch.schema.types
    if not any(pa.types.is_run_end_encoded(k) or pa.types.is_string_view(k) for k in kinds):
        return batch
    columns = [_undone(column) for column in batch.columns]
    return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)


def _undone(column: pa.Array) -> pa.Array:
    """Return run ends and string views as plain arrays, anything else as it is."""
    if pa.types.is_run_end_encoded(column.type):
        column = pc.run_end_decode(column)
    is_view = pa.types.is_string_view(column.type)
    return column.cast(pa.large_string()) if is_view else column


def _neighbours(pieces: Sequence[_Piece]) -> Iterator[Sequence[_Piece]]:
    """Yield pieces that follow each other and have one schema."""
    start = 0
    for end in range(1, len(pieces) + 1):
        if end == len(pieces) or not pieces[end].batch.schema.equals(pieces[start].batch.schema):
            yield pieces[start:end]
            start = end


def _join(batches: list[pa.RecordBatch]) -> pa.RecordBatch:
    """Make one batch of several of one schema."""
    if len(batches) == 1:
        return batches[0]
    table = pa.Table.from_batches(batches).unify_dictionaries().combine_chunks()
    return pa.RecordBatch.from_arrays(
        [column.chunk(0) for column in table.columns], schema=table.schema
    )


def _places(pieces: Sequence[_Piece]) -> tuple[Int64Array, Int64Array]:
    """Return message and row of each row of the pieces."""
    sizes = [piece.batch.num_rows for piece in pieces]
    message = np.repeat(np.array([piece.message for piece in pieces], np.int64), sizes)
    rows = [np.arange(n, dtype=np.int64) + p.first_row for p, n in zip(pieces, sizes, strict=True)]
    return message, np.concatenate(rows)


def _rows_by_model(batch: pa.RecordBatch) -> list[tuple[Key, Int64Array]]:
    """Rows of each (tenant, model); null or wrongly typed model: tenant and model ``""``."""
    model_names, model_codes = _codes(batch, "model", "")
    tenant_names, tenant_codes = _codes(batch, "tenant", DEFAULT_TENANT)
    both = tenant_codes * len(model_names) + model_codes
    found = []
    for code in np.flatnonzero(np.bincount(both)).tolist():
        tenant, model = divmod(code, len(model_names))
        key = (tenant_names[tenant], model_names[model])
        found.append((key if key[1] else ("", ""), np.flatnonzero(both == code)))
    return found


def _codes(batch: pa.RecordBatch, name: str, default: str) -> tuple[list[str], Int64Array]:
    """Distinct values of a column and the index of each row's; null is ``default``."""
    if name not in batch.schema.names:
        return [default], np.zeros(batch.num_rows, dtype=np.int64)
    column = batch.column(name)
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        return [""], np.zeros(batch.num_rows, dtype=np.int64)
    encoded = column.dictionary_encode()
    names = [default if v is None else v for v in encoded.dictionary.to_pylist()] + [default]
    indices = pc.fill_null(encoded.indices.cast(pa.int64()), len(names) - 1)
    return names, indices.to_numpy(zero_copy_only=False)


def _unknown(
    batch: pa.RecordBatch, messages: Int64Array, rows: Int64Array, key: Key
) -> list[Reject]:
    """One reject a row of a model nobody configured."""
    tenant, model = key
    reason, detail = (
        RejectReason.UNKNOWN_MODEL,
        (f"no model {model!r} of tenant {tenant!r} is configured"),
    )
    if not model:
        reason, detail = RejectReason.MISTYPED, "Expected `str` - at `$.model`"
    return [
        Reject(message, row, reason, detail, stream_of(batch.slice(i, 1)), tenant, model)
        for i, (message, row) in enumerate(zip(messages.tolist(), rows.tolist(), strict=True))
    ]
