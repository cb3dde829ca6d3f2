"""Converts batches of labels to Arrow tables by column, without an object per label."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from monitor.storage.event_columns import record_times, strings, texts_at
from monitor.storage.joined_tables import distinct
from monitor.storage.map_columns import entry_map
from schemas.batch import Chunk, StringColumn
from schemas.labels import NO_TIME, LabelBatch, MapColumn


def label_rows(batch: LabelBatch, chunk: Chunk) -> pa.Table:
    """Return rows of table ``labels``, one per label, in source order.

    Parameters
    ----------
    batch : LabelBatch
        Accepted labels.
    chunk : Chunk
        The chunk they were decoded from, with their place in the log.

    Returns
    -------
    pyarrow.Table
        The label as text and, if it is a number, as a number.

    Examples
    --------
    See ``tests/unit/monitor/storage/test_label_columns.py``.
    """
    n, times = len(batch), batch.prediction_time_us
    source = StringColumn(np.zeros(n, np.int32), [chunk.source])
    columns = {
        "tenant": strings(batch.tenant),
        "model": strings(batch.model),
        "id": texts_at(batch.id_bytes, batch.id_spans),
        "time_us": pa.array(batch.time_us),
        "label": strings(_label_texts(batch)),
        "label_value": _numbers(batch.value),
        "source": strings(source),
        "partition": pa.array(np.full(n, chunk.partition, np.int32)),
        "offset": pa.array(chunk.log_offset[batch.message]),
        "row": pa.array(batch.row),
        "record_time_us": pa.array(record_times(batch.time_us, batch.message, chunk)),
        "prediction_time_us": pa.array(times, mask=times == NO_TIME),
        "model_version": strings(batch.model_version),
        "score": _numbers(batch.score),
        "scores": _map(batch.scores),
        "prediction": strings(batch.prediction),
        "segments": _map(batch.segments),
        "group": strings(batch.group),
        "host": strings(batch.host),
        "gpu_uuid": strings(batch.gpu_uuid),
    }
    return pa.table(columns)


def _label_texts(batch: LabelBatch) -> StringColumn:
    """Return labels as text: numbers with as many digits as they need, 17 at most."""
    is_number = batch.label.codes < 0
    if not is_number.any():
        return batch.label
    numbers, places = np.unique(batch.value[is_number], return_inverse=True)
    written = [f"{number:.17g}" for number in numbers.tolist()]
    words, indices = distinct([*batch.label.values, *written])
    codes = batch.label.codes.copy()
    codes[is_number] = len(batch.label.values) + places
    return StringColumn(indices[codes], words)


def _numbers(column: np.ndarray) -> pa.Array:
    """Return numbers; NaN becomes NULL."""
    return pa.array(column, mask=np.isnan(column))


def _map(column: MapColumn) -> pa.Array:
    """Return a map of each row."""
    values = column.values
    written = strings(values) if isinstance(values, StringColumn) else pa.array(values)
    return entry_map(column.keys, column.offsets, written)
