"""Intake panes as messages on the panes topic."""

from __future__ import annotations

import msgspec

from driftline.times import FARTHEST_US
from monitor.core.bounds import (
    DECODE_ERRORS,
    MAX_COUNT,
    MAX_OFFSET,
    MAX_PARTITIONS,
    check_number,
    check_text,
    check_time,
)
from monitor.core.message_keys import join_key
from monitor.core.windowing.watermark_message import KEY_PREFIX as WATERMARK_PREFIX
from schemas.errors import DomainError, TransportError
from schemas.events import RejectReason
from schemas.intake import IntakePane

KEY_PREFIX = b"in|"
"""Distinguishes intake panes from panes and watermarks by key."""
NOT_PANES = (WATERMARK_PREFIX, KEY_PREFIX)
"""Key prefixes of the messages on the panes topic that are not panes."""
SCHEMA = 1
"""Version of the encoding; a reader rejects one it does not know."""
_REASONS = frozenset(reason.value for reason in RejectReason)


class _IntakeMessage(msgspec.Struct, array_like=True):
    """A message value."""

    schema: int
    pane: IntakePane


def intake_key(pane: IntakePane) -> bytes:
    """Return the message key.

    Examples
    --------
    >>> intake_key(IntakePane(tenant="t", model="a|b", start_us=10, end_us=20, source="s",
    ...                       partition=0, owner="o", pane_version=7))
    b'in|t|a%7Cb|10|s|0|o'
    """
    place = (pane.start_us, pane.source, pane.partition, pane.owner)
    return KEY_PREFIX + join_key(pane.tenant, pane.model, *place).encode()


def encode_intake(pane: IntakePane) -> bytes:
    """Return the message value."""
    return msgspec.msgpack.encode(_IntakeMessage(SCHEMA, pane))


def read_intake(value: bytes, record_time_us: int = -1) -> IntakePane:
    """Decode a message value.

    Parameters
    ----------
    record_time_us : int, optional
        Of the message; a pane that starts more than a day ahead of it is refused. Its end may
        lie further ahead: a pane of a week is published as soon as its source is idle.

    Raises
    ------
    TransportError
        If it is not an intake pane, or holds a value that none can have.

    Examples
    --------
    >>> pane = IntakePane(tenant="t", model="m", start_us=10, end_us=20, source="s", partition=0,
    ...                   owner="o", pane_version=7, n_late=3, rejected={"future": 1})
    >>> read_intake(encode_intake(pane)) == pane
    True
    """
    try:
        message = msgspec.msgpack.decode(value, type=_IntakeMessage)
        check_number("encoding", message.schema, SCHEMA, SCHEMA)
        _check(message.pane, record_time_us)
    except (*DECODE_ERRORS, DomainError) as error:
        raise TransportError(str(error), where="intake pane") from None
    return message.pane


def _check(pane: IntakePane, record_time_us: int) -> None:
    """Check what the types do not say."""
    for name in ("tenant", "model", "source", "owner"):
        check_text(name, getattr(pane, name))
    check_number("partition", pane.partition, 0, MAX_PARTITIONS - 1)
    check_number("pane_version", pane.pane_version, 0, MAX_OFFSET)
    check_time("start_us", pane.start_us, record_time_us)
    check_time("end_us", pane.end_us)
    check_number("length", pane.end_us - pane.start_us, 1, 2 * FARTHEST_US)
    check_number("n_late", pane.n_late, 0, MAX_COUNT)
    for reason, n in pane.rejected.items():
        if reason not in _REASONS:
            raise DomainError(f"{reason[:80]!r} is not a reject reason")
        check_number(reason, n, 0, MAX_COUNT)
