"""A backtest in words: tables for the terminal and the page, one document for programs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import typer

from monitor.backtest.budget import MAX_EPS, Solution, upper_rate
from monitor.backtest.comparison import Comparison, Side
from monitor.backtest.counting import Counted
from monitor.backtest.delays import Delay
from monitor.backtest.judging import Cell, Outcome
from monitor.cli.output import print_table
from monitor.core.drift.coverage_text import ENOUGH, coverage_lines
from monitor.core.incidents.evidence_text import rarity_text
from monitor.core.incidents.text import share_text
from monitor.report.backtest_page import BacktestSection, TextTable
from monitor.report.evidence_panel import EvidencePanel, EvidenceTrack
from schemas.alerts import Alert, Transition
from schemas.config.values import format_duration
from schemas.monitors import Monitor
from schemas.spelling import spell_controls
from schemas.time_text import minute_text

MAX_FIRED = 30
"""Rows printed on a terminal; the page and ``--json`` have all."""
MAX_PANELS = 6
_NO_VERDICT = "no verdict"


def print_report(
    reports: Sequence[Comparison],
    counted: Counted,
    absent: Sequence[str] = (),
    *,
    has_events: bool,
) -> None:
    """Print every model's tables.

    Parameters
    ----------
    absent : sequence of str, optional
        Models that have no history.
    has_events : bool
        Whether events were read, and not stored panes.
    """
    if has_events:
        typer.echo(
            f"{counted.n_accepted:,} events accepted, {counted.n_rejected:,} rejected, "
            f"{counted.n_late:,} too late."
        )
        n_missing = counted.n_rejected + counted.n_late
        n_read = n_missing + counted.n_accepted
        if n_missing > (1 - ENOUGH) * n_read:
            typer.echo(
                f"{share_text(n_missing / n_read)} of the events were not counted: what follows "
                "holds for the others only. driftline replay says why."
            )
    for model in absent:
        typer.echo(f"{absent_line(model)}.")
    if not reports:
        typer.echo("Nothing to judge.")
    for report in reports:
        typer.echo(f"\n{spell_controls(report.model)}: {headline(report)}")
        for table in tables_of(report):
            shown = table.rows[:MAX_FIRED]
            if not shown:
                is_judged = any(s.outcome.judged_us for s in report.sides.values())
                typer.echo(f"{table.title}: {'none' if is_judged else 'nothing was judged'}.\n")
                continue
            print_table(table.columns, shown, title=table.title)
            if len(table.rows) > len(shown):
                typer.echo(f"... and {len(table.rows) - len(shown):,} more: --json has all.\n")
        if report.solution is not None:
            typer.echo(solution_text(report.solution))
            typer.echo(config_lines(report.solution))


def absent_line(model: str) -> str:
    """Return the line of a model without rows."""
    return f"{model}: no rows in this history, nothing to judge"


def headline(report: Comparison) -> str:
    """Return what was judged, in one line."""
    today = report.today.outcome
    length = format_duration(today.config.window.length_us)
    span = f"{minute_text(today.start_us)} to {minute_text(today.end_us)}"
    words = (
        f"{today.n_rows:,} rows in {today.n_windows:,} windows of {length}, "
        f"{span} ({today.weeks:.2g} weeks judged)."
    )
    lines = coverage_lines({("", report.model): today.coverage}, {("", report.model): today.config})
    return "\n".join([words, *lines, *pipeline_lines(report.today.pipeline)])


def pipeline_lines(alerts: Sequence[Alert]) -> list[str]:
    """Return one line for each time in which drift verdicts were withheld."""
    lines, since = [], dict[str, Alert]()
    for alert in alerts:
        if alert.transition is not Transition.RESOLVED:
            since.setdefault(alert.rule, alert)
        elif (opened := since.pop(alert.rule, None)) is not None:
            lines.append(_withheld_line(opened, f"to {minute_text(alert.time_us)}"))
    return lines + [_withheld_line(opened, "to the end") for opened in since.values()]


def _withheld_line(opened: Alert, until: str) -> str:
    """Name the alert because of which nothing was judged."""
    return f"  verdicts withheld {minute_text(opened.time_us)} {until}: {opened.title}"


def tables_of(report: Comparison) -> list[TextTable]:
    """Return rates, what would have fired, and delays."""
    names = tuple(report.sides)
    tables = [
        TextTable(
            "How often",
            "Over the time that was judged. An incident that opened as a ticket and became a "
            "page is counted in both rows; a budget counts it once.",
            ("", *names),
            _rate_rows(report),
        ),
        TextTable(
            "What would have fired",
            "Alerts that open or get worse, one line a cell; alerts of one cause are one "
            "page or ticket.",
            ("when", "feature", "segment", "effect", "where", "rows", *names),
            _fired_rows(report),
        ),
    ]
    if any(side.delays for side in report.sides.values()):
        note = (
            "Windows with rows until any cell of the feature fires (median over the places "
            "where the shift was planted, and in how many of them it was found in time)."
        )
        if _has_two_lengths(report):
            note += " Windows differ in length: their length is given beside their number."
        columns = ("feature", "planted", *names)
        tables.append(TextTable("Planted shifts", note, columns, _delay_rows(report)))
    return tables


def _rate_rows(report: Comparison) -> list[tuple[str, ...]]:
    """Compare what each config costs its readers, and the settings behind it."""
    sides = report.sides.values()

    def row(name: str, values: Sequence[str]) -> tuple[str, ...]:
        return (name, *values)

    outcomes = [side.outcome for side in sides]
    decisions = [o.config.decision for o in outcomes]
    return [
        row("pages a week", [_rate(o.pages_per_week, o.n_pages) for o in outcomes]),
        row("tickets a week", [_rate(o.tickets_per_week, o.n_tickets) for o in outcomes]),
        row("in both: became a page", [f"{o.n_escalated:,}" for o in outcomes]),
        row(
            "first alert",
            [minute_text(o.notified[0].time_us) if o.notified else "none" for o in outcomes],
        ),
        row("window", [format_duration(o.config.window.length_us) for o in outcomes]),
        row("fires at", [_threshold(o.threshold) for o in outcomes]),
        row("false pages a month", [f"{d.max_false_pages_per_month:g}" for d in decisions]),
        row("eps", [f"{d.eps:g}" for d in decisions]),
        row("persistence", [f"{d.persistence}" for d in decisions]),
    ]


def _rate(per_week: float | None, n: int) -> str:
    """Write a rate with the number behind it: a short history makes large rates of few."""
    return _NO_VERDICT if per_week is None else f"{per_week:.3g} ({n:,})"


def _threshold(log_m: float) -> str:
    """Write how rare the evidence has to be by chance; NaN where nothing was judged."""
    return _NO_VERDICT if math.isnan(log_m) else f"once in {rarity_text(log_m)} windows"


def _fired_rows(report: Comparison) -> list[tuple[str, ...]]:
    """Return a line for each cell and window in which a config notifies a receiver."""
    found: dict[tuple[Any, ...], dict[str, Alert]] = {}
    for name, side in report.sides.items():
        for alert in side.outcome.notified:
            key = (alert.time_us, alert.monitor, alert.feature, alert.segment, alert.model_version)
            found.setdefault(key, {})[name] = alert
    rows = []
    for (time_us, *_), by_side in sorted(found.items(), key=lambda item: item[0]):
        alert = next(iter(by_side.values()))
        said = (_severity(by_side.get(name)) for name in report.sides)
        effect = "" if alert.effect_size is None else f"{alert.effect_size:+.3f}"
        place = (alert.feature, alert.segment, effect, alert.effect_where, f"{alert.n:,}")
        rows.append((minute_text(time_us), *place, *said))
    return rows


def _severity(alert: Alert | None) -> str:
    """Return the severity as text."""
    if alert is None:
        return ""
    is_worse = alert.transition is Transition.ESCALATED
    return f"{alert.severity.value} (was less)" if is_worse else alert.severity.value


def _delay_rows(report: Comparison) -> list[tuple[str, ...]]:
    """Return one line a planted shift."""
    sides = report.sides.values()
    has_lengths = _has_two_lengths(report)
    keys = dict.fromkeys((d.feature, d.shift_sd) for side in sides for d in side.delays)
    rows = []
    for key in keys:
        cells = [_delays(side, key, has_length=has_lengths) for side in sides]
        rows.append((key[0], f"{key[1]:+g} sd", *cells))
    return rows


def _has_two_lengths(report: Comparison) -> bool:
    """Return whether the sides' windows differ, so that their numbers cannot be compared."""
    return len({side.outcome.config.window.length_us for side in report.sides.values()}) > 1


def _delays(side: Side, key: tuple[str, float], *, has_length: bool) -> str:
    """Write one config's delays of one shift of one feature, one a time of planting."""
    length_us = side.outcome.config.window.length_us if has_length else None
    return ", ".join(_delay(d, length_us) for d in side.delays if (d.feature, d.shift_sd) == key)


def _delay(delay: Delay, length_us: int | None = None) -> str:
    """Write one delay with the share that was found; with a length, how long that is, too.

    Examples
    --------
    >>> _delay(Delay("x", 0.3, None, 24, 5, (2, 2, 3)))
    '3 (3 of 5 within 24)'
    >>> _delay(Delay("x", 0.3, None, 24, 5, (2, 2, 3)), 7_200_000_000)
    '3 = 6h (3 of 5 within 24 = 2d)'
    """
    since = "" if delay.at_us is None else f" from {minute_text(delay.at_us)}"
    if not delay.n_starts:
        return "no quiet stretch to plant it in"
    if delay.is_firing_anyway:
        return f"{_windows(delay.delays[0], length_us)}{since}, and fires without it"
    within = _windows(delay.horizon, length_us)
    found = f"({len(delay.delays)} of {delay.n_starts} within {within}){since}"
    if delay.median is None:
        return f"not found {found}"
    return f"{_windows(delay.median, length_us)} {found}"


def _windows(n: float, length_us: int | None) -> str:
    """Write a number of windows, and how long they are together."""
    return f"{n:g}" if length_us is None else f"{n:g} = {format_duration(round(n * length_us))}"


def solution_text(solution: Solution) -> str:
    """Return what was searched, what was found, and how much the history proves."""
    if not solution.months:
        return (
            "No window got a verdict, so nothing was solved: without a baseline nothing fires "
            "under any eps. Judge a time for which there is a baseline."
        )
    allowed = (
        f"A budget of {solution.budget:g} a month allows {solution.n_allowed:,} false alarms "
        f"in {solution.months:.2g} months"
    )
    if solution.eps is None:
        return (
            f"{allowed}, and no eps was found that keeps to it: at {MAX_EPS} there are more. "
            "The history is not quiet; leave out what was real."
        )
    words = f"{allowed}. An eps that keeps to it is {solution.eps:g}"
    if solution.upper_95 is None or solution.upper_95 <= solution.budget:
        return f"{words}."
    upper = format(solution.upper_95, ".2g" if solution.upper_95 < 10 else ",.0f")
    return (
        f"{words}. The history is short for that: with {solution.n_alarms:,} alarms in it, up to "
        f"{upper} a month are possible (95 %); {upper_rate(0, solution.budget):.2g} quiet months "
        "would show that the budget is kept. Until then prefer the larger of this eps and today's."
    )


def config_lines(solution: Solution) -> str:
    """Write the decision block to paste: what is not default, the budget, and eps.

    Returns
    -------
    str
        YAML; empty where there is no solution.
    """
    if solution.eps is None:
        return ""
    decision = solution.config.decision
    values = decision.model_dump(exclude_defaults=True) | {
        "max_false_pages_per_month": decision.max_false_pages_per_month,
        "eps": decision.eps,
    }
    lines = [f"  {name}: {value:g}" for name, value in values.items()]
    return "\n".join(["decision:", *lines])


def report_json(
    reports: Sequence[Comparison], counted: Counted, absent: Sequence[str] = ()
) -> dict[str, Any]:
    """Return everything for ``--json``.

    Parameters
    ----------
    absent : sequence of str, optional
        Models that have no history.

    Returns
    -------
    dict
        ``models`` has one entry a model with ``today``, ``proposed`` and ``budget``, the
        latter two None where they were not asked for; ``without_history`` names the other
        models. Times are microseconds.
    """
    return {
        "accepted": counted.n_accepted,
        "late": counted.n_late,
        "rejected": counted.n_rejected,
        "models": [
            {
                "model": report.model,
                "start_us": report.today.outcome.start_us,
                "end_us": report.today.outcome.end_us,
                "today": _side_json(report.today),
                "proposed": _side_json(report.proposed) if report.proposed else None,
                "budget": _solution_json(report.solution) if report.solution else None,
            }
            for report in reports
        ],
        "without_history": list(absent),
    }


def _side_json(side: Side) -> dict[str, Any]:
    """Return one config's part."""
    outcome = side.outcome
    decision = outcome.config.decision
    return {
        "window_us": outcome.config.window.length_us,
        "max_false_pages_per_month": decision.max_false_pages_per_month,
        "eps": decision.eps,
        "threshold": outcome.threshold,
        "windows": outcome.n_windows,
        "windows_unjudged": outcome.n_unjudged,
        "coverage": outcome.coverage.as_document(),
        "rows": outcome.n_rows,
        "weeks": outcome.weeks,
        "incidents": outcome.n_incidents,
        "pages": outcome.n_pages,
        "tickets": outcome.n_tickets,
        "pages_per_week": outcome.pages_per_week,
        "tickets_per_week": outcome.tickets_per_week,
        "fired": [_alert_json(alert) for alert in outcome.notified],
        "pipeline": [_pipeline_json(alert) for alert in side.pipeline],
        "delays": [_delay_json(delay) for delay in side.delays],
    }


def _alert_json(alert: Alert) -> dict[str, Any]:
    """Return what would have been said of one cell."""
    return {
        "time_us": alert.time_us,
        "since_us": alert.window_start_us,
        "monitor": alert.monitor,
        "feature": alert.feature,
        "segment": alert.segment,
        "model_version": alert.model_version,
        "severity": alert.severity.value,
        "transition": alert.transition.value,
        "effect": alert.effect_size,
        "where": alert.effect_where,
        "n": alert.n,
        "evidence": alert.evidence,
    }


def _pipeline_json(alert: Alert) -> dict[str, Any]:
    """Return one change of an alert about rejected or late events."""
    return {
        "time_us": alert.time_us,
        "rule": alert.rule,
        "severity": alert.severity.value,
        "transition": alert.transition.value,
        "title": alert.title,
        "share": alert.p_current,
        "n": alert.n,
    }


def _delay_json(delay: Delay) -> dict[str, Any]:
    """Return one planted shift."""
    return {
        "feature": delay.feature,
        "shift_sd": delay.shift_sd,
        "at_us": delay.at_us,
        "horizon_windows": delay.horizon,
        "starts": delay.n_starts,
        "found": len(delay.delays),
        "share_found": delay.share_found,
        "delay_windows": list(delay.delays),
        "median_windows": delay.median,
        "fires_anyway": delay.is_firing_anyway,
    }


def _solution_json(solution: Solution) -> dict[str, Any]:
    """Return what was solved for."""
    return {
        "false_pages_per_month": solution.budget,
        "months": solution.months,
        "allowed": solution.n_allowed,
        "alarms": solution.n_alarms,
        "upper_95_per_month": solution.upper_95,
        "eps": solution.eps,
        "config": config_lines(solution),
    }


def report_sections(reports: Sequence[Comparison]) -> list[BacktestSection]:
    """Return the page's sections."""
    return [
        BacktestSection(
            name=report.model,
            headline=headline(report),
            start_us=min(s.outcome.start_us for s in report.sides.values()),
            end_us=max(s.outcome.end_us for s in report.sides.values()),
            tables=tables_of(report),
            panels=[_panel(report, cell) for cell in worst_cells(report)],
            solution=solution_text(report.solution) if report.solution else "",
            config_lines=config_lines(report.solution) if report.solution else "",
        )
        for report in reports
    ]


def worst_cells(report: Comparison) -> list[Cell]:
    """Return what fired under either config, the earliest first, then what came nearest to it."""
    ranks: dict[Cell, tuple[float, float]] = {}
    for side in report.sides.values():
        for cell, trace in side.outcome.traces.items():
            fired, peak = ranks.get(cell, (math.inf, math.inf))
            ranks[cell] = min([fired, *trace.fired_us]), min(peak, -max(trace.log_m))
    return sorted(ranks, key=lambda cell: (ranks[cell], cell))[:MAX_PANELS]


def _panel(report: Comparison, cell: Cell) -> EvidencePanel:
    """Bring one cell's evidence under each config together."""
    version, monitor, feature, segment = cell
    label = feature if segment == "*" else f"{feature} for {segment}"
    label += f" of version {version}" if version else ""
    label += " against the other replicas" if monitor == Monitor.REPLICA else ""
    return EvidencePanel(
        label,
        [
            _track(name, side.outcome, cell)
            for name, side in report.sides.items()
            if cell in side.outcome.traces
        ],
    )


def _track(name: str, outcome: Outcome, cell: Cell) -> EvidenceTrack:
    """Return one config's evidence of a cell."""
    trace = outcome.traces[cell]
    return EvidenceTrack(
        name,
        np.array(trace.time_us, np.int64),
        np.array(trace.log_m, np.float64),
        outcome.threshold,
        trace.fired_us,
    )
