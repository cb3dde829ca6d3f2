"""What ``driftline up`` prints: its own events, and its children's lines behind their names."""

from __future__ import annotations

import json
import sys
import threading
from typing import Any

from monitor.cli.terminal.output import json_text, print_json
from monitor.cli.up_coverage import coverage_sentence
from monitor.clock import now_us


class Lines:
    """One writer for many threads.

    Parameters
    ----------
    as_json : bool
        Events as JSON documents.
    is_log_json : bool
        Children log JSON; their name is added to it.
    """

    def __init__(self, *, as_json: bool, is_log_json: bool) -> None:
        self._as_json, self.is_log_json = as_json, is_log_json
        self._lock = threading.Lock()

    def tell(self, event: str, **facts: Any) -> None:
        """Print an event to standard output.

        Parameters
        ----------
        event : str
            ``starting``, ``started``, ``status``, ``coverage``, ``unmonitored``, ``ended``,
            ``failed``, ``draining``, ``drained``, ``killed`` or ``left``.
        **facts : object
            What is known about it.
        """
        with self._lock:
            if self._as_json:
                print_json({"event": event, "time_us": now_us(), **facts})
            else:
                print(f"driftline up: {_sentence(event, facts)}", flush=True)

    def pass_on(self, name: str, line: str) -> None:
        """Print a child's line to standard error."""
        text = _marked(name, line) if self.is_log_json else f"{name:<7} | {line}"
        with self._lock:
            print(text, file=sys.stderr, flush=True)


def _marked(name: str, line: str) -> str:
    """Add the child's name to a JSON line, or make one of a line that is none."""
    try:
        document = json.loads(line)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        document = {"message": line}
    return json_text({"child": name, **document})


def _sentence(event: str, facts: dict[str, Any]) -> str:
    """Spell an event for people.

    Examples
    --------
    >>> _sentence("ended", {"child": "notify", "code": -9, "detail": "restarts in 1 s"})
    'notify ended (-9): restarts in 1 s'
    >>> _sentence("status", {"ready": False, "children": {"ingest": "ready", "store": "starting"}})
    'ingest ready, store starting'
    """
    if event == "status":
        states = ", ".join(f"{name} {state}" for name, state in facts["children"].items())
        return f"ready: {', '.join(facts['children'])}" if facts["ready"] else states
    if event == "coverage":
        return coverage_sentence(facts)
    if event == "unmonitored":
        fix = f" ({facts['fix']})" if facts["fix"] else ""
        return f"not monitored: {facts['detail']}{fix}"
    if event == "starting":
        return f"{event} {', '.join(facts['children'])} on Kafka at {facts['kafka']}"
    who = f"{facts['child']} " if "child" in facts else ""
    code = (
        f" ({facts['code']})" if "code" in facts else f" ({facts['pid']})" if "pid" in facts else ""
    )
    detail = f": {facts['detail']}" if facts.get("detail") else ""
    return f"{who}{event}{code}{detail}"
