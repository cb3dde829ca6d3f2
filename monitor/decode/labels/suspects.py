"""Labels in columns that do not fit the rule of their model, found without looking at each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from driftline.receipts import PREFIX
from driftline.times import EARLIEST_US, FARTHEST_US
from monitor.decode.strict import Key
from schemas.batch import Int64Array
from schemas.labels import NO_TIME, LabelBatch, LabelRule

BoolArray = NDArray[np.bool_]
_ANY_LABEL = LabelRule(0)
_NO_LIMIT_US = 1 << 62
_RECEIPT = np.frombuffer(PREFIX[:3].encode(), np.uint8)


def suspects(
    batch: LabelBatch, recorded_us: Int64Array, rules: Mapping[Key, LabelRule] | None
) -> BoolArray:
    """Return which labels are to be looked at one by one.

    Parameters
    ----------
    batch : LabelBatch
        As the kernel has read it.
    recorded_us : ndarray of int64, shape (n,)
        Record times; -1 for none.
    rules : mapping of (tenant, model) to LabelRule, optional
        As of :func:`monitor.decode.labels.decode_label_batch`.

    Returns
    -------
    ndarray of bool, shape (n,)
        True for every label that would be refused or changed; and for some others, where an id
        begins like a receipt.
    """
    n = len(batch)
    found: BoolArray = np.zeros(n, np.bool_)
    skew_us = np.full(n, _NO_LIMIT_US)
    for key, rows in _by_model(batch):
        rule = _ANY_LABEL if rules is None else rules.get(key)
        if rule is None:
            found[rows] = True
            continue
        if rules is not None:
            skew_us[rows] = rule.max_skew_us
        found[rows] |= _refused_labels(batch, rows, rule)
    found |= _odd_times(batch.time_us, recorded_us, skew_us)
    is_timed = batch.prediction_time_us != NO_TIME
    found |= is_timed & _odd_times(batch.prediction_time_us, recorded_us, skew_us)
    return found | _odd_ids(batch)


def _by_model(batch: LabelBatch) -> Iterator[tuple[Key, Int64Array | slice]]:
    """Yield each tenant and model, and its rows."""
    if not len(batch):
        return
    pair = batch.tenant.codes.astype(np.int64) << 32 | (batch.model.codes.astype(np.int64) + 1)
    if (pair == pair[0]).all():
        yield _key(batch, 0), slice(None)
        return
    order = np.argsort(pair, kind="stable")
    bounds = np.flatnonzero(np.diff(pair[order], prepend=pair[order[0]] - 1)).tolist()
    for start, end in zip(bounds, [*bounds[1:], len(order)], strict=True):
        yield _key(batch, int(order[start])), order[start:end]


def _key(batch: LabelBatch, row: int) -> Key:
    """Return tenant and model of a row; ("", "") of one that the kernel has left."""
    tenant, model = int(batch.tenant.codes[row]), int(batch.model.codes[row])
    return (batch.tenant.values[tenant], batch.model.values[model]) if model >= 0 else ("", "")


def _refused_labels(batch: LabelBatch, rows: Int64Array | slice, rule: LabelRule) -> BoolArray:
    """Return which labels of one model are refused or changed: each distinct one is asked once."""
    codes, values = batch.label.codes[rows], batch.value[rows]
    is_number = codes < 0
    found: BoolArray = np.zeros(len(codes), np.bool_)
    words = np.unique(codes[~is_number])
    odd = [c for c in words.tolist() if _is_refused(rule, batch.label.values[c])]
    if odd:
        found |= np.isin(codes, odd)
    found |= is_number & ~np.isfinite(values)
    if rule.classes and not (rule.task is not None and rule.task.has_numeric_labels):
        numbers = np.unique(values[is_number])
        wrong = [value for value in numbers.tolist() if _is_refused(rule, value)]
        found |= is_number & np.isin(values, wrong)
    return found


def _is_refused(rule: LabelRule, label: float | str) -> bool:
    """Return whether a label is refused, or becomes another one."""
    try:
        return rule.accepted(label) != label
    except ValueError:
        return True


def _odd_times(time_us: Int64Array, recorded_us: Int64Array, skew_us: Int64Array) -> BoolArray:
    """Return which times are too far ahead, or in another unit."""
    is_recorded = recorded_us >= 0
    odd: BoolArray = time_us > FARTHEST_US
    odd |= is_recorded & (time_us - recorded_us > skew_us)
    odd |= (time_us < EARLIEST_US) & (recorded_us >= EARLIEST_US)
    return odd


def _odd_ids(batch: LabelBatch) -> BoolArray:
    """Return which ids are empty or begin like a receipt."""
    starts, lengths = batch.id_spans[:, 0], batch.id_spans[:, 1]
    found: BoolArray = lengths >= len(_RECEIPT)
    for i, byte in enumerate(_RECEIPT.tolist()):
        found &= batch.id_bytes[np.where(found, starts + i, 0)] == byte
    return found | (lengths == 0)
