"""Events that were accepted nowhere: dead letters, and events later than the lateness.

Both are recorded one by one under their place in the source, never as counters
inside panes: a replay writes the same records again, and adds nothing.
"""

from __future__ import annotations

import hashlib

import msgspec

from schemas.events import MAX_VALUE_CHARS, Reject

MAX_PAYLOAD_BYTES = 512 * 1024
"""A dead letter keeps this much of the original bytes."""
MAX_DETAIL_CHARS = 500
REFUSED_COLUMN = "driftline.refused"
"""In a table's messages: null, or ``reason: detail`` of a row that could not be mapped."""


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """One event that was refused, with the reason and the original bytes."""

    source: str
    """Topic id, or the file's name."""
    partition: int
    offset: int
    row: int
    record_time_us: int
    """-1 where the source has no record time."""
    reason: str
    """A ``RejectReason``."""
    detail: str
    payload: bytes
    """The first ``MAX_PAYLOAD_BYTES`` of the original bytes."""
    n_bytes: int
    """Of all the original bytes."""
    sha256: str
    """Hex, of all the original bytes."""
    tenant: str = ""
    model: str = ""


class LateEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One event whose pane was retired before it came."""

    source: str
    partition: int
    offset: int
    row: int
    tenant: str
    model: str
    time_us: int
    watermark_us: int
    """Of its source partition, when the event was read."""


def dead_letter(
    reject: Reject, *, source: str, partition: int, offset: int, record_time_us: int = -1
) -> DeadLetter:
    """Return the record of one refused event.

    Parameters
    ----------
    reject : Reject
        What the decoder refused, with the whole original bytes.
    source, partition, offset
        Position of its message; ``offset`` is the chunk's ``log_offset[reject.message]``.
    record_time_us : int
        The message's record time; -1 where there is none.

    Returns
    -------
    DeadLetter
        With the payload cut at ``MAX_PAYLOAD_BYTES``, its full length and SHA-256. Names that
        the event brought are cut as well: a letter fits into a message, whatever it is about.

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
