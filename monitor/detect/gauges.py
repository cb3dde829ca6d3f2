"""What detect shows of itself: its counters as metrics, once a second."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from monitor import metrics
from monitor.clock import now_us
from monitor.core.drift.partition import DriftPartition
from monitor.core.topics import GPU, PANES, STATE
from monitor.detect.gpu_partition import GpuPartition
from monitor.detect.stage import PanesRules
from schemas.alerts import LATE_EVENTS, REJECTED_EVENTS
from schemas.events import RejectReason

STAGE = "detect"


ModelName = tuple[str, str]
"""Tenant and model."""
_OUTCOMES = {"judged": "judged", REJECTED_EVENTS: "rejected", LATE_EVENTS: "late"}
"""Of an event; any other is a reason why it was not judged."""
_NOT_JUDGED = "not_judged"


class DetectGauges:
    """Raises the process's metrics by what the rules counted since the last look.

    Parameters
    ----------
    models : iterable of (tenant, model), optional
        Those of the config: each has its series from the start.
    """

    def __init__(self, models: Iterable[ModelName] = ()) -> None:
        self._covered: dict[int, tuple[object, dict[ModelName, Counter[tuple[str, str]]]]] = {}
        self._seen: dict[int, tuple[object, Counter[str]]] = {}
        self._open: set[tuple[str, str]] = set()
        # Prometheus sees no increase in a series that begins above 0: these begin at 0.
        metrics.EVENTS.labels(STAGE, GPU)
        for reason in RejectReason:
            metrics.REJECTED.labels(STAGE, GPU, reason.value)
        for model in models:
            for outcome in (*_OUTCOMES.values(), _NOT_JUDGED):
                metrics.MODEL_EVENTS.labels(*model, outcome)

    def show(
        self, panes: list[tuple[int, PanesRules]], gpu: list[tuple[int, GpuPartition]]
    ) -> None:
        """Update the gauges of all owned partitions."""
        open_alerts: Counter[tuple[str, str]] = Counter()
        for partition, rules in panes:
            self._raise(rules, rules.counters)
            self._raise_coverage(rules.drift)
            open_alerts += rules.drift.open_alerts()
            minimum_us = rules.drift.windows.watermarks.minimum_us
            if minimum_us is not None:
                delay_s = (now_us() - minimum_us) / 1e6
                metrics.WATERMARK_DELAY.labels(PANES, str(partition)).set(delay_s)
        for _, gpu_rules in gpu:
            self._raise(gpu_rules, gpu_rules.counters)
        for monitor, severity in self._open | set(open_alerts):
            n_open = open_alerts[monitor, severity]
            metrics.ALERTS_OPEN.labels(monitor, severity).set(n_open)
        self._open |= set(open_alerts)
        drifts = {id(rules.drift) for _, rules in panes}
        self._covered = {key: seen for key, seen in self._covered.items() if key in drifts}
        alive = {id(rules) for _, rules in (*panes, *gpu)}
        self._seen = {key: seen for key, seen in self._seen.items() if key in alive}

    def _raise(self, rules: object, counters: Counter[str]) -> None:
        """Raise metrics by the difference."""
        _, before = self._seen.get(id(rules), (rules, Counter()))
        for name, n in (counters - before).items():
            _count(name, n)
        self._seen[id(rules)] = (rules, Counter(counters))

    def _raise_coverage(self, drift: DriftPartition) -> None:
        """Raise what was judged, and what was not, by the difference."""
        _, before = self._covered.get(id(drift), (drift, {}))
        now = {name: coverage.counts() for name, coverage in drift.coverage.items()}
        for name, counts in now.items():
            for (unit, outcome), n in (counts - before.get(name, Counter())).items():
                metrics.COVERAGE.labels(unit, _OUTCOMES.get(outcome, outcome)).inc(n)
                if unit == "events":
                    metrics.MODEL_EVENTS.labels(*name, _OUTCOMES.get(outcome, _NOT_JUDGED)).inc(n)
        self._covered[id(drift)] = (drift, now)


def _count(name: str, n: int) -> None:
    """Raise the metric a counter belongs to."""
    what, _, rest = name.partition("_")
    if what == "windows" and rest:
        metrics.WINDOWS.labels(rest).inc(n)
    elif what == "results":
        metrics.RESULTS.labels(rest).inc(n)
    elif what == "alerts" and rest:
        monitor, _, transition = rest.rpartition("_")
        metrics.ALERTS.labels(monitor, transition).inc(n)
    elif what == "canary":
        outcome, _, n_windows = rest.partition("_")
        metrics.CANARIES.labels(outcome).inc(n)
        metrics.CANARY_JUDGED_SECONDS.set(now_us() / 1e6)
        for _ in range(n if n_windows else 0):
            metrics.CANARY_DELAY.observe(int(n_windows))
    elif what == "panes":
        metrics.PANES.labels(STAGE, rest).inc(n)
        if rest == "unreadable":
            metrics.count_dead_letters(STAGE, PANES, "malformed", n)
    elif name == "states_unreadable":
        metrics.count_dead_letters(STAGE, STATE, "malformed", n)
    elif what == "rejected":
        metrics.count_dead_letters(STAGE, GPU, rest, n)
    elif name == "gpu_events":
        metrics.EVENTS.labels(STAGE, GPU).inc(n)
