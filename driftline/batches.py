"""Events to messages: JSON arrays, or Arrow streams where pyarrow is installed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from driftline.events import (
    Identity,
    Reported,
    encode_event,
    label_event,
    prediction_event,
)
from driftline.values import Values
from driftline.wire import PredictionEvent

MAX_MESSAGE_BYTES = 900_000
"""Kafka's brokers take 1,048,588 by default, headers included."""


class Message(NamedTuple):
    """One message for Kafka."""

    topic: str
    payload: bytes
    n_events: int


class Made(NamedTuple):
    """What became of the events of one batch."""

    messages: list[Message]
    n_invalid: int
    error: str
    """Of the last invalid one, or of the last odd value."""
    n_odd_values: int = 0
    """Values that have no form, and went as missing."""


class Batches:
    """Makes messages of events.

    Parameters
    ----------
    identity : Identity
    predictions_topic, labels_topic : str
    is_arrow : bool
        Predictions as Arrow; a batch whose values do not fit one type a column goes as
        JSON, and so does everything where pyarrow is missing.

    Examples
    --------
    >>> batches = Batches(Identity("m", "default", "", ()), "predictions", "labels", False)
    >>> made = batches.make([Reported(False, "1", 5, {"a": 1.5}), Reported(True, "1", 6, score=1)])
    >>> [message.payload for message in made.messages][0]
    b'[{"model":"m","time_us":5,"id":"1","features":{"a":1.5}}]'
    """

    def __init__(
        self, identity: Identity, predictions_topic: str, labels_topic: str, is_arrow: bool
    ) -> None:
        self._identity = identity
        self._predictions_topic = predictions_topic
        self._labels_topic = labels_topic
        self._is_arrow = is_arrow

    def make(self, reported: Sequence[Reported]) -> Made:
        """Return the messages of a batch; predictions and labels apart, in their order."""
        events: list[PredictionEvent] = []
        predictions: list[bytes] = []
        labels: list[bytes] = []
        n_invalid, error, values = 0, "", Values()
        for one in reported:
            try:
                if one.is_label:
                    labels.append(encode_event(label_event(one, self._identity)))
                    continue
                event = prediction_event(one, self._identity, values)
                # Also where it goes as Arrow: the same events are refused either way.
                predictions.append(encode_event(event))
                events.append(event)
            except Exception as caught:  # values are the model's own; any class may raise
                n_invalid += 1
                error = f"{type(caught).__name__}: {str(caught)[:200]}"
        messages = [*self._predictions(events, predictions)]
        messages += _json(labels, self._labels_topic)
        return Made(messages, n_invalid, error or values.error, values.n_odd)

    def _predictions(
        self, events: list[PredictionEvent], encoded: list[bytes]
    ) -> Iterator[Message]:
        """Yield the predictions' messages, as Arrow if that is wanted and possible."""
        if self._is_arrow and events:
            from driftline.arrow import arrow_stream

            payload = arrow_stream(events)
            if payload is not None and len(payload) <= MAX_MESSAGE_BYTES:
                yield Message(self._predictions_topic, payload, len(events))
                return
        yield from _json(encoded, self._predictions_topic)


def _json(encoded: list[bytes], topic: str) -> Iterator[Message]:
    """Yield JSON arrays, each of a size that a broker takes."""
    begin = n_bytes = 0
    for end, text in enumerate(encoded):
        if end > begin and n_bytes + len(text) + 1 > MAX_MESSAGE_BYTES:
            yield Message(topic, b"[" + b",".join(encoded[begin:end]) + b"]", end - begin)
            begin, n_bytes = end, 0
        n_bytes += len(text) + 1
    if encoded[begin:]:
        yield Message(topic, b"[" + b",".join(encoded[begin:]) + b"]", len(encoded) - begin)
