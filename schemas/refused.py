"""Types of events that are not counted: dead letters and late events.

Both are stored individually, keyed by their source position, so a replay writes the same records
and adds none.
"""

from __future__ import annotations

import hashlib

import msgspec

from schemas.events import MAX_VALUE_CHARS, Reject

MAX_PAYLOAD_BYTES = 512 * 1024
"""Most original bytes that a dead letter keeps."""
MAX_DETAIL_CHARS = 500
REFUSED_COLUMN = "driftline.refused"
"""Column in messages from tables: null, or ``reason: detail`` of a row that could not be mapped."""


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """One rejected event, with reason and original bytes."""

    source: str
    """Topic id, or the file's name."""
    partition: int
    offset: int
    row: int
    record_time_us: int
    """-1 if the source has no record time."""
    reason: str
    """A ``RejectReason``."""
    detail: str
    payload: bytes
    """The first ``MAX_PAYLOAD_BYTES`` of the original bytes."""
    n_bytes: int
    """Length of the complete original bytes."""
    sha256: str
    """SHA-256 of the complete original bytes, hexadecimal."""
    tenant: str = ""
    model: str = ""


class LateEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One event that arrived after its pane was closed."""

    source: str
    partition: int
    offset: int
    row: int
    tenant: str
    model: str
    time_us: int
    watermark_us: int
    """Watermark of its source partition when the event was read."""


def dead_letter(
    reject: Reject, *, source: str, partition: int, offset: int, record_time_us: int = -1
) -> DeadLetter:
    """Return the dead letter of one rejected event.

    Parameters
    ----------
    reject : Reject
        Rejected event, with the complete original bytes.
    source, partition, offset
        Position of its message; ``offset`` is the chunk's ``log_offset[reject.message]``.
    record_time_us : int
        Record time of the message; -1 if there is none.

    Returns
    -------
    DeadLetter
        With the payload truncated at ``MAX_PAYLOAD_BYTES``, its full length and SHA-256. Names from
        the event are truncated too, so that a dead letter always fits into a message.

    Examples
    --------
    >>> from schemas.events import RejectReason
    >>> refused = Reject(message=0, row=0, reason=RejectReason.MALFORMED, detail="x", payload=b"{")
    >>> letter = dead_letter(refused, source="t", partition=0, offset=7)
    >>> letter.offset, letter.n_bytes, letter.sha256[:8]
    (7, 1, '021fb596')
    """
    return DeadLetter(
        source=source,
        partition=partition,
        offset=offset,
        row=reject.row,
        record_time_us=record_time_us,
        reason=str(reject.reason),
        detail=reject.detail[:MAX_DETAIL_CHARS],
        payload=reject.payload[:MAX_PAYLOAD_BYTES],
        n_bytes=len(reject.payload),
        sha256=hashlib.sha256(reject.payload).hexdigest(),
        tenant=reject.tenant[:MAX_VALUE_CHARS],
        model=reject.model[:MAX_VALUE_CHARS],
    )
