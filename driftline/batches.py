"""Batches of events as Kafka messages: JSON arrays, or Arrow streams."""

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
"""Brokers accept 1,048,588 by default, headers included."""


class OutgoingMessage(NamedTuple):
    """One message for Kafka."""

    topic: str
    payload: bytes
    n_events: int


class Made(NamedTuple):
    """The messages of one batch, and counts of rejected events and values."""

    messages: list[OutgoingMessage]
    n_invalid: int
    error: str
    """Error of the last invalid event, or of the last value without a canonical form."""
    n_odd_values: int = 0
    """Number of values without a canonical form, sent as missing."""


class Batches:
    """Encode batches of events as messages.

    Parameters
    ----------
    is_arrow : bool
        Encode predictions as Arrow. A batch with a column of mixed types is encoded as
        JSON, and so is everything if pyarrow is not installed.

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
        """Return the messages of a batch: predictions, then labels, each in order."""
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
                # Even if it is sent as Arrow, so that both formats reject the same events.
                predictions.append(encode_event(event))
                events.append(event)
            except Exception as caught:  # values can be of any class, which may raise anything
                n_invalid += 1
                error = f"{type(caught).__name__}: {str(caught)[:200]}"
        messages = [*self._predictions(events, predictions)]
        messages += _json(labels, self._labels_topic)
        return Made(messages, n_invalid, error or values.error, values.n_odd)

    def _predictions(
        self, events: list[PredictionEvent], encoded: list[bytes]
    ) -> Iterator[OutgoingMessage]:
        """Yield the messages of predictions, as Arrow if requested and possible."""
        if self._is_arrow and events:
            from driftline.arrow import arrow_stream

            payload = arrow_stream(events)
            if payload is not None and len(payload) <= MAX_MESSAGE_BYTES:
                yield OutgoingMessage(self._predictions_topic, payload, len(events))
                return
        yield from _json(encoded, self._predictions_topic)


def _json(encoded: list[bytes], topic: str) -> Iterator[OutgoingMessage]:
    """Yield JSON arrays of at most ``MAX_MESSAGE_BYTES`` each."""
    begin = n_bytes = 0
    for end, text in enumerate(encoded):
        if end > begin and n_bytes + len(text) + 1 > MAX_MESSAGE_BYTES:
            yield OutgoingMessage(topic, b"[" + b",".join(encoded[begin:end]) + b"]", end - begin)
            begin, n_bytes = end, 0
        n_bytes += len(text) + 1
    if encoded[begin:]:
        yield OutgoingMessage(topic, b"[" + b",".join(encoded[begin:]) + b"]", len(encoded) - begin)
