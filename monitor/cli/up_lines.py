"""Output of ``driftline up``: its events, and its children's lines prefixed with their names."""

from __future__ import annotations

import json
import sys
import threading
from typing import Any

from monitor.cli.terminal.output import json_text, print_json
from monitor.clock import now_us
from monitor.core.incidents.text import share_text


class Lines:
    """Writes lines; thread-safe.

    Parameters
    ----------
    as_json : bool
        Print events as JSON documents.
    is_log_json : bool
        Children log JSON lines, to which their name is added.
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
            Facts of the event.
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
    """Add the child's name to a JSON line, or convert another line to JSON."""
    try:
        document = json.loads(line)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        document = {"message": line}
    return json_text({"child": name, **document})


def _sentence(event: str, facts: dict[str, Any]) -> str:
    """Format an event as a sentence.

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


def coverage_sentence(facts: dict[str, Any]) -> str:
    """Return the facts as one line.

    Examples
    --------
    >>> closed = {"judged": 900, "not_judged": {"too_few_samples": 20, "rejected": 80}}
    >>> windows = {"judged": 9, "not_judged": {"too_few_samples": 1}}
    >>> read = {"accepted": 970, "rejected": {"mistyped": 80}, "late": 0}
    >>> coverage_sentence({"read": read, "gpu_events": 0, "closed": {
    ...     "events": closed, "windows": windows, "cells": {"judged": 5, "not_judged": {}}}})
    ... # doctest: +NORMALIZE_WHITESPACE
    'coverage: read 970 events, 80 rejected (mistyped 80), 0 late; closed 10 windows: judged 900
    of 1,000 events (90 %), 9 of 10 windows, 5 of 5 cells; not judged: 80 rejected,
    20 too few samples; no GPU telemetry'
    """
    read, closed = facts["read"], facts["closed"]
    reasons = ", ".join(f"{r.replace('_', ' ')} {n:,}" for r, n in sorted(read["rejected"].items()))
    words = (
        f"coverage: read {read['accepted']:,} events, {sum(read['rejected'].values()):,} rejected"
        + (f" ({reasons})" if reasons else "")
        + f", {read['late']:,} late; "
    )
    windows = closed["windows"]
    n_windows = windows["judged"] + sum(windows["not_judged"].values())
    words += f"closed {n_windows:,} window{'s' * (n_windows != 1)}"
    judged = [_judged(closed[unit], unit, has_share=unit == "events") for unit in closed]
    if n_windows:
        words += f": judged {', '.join(judged)}"
    causes = sorted(closed["events"]["not_judged"].items(), key=lambda item: (-item[1], item[0]))
    if causes:
        words += "; not judged: " + ", ".join(f"{n:,} {r.replace('_', ' ')}" for r, n in causes)
    n_gpu = facts["gpu_events"]
    return f"{words}; " + (f"{n_gpu:,} GPU events" if n_gpu else "no GPU telemetry")


def _judged(counts: dict[str, Any], unit: str, *, has_share: bool) -> str:
    """Return the text of the judged and the total number."""
    n_judged = counts["judged"]
    n = n_judged + sum(counts["not_judged"].values())
    share = f" ({share_text(n_judged / n)})" if has_share and n else ""
    return f"{n_judged:,} of {n:,} {unit}{share}"
