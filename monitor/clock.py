"""The only place that reads a clock; the core takes time as an argument."""

from __future__ import annotations

import time


def now_us() -> int:
    """Return the time, microseconds UTC since 1970."""
    return time.time_ns() // 1_000


def elapsed_s() -> float:
    """Return seconds of the monotonic clock; only differences are meaningful."""
    return time.monotonic()
