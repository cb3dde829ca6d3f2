"""Limits of messages, checked before decoding."""

from __future__ import annotations

import msgspec


class MessageLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Limits of one message; ``messages`` in ``driftline.yaml``.

    A message above ``max_rows`` or ``max_bytes`` is rejected as a whole, as ``oversized``.
    """

    max_rows: int = 1_000_000
    """Rows of an Arrow stream or a JSON array."""
    max_bytes: int = 64 << 20
    """Size of the message, and of an Arrow stream after decompression."""
    max_letters: int = 100
    """Rejected rows of a message that become separate dead letters.

    The rest is counted, and shares one dead letter per model and reason.
    """
