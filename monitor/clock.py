"""The one place that asks what time it is; the core is told."""

from __future__ import annotations

import time


def now_us() -> int:
    """Return the time, microseconds UTC since 1970."""
    return time.time_ns() // 1_000


def elapsed_s() -> float:
    """Return seconds of a clock that never goes back; only differences mean anything."""
    return time.monotonic()
