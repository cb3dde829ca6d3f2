"""Arrow IPC streams: record batches of any models, as messages."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from monitor.decode.arrow import batch_from_arrow, indices_of, stream_of
from monitor.decode.columns import Columns
from monitor.decode.dictionaries import Dictionaries
from monitor.decode.strict import MAX_DETAIL, Key
from schemas.batch import EventBatch, Int64Array
from schemas.events import DEFAULT_TENANT, Reject, RejectReason

Found = tuple[list[tuple[int, EventBatch]], list[Reject]]


class _Form(NamedTuple):
    """What is asked of a schema, once: streams follow each other by the thousand."""

    schema: pa.Schema
    has_model: bool
    is_takeable: bool
    """Rows can be taken of its columns, and columns of several batches joined."""

    @staticmethod
    def of(schema: pa.Schema) -> _Form:
        """Look at a schema."""
        return _Form(schema, "model" in schema.names, all(map(_is_takeable, schema.types)))


def _is_takeable(kind: pa.DataType) -> bool:
    return not (pa.types.is_run_end_encoded(kind) or pa.types.is_string_view(kind))


class _Piece(NamedTuple):
    """One record batch of one message, and the number of its first row there."""

    message: int
    first_row: int
    batch: pa.RecordBatch
    form: _Form


def decode_streams(
    payloads: Iterable[tuple[int, bytes | memoryview]],
    models: Mapping[Key, int],
    columns: Sequence[Columns],
    dictionaries: Dictionaries,
) -> Found:
    """Decode streams.

    Parameters
    ----------
    payloads : iterable of (int, bytes or memoryview)
        Message number and bytes of each stream, in order; never written to again, since
        batches may refer to them.
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
    form: _Form | None = None
    for message, payload in payloads:
        try:
            opened, form = _open(message, payload, form)
            pieces += opened
        except (pa.ArrowException, OSError, ValueError) as error:
            rejects.append(_unreadable(message, 0, bytes(payload), error))
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
        place_of_all = _places(pieces)
        for key, rows in _rows_by_model(joined):
            part, place = joined, place_of_all
            if rows is not None:
                part, place = joined.take(rows), (place[0][rows], place[1][rows])
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


def _open(
    message: int, payload: bytes | memoryview, form: _Form | None
) -> tuple[list[_Piece], _Form]:
    """Read and validate one stream; ``form`` is that of the one before."""
    with pa.ipc.open_stream(payload) as reader:
        record_batches = list(reader)
        if form is None or not reader.schema.equals(form.schema):
            form = _Form.of(reader.schema)
    pieces, first = [], 0
    for record_batch in record_batches:
        record_batch.validate(full=True)
        if record_batch.num_rows:
            batch = record_batch if form.is_takeable else _takeable(record_batch)
            pieces.append(_Piece(message, first, batch, form))
        first += record_batch.num_rows
    if not form.has_model:
        raise pa.ArrowInvalid("the stream has no column `model`")
    return pieces, form


def _takeable(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Undo encodings of which rows cannot be taken, or that cannot be joined."""
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
        if end == len(pieces) or pieces[end].form is not pieces[start].form:
            yield pieces[start:end]
            start = end


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


def _places(pieces: Sequence[_Piece]) -> tuple[Int64Array, Int64Array]:
    """Return message and row of each row of the pieces."""
    sizes = [piece.batch.num_rows for piece in pieces]
    message = np.repeat(np.array([piece.message for piece in pieces], np.int64), sizes)
    rows = [np.arange(n, dtype=np.int64) + p.first_row for p, n in zip(pieces, sizes, strict=True)]
    return message, np.concatenate(rows)


def _rows_by_model(batch: pa.RecordBatch) -> Iterator[tuple[Key, Int64Array | None]]:
    """Yield each (tenant, model) and its rows; None where all rows are its.

    Null or wrongly typed model: tenant and model ``""``.
    """
    model_names, model_codes = _codes(batch, "model", "")
    tenant_names, tenant_codes = _codes(batch, "tenant", DEFAULT_TENANT)
    if model_codes is None and tenant_codes is None:
        yield _key(tenant_names[0], model_names[0]), None
        return
    zeros = np.zeros(batch.num_rows, dtype=np.int64)
    codes = (zeros if c is None else c for c in (tenant_codes, model_codes))
    both = next(codes) * len(model_names) + next(codes)
    for code in np.flatnonzero(np.bincount(both)).tolist():
        tenant, model = divmod(code, len(model_names))
        rows = np.flatnonzero(both == code)
        is_all = len(rows) == batch.num_rows
        yield _key(tenant_names[tenant], model_names[model]), None if is_all else rows


def _key(tenant: str, model: str) -> Key:
    return (tenant, model) if model else ("", "")


def _codes(batch: pa.RecordBatch, name: str, default: str) -> tuple[list[str], Int64Array | None]:
    """Distinct values of a column and the index of each row's; null is ``default``.

    No indices where every row's is the first: most streams are of one model.
    """
    if name not in batch.schema.names:
        return [default], None
    column = batch.column(name)
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        return [""], None
    encoded = column.dictionary_encode()
    names = [default if v is None else v for v in encoded.dictionary.to_pylist()] + [default]
    if len(names) == 2 and encoded.indices.null_count == 0:
        return names, None
    indices = indices_of(encoded).astype(np.int64)
    indices[indices < 0] = len(names) - 1
    return names, indices


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
