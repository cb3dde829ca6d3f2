"""Waiting for a condition, with a bound."""

from __future__ import annotations

import time
from collections.abc import Callable


def wait_until(
    is_so: Callable[[], bool], timeout_s: float = 30.0, what: str | Callable[[], str] = "it"
) -> None:
    """Return as soon as the condition holds; fail after the time-out.

    ``what`` is asked after a failure where it is a function: it can name what is missing.
    """
    deadline = time.monotonic() + timeout_s
    while not is_so():
        if time.monotonic() >= deadline:
            named = what if isinstance(what, str) else what()
            raise AssertionError(f"{named} did not happen within {timeout_s:g} s")
        time.sleep(0.02)
