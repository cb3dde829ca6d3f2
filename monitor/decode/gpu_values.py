"""GPU telemetry as exporters write it: what is a number, what is a blank, what is refused.

One event out of JSON. A field that holds no value must not cost its sample, nor the XID
beside it; a field that cannot be read is named.

=================================== =================================================
in a field                          becomes
=================================== =================================================
number                              itself
number as text, ``0x48``, ``45 W``  its number; units other than :data:`UNITS` are
                                    refused
``true``, ``false``, ``Yes``, ...   1 or 0 in a flag (:data:`FLAGS`), else blank
null, NaN, infinite, out of range   blank
DCGM's and NVML's "no value"        blank, also as text: ``monitor.core.gpu.counters.is_blank``
``N/A``, ``ERR!``, ``[anything]``   blank: see :func:`is_blank_text`
other text, array, object           MISTYPED, naming the field; blank beside an XID
=================================== =================================================
"""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from monitor.core.bounds import DECODE_ERRORS
from monitor.core.gpu.counters import is_blank
from monitor.core.gpu.table import FLAGS, field_name
from monitor.decode.strict import RefusedEvent, refusal
from schemas.events import DEFAULT_TENANT, GpuEvent, RejectReason

UNITS: Final = ("W", "C", "%", "MHz", "MiB", "mJ")
"""Units that may follow a number: those of our fields, so nothing has to be converted."""

_NUMBER: Final = re.compile(
    rf"([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*(?:{'|'.join(UNITS)})?", re.ASCII
)
_HEX: Final = re.compile(r"0[xX][0-9a-fA-F]{1,16}", re.ASCII)
_BLANK_TEXTS: Final = frozenset(
    {"", "-", "--", "na", "n/a", "n.a.", "nan", "none", "null", "nil", "blank", "no data"}
    | {"inf", "infinity", "-inf", "-infinity", "err", "err!", "error"}
    | {"unknown", "unknown error", "undefined", "unavailable", "unsupported", "deprecated"}
    | {f"not {what}" for what in ("available", "supported", "found", "specified", "permitted")}
    | {"not applicable", "no permission", "insufficient permissions", "disabled"}
    | {"gpu is lost", "function not found"}
)
_YES_NO: Final = {"true": 1, "yes": 1, "active": 1, "false": 0, "no": 0, "not active": 0}
_MAX_TEXT: Final = 64
_INT32_MAX, _INT64_MAX = 2**31 - 1, 2**63 - 1
_EVENT = msgspec.json.Decoder(GpuEvent)


class _Loose(msgspec.Struct):
    """An event whose optional members may hold anything."""

    host: str
    gpu_uuid: str
    time_us: int
    tenant: str | None = None
    gpu: msgspec.Raw = msgspec.Raw(b"null")
    gpu_model: msgspec.Raw = msgspec.Raw(b"null")
    driver_version: msgspec.Raw = msgspec.Raw(b"null")
    fields: msgspec.Raw = msgspec.Raw(b"null")
    xid: msgspec.Raw = msgspec.Raw(b"null")
    xid_sequence: msgspec.Raw = msgspec.Raw(b"null")


_LOOSE = msgspec.json.Decoder(_Loose)
_FIELDS = msgspec.json.Decoder(dict[str, msgspec.Raw])


class GpuDecoder:
    """Decodes one GPU event from JSON, in the manner of ``msgspec.json.Decoder``."""

    def decode(self, payload: bytes) -> GpuEvent:
        """Return the event with every value in its one form.

        Parameters
        ----------
        payload : bytes
            A JSON object; bare NaN tokens already nulled.

        Returns
        -------
        GpuEvent
            Fields are finite numbers or None; ``xid`` is None where it is 0 or blank.

        Raises
        ------
        RefusedEvent
            MISTYPED, naming the member or the field at fault.
        msgspec.DecodeError
            If the JSON is broken.

        Examples
        --------
        >>> event = b'{"host": "h", "gpu_uuid": "g", "time_us": 5, "xid": "79", "fields": %s}'
        >>> fields = b'{"gpu_temp": "71 C", "power_usage": "[N/A]", "fb_used": 2147483632}'
        >>> decoded = GpuDecoder().decode(event % fields)
        >>> decoded.xid, decoded.fields
        (79, {'gpu_temp': 71, 'power_usage': None, 'fb_used': None})
        """
        try:
            event = _EVENT.decode(payload)
        except msgspec.ValidationError:
            return _read_loosely(payload)
        event.fields = {name: None if is_blank(v) else v for name, v in event.fields.items()}
        event.xid = _code(event.xid, _INT32_MAX) or None
        event.gpu = _code(event.gpu, _INT32_MAX)
        event.xid_sequence = _code(event.xid_sequence, _INT64_MAX)
        return event


def is_blank_text(text: str) -> bool:
    """Whether a text is one of the ways to write that there is no value.

    Examples
    --------
    >>> [is_blank_text(t) for t in ("N/A", " [Not Supported] ", "ERR!", "", "hot")]
    [True, True, True, True, False]
    """
    text = text.strip().lower()
    return text in _BLANK_TEXTS or (text.startswith("[") and text.endswith("]"))


def number_of(text: str) -> float | int | None:
    """Read a number written as text, with one of :data:`UNITS` or without.

    Returns
    -------
    float, int or None
        None if the text is no number.

    Examples
    --------
    >>> number_of("300.00 W"), number_of("0x48"), number_of("12"), number_of("4 GB")
    (300.0, 72, 12, None)
    """
    text = text.strip()
    if len(text) > _MAX_TEXT:
        return None
    if _HEX.fullmatch(text):
        return int(text, 16)
    found = _NUMBER.fullmatch(text)
    if found is None:
        return None
    digits = found[1]
    return int(digits) if digits.lstrip("+-").isdigit() else float(digits)


def _read_loosely(payload: bytes) -> GpuEvent:
    """Read an event that is not quite of the declared types."""
    loose = _LOOSE.decode(payload)
    tenant = loose.tenant or DEFAULT_TENANT
    try:
        xid = _integer("xid", loose.xid, _INT32_MAX) or None
        return GpuEvent(
            host=loose.host,
            gpu_uuid=loose.gpu_uuid,
            time_us=loose.time_us,
            tenant=tenant,
            gpu=_integer("gpu", loose.gpu, _INT32_MAX),
            gpu_model=_text("gpu_model", loose.gpu_model),
            driver_version=_text("driver_version", loose.driver_version),
            fields=_fields(loose.fields, has_xid=xid is not None),
            xid=xid,
            xid_sequence=_integer("xid_sequence", loose.xid_sequence, _INT64_MAX),
        )
    except RefusedEvent as fault:
        raise RefusedEvent(fault.reason, fault.detail, (tenant, "")) from None


def _fields(raw: msgspec.Raw, *, has_xid: bool) -> dict[str, float | int | None]:
    """Read the fields, each by itself."""
    if bytes(raw).strip() == b"null":
        return {}
    try:
        given = _FIELDS.decode(raw)
    except msgspec.ValidationError:
        if has_xid:
            return {}
        raise _mistyped("an object of numbers", raw, "$.fields") from None
    fields: dict[str, float | int | None] = {}
    for name, value in given.items():
        try:
            fields[name] = _number(value, f"$.fields[{name!r}]", field_name(name) in FLAGS)
        except RefusedEvent:
            if not has_xid:
                raise
            fields[name] = None
    return fields


def _number(raw: msgspec.Raw, where: str, is_flag: bool = False) -> float | int | None:
    """Return a value as a number, None for a blank.

    Raises
    ------
    RefusedEvent
        If it is neither.
    """
    value = _plain(raw, where)
    if isinstance(value, str):
        text, number = value, number_of(value)
        if number is None and is_flag:
            number = _YES_NO.get(text.strip().lower())
        if number is None and not is_blank_text(text):
            if text.strip().lower() in _YES_NO:
                return None
            raise _mistyped("a number", raw, where)
        value = number
    elif isinstance(value, bool):
        value = int(value) if is_flag else None
    return None if is_blank(value) else value


def _plain(raw: msgspec.Raw, where: str) -> Any:
    """Decode a value that must be no array and no object; a number out of range is None."""
    try:
        return msgspec.json.decode(raw, type=float | int | str | bool | None)
    except msgspec.ValidationError as error:
        if "out of range" in str(error):
            return None
        raise _mistyped("a number", raw, where) from None
    except DECODE_ERRORS as error:
        raise refusal(error) from None


def _integer(name: str, raw: msgspec.Raw, most: int) -> int | None:
    """Return the whole number a member holds, None for a blank."""
    value = _number(raw, f"$.{name}")
    if value is not None and value != int(value):
        raise _mistyped("a whole number", raw, f"$.{name}")
    return _code(value, most)


def _code(value: float | int | None, most: int) -> int | None:
    """Return an index or a code; None for a blank and what no column holds."""
    return None if is_blank(value) or not 0 <= (value or 0) <= most else int(value or 0)


def _text(name: str, raw: msgspec.Raw) -> str:
    """Return a text member; a number is written out, a blank is empty."""
    value = _plain(raw, f"$.{name}")
    if value is None or isinstance(value, bool):
        return ""
    return value if isinstance(value, str) else str(value)


def _mistyped(expected: str, raw: msgspec.Raw, where: str) -> RefusedEvent:
    """Name what was expected, what was found, and where."""
    found = bytes(raw)[:60].decode(errors="replace")
    return RefusedEvent(RejectReason.MISTYPED, f"Expected {expected}, got {found} - at `{where}`")
