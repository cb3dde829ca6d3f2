"""The event time of an event that was rejected for something else."""

from __future__ import annotations

import msgspec
from msgspec import UNSET, UnsetType

from monitor.core.bounds import DECODE_ERRORS
from monitor.decode.cloudevents import open_envelope
from monitor.decode.strict import RefusedEvent, has_bare_tokens, nulled, time_of_event

_MAX_TIME_US = (1 << 63) - 1


class _TimeOnly(msgspec.Struct, gc=False):
    """The event time alone, and whether the rest is an envelope."""

    time_us: int | float | str | UnsetType = UNSET
    specversion: msgspec.Raw | UnsetType = UNSET


_STAMP = msgspec.json.Decoder(_TimeOnly)


def stamp_of(payload: bytes) -> int | None:
    """Return the event time of an event that was rejected for another field.

    Parameters
    ----------
    payload : bytes
        The event as JSON, bare or in a CloudEvents envelope.

    Returns
    -------
    int or None
        Microseconds; None where there is none that can be read.

    Notes
    -----
    It is read as in an event that is accepted. Without a time of its own an event has that
    of its envelope.

    Examples
    --------
    >>> stamp_of(b'{"time_us": 1709539200000000, "features": {"a": "high"}}')
    1709539200000000
    >>> stamp_of(b'{"time_us": "2024-03-04T08:00:00Z", "features": []}')
    1709539200000000
    >>> stamp_of(b'{"time_us": "then"}') is None
    True
    """
    try:
        stamp = _STAMP.decode(nulled(payload) if has_bare_tokens(payload) else payload)
        if stamp.specversion is UNSET:
            return _time_of(stamp)
        body, _, sent_us = open_envelope(payload)
        own = _STAMP.decode(body)
        return sent_us if own.time_us is UNSET else _time_of(own)
    except (*DECODE_ERRORS, RefusedEvent):
        return None


def _time_of(stamp: _TimeOnly) -> int | None:
    """Return the time in microseconds; None where it is none, or out of range."""
    found = stamp.time_us
    if found is UNSET:
        return None
    try:
        time_us = time_of_event(found)
    except RefusedEvent:
        return None
    return time_us if 0 <= time_us <= _MAX_TIME_US else None
