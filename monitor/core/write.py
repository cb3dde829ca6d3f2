"""A message to be written to a topic of any log."""

from __future__ import annotations

from typing import NamedTuple


class Write(NamedTuple):
    """One message for one of ``monitor.core.topics``; the log adds its prefix to the name.

    Examples
    --------
    >>> Write("driftline.alerts", b"key", b"value").partition is None
    True
    """

    topic: str
    key: bytes
    value: bytes | None
    """None is a tombstone."""
    partition: int | None = None
    """None: chosen by the key; 0 in the in-memory log."""
    timestamp_us: int = -1
    """-1: the time of the write. Kafka stores milliseconds, rounded down."""
