"""Events: recorded as given on the model's thread, converted on the sending one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import date
from typing import Any, NamedTuple

import msgspec

from driftline.canonical import is_missing_word, number_of
from driftline.receipts import Carried, is_receipt, pack, unpack
from driftline.rows import by_name
from driftline.scalars import plain
from driftline.times import EARLIEST, time_of_moment, time_of_number, time_of_text
from driftline.values import Values
from driftline.wire import MAX_EVENT_BYTES, LabelEvent, PredictionEvent

Features = Mapping[str, Any] | Sequence[Any]
"""By name, or in the order of the reporter's ``feature_names``."""


class Reported(NamedTuple):
    """A reported prediction or label with its values as given, not yet converted."""

    is_label: bool
    id: str
    time_us: int
    features: Any = None
    score: Any = None
    """The label, if ``is_label``."""
    prediction: Any = None
    segments: Any = None
    host: str | None = None
    gpu_uuid: str | None = None


class Identity(NamedTuple):
    """Fields that all events of one reporter share."""

    model: str
    tenant: str
    model_version: str
    feature_names: tuple[str, ...]


_encode = msgspec.json.Encoder().encode


def prediction_event(
    reported: Reported, identity: Identity, values: Values | None = None
) -> PredictionEvent:
    """Return the event of the wire contract.

    Parameters
    ----------
    values : Values, optional
        Counts values without a canonical form, which are missing in the event.

    Raises
    ------
    ValueError, TypeError
        If its time is out of range, or its features have no names.

    Examples
    --------
    >>> event = prediction_event(
    ...     Reported(False, "1", 5, features=[1, None], score=float("nan")),
    ...     Identity("m", "default", "", ("a", "b")),
    ... )
    >>> event.features, event.score
    ({'a': 1, 'b': None}, None)
    """
    values = values or Values()
    features = by_name(reported.features, identity.feature_names)
    segments = reported.segments
    return PredictionEvent(
        model=identity.model,
        time_us=_time(reported.time_us),
        id=reported.id,
        tenant=identity.tenant,
        model_version=identity.model_version,
        features={
            name: values.feature(value, f"features.{name}")
            for name, value in values.named(features, "features")
        },
        segments={
            name: values.text(value, f"segments.{name}")
            for name, value in values.named(segments, "segments")
        },
        score=values.number(reported.score, "score"),
        prediction=values.text(reported.prediction, "prediction"),
        host=values.text(reported.host, "host"),
        gpu_uuid=values.text(reported.gpu_uuid, "gpu_uuid"),
    )


def label_event(reported: Reported, identity: Identity) -> LabelEvent:
    """Return the label of the wire contract.

    Parameters
    ----------
    reported : Reported
        The label is its ``score``.

    Raises
    ------
    ValueError
        If the label is missing.

    Examples
    --------
    >>> label_event(Reported(True, "1", 5, score=True), Identity("m", "default", "", ())).label
    1.0
    """
    label = plain(reported.score)
    if not isinstance(label, str):
        label = number_of(label)
    if label is None or (isinstance(label, str) and is_missing_word(label)):
        raise ValueError("label is missing")
    event = LabelEvent(
        id=reported.id,
        model=identity.model,
        time_us=_time(reported.time_us),
        label=label,
        tenant=identity.tenant,
    )
    if is_receipt(event.id):
        with suppress(ValueError):  # it is sent as it is, and becomes a dead letter
            open_receipt(event)
    return event


def receipt_of(reported: Reported, identity: Identity) -> str:
    """Return the receipt of a prediction: what its label needs to know of it.

    Raises
    ------
    ValueError
        If its time is out of range.

    Examples
    --------
    >>> identity = Identity("m", "default", "", ())
    >>> receipt = receipt_of(Reported(False, "1", 5, score=0.5), identity)
    >>> event = label_event(Reported(True, receipt, 6, score=1), identity)
    >>> event.id, event.prediction_time_us, event.score
    ('1', 5, 0.5)
    """
    values = Values()
    return pack(
        Carried(
            id=reported.id,
            prediction_time_us=_time(reported.time_us),
            model_version=identity.model_version,
            score=values.number(reported.score, "score"),
            prediction=values.text(reported.prediction, "prediction"),
            segments={
                name: values.text(value, f"segments.{name}")
                for name, value in values.named(reported.segments, "segments")
            },
            host=values.text(reported.host, "host"),
            gpu_uuid=values.text(reported.gpu_uuid, "gpu_uuid"),
        ),
        identity.tenant,
        identity.model,
    )


def open_receipt(event: LabelEvent) -> None:
    """Replace the receipt in a label's id by the id, and fill in what the label lacks.

    Raises
    ------
    ValueError
        If the receipt cannot be read; the event is then unchanged.
    """
    carried = unpack(event.id, event.tenant, event.model)
    for name in Carried.__struct_fields__[1:]:
        if getattr(event, name) in (None, {}):
            setattr(event, name, getattr(carried, name))
    event.id = str(carried.id)


def encode_event(event: PredictionEvent | LabelEvent) -> bytes:
    """Encode an event as JSON; NaN and infinities become null.

    Raises
    ------
    ValueError
        If it is longer than an event may be.
    TypeError, UnicodeEncodeError
        If a value has no JSON form.
    """
    text = _encode(event)
    if len(text) > MAX_EVENT_BYTES:
        raise ValueError(f"the event is {len(text)} bytes long; {MAX_EVENT_BYTES} are allowed")
    return text


def time_of(value: Any) -> int:
    """Return an event time in microseconds UTC.

    Parameters
    ----------
    value : int, float or datetime
        A number is microseconds, unless by its magnitude it is seconds, as ``time.time()``
        gives them, or milliseconds or nanoseconds (:mod:`driftline.times`).

    Raises
    ------
    ValueError, TypeError
        If it is not a time.

    Examples
    --------
    >>> time_of(1709510400.5), time_of(1709510400500000), time_of(5)
    (1709510400500000, 1709510400500000, 5)
    """
    if isinstance(value, date):
        return time_of_moment(value)
    number = plain(value)
    if isinstance(number, str):
        return time_of_text(number)
    if number is None or isinstance(number, bool):
        raise ValueError(f"{value!r} is no time")
    return int(number) if abs(number) < EARLIEST else time_of_number(number)


def _time(time_us: int) -> int:
    """Return the time unchanged; raise if it is out of range."""
    if not 0 <= time_us < 1 << 63:
        raise ValueError(f"time_us is {time_us}; microseconds since 1970 are expected")
    return time_us
