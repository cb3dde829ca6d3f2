"""A digest of the statistics of a pane, under a key of this process."""

from __future__ import annotations


def digest_of(statistics: bytes) -> int:
    """Return the digest, 64 bits."""
    return hash(statistics)
