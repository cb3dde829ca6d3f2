"""Deaths on order: which step kills the process, named by an environment variable."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Callable, Mapping

from monitor.core.failpoints import Hit, pass_through
from schemas.errors import ConfigError

VARIABLE = "DRIFTLINE_CRASH_AT"
"""``step:n`` kills the process at the n-th time the step is reached (``*``: any step);
several separated by commas. For tests of what survives."""


def _kill() -> None:
    """End this process as kill -9 would."""
    os.kill(os.getpid(), signal.SIGKILL)


def failpoints(environment: Mapping[str, str], kill: Callable[[], None] = _kill) -> Hit:
    """Return what a stage calls at each step.

    Parameters
    ----------
    kill : callable, optional
        Ends the process; SIGKILL by default.

    Raises
    ------
    ConfigError
        If the variable cannot be read.

    Examples
    --------
    >>> deaths = []
    >>> hit = failpoints({"DRIFTLINE_CRASH_AT": "ingest:pane:2"}, lambda: deaths.append(1))
    >>> for step in ("ingest:pane", "ingest:commit", "ingest:pane"):
    ...     hit(step)
    >>> deaths
    [1]
    """
    text = environment.get(VARIABLE, "")
    if not text:
        return pass_through
    due = {_parse(part) for part in text.split(",")}
    seen: Counter[str] = Counter()

    def hit(step: str) -> None:
        """Count the step, and die if it is the one."""
        for name in (step, "*"):
            seen[name] += 1
            if (name, seen[name]) in due:
                kill()

    return hit


def _parse(text: str) -> tuple[str, int]:
    """Read one ``step:n``."""
    step, _, count = text.strip().rpartition(":")
    if not step or not count.isdigit():
        raise ConfigError(
            f"{text!r} is not step:n", where=VARIABLE, fix="write, e.g., ingest:pane:3"
        )
    return step, int(count)
