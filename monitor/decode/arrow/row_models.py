"""Which model each row of an Arrow batch is of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pyarrow as pa

from monitor.decode.arrow.text_codes import distinct_texts
from monitor.decode.reject_cap import RowRejects, Why
from monitor.decode.strict import Key
from schemas.batch import Int64Array
from schemas.events import DEFAULT_TENANT, RejectReason

_UNKNOWN = -1


def rows_by_model(
    batch: pa.RecordBatch,
    models: Mapping[Key, int],
    messages: Int64Array,
    numbers: Int64Array,
    rejects: RowRejects,
) -> Iterator[tuple[int, Int64Array | None]]:
    """Yield each model there is and its rows; None where all rows are its.

    Parameters
    ----------
    messages, numbers : ndarray of int64, shape (n,)
        Message and row of each row of the batch.
    rejects : RowRejects
        Takes rows whose model is null, no text, or not configured.
    """
    model_names, model_codes = _codes(batch, "model", "")
    tenant_names, tenant_codes = _codes(batch, "tenant", DEFAULT_TENANT)
    if model_codes is None and tenant_codes is None:
        keys, which = [_key(tenant_names[0], model_names[0])], np.zeros(len(messages), np.int64)
    else:
        zeros = np.zeros(len(messages), dtype=np.int64)
        tenants, named = (zeros if c is None else c for c in (tenant_codes, model_codes))
        pairs, which = np.unique(tenants * len(model_names) + named, return_inverse=True)
        places = (divmod(pair, len(model_names)) for pair in pairs.tolist())
        keys = [_key(tenant_names[t], model_names[m]) for t, m in places]
    found = np.array([models.get(key, _UNKNOWN) for key in keys], np.int64)
    if len(found) == 1 and found[0] != _UNKNOWN:
        yield int(found[0]), None
        return
    model_of = found[which]
    # one sort for all: a comparison each would look at every row once a model
    order = np.argsort(model_of, kind="stable")
    present, starts = np.unique(model_of[order], return_index=True)
    for model, rows in zip(present.tolist(), np.split(order, starts[1:]), strict=True):
        if model == _UNKNOWN:
            _refuse(rows, which, keys, messages, numbers, rejects)
        else:
            yield model, None if len(rows) == len(messages) else rows


def _key(tenant: str, model: str) -> Key:
    return (tenant, model) if model else ("", "")


def _refuse(
    rows: Int64Array,
    which: Int64Array,
    keys: list[Key],
    messages: Int64Array,
    numbers: Int64Array,
    rejects: RowRejects,
) -> None:
    """Refuse rows of models that are not configured, and of none."""

    def why(i: int) -> Why:
        tenant, model = keys[which[rows[i]]]
        if not model:
            return RejectReason.MISTYPED, "Expected `str` - at `$.model`", "", "", None
        detail = f"no model {model!r} of tenant {tenant!r} is configured"
        return RejectReason.UNKNOWN_MODEL, detail, tenant, model, None

    is_named = np.array([bool(model) for _, model in keys])
    rejects.add(messages[rows], numbers[rows], why, is_named[which[rows]].astype(np.int64))


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
    values, codes = distinct_texts(column)
    names = [default if v is None else v for v in values] + [default]
    if len(names) == 2 and not (codes < 0).any():
        return names, None
    indices = codes.astype(np.int64)
    indices[indices < 0] = len(names) - 1
    return names, indices
