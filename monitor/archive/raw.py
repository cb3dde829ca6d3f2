"""The topics producers write: decoded again, with the decoder ingest uses.

What the decoder refuses is not written here: ingest sends it to the dead-letter topic,
under the same place, and that topic is archived too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from monitor.archive.messages import Message, Place
from monitor.archive.writes import Archive
from monitor.core.topics import GPU, LABELS, PREDICTIONS
from schemas.batch import Chunk, EventBatch
from schemas.errors import ConfigError
from schemas.events import GpuEvent, LabelEvent

RAW_TOPICS = (PREDICTIONS, LABELS, GPU)


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
    """Writes ranges of the raw topics.

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

    def write(
        self, archive: Archive, topic: str, messages: Sequence[Message], place: Place, token: str
    ) -> None:
        """Decode a range of one topic and write it.

        Raises
        ------
        ConfigError
            If there is no decoder for the topic.
        """
        chunk = chunk_of_messages(messages, place)
        decoder = self._events.get(topic)
        if topic == PREDICTIONS and self._predictions is not None:
            for batch in self._predictions.decode(chunk).batches:
                archive.write_predictions(batch, chunk, token)
        elif decoder is not None:
            events = [event for _, _, event in decoder(chunk)[0]]
            _write_events(archive, topic, events, token)
        else:
            raise ConfigError(f"no decoder for topic {topic}", fix="give RawTopics one")


def _write_events(
    archive: Archive, topic: str, events: Sequence[LabelEvent] | Sequence[GpuEvent], token: str
) -> None:
    """Write labels or GPU events."""
    if topic == LABELS:
        archive.write_labels([e for e in events if isinstance(e, LabelEvent)], token)
    else:
        archive.write_gpu([e for e in events if isinstance(e, GpuEvent)], token)


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
