"""One model's windows under one config: what fires, when, and how many notifications it makes."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from monitor.backtest.scale_judging import (
    cover_results,
    fires_at,
    is_tick_withheld,
    trace_results,
)
from monitor.backtest.traces import Cell, Trace, n_rows_of
from monitor.core.drift.alerts import CellView
from monitor.core.drift.coverage import Coverage
from monitor.core.drift.decide import SeriesDecider
from monitor.core.drift.season_plans import MAX_PLAN_BYTES, SeasonPlans
from monitor.core.drift.ticks.decider import DECIDERS, ScaleDecider
from monitor.core.incidents.grouping import ChangeKind, Grouping, Incidents
from schemas.alerts import Alert, Severity, Transition
from schemas.baselines import Baseline
from schemas.config.model import ModelConfig
from schemas.monitors import Monitor
from schemas.panes import SeriesId, Window
from schemas.results import Reason, Verdict
from schemas.time_units import HOUR_US

WEEK_US = 168 * HOUR_US
MONTH_US = 730 * HOUR_US
__all__ = ["Cell", "Outcome", "Trace", "count_notifications", "judge", "n_rows_of"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """Result of one config on one model's history."""

    config: ModelConfig
    start_us: int
    end_us: int
    n_windows: int
    n_unjudged: int
    """Windows with rows in which no cell got a verdict; ``coverage`` has the reasons."""
    judged_us: int
    """Time in which at least one version got a verdict: where nothing is judged nothing
    can fire, and silence there says nothing."""
    n_rows: int
    threshold: float
    """What log M has to reach; NaN where no window has a baseline."""
    alerts: tuple[Alert, ...]
    """Every change of every alert, in order."""
    n_incidents: int
    """Each once."""
    n_pages: int
    """Incidents that opened as a page, or became one."""
    n_tickets: int
    """Incidents that opened as a ticket; those that became a page are pages too."""
    traces: Mapping[Cell, Trace]
    coverage: Coverage

    @property
    def weeks(self) -> float:
        """How long was judged."""
        return self.judged_us / WEEK_US

    @property
    def months(self) -> float:
        """How long was judged in months of 730 hours, the unit of the budget."""
        return self.judged_us / MONTH_US

    @property
    def pages_per_week(self) -> float | None:
        """Rate of pages; None where nothing was judged."""
        return self.n_pages / self.weeks if self.judged_us else None

    @property
    def tickets_per_week(self) -> float | None:
        """Rate of tickets; None where nothing was judged."""
        return self.n_tickets / self.weeks if self.judged_us else None

    @property
    def n_escalated(self) -> int:
        """Incidents that are both: they opened as a ticket and became a page."""
        return self.n_pages + self.n_tickets - self.n_incidents

    @property
    def notified(self) -> list[Alert]:
        """Alerts that opened or escalated: those that a receiver would be notified of."""
        return [a for a in self.alerts if a.transition is not Transition.RESOLVED]


def judge(
    windows: Sequence[Window],
    config: ModelConfig,
    baselines: Mapping[str, Baseline],
    *,
    withheld: Collection[int] = (),
    ticks: Sequence[Window] = (),
    has_traces: bool = True,
) -> Outcome:
    """Run the decision rule over a history.

    Parameters
    ----------
    windows : sequence of Window
        Of one model, by ``history_of`` under the same window length; not changed.
    config : ModelConfig
        Decision, importance and slices are used.
    baselines : mapping of str to Baseline
        By ``profile_id``: what the panes were counted in.
    withheld : collection of int, optional
        Ends of windows whose rows are not all of the model's events: as in detect they get
        no verdict, and evidence stays as it was.
    ticks : sequence of Window, optional
        Of the same history, in order; needed under rule 2.
    has_traces : bool, optional
        False keeps no evidence, for searching.

    Returns
    -------
    Outcome
        Alerts are those the detect stage would have raised, their incidents those of the
        notify stage, hardware telemetry aside.

    Notes
    -----
    About a millisecond for a window of a hundred cells.
    """
    deciders: dict[SeriesId, SeriesDecider] = {}
    traces: dict[Cell, Trace] = {}
    alerts: list[Alert] = []
    judged: set[int] = set()
    coverage, threshold = Coverage(), float("nan")
    plans = SeasonPlans(MAX_PLAN_BYTES)
    waiting = deque(ticks)
    for window in windows:
        while waiting and waiting[0].end_us <= window.end_us:
            tick = waiting.popleft()
            scale = _decider(deciders, tick, config, baselines, plans)
            if isinstance(scale, ScaleDecider) and not is_tick_withheld(tick, config, withheld):
                alerts += scale.take_tick(tick)
        decider = _decider(deciders, window, config, baselines, plans)
        if decider is None:
            is_changed = window.is_baseline_changed
            reason = Reason.PROFILE_CHANGED if is_changed else Reason.NO_BASELINE
            coverage.note(n_rows_of(window), reason.value)
            continue
        threshold = fires_at(decider)
        if window.end_us in withheld:
            decided = decider.withhold(window, Reason.PIPELINE)
            coverage.add(n_rows_of(window), decided.results, decided.verdicts)
            alerts += [alert for alert in decided.alerts if alert.monitor != Monitor.CANARY]
            if decider.is_retired:
                del deciders[window.series]
            continue
        if isinstance(decider, ScaleDecider):
            decided = decider.decide(window)
            if cover_results(coverage, window, decided.results):
                judged.add(window.start_us)
            alerts += decided.alerts
            if has_traces:
                trace_results(traces, decided.rows(), window, threshold)
        else:
            views, changed = decider.judge(window)
            if _cover(coverage, window, views):
                judged.add(window.start_us)
            alerts += changed
            if has_traces:
                _trace(traces, views, window)
        if decider.is_retired:
            del deciders[window.series]
    counts = count_notifications(alerts, config.window.length_us)
    return Outcome(
        config=config,
        start_us=min((w.start_us for w in windows), default=0),
        end_us=max((w.end_us for w in windows), default=0),
        n_windows=len(windows),
        n_unjudged=sum(n for reason, n in coverage.windows.items() if reason),
        judged_us=len(judged) * config.window.length_us,
        n_rows=sum(n_rows_of(w) for w in windows),
        threshold=threshold,
        alerts=tuple(alerts),
        n_incidents=counts.n_incidents,
        n_pages=counts.n_pages,
        n_tickets=counts.n_tickets,
        traces=traces,
        coverage=coverage,
    )


def _cover(coverage: Coverage, window: Window, views: Sequence[CellView]) -> bool:
    """Count what was judged of a window; returns whether any cell got a verdict."""
    counts: Counter[str] = Counter()
    n_rows = n_rows_of(window)
    for view in views:
        if view.monitor == Monitor.DRIFT:
            is_none = view.decision.verdict_of(view.index) is Verdict.NONE
            reason = view.decision.reason_of(view.index).value if is_none else ""
            counts[reason] += 1
            if n_rows:
                coverage.note_cell(view.segment, reason)
    has_verdict = bool(n_rows) and counts[""] > 0
    reasons = [r for r in sorted(counts, key=lambda r: -counts[r]) if r and r != Reason.NO_DATA]
    coverage.note(n_rows, "" if has_verdict else (reasons or [Reason.NO_DATA.value])[0])
    return has_verdict


class NotificationCounts(NamedTuple):
    """Numbers of notifications, by severity."""

    n_incidents: int
    n_pages: int
    """Opened as a page, or became one."""
    n_tickets: int
    """Opened as a ticket; it may have become a page."""


def count_notifications(alerts: Iterable[Alert], window_us: int) -> NotificationCounts:
    """Count pages and tickets as receivers get them: one an incident, however many its alerts.

    Parameters
    ----------
    alerts : iterable of Alert
        Of one model, in order.
    window_us : int
        Length of a window.

    Returns
    -------
    NotificationCounts
        Incidents, each once; those that opened as a page or became one; those that opened
        as a ticket. One that opened as a ticket and became a page is in both of the latter.
    """
    incidents = Incidents(Grouping(window_us=window_us))
    n_incidents = n_pages = n_tickets = 0
    for alert in alerts:
        for change in incidents.observe(alert, alert.time_us):
            is_page = change.incident.severity is Severity.PAGE
            is_opened = change.kind is ChangeKind.OPENED
            n_incidents += is_opened
            n_pages += is_page and (is_opened or change.kind is ChangeKind.ESCALATED)
            n_tickets += is_opened and not is_page
        incidents.forget_old(alert.time_us)
    return NotificationCounts(n_incidents, n_pages, n_tickets)


def _decider(
    deciders: dict[SeriesId, SeriesDecider],
    window: Window,
    config: ModelConfig,
    baselines: Mapping[str, Baseline],
    plans: SeasonPlans,
) -> SeriesDecider | None:
    """Find or build the decider of a window; None where it gets no verdict."""
    series = window.series
    baseline = baselines.get(series.profile_id)
    is_fitting = baseline is not None and window.segments.counts.shape[1] == len(baseline.variables)
    if baseline is None or not is_fitting or window.is_baseline_changed:
        return None
    if series not in deciders:
        decider = DECIDERS[config.decision.rule](
            series, config, baseline, has_statistics=False, plans=plans
        )
        # Under a new baseline the evidence starts again, and open alerts stay open.
        for other in [s for s in deciders if s.model_version == series.model_version]:
            decider.inherit(deciders.pop(other))
        deciders[series] = decider
    return deciders[series]


def _trace(traces: dict[Cell, Trace], views: Iterable[CellView], window: Window) -> None:
    """Note the evidence of every cell."""
    version = window.series.model_version
    for view in views:
        cell = (version, view.monitor, view.variable.name, view.segment)
        i, decision = view.index, view.decision
        trace = traces.setdefault(cell, Trace())
        trace.add(window.end_us, float(decision.log_m[i]), bool(decision.has_fired[i]))
