"""Arrow IPC streams: record batches of any models, as messages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

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


def decode_stream(
    payload: bytes,
    message: int,
    models: Mapping[Key, int],
    columns: Sequence[Columns],
    dictionaries: Dictionaries,
) -> Found:
    """Decode one stream.

    Parameters
    ----------
    payload : bytes
    message : int
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
    """
    try:
        with pa.ipc.open_stream(payload) as reader:
            record_batches = list(reader)
        for record_batch in record_batches:
            record_batch.validate(full=True)
        names = reader.schema.names
        if "model" not in names:
            raise pa.ArrowInvalid("the stream has no column `model`")
    except (pa.ArrowException, OSError, ValueError) as error:
        is_utf8 = "UTF8" in str(error) or "UTF-8" in str(error)
        reason = RejectReason.INVALID_UTF8 if is_utf8 else RejectReason.UNSUPPORTED
        return [], [Reject(message, 0, reason, f"Arrow stream: {error}"[:MAX_DETAIL], payload)]
    batches: list[tuple[int, EventBatch]] = []
    rejects: list[Reject] = []
    first = 0
    for record_batch in record_batches:
        for key, rows in _rows_by_model(record_batch):
            part = record_batch if len(rows) == record_batch.num_rows else record_batch.take(rows)
            numbers = first + rows
            if key not in models:
                rejects.extend(_unknown(part, message, numbers, key))
                continue
            model = models[key]
            schema = columns[model].schema
            batch, faults = batch_from_arrow(
                part,
                schema,
                message,
                rows=numbers,
                columns=columns[model],
                dictionaries=dictionaries,
            )
            rejects.extend(faults)
            if len(batch):
                batches.append((model, batch))
        first += record_batch.num_rows
    return batches, rejects


def _rows_by_model(batch: pa.RecordBatch) -> list[tuple[Key, Int64Array]]:
    """Rows of each (tenant, model); null or wrongly typed model: tenant and model ``""``."""
    model_names, model_codes = _codes(batch, "model", "")
    tenant_names, tenant_codes = _codes(batch, "tenant", DEFAULT_TENANT)
    both = tenant_codes * len(model_names) + model_codes
    found = []
    for code in np.unique(both).tolist():
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


def _unknown(batch: pa.RecordBatch, message: int, rows: Int64Array, key: Key) -> list[Reject]:
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
        for i, row in enumerate(rows.tolist())
    ]
