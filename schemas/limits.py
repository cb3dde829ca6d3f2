"""How much is read of one message, before it is decoded."""

from __future__ import annotations

import msgspec


class MessageLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of one message; ``messages`` in ``driftline.yaml``.

    Beyond ``max_rows`` or ``max_bytes`` a message is refused whole, as ``oversized``.
    """

    max_rows: int = 1_000_000
    """Of an Arrow stream or a JSON array."""
    max_bytes: int = 64 << 20
    """Of the message, and of an Arrow stream once its buffers are decompressed."""
    max_letters: int = 100
    """Refused rows of one message that become dead letters one by one; the rest of them
    are counted, and share one dead letter for each model and reason."""
