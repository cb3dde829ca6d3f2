"""How far one source partition has come, as a message to every partition of the panes topic."""

from __future__ import annotations

import msgspec

KEY_PREFIX = b"wm|"
"""Tells a watermark from a pane by its key."""


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


def parse(value: bytes) -> WatermarkMessage:
    """Read a message value back."""
    return msgspec.msgpack.decode(value, type=WatermarkMessage)
