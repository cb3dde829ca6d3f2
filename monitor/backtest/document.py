"""A backtest as one document, for programs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from monitor.backtest.budget import Solution
from monitor.backtest.comparison import ConfigComparison, ConfigSide
from monitor.backtest.counting import Counted
from monitor.backtest.delays import Delay
from monitor.backtest.text import config_lines
from schemas.alerts import Alert, onset_fields


def backtest_document(
    reports: Sequence[ConfigComparison], counted: Counted, absent: Sequence[str] = ()
) -> dict[str, Any]:
    """Return the whole backtest for ``--json``.

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


def _side_json(side: ConfigSide) -> dict[str, Any]:
    """Return the result of one config."""
    outcome = side.outcome
    decision = outcome.config.decision
    return {
        "window_us": outcome.config.window.length_us,
        "rule": decision.rule,
        "max_false_pages_per_month": decision.monthly_budget(),
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
        "delays": [_delay_json(d, outcome.config.window.length_us) for d in side.delays],
    }


def _alert_json(alert: Alert) -> dict[str, Any]:
    """Return an alert that would have been sent about one cell."""
    return {
        "time_us": alert.time_us,
        "since_us": alert.window_start_us,
        **onset_fields(alert.onset),
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


def _delay_json(delay: Delay, length_us: int) -> dict[str, Any]:
    """Return one planted shift; under rule 2 windows are fractions of their number."""
    unit_us = delay.unit_us or length_us
    windows = unit_us / length_us if delay.unit_us else 1
    return {
        "feature": delay.feature,
        "shift_sd": delay.shift_sd,
        "at_us": delay.at_us,
        "horizon_windows": delay.horizon * windows,
        "starts": delay.n_starts,
        "found": len(delay.delays),
        "share_found": delay.share_found,
        "delay_windows": [n * windows for n in delay.delays],
        "median_windows": None if delay.median is None else delay.median * windows,
        "median_us": None if delay.median is None else round(delay.median * unit_us),
        "fires_anyway": delay.is_firing_anyway,
    }


def _solution_json(solution: Solution) -> dict[str, Any]:
    """Return the solution for a budget."""
    return {
        "false_pages_per_month": solution.budget,
        "months": solution.months,
        "allowed": solution.n_allowed,
        "alarms": solution.n_alarms,
        "upper_95_per_month": solution.upper_95,
        "eps": solution.eps,
        "config": config_lines(solution),
    }
