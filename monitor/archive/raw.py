"""The topics producers write: decoded again, with the decoder ingest uses.

What the decoder refuses is not written here: ingest sends it to the dead-letter topic,
under the same place, and that topic is archived too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from monitor.archive.blocks import Place, PlacedRows
from monitor.archive.messages import Message
from monitor.core.topics import GPU, LABELS, PREDICTIONS
from monitor.storage.event_columns import prediction_rows
from monitor.storage.rows import gpu_rows, label_rows
from schemas.batch import Chunk, EventBatch
from schemas.errors import ConfigError

RAW_TOPICS = (PREDICTIONS, LABELS, GPU)

_TABLES: dict[str, tuple[str, Callable[[Sequence[Any]], pa.Table]]] = {
    LABELS: ("labels", label_rows),
    GPU: ("gpu", gpu_rows),
}


class Decoded(Protocol):
    """What a decoder returns."""

    @property
    def batches(self) -> Sequence[EventBatch]:
        """One per model."""
        ...


class BatchDecoder(Protocol):
    """``monitor.decode.Decoder``."""

    def decode(self, chunk: Chunk) -> Decoded:
        """Decode predictions."""
        ...


class EventDecoder(Protocol):
    """``monitor.decode.decode_labels`` or ``decode_gpu``."""

    def __call__(self, chunk: Chunk) -> tuple[Sequence[tuple[int, int, Any]], Any]:
        """Return (message, row, event) of each, and the rejects."""
        ...


class RawTopics:
    """Makes rows of ranges of the raw topics.

    Parameters
    ----------
    predictions : BatchDecoder, optional
        For ``driftline.predictions``.
    labels, gpu : EventDecoder, optional
        For ``driftline.labels`` and ``driftline.gpu``.
    """

    def __init__(
        self,
        predictions: BatchDecoder | None = None,
        labels: EventDecoder | None = None,
        gpu: EventDecoder | None = None,
    ) -> None:
        self._predictions = predictions
        self._events = {LABELS: labels, GPU: gpu}

    def topics(self) -> tuple[str, ...]:
        """Return the topics there is a decoder for."""
        events = tuple(topic for topic, decoder in self._events.items() if decoder is not None)
        return ((PREDICTIONS,) if self._predictions is not None else ()) + events

    def rows(self, topic: str, chunks: Sequence[Chunk]) -> PlacedRows:
        """Decode a range of one topic: all models of it in one table, in one insert.

        Raises
        ------
        ConfigError
            If there is no decoder for the topic.

        Notes
        -----
        What is accepted, and with which values, does not depend on where the range is cut
        into chunks: the same messages make the same rows.
        """
        decoder = self._events.get(topic)
        if topic == PREDICTIONS and self._predictions is not None:
            return _predictions(self._predictions, chunks)
        if decoder is None:
            raise ConfigError(f"no decoder for topic {topic}", fix="give RawTopics one")
        table, to_rows = _TABLES[topic]
        found = [(chunk, decoder(chunk)[0]) for chunk in chunks]
        events = [event for _, placed in found for _, _, event in placed]
        offsets = [int(chunk.log_offset[m]) for chunk, placed in found for m, _, _ in placed]
        numbers = [row for _, placed in found for _, row, _ in placed]
        return PlacedRows(
            table, to_rows(events), np.array(offsets, np.int64), np.array(numbers, np.int64)
        )


def _predictions(decoder: BatchDecoder, chunks: Sequence[Chunk]) -> PlacedRows:
    """Decode chunks into one table: column by column, no object per event."""
    tables, offsets, numbers = [], [], []
    for chunk in chunks:
        for batch in decoder.decode(chunk).batches:
            if len(batch):
                tables.append(prediction_rows(batch, chunk))
                offsets.append(chunk.log_offset[batch.message])
                numbers.append(batch.row)
    nothing = np.zeros(0, np.int64)
    rows = pa.table({"id": pa.array([], pa.string())})
    if tables:
        # Chunks have dictionaries of their own; an insert is one block, with one of each.
        rows = pa.concat_tables(tables).unify_dictionaries().combine_chunks()
    return PlacedRows(
        "predictions",
        rows,
        np.concatenate([nothing, *offsets]),
        np.concatenate([nothing, *numbers]),
    )


def chunk_of_messages(messages: Sequence[Message], place: Place) -> Chunk:
    """Lay messages out as the decoder reads them.

    Examples
    --------
    >>> len(chunk_of_messages([], Place("t", 0)))
    0
    """
    lengths = np.fromiter((len(m.value) for m in messages), np.int64, len(messages))
    return Chunk(
        source=place.source,
        partition=place.partition,
        buffer=np.frombuffer(b"".join([m.value for m in messages]), np.uint8),
        offsets=np.concatenate((np.zeros(1, np.int64), np.cumsum(lengths))),
        log_offset=np.fromiter((m.offset for m in messages), np.int64, len(messages)),
        record_time_us=np.fromiter((m.timestamp_us for m in messages), np.int64, len(messages)),
    )
