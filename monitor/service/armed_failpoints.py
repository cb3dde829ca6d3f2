"""Failpoints that kill the process, armed by an environment variable."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Callable, Mapping

from monitor.core.failpoints import Hit, pass_through
from schemas.errors import ConfigError

VARIABLE = "DRIFTLINE_CRASH_AT"
"""Failpoints as ``step:n``, separated by commas.

The process is killed at the n-th hit of the step (``*``: any step). For crash tests.
"""


def _kill() -> None:
    """Kill this process with SIGKILL."""
    os.kill(os.getpid(), signal.SIGKILL)


def failpoints(environment: Mapping[str, str], kill: Callable[[], None] = _kill) -> Hit:
    """Return the function that a stage calls at each step.

    Parameters
    ----------
    kill : callable, optional
        Kills the process; SIGKILL by default.

    Raises
    ------
    ConfigError
        If the variable cannot be parsed.

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
        """Count the hit, and kill the process if it is the armed one."""
        for name in (step, "*"):
            seen[name] += 1
            if (name, seen[name]) in due:
                kill()

    return hit


def _parse(text: str) -> tuple[str, int]:
    """Parse one ``step:n``."""
    step, _, count = text.strip().rpartition(":")
    if not step or not count.isdigit():
        raise ConfigError(
            f"{text!r} is not step:n", where=VARIABLE, fix="write, e.g., ingest:pane:3"
        )
    return step, int(count)
