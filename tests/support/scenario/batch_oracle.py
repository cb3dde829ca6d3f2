"""Batch computation over the same bytes, one event at a time with ``json.loads``.

Written from the design alone. It shares no code with decoder, watermark, aggregation or
merging, and knows nothing of flushes, commits or owners.
"""

from __future__ import annotations

import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

LETTERS_A_MINUTE = 1_000
"""So many refused events of one model, or of none that is known, are kept one by one."""
_MINUTE_US = 60_000_000


class Record(NamedTuple):
    """One message of one partition of the log."""

    offset: int
    value: bytes
    record_us: int


class Timing(NamedTuple):
    """The event-time settings of a source."""

    pane_us: int
    bound_us: int
    lateness_us: int
    skew_us: int


class OraclePlace(NamedTuple):
    """One segment or slice of one pane of one model version."""

    model: str
    version: str
    start_us: int
    name: str


@dataclass
class Cell:
    """Everything one segment or slice of one pane is about."""

    n_rows: int = 0
    n_predicted: int = 0
    n_positive: int = 0
    a: list[float] = field(default_factory=list)
    c: list[str] = field(default_factory=list)
    score: list[float] = field(default_factory=list)

    def add(self, event: dict[str, Any]) -> None:
        """Count one event."""
        features = event["features"]
        self.n_rows += 1
        self.n_predicted += event.get("prediction") is not None
        self.n_positive += event.get("prediction") == "yes"
        for values, value in (
            (self.a, features.get("a")),
            (self.c, features.get("c")),
            (self.score, event.get("score")),
        ):
            if value is not None:
                values.append(value)

    @property
    def counts(self) -> tuple[int, int, int]:
        """Rows, rows with a predicted class, rows of the positive class."""
        return self.n_rows, self.n_predicted, self.n_positive


@dataclass
class Batch:
    """Result of the batch computation for one partition."""

    panes: dict[OraclePlace, Cell] = field(default_factory=lambda: defaultdict(Cell))
    slices: dict[OraclePlace, Cell] = field(default_factory=lambda: defaultdict(Cell))
    intake: dict[tuple[str, int], Counter[str]] = field(
        default_factory=lambda: defaultdict(Counter)
    )
    """Model and start of the pane -> late events, and rejected ones by reason."""
    late: dict[int, int] = field(default_factory=dict)
    """Offset -> watermark as of that event."""
    dead: dict[int, str] = field(default_factory=dict)
    """Offset -> reason; of a flood only what the cap lets through."""
    raw: set[tuple[str, str, int]] = field(default_factory=set)
    """Model, id and time of every event that could be read, whatever the clock says of it."""
    n_readable: int = 0
    """How many they are, those that came twice counted twice."""
    watermark_us: float = -math.inf
    """Watermark after the last event."""

    def passed(self, part: str, pane_us: int) -> dict[OraclePlace, Cell]:
        """Return the ``panes`` or ``slices`` whose pane the watermark has passed."""
        cells: dict[OraclePlace, Cell] = getattr(self, part)
        last_us = self.watermark_us - pane_us
        return {place: cell for place, cell in cells.items() if place.start_us <= last_us}

    def passed_intake(self, pane_us: int) -> dict[tuple[str, int], dict[str, int]]:
        """Return the intake of the panes that the watermark has passed."""
        last_us = self.watermark_us - pane_us
        return {key: dict(n) for key, n in self.intake.items() if key[1] <= last_us}


def batch_of(records: Iterable[Record], models: Iterable[str], timing: Timing) -> Batch:
    """Read one partition once, event by event, with the watermark of each.

    Parameters
    ----------
    records : iterable of Record
        In the order of the log.
    models : iterable of str
        Models that are configured, all with the features ``a`` (numeric) and ``c``
        (categorical), the segment ``region`` and the positive class ``yes``.
    """
    known = frozenset(models)
    found, wm, s = Batch(), -math.inf, -math.inf
    counts: dict[str, tuple[int, int]] = {}
    for offset, value, record_us in records:
        event, reason = read(value, known)
        if event is not None:
            found.n_readable += 1
            found.raw.add((event["model"], event.get("id", ""), event["time_us"]))
            if event["time_us"] > record_us + timing.skew_us:
                reason = "future"
        if reason:
            stamp = stamp_of(value, known)
            if stamp is not None:
                # a rejected event with a time moves the watermark like any other
                model, time_us = stamp
                newest_us = wm + timing.bound_us
                if time_us is not None and time_us <= record_us + timing.skew_us:
                    wm = max(wm, min(time_us, record_us) - timing.bound_us)
                    s = max(s, (wm - timing.lateness_us) // timing.pane_us * timing.pane_us)
                    newest_us = time_us if time_us >= s else wm + timing.bound_us
                if newest_us > -math.inf:
                    start_us = int(newest_us // timing.pane_us * timing.pane_us)
                    found.intake[model, start_us][reason] += 1
        if event is None or reason:
            whose = "" if event is None else event["model"]
            if _is_kept(counts, whose, record_us // _MINUTE_US):
                found.dead[offset] = reason
            continue
        time_us = event["time_us"]
        wm = max(wm, min(time_us, record_us) - timing.bound_us)
        s = max(s, (wm - timing.lateness_us) // timing.pane_us * timing.pane_us)
        if time_us < s:
            found.late[offset] = int(wm)
            newest_us = (wm + timing.bound_us) // timing.pane_us * timing.pane_us
            found.intake[event["model"], int(newest_us)]["late"] += 1
            continue
        _count(found, event, time_us // timing.pane_us * timing.pane_us)
    found.watermark_us = wm
    return found


def _is_kept(counts: dict[str, tuple[int, int]], whose: str, minute: int) -> bool:
    """Count a refused event of a model; a record time that goes back is of the last minute."""
    last, n = counts.get(whose, (minute, 0))
    n = n + 1 if minute <= last else 1
    counts[whose] = (max(minute, last), n)
    return n <= LETTERS_A_MINUTE


def _count(found: Batch, event: dict[str, Any], pane_us: int) -> None:
    """Add an event to every cell it belongs to."""
    of = (event["model"], event.get("model_version", ""), pane_us)
    for name in _segments(event):
        found.panes[OraclePlace(*of, name)].add(event)
    for name in ("host", "gpu_uuid"):
        if event.get(name) is not None:
            found.slices[OraclePlace(*of, f"{name}={event[name]}")].add(event)


def read(value: bytes, models: frozenset[str]) -> tuple[dict[str, Any] | None, str]:
    """Return an event, or the reason of its rejection, for the faults in the test worlds."""
    try:
        event = json.loads(value.decode())
    except UnicodeDecodeError:
        return None, "invalid_utf8"
    except ValueError:
        return None, "malformed"
    if event["model"] not in models:
        return None, "unknown_model"
    if isinstance(event["features"].get("a"), str) or not isinstance(event.get("time_us"), int):
        return None, "mistyped"
    return event, ""


def stamp_of(value: bytes, models: frozenset[str]) -> tuple[str, int | None] | None:
    """Return model and time of a rejected event; None where its model is none of ours."""
    try:
        event = json.loads(value.decode(errors="replace"))
    except ValueError:
        return None
    if event["model"] not in models:
        return None
    time_us = event.get("time_us")
    return event["model"], time_us if isinstance(time_us, int) else None


def _segments(event: dict[str, Any]) -> list[str]:
    """Name the segments of an event."""
    region = event.get("segments", {}).get("region")
    return ["*"] if region is None else ["*", f"region={region}"]


def rows_by_window(
    batches: Iterable[Batch], length_us: int
) -> dict[tuple[str, str, int, str], int]:
    """Return the rows of each (model, version, window start, segment or slice), all partitions."""
    rows: dict[tuple[str, str, int, str], int] = defaultdict(int)
    for batch in batches:
        for place, cell in [*batch.panes.items(), *batch.slices.items()]:
            start_us = place.start_us // length_us * length_us
            rows[place.model, place.version, start_us, place.name] += cell.n_rows
    return dict(rows)
