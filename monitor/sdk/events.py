"""One event: taken over from the model's thread as it is, made plain on the other one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from schemas.events import MAX_EVENT_BYTES, LabelEvent, PredictionEvent

Features = Mapping[str, Any] | Sequence[Any]
"""By name, or in the order of the reporter's ``feature_names``."""


class Reported(NamedTuple):
    """What the model's code handed over; nothing in it is looked at yet."""

    is_label: bool
    id: str
    time_us: int
    features: Any = None
    score: Any = None
    """Of a label: the label."""
    prediction: Any = None
    segments: Any = None
    host: str | None = None
    gpu_uuid: str | None = None


class Identity(NamedTuple):
    """What all events of one reporter share."""

    model: str
    tenant: str
    model_version: str
    feature_names: tuple[str, ...]


_encode = msgspec.json.Encoder().encode


def prediction_event(reported: Reported, identity: Identity) -> PredictionEvent:
    """Return the event of the wire contract.

    Parameters
    ----------
    reported : Reported
    identity : Identity

    Raises
    ------
    ValueError, TypeError
        If it cannot be one; the text names the field.

    Examples
    --------
    >>> event = prediction_event(
    ...     Reported(False, "1", 5, features=[1, None], score=float("nan")),
    ...     Identity("m", "default", "", ("a", "b")),
    ... )
    >>> event.features, event.score
    ({'a': 1, 'b': None}, None)
    """
    return PredictionEvent(
        model=identity.model,
        time_us=_time(reported.time_us),
        id=reported.id,
        tenant=identity.tenant,
        model_version=identity.model_version,
        features=_features(reported.features, identity.feature_names),
        segments=_segments(reported.segments),
        score=_number(reported.score, "score"),
        prediction=_text(reported.prediction),
        host=_text(reported.host),
        gpu_uuid=_text(reported.gpu_uuid),
    )


def label_event(reported: Reported, identity: Identity) -> LabelEvent:
    """Return the label of the wire contract.

    Parameters
    ----------
    reported : Reported
        With the label as its score.
    identity : Identity

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
        label = _number(label, "label")
    if label is None:
        raise ValueError("label is missing")
    return LabelEvent(
        id=reported.id,
        model=identity.model,
        time_us=_time(reported.time_us),
        label=label,
        tenant=identity.tenant,
    )


def encode_event(event: PredictionEvent | LabelEvent) -> bytes:
    """Return an event as JSON; NaN and infinities, which JSON has not, as null.

    Raises
    ------
    ValueError
        If it is longer than an event may be.
    TypeError, UnicodeEncodeError
        If it holds what JSON has not.
    """
    text = _encode(event)
    if len(text) > MAX_EVENT_BYTES:
        raise ValueError(f"the event is {len(text)} bytes long; {MAX_EVENT_BYTES} are allowed")
    return text


def plain(value: Any) -> Any:
    """Return a scalar of numpy, torch or TensorFlow as Python's own.

    Examples
    --------
    >>> import numpy as np
    >>> plain(np.float32(0.5)), plain(np.str_("a")), plain(np.array([3]))
    (0.5, 'a', 3)
    """
    if value is None or type(value) in (float, int, str, bool):
        return value
    # Subclasses, numpy's float64 and str_ and enumerations among them, as what they hold.
    if isinstance(value, float):
        return float.__float__(value)
    if isinstance(value, int):
        return int.__int__(value)
    if isinstance(value, str):
        return str.__str__(value)
    if callable(item := getattr(value, "item", None)):
        return item()
    if callable(numpy := getattr(value, "numpy", None)):  # TensorFlow's eager tensors
        return plain(numpy())
    raise TypeError(f"{type(value).__name__} is no number, text or boolean")


def _time(time_us: int) -> int:
    """Refuse a time that no event may have."""
    if not 0 <= time_us < 1 << 63:
        raise ValueError(f"time_us is {time_us}; microseconds since 1970 are expected")
    return time_us


def _features(given: Any, names: tuple[str, ...]) -> dict[str, Any]:
    """Name the features and make their values plain."""
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        if callable(tolist := getattr(given, "tolist", None)):
            given = tolist()
        if len(given) != len(names):
            raise ValueError(f"{len(given)} features are not the {len(names)} of feature_names")
        given = dict(zip(names, given, strict=True))
    return {str(name): _feature(value, name) for name, value in given.items()}


def _feature(value: Any, name: str) -> Any:
    """Return one feature's value: what is not finite is missing."""
    try:
        value = plain(value)
    except (TypeError, ValueError) as error:
        raise TypeError(f"features.{name}: {error}") from None
    if isinstance(value, int) and not -(1 << 63) <= value < 1 << 63:
        value = float(value) if abs(value) < 1 << 1023 else math.inf
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _segments(given: Any) -> dict[str, str | None]:
    """Make the segments' values text."""
    return {str(name): _text(value) for name, value in (given or {}).items()}


def _number(value: Any, field: str) -> float | None:
    """Return a number, or None where there is none or it is not finite."""
    value = plain(value)
    if value is None:
        return None
    if isinstance(value, str):
        raise TypeError(f"{field} is the text {value[:40]!r}, no number")
    return float(value) if math.isfinite(value) else None


def _text(value: Any) -> str | None:
    """Return a class as text; booleans as JSON spells them."""
    value = plain(value)
    if value is None or isinstance(value, str):
        return value
    return str(value).lower() if isinstance(value, bool) else str(value)
