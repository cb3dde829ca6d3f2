"""Dead letters: records of events and messages that cannot be used."""

from __future__ import annotations

import msgspec

from monitor.core.topics import DEAD_LETTERS
from monitor.core.write import Write
from schemas.batch import Chunk
from schemas.events import Reject, RejectReason
from schemas.refused import DeadLetter, dead_letter


def unreadable_letter(
    value: bytes, detail: str, *, source: str, partition: int, offset: int, record_time_us: int = -1
) -> DeadLetter:
    """Return the dead letter of one message that cannot be read.

    Parameters
    ----------
    value : bytes
        The message as in the log.
    detail : str
        Reason; truncated at 500 characters.
    source, partition, offset
        Position of the message; repeated reads give the same key.
    record_time_us : int
        -1 if there is none.

    Returns
    -------
    DeadLetter
        Reason ``malformed``.

    Examples
    --------
    >>> letter = unreadable_letter(b"?", "not a pane", source="panes", partition=0, offset=7)
    >>> letter.reason, letter.offset, letter.payload
    ('malformed', 7, b'?')
    """
    reject = Reject(
        message=0, row=0, reason=RejectReason.MALFORMED, detail=detail[:500], payload=value
    )
    return dead_letter(
        reject, source=source, partition=partition, offset=offset, record_time_us=record_time_us
    )


def reject_letter(reject: Reject, chunk: Chunk) -> DeadLetter:
    """Return the dead letter of one event of a chunk."""
    return dead_letter(
        reject,
        source=chunk.source,
        partition=chunk.partition,
        offset=int(chunk.log_offset[reject.message]),
        record_time_us=int(chunk.record_time_us[reject.message]),
    )


def letter_key(letter: DeadLetter) -> bytes:
    """Return the key of a dead letter in its topic: the position of the event.

    Examples
    --------
    >>> letter_key(unreadable_letter(b"?", "", source="panes", partition=0, offset=7))
    b'panes|0|7|0'
    """
    return f"{letter.source}|{letter.partition}|{letter.offset}|{letter.row}".encode()


def letter_write(letter: DeadLetter, partition: int | None = None) -> Write:
    """Return a dead letter as a message; by default its key determines the partition.

    Examples
    --------
    >>> letter = unreadable_letter(b"?", "", source="panes", partition=0, offset=7)
    >>> letter_write(letter).topic
    'driftline.deadletter'
    """
    return Write(DEAD_LETTERS, letter_key(letter), msgspec.msgpack.encode(letter), partition)
