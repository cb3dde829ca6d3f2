"""A backtest as sentences: the judged time, withheld verdicts, the solution for a budget."""

from __future__ import annotations

from collections.abc import Sequence

from monitor.backtest.budget import MAX_EPS, Solution, upper_rate
from monitor.backtest.comparison import ConfigComparison
from monitor.core.drift.coverage_text import coverage_lines
from schemas.alerts import Alert, Transition
from schemas.config.values import format_duration
from schemas.time_text import minute_text


def headline(report: ConfigComparison) -> str:
    """Return one line about the judged time."""
    today = report.today.outcome
    length = format_duration(today.config.window.length_us)
    span = f"{minute_text(today.start_us)} to {minute_text(today.end_us)}"
    judged = (
        f"{today.n_rows:,} rows in {today.n_windows:,} windows of {length}, "
        f"{span} ({today.weeks:.2g} weeks judged)."
    )
    lines = coverage_lines({("", report.model): today.coverage}, {("", report.model): today.config})
    return "\n".join([judged, *lines, *pipeline_lines(report.today.pipeline)])


def absent_line(model: str) -> str:
    """Return the line of a model without rows."""
    return f"{model}: no rows in this history, nothing to judge"


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
    """Return the alert because of which verdicts were withheld."""
    return f"  verdicts withheld {minute_text(opened.time_us)} {until}: {opened.title}"


def solution_text(solution: Solution) -> str:
    """Return the search, its result, and how strong the evidence of the history is."""
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
    found = f"{allowed}. An eps that keeps to it is {solution.eps:g}"
    if solution.upper_95 is None or solution.upper_95 <= solution.budget:
        return f"{found}."
    upper = format(solution.upper_95, ".2g" if solution.upper_95 < 10 else ",.0f")
    return (
        f"{found}. The history is short for that: with {solution.n_alarms:,} alarms in it, up to "
        f"{upper} a month are possible (95 %); {upper_rate(0, solution.budget):.2g} quiet months "
        "would show that the budget is kept. Until then prefer the larger of this eps and today's."
    )


def config_lines(solution: Solution) -> str:
    """Return the decision block to paste: settings that are not default, budget and eps.

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
