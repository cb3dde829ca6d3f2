"""CloudEvents 1.0 envelopes, structured and binary.

The event is the envelope's ``data``; the envelope's ``id`` and ``time`` are used
where the event has none of its own. The kernel reads envelopes whose layout it knows; all others
are read here.

References
----------
CloudEvents specification 1.0.2, sections 2 (attributes) and 3; JSON Event Format
1.0.2, section 3.1 (``data``, ``data_base64``); Kafka Protocol Binding 1.0.2,
section 3.2 (binary mode: ``ce_`` headers).
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from driftline.times import time_of_text
from monitor.core.bounds import DECODE_ERRORS
from monitor.decode.strict import RefusedEvent, refusal
from schemas.events import RejectReason


class Envelope(msgspec.Struct):
    """The attributes we read; others and extensions are ignored."""

    specversion: str
    id: str
    source: str
    type: str
    time: str | None = None
    data: msgspec.Raw | UnsetType = UNSET
    data_base64: str | UnsetType = UNSET


_ENVELOPE = msgspec.json.Decoder(Envelope)


def open_envelope(payload: bytes) -> tuple[bytes, str, int | None]:
    """Take the event out of a structured envelope.

    Parameters
    ----------
    payload : bytes
        JSON with a ``specversion``, bare NaN tokens already nulled.

    Returns
    -------
    (bytes, str, int or None)
        The event's JSON, the envelope's id, its time in microseconds UTC.

    Raises
    ------
    RefusedEvent
        UNSUPPORTED, naming the attribute at fault.

    Examples
    --------
    >>> open_envelope(b'{"specversion": "1.0", "id": "7", "source": "/s", "type": "t",'
    ...               b' "time": "1970-01-01T00:00:01Z", "data": {"model": "m"}}')
    (b'{"model": "m"}', '7', 1000000)
    """
    try:
        envelope = _ENVELOPE.decode(payload)
    except msgspec.ValidationError as error:
        raise RefusedEvent(RejectReason.UNSUPPORTED, f"CloudEvents envelope: {error}") from None
    except DECODE_ERRORS as error:
        raise refusal(error) from None
    if not envelope.specversion.startswith("1."):
        detail = f"CloudEvents specversion is {envelope.specversion!r}, and 1.x is read"
        raise RefusedEvent(RejectReason.UNSUPPORTED, detail)
    return _data(envelope), envelope.id, _time_us(envelope.time)


def _data(envelope: Envelope) -> bytes:
    """The bytes of the event."""
    if envelope.data is not UNSET:
        return bytes(envelope.data)
    if envelope.data_base64 is UNSET:
        raise RefusedEvent(RejectReason.UNSUPPORTED, "CloudEvents envelope without `data`")
    try:
        return base64.b64decode(envelope.data_base64, validate=True)
    except (binascii.Error, ValueError) as error:
        raise RefusedEvent(
            RejectReason.UNSUPPORTED, f"CloudEvents `data_base64`: {error}"
        ) from None


def _time_us(text: str | None) -> int | None:
    """Read an envelope's time: RFC 3339, and what :mod:`driftline.times` reads besides."""
    if text is None:
        return None
    try:
        return time_of_text(text)
    except ValueError:
        detail = f"CloudEvents `time` is {text[:80]!r}, and RFC 3339 is needed"
        raise RefusedEvent(RejectReason.UNSUPPORTED, detail) from None


def structured(headers: Mapping[str, bytes | str], body: bytes) -> bytes:
    """Turn a binary-mode CloudEvent into the structured form.

    Parameters
    ----------
    headers : mapping of str to bytes or str
        Kafka record headers: ``ce_specversion``, ``ce_id``, ...; others are left out.
    body : bytes
        The event's JSON, or an Arrow IPC stream.

    Returns
    -------
    bytes
        A message for :meth:`Decoder.decode`. Without ``ce_specversion``, or with an
        Arrow body (whose rows have their own ids), the body as it is.

    Examples
    --------
    >>> structured({"ce_specversion": b"1.0", "ce_id": b"7"}, b'{"model": "m"}')
    b'{"specversion":"1.0","id":"7","data":{"model": "m"}}'
    """
    attributes: dict[str, Any] = {
        name[3:]: value if isinstance(value, str) else value.decode("utf-8", "replace")
        for name, value in ((n.lower(), v) for n, v in headers.items())
        if name.startswith("ce_") and name not in ("ce_data", "ce_data_base64")
    }
    if "specversion" not in attributes or body[:4] == b"\xff\xff\xff\xff":
        return body
    head = json.dumps(attributes, separators=(",", ":"))
    return head[:-1].encode() + b',"data":' + (body or b"null") + b"}"
