"""The topics producers write: decoded again, with the decoder ingest uses.

What the decoder refuses of predictions and telemetry is not written here: ingest and detect
send it to the dead-letter topic, under the same place, and that topic is archived too. Labels
are read by no other stage, so their refusals are returned, and the archive sends them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

from monitor.archive.blocks import Place, PlacedRows
from monitor.archive.letters import LabelRefusal, refusals_of
from monitor.core.topics import GPU, LABELS, PREDICTIONS
from monitor.decode.chunk import slice_of
from monitor.decode.decoder import Decoder
from monitor.decode.labels.objects import batch_of_events
from monitor.decode.records import Placed
from monitor.storage.event_columns import prediction_rows
from monitor.storage.joined_tables import joined
from monitor.storage.label_columns import label_rows
from monitor.storage.rows import gpu_rows
from monitor.transport.types import Message
from schemas.batch import Chunk, Int64Array
from schemas.errors import ConfigError
from schemas.events import LabelEvent, Reject, RejectReason
from schemas.labels import LabelBatch

RAW_TOPICS = (PREDICTIONS, LABELS, GPU)

EventDecoder = Callable[[Chunk], tuple[Placed[Any], Sequence[Reject]]]
"""``decode_gpu`` of ``monitor.decode``: events in place, and rejects."""

LabelDecoder = Callable[[Chunk], tuple[LabelBatch | Placed[LabelEvent], Sequence[Reject]]]
"""``decode_label_batch`` or ``decode_labels`` of ``monitor.decode``: labels, and rejects."""


class RawTopics:
    """Makes rows of ranges of the raw topics.

    Parameters
    ----------
    predictions : Decoder, optional
        For ``driftline.predictions``.
    labels : LabelDecoder, optional
        For ``driftline.labels``.
    gpu : EventDecoder, optional
        For ``driftline.gpu``.
    """

    def __init__(
        self,
        predictions: Decoder | None = None,
        labels: LabelDecoder | None = None,
        gpu: EventDecoder | None = None,
    ) -> None:
        self._predictions = predictions
        self._readers: dict[str, _ToRows] = {}
        if predictions is not None:
            self._readers[PREDICTIONS] = partial(_predictions, predictions)
        if labels is not None:
            self._readers[LABELS] = partial(_labels, labels)
        if gpu is not None:
            self._readers[GPU] = partial(_samples, gpu)

    def topics(self) -> tuple[str, ...]:
        """Return the topics there is a decoder for."""
        return tuple(self._readers)

    def rows(self, topic: str, chunks: Sequence[Chunk]) -> tuple[PlacedRows, list[LabelRefusal]]:
        """Decode a range of one topic: all models of it in one table, in one insert.

        Returns
        -------
        rows : PlacedRows
        refusals : list of LabelRefusal
            Of labels, and of messages of which no row can be made.

        Raises
        ------
        ConfigError
            If there is no decoder for the topic.

        Notes
        -----
        What is accepted, and with which values, does not depend on where the range is cut
        into chunks: the same messages make the same rows.
        """
        to_rows = self._readers.get(topic)
        if to_rows is None:
            raise ConfigError(f"no decoder for topic {topic}", fix="give RawTopics one")
        found: list[PlacedRows] = []
        refusals: list[LabelRefusal] = []
        try:
            self._read(to_rows, chunks, found, refusals)
            return _in_one(found), refusals
        except Exception:  # whatever it is: one message must not stop the archive
            found, refusals = [], []
            for chunk in chunks:
                self._read_halved(to_rows, chunk, found, refusals)
        return _in_one(found), refusals

    def weighed(self, topic: str, chunk: Chunk) -> Iterator[tuple[Chunk, int]]:
        """Yield parts of a chunk that can be decoded together, and what each weighs in bytes.

        A message weighs what it is long, or a quarter of what it becomes once decoded.
        """
        if topic != PREDICTIONS or self._predictions is None:
            yield chunk, int(chunk.offsets[-1])
            return
        for part in self._predictions.parts(chunk):
            n_decoded = int(self._predictions.decoded_bytes(part).sum())
            yield part, max(int(part.offsets[-1]), n_decoded // 4)

    def _read(
        self,
        to_rows: _ToRows,
        chunks: Sequence[Chunk],
        found: list[PlacedRows],
        refusals: list[LabelRefusal],
    ) -> None:
        """Make rows of chunks."""
        made = [to_rows(chunk) for chunk in chunks]
        for chunk, (placed, rejects) in zip(chunks, made, strict=True):
            found += placed
            refusals += refusals_of(chunk, rejects)

    def _read_halved(
        self,
        to_rows: _ToRows,
        chunk: Chunk,
        found: list[PlacedRows],
        refusals: list[LabelRefusal],
    ) -> None:
        """Make rows of a chunk, halving it down to the message at fault."""
        try:
            self._read(to_rows, [chunk], found, refusals)
        except Exception as error:
            if len(chunk) > 1:
                half = len(chunk) // 2
                for part in (slice_of(chunk, 0, half), slice_of(chunk, half, len(chunk))):
                    self._read_halved(to_rows, part, found, refusals)
                return
            payload = chunk.buffer[: chunk.offsets[-1]].tobytes()
            detail = f"no row can be made of it: {type(error).__name__}: {error}"[:500]
            reject = Reject(0, 0, RejectReason.DECODER_FAILED, detail, payload)
            refusals += refusals_of(chunk, [reject])


_Read = tuple[list[PlacedRows], Sequence[Reject]]
_ToRows = Callable[[Chunk], _Read]


def _labels(decoder: LabelDecoder, chunk: Chunk) -> _Read:
    """Decode one chunk of labels: column by column, no object per label."""
    found, rejects = decoder(chunk)
    batch = found if isinstance(found, LabelBatch) else batch_of_events(found)
    offsets = chunk.log_offset[batch.message]
    return [PlacedRows("labels", label_rows(batch, chunk), offsets, batch.row)], rejects


def _samples(decoder: EventDecoder, chunk: Chunk) -> _Read:
    """Decode one chunk of telemetry."""
    placed, _ = decoder(chunk)
    offsets = chunk.log_offset[np.array([m for m, _, _ in placed], np.int64)]
    numbers = np.array([row for _, row, _ in placed], np.int64)
    rows = gpu_rows([event for _, _, event in placed])
    return [PlacedRows("gpu", rows, offsets, numbers)], ()


def _predictions(decoder: Decoder, chunk: Chunk) -> _Read:
    """Decode one chunk of predictions: column by column, no object per event."""
    return [
        PlacedRows(
            "predictions", prediction_rows(batch, chunk), chunk.log_offset[batch.message], batch.row
        )
        for batch in decoder.decode(chunk).batches
        if len(batch)
    ], ()


def _in_one(found: Sequence[PlacedRows]) -> PlacedRows:
    """Join rows of one table; an insert is one block, with one dictionary a column."""
    some = [placed for placed in found if len(placed)] or list(found[:1])
    if len(some) < 2:
        return some[0] if some else PlacedRows("", pa.table({}), _NOWHERE, _NOWHERE)
    return PlacedRows(
        some[0].table,
        joined([placed.rows for placed in some]),
        np.concatenate([placed.offsets for placed in some]),
        np.concatenate([placed.numbers for placed in some]),
    )


_NOWHERE: Int64Array = np.zeros(0, np.int64)


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
