"""Coverage of ``driftline up`` since its start, from the metrics of its stages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from monitor.clock import elapsed_s
from monitor.service.child import Child

LOOK_S = 10.0
"""Interval at which counters are read; a crash loses counts since the last read."""
TELL_S = 600.0
"""Coverage is printed after windows have closed, at most at this interval, and on drain."""

Counts = Counter[tuple[str, ...]]
"""Counts by metric and its labels, in the order of :data:`_LABELS`."""
_LABELS = {
    "driftline_events": ("stage",),
    "driftline_rejected": ("stage", "reason"),
    "driftline_late": (),
    "driftline_coverage": ("unit", "outcome"),
}
_STAGES = ("ingest", "detect")
"""Stages with counters: ingest counts predictions, detect counts windows and GPU telemetry."""


def counts_of(text: str) -> Counts:
    """Parse the counters of coverage from the text of ``/metrics``.

    Examples
    --------
    >>> counts_of('''# TYPE driftline_late_total counter
    ... driftline_late_total{topic="driftline.predictions"} 3.0
    ... ''')
    Counter({('driftline_late',): 3})
    """
    from prometheus_client.parser import text_string_to_metric_families

    counts: Counts = Counter()
    for family in text_string_to_metric_families(text):
        if family.name not in _LABELS:
            continue
        for sample in family.samples:
            if sample.name.endswith("_total") and sample.value:
                labels = (sample.labels[label] for label in _LABELS[family.name])
                counts[family.name, *labels] += int(sample.value)
    return counts


class UpCoverage:
    """Counters of all processes, accumulated over restarts.

    Parameters
    ----------
    tell : callable
        Called with the name of an event and its facts.
    clock_s : callable, optional
        Returns elapsed seconds.
    """

    def __init__(self, tell: Callable[..., None], clock_s: Callable[[], float] = elapsed_s) -> None:
        self._tell, self._clock_s = tell, clock_s
        self._asked_s: dict[str, float] = {}
        self._now: dict[tuple[str, int], Counts] = {}
        self._printed_s = -TELL_S
        self._printed_windows = 0

    def observe(self, child: Child, *, is_last: bool = False) -> None:
        """Read the counters of one process, and print the totals when due.

        Parameters
        ----------
        is_last : bool, optional
            Read now, because the process is about to be drained.
        """
        if not child.name.startswith(_STAGES):
            return
        now_s = self._clock_s()
        if not is_last and now_s - self._asked_s.get(child.name, -LOOK_S) < LOOK_S:
            return
        self._asked_s[child.name] = now_s
        text = child.metrics_text()
        if text is not None:
            # a restarted process counts from 0: its counts are added to the earlier ones
            self._now[child.name, child.pid] = counts_of(text)
        totals = self.totals
        n_windows = _of(totals, "driftline_coverage", "windows").total()
        if n_windows != self._printed_windows and now_s - self._printed_s >= TELL_S:
            self._printed_s, self._printed_windows = now_s, n_windows
            self._tell("coverage", **facts_of(totals))

    def finish(self) -> None:
        """Print the final totals."""
        self._tell("coverage", **facts_of(self.totals))

    @property
    def totals(self) -> Counts:
        """The sum over processes."""
        return sum(self._now.values(), Counter())


def facts_of(counts: Counts) -> dict[str, Any]:
    """Return counts of events read and judged, as facts of an event.

    Returns
    -------
    dict
        ``read`` counts events by their outcome in ingest, ``closed`` events, windows and cells of
        closed windows, ``gpu_events`` the telemetry. A window closes when the watermark passes its
        end, so ``closed`` lags behind ``read``.
    """
    rejected = _of(counts, "driftline_rejected", "ingest")
    units = {
        unit: _of(counts, "driftline_coverage", unit) for unit in ("events", "windows", "cells")
    }
    return {
        "read": {
            "accepted": counts["driftline_events", "ingest"],
            "rejected": {reason: n for (reason,), n in sorted(rejected.items())},
            "late": counts[("driftline_late",)],
        },
        "closed": {
            unit: {
                "judged": found[("judged",)],
                "not_judged": {k[0]: n for k, n in sorted(found.items()) if k != ("judged",)},
            }
            for unit, found in units.items()
        },
        "gpu_events": counts["driftline_events", "detect"],
    }


def _of(counts: Counts, name: str, *first: str) -> Counter[tuple[str, ...]]:
    """Return the counts of one metric by its remaining labels."""
    prefix = (name, *first)
    size = len(prefix)
    return Counter({key[size:]: n for key, n in counts.items() if key[:size] == prefix})
