"""The strict path: msgspec decides what is accepted, event by event.

A struct is generated per model, so that msgspec itself checks the types of the
model's features. JSON has no NaN: the bare tokens ``NaN``, ``Infinity`` and
``-Infinity``, which many producers write, become ``null`` before a second try,
and this is the only difference from msgspec.

================================== ==============================================
in the event                       outcome
================================== ==============================================
feature NaN, +-Infinity, null      missing
feature absent                     missing
unknown field or feature           ignored, whatever it holds (invalid UTF-8 too)
numeric: integer of any size       the float of ``float(json.loads(...))``
numeric: beyond the largest float  MISTYPED (also as an integer)
numeric: string, boolean           its number; MISTYPED where the text spells none
categorical: string, number,       its form: ``7``, ``7.0`` and ``"7.00"`` are ``7``, ``"NA"``
boolean                            is missing (:mod:`driftline.canonical`)
categorical: array, object         MISTYPED
segments, prediction               as categorical; score: as numeric
time_us                            microseconds from 0 to 2**63 - 1, a number or text; ISO
                                   text (:mod:`driftline.times`); else MISTYPED
model, time_us absent              MISTYPED
id, host, ... neither string nor   MISTYPED
null
duplicate key                      the last one counts, all must be well typed
invalid UTF-8 in a field we read   INVALID_UTF8
model not configured               UNKNOWN_MODEL
not JSON, not an object, a BOM     MALFORMED
nested too deeply                  MALFORMED
longer than MAX_EVENT_BYTES        OVERSIZED
================================== ==============================================
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from driftline.canonical import number_of
from driftline.times import time_of_number, time_of_text
from monitor.core.bounds import DECODE_ERRORS
from schemas.batch import ABSENT, ModelSchema
from schemas.errors import ConfigError, EventError
from schemas.events import DEFAULT_TENANT, RejectReason
from schemas.names import SCORE

MAX_DETAIL = 500
_MAX_TIME_US = (1 << 63) - 1

_ESCAPED = re.compile(r'["\\\x00-\x1f]')
_TOKENS = re.compile(rb'"(?:[^"\\]|\\.?)*+(?:"|\Z)|-?Infinity|NaN', re.DOTALL)

Key = tuple[str, str]
"""Tenant and model."""


class RefusedEvent(EventError):
    """An event the strict path does not accept.

    Parameters
    ----------
    key : (str, str), optional
        Tenant and model, where they could be read.
    """

    def __init__(self, reason: RejectReason, detail: str, key: Key = ("", "")) -> None:
        super().__init__(detail[:MAX_DETAIL])
        self.reason = reason
        self.detail = detail[:MAX_DETAIL]
        self.key = key


class Header(msgspec.Struct, gc=False):
    """Whose event it is, and whether it is an envelope."""

    model: str | UnsetType = UNSET
    tenant: str = DEFAULT_TENANT
    specversion: msgspec.Raw | UnsetType = UNSET


def nulled(payload: bytes) -> bytes:
    """Return the payload with bare NaN, Infinity and -Infinity as null.

    Examples
    --------
    >>> nulled(b'{"a": NaN, "b": "NaN", "c": [-Infinity]}')
    b'{"a": null, "b": "NaN", "c": [null]}'
    """
    return _TOKENS.sub(lambda m: m[0] if m[0][:1] == b'"' else b"null", payload)


def has_bare_tokens(payload: bytes) -> bool:
    """Whether :func:`nulled` could change anything."""
    return b"NaN" in payload or b"Infinity" in payload


def event_struct(schema: ModelSchema, *, is_wide: bool = False) -> type[msgspec.Struct]:
    """Generate the struct of a model's events.

    Parameters
    ----------
    is_wide : bool, optional
        Let numbers be booleans and text too, and the time a float or text:
        :func:`_narrowed` makes numbers of them.

    Returns
    -------
    type
        Fields ``model, time_us, id, tenant, features, segments, score`` and the
        four names of ``columns.NAMES``; ``features`` and ``segments`` are structs
        with a field per column, in column order.

    Notes
    -----
    Names that JSON escapes (quotes, backslashes, control characters) cannot be a struct's:
    ``features`` and ``segments`` are dicts then, see :class:`EventDecoder`.

    Raises
    ------
    ConfigError
        If a name occurs twice.
    """
    number: Any = float | bool | str | None if is_wide else float | None
    category: Any = str | int | float | bool | None
    time: Any = int | float | str | UnsetType if is_wide else int | UnsetType
    named: Any = category | UnsetType
    numeric = [(f"n{i}", number, ABSENT) for i in range(len(schema.numeric))]
    categorical = [(f"c{i}", named, UNSET) for i in range(len(schema.categorical))]
    segments = [(f"s{i}", category, None) for i in range(len(schema.segments))]
    names = (*schema.numeric, *schema.categorical)
    features = _struct("Features", [*numeric, *categorical], names, schema)
    segment = _struct("Segments", segments, schema.segments, schema)
    text = str | None
    return msgspec.defstruct(
        "Event",
        [
            ("model", str),
            ("time_us", time, UNSET),
            ("id", text, None),
            ("tenant", str, DEFAULT_TENANT),
            ("features", features, features()),
            ("segments", segment, segment()),
            (SCORE, number, ABSENT),
            ("model_version", text, None),
            ("prediction", category, None),
            ("host", text, None),
            ("gpu_uuid", text, None),
            ("specversion", msgspec.Raw | UnsetType, UNSET),
        ],
        gc=False,
    )


def _struct(name: str, fields: list[Any], names: tuple[str, ...], schema: ModelSchema) -> Any:
    """A frozen struct whose JSON names are the columns' names; a dict type if it cannot be."""
    if len(set(names)) < len(names):
        raise ConfigError(
            "a feature or segment name occurs twice",
            where=f"{schema.tenant}|{schema.model}",
            fix="give each its own name",
        )
    if any(map(_ESCAPED.search, names)):
        return dict[str, msgspec.Raw]
    rename = {field[0]: given for field, given in zip(fields, names, strict=True)}
    return msgspec.defstruct(name, fields, rename=rename, frozen=True, gc=False)


class EventDecoder:
    """Decodes the events of one model.

    Parameters
    ----------
    is_wide : bool, optional
        As for :func:`event_struct`.

    Examples
    --------
    >>> decoder = EventDecoder(ModelSchema("default", "m", ('size 15"',)))
    >>> event = decoder.decode(b'{"model": "m", "features": {"size 15\\\\"": 2.5}}')
    >>> msgspec.structs.astuple(event.features)
    (2.5,)
    """

    def __init__(self, schema: ModelSchema, *, is_wide: bool = False) -> None:
        struct = event_struct(schema, is_wide=is_wide)
        self._decode: Callable[[bytes], Any] = msgspec.json.Decoder(struct).decode
        number = _WIDE_NUMBER if is_wide else _NUMBER
        features: list[_Field] = [(name, number, ABSENT) for name in schema.numeric]
        features += [(name, _CATEGORY, UNSET) for name in schema.categorical]
        segments: list[_Field] = [(name, _CATEGORY, None) for name in schema.segments]
        parts = {"features": features, "segments": segments}
        self._as_dicts = {
            part: (_positional(len(own)), own)
            for part, own in parts.items()
            if any(_ESCAPED.search(name) for name, _, _ in own)
        }
        self.decode = self._with_structs if self._as_dicts else self._decode
        """Decode one event; ``features`` and ``segments`` are structs in column order."""

    def _with_structs(self, payload: bytes) -> Any:
        event = self._decode(payload)
        for part, (struct, names) in self._as_dicts.items():
            found = getattr(event, part)
            values = (
                absent if (text := found.get(name)) is None else _value(text, decoder, part, name)
                for name, decoder, absent in names
            )
            setattr(event, part, struct(*values))
        return event


_Field = tuple[str, Any, Any]
"""Name, decoder, and what stands for it in an event that does not name it."""
_NUMBER: Any = msgspec.json.Decoder(float | None)
_WIDE_NUMBER: Any = msgspec.json.Decoder(float | bool | str | None)
_CATEGORY: Any = msgspec.json.Decoder(str | int | float | bool | None)


def _value(text: msgspec.Raw, decoder: Any, part: str, name: str) -> Any:
    """Decode one value; msgspec names its place only where it knows the field."""
    try:
        return decoder.decode(text)
    except msgspec.ValidationError as error:
        raise msgspec.ValidationError(f"{error} - at `$.{part}.{name}`") from None


def _positional(n_fields: int) -> type[msgspec.Struct]:
    """A struct of values whose names do not matter."""
    fields: list[Any] = [(f"n{i}", Any, None) for i in range(n_fields)]
    return msgspec.defstruct("Values", fields, frozen=True, gc=False)


_HEADER = msgspec.json.Decoder(Header)


class StrictDecoder:
    """Decodes single events by msgspec alone."""

    def __init__(self, schemas: Mapping[Key, ModelSchema]) -> None:
        self._decoders: dict[Key, Any] = {
            key: EventDecoder(schema) for key, schema in schemas.items()
        }
        self._schemas = schemas
        self._wide: dict[Key, Any] = {}
        self._last = next(iter(self._decoders), None)

    def guess(self, payload: bytes) -> tuple[Key, Any] | None:
        """Decode with the last event's model; None unless all of it fits.

        Saves reading the header first; whatever does not fit goes to :meth:`decode`.
        """
        key = self._last
        if key is None:
            return None
        try:
            event = self._decoders[key].decode(payload)
        except DECODE_ERRORS:
            return None
        is_ours = event.model == key[1] and event.tenant == key[0] and event.specversion is UNSET
        if is_ours and event.time_us is not UNSET and 0 <= event.time_us <= _MAX_TIME_US:
            return key, event
        return None

    def header(self, payload: bytes) -> tuple[Header, bytes]:
        """Read whose event it is; the payload comes back with bare tokens nulled.

        Raises
        ------
        RefusedEvent
            If it is not a JSON object, or model or tenant is no string.
        """
        try:
            return _HEADER.decode(payload), payload
        except DECODE_ERRORS as error:
            is_syntax = not isinstance(error, (msgspec.ValidationError, UnicodeDecodeError))
            if is_syntax and has_bare_tokens(payload) and (clean := nulled(payload)) != payload:
                return self.header(clean)
            raise refusal(error) from None

    def decode(
        self, payload: bytes, header: Header, default_time_us: int | None = None
    ) -> tuple[Key, Any]:
        """Decode an event whose header was read.

        Parameters
        ----------
        payload : bytes
            As :meth:`header` returned it.
        default_time_us : int, optional
            Where the event has no ``time_us`` (CloudEvents: the envelope's time).

        Returns
        -------
        ((tenant, model), event)

        Raises
        ------
        RefusedEvent
        """
        if header.model is UNSET:
            raise RefusedEvent(RejectReason.MISTYPED, "Object missing required field `model`")
        key = (header.tenant, header.model)
        decoder = self._decoders.get(key)
        if decoder is None:
            detail = f"no model {header.model!r} of tenant {header.tenant!r} is configured"
            raise RefusedEvent(RejectReason.UNKNOWN_MODEL, detail, key)
        try:
            event = decoder.decode(payload)
        except msgspec.ValidationError:
            event = self._decode_wide(payload, key)
        except DECODE_ERRORS as error:
            raise refusal(error, key) from None
        if event.time_us is UNSET:
            if default_time_us is None:
                raise RefusedEvent(
                    RejectReason.MISTYPED, "Object missing required field `time_us`", key
                )
            event.time_us = default_time_us
        if not 0 <= event.time_us <= _MAX_TIME_US:
            detail = f"Expected an int64 >= 0, got {str(event.time_us)[:40]} - at `$.time_us`"
            raise RefusedEvent(RejectReason.MISTYPED, detail, key)
        self._last = key
        return key, event

    def _decode_wide(self, payload: bytes, key: Key) -> Any:
        """Decode an event whose numbers may be booleans or text, and whose time may be text."""
        schema = self._schemas[key]
        if key not in self._wide:
            self._wide[key] = EventDecoder(schema, is_wide=True)
        try:
            return _narrowed(self._wide[key].decode(payload), schema)
        except DECODE_ERRORS as error:
            raise refusal(error, key) from None
        except RefusedEvent as fault:
            raise RefusedEvent(fault.reason, fault.detail, key) from None


def _narrowed(event: Any, schema: ModelSchema) -> Any:
    """Make numbers of the booleans and texts that stand where numbers belong.

    Raises
    ------
    RefusedEvent
        MISTYPED, naming the first field whose text spells no number.
    """
    found = {}
    for i, name in enumerate(schema.numeric):
        found[f"n{i}"] = _number(getattr(event.features, f"n{i}"), f"features.{name}")
    event.features = msgspec.structs.replace(event.features, **found)
    event.score = _number(event.score, SCORE)
    if event.time_us is not UNSET:
        event.time_us = time_of_event(event.time_us)
    return event


def time_of_event(value: float | str) -> int:
    """Return the time of an event: a number counts microseconds, text may be ISO 8601."""
    if isinstance(value, int):
        return value
    try:
        return time_of_text(value, "us") if isinstance(value, str) else time_of_number(value, "us")
    except ValueError as error:
        detail = f"Expected a time: {error} - at `$.time_us`"
        raise RefusedEvent(RejectReason.MISTYPED, detail) from None


def _number(value: float | bool | str | None, path: str) -> float | None:
    """Return the number of one field."""
    if value is ABSENT:
        return ABSENT
    try:
        return number_of(value)
    except ValueError as error:
        raise RefusedEvent(
            RejectReason.MISTYPED, f"Expected a number: {error} - at `$.{path}`"
        ) from None


def refusal(error: Exception, key: Key = ("", "")) -> RefusedEvent:
    """Translate msgspec's error into a reject reason and detail.

    Examples
    --------
    >>> refusal(msgspec.ValidationError("Expected `float`, got `str` - at `$.score`")).reason.value
    'mistyped'
    >>> refusal(msgspec.ValidationError("Expected `object`, got `int`")).reason.value
    'malformed'
    """
    detail = str(error)
    if isinstance(error, UnicodeDecodeError):
        return RefusedEvent(RejectReason.INVALID_UTF8, detail, key)
    if isinstance(error, RecursionError):
        return RefusedEvent(RejectReason.MALFORMED, "nested too deeply", key)
    is_object = not (detail.startswith("Expected `object`") and " - at " not in detail)
    if isinstance(error, msgspec.ValidationError) and is_object:
        return RefusedEvent(RejectReason.MISTYPED, detail, key)
    return RefusedEvent(RejectReason.MALFORMED, detail, key)


def failure(error: Exception) -> RefusedEvent:
    """Return the refusal of a message on which the decoder itself fails.

    Examples
    --------
    >>> failure(KeyError("model")).detail
    "the decoder fails on it, please report this: KeyError: 'model'"
    """
    detail = f"the decoder fails on it, please report this: {type(error).__name__}: {error}"
    return RefusedEvent(RejectReason.DECODER_FAILED, detail)
