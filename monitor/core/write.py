"""One message to be written to a topic, whichever log carries it."""

from __future__ import annotations

from typing import NamedTuple


class Write(NamedTuple):
    """One message for one of ``monitor.core.topics``; a front adds its prefix to the name.

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
    """None: the key decides; a log in memory then takes partition 0."""
    timestamp_us: int = -1
    """-1: when it is written. Kafka keeps milliseconds, rounded down."""
