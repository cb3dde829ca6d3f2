"""How far one source partition has come, as a message to every partition of the panes topic."""

from __future__ import annotations

import msgspec

from monitor.core.bounds import DECODE_ERRORS, MAX_PARTITIONS, check_number, check_text, check_time
from monitor.core.windowing.watermark import NO_WATERMARK
from schemas.errors import DomainError, TransportError

KEY_PREFIX = b"wm|"
"""Distinguishes a watermark from a pane by its key."""


class WatermarkMessage(msgspec.Struct, frozen=True, array_like=True):
    """The owner's word: nothing it will still publish starts before ``watermark_us``."""

    source: str
    partition: int
    n_partitions: int
    owner: str
    watermark_us: int
    is_idle: bool = False
    is_end: bool = False
    """The input has ended: windows may close whatever the watermark says."""

    def key(self) -> bytes:
        """Return the message key.

        Examples
        --------
        >>> WatermarkMessage("topic", 0, 1, "a", 5).key()
        b'wm|topic|0|a'
        """
        return KEY_PREFIX + f"{self.source}|{self.partition}|{self.owner}".encode()

    def encode(self) -> bytes:
        """Return the message value."""
        return msgspec.msgpack.encode(self)


def parse(value: bytes, record_time_us: int = -1) -> WatermarkMessage:
    """Read a message value back.

    Parameters
    ----------
    record_time_us : int, optional
        Of the message: a watermark is never later than the events' record times, so one
        that lies more than a day ahead of its own is refused.

    Raises
    ------
    TransportError
        If it is not a watermark, or says what none can say.

    Examples
    --------
    >>> parse(WatermarkMessage("topic", 3, 4, "a", 5).encode()).partition
    3
    >>> parse(WatermarkMessage("topic", 4, 4, "a", 5).encode())
    Traceback (most recent call last):
    ...
    driftline.errors.TransportError: watermark: partition is 4, not in 0..3
    """
    try:
        word = msgspec.msgpack.decode(value, type=WatermarkMessage)
        check_text("source", word.source)
        check_text("owner", word.owner)
        check_number("n_partitions", word.n_partitions, 1, MAX_PARTITIONS)
        check_number("partition", word.partition, 0, word.n_partitions - 1)
        if word.watermark_us != NO_WATERMARK:
            check_time("watermark_us", word.watermark_us, record_time_us)
    except (*DECODE_ERRORS, DomainError) as error:
        raise TransportError(str(error), where="watermark") from None
    return word
