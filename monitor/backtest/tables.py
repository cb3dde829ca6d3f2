"""A backtest as tables of text, for the terminal and the page."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from monitor.backtest.comparison import ConfigComparison, ConfigSide
from monitor.backtest.delays import Delay
from monitor.backtest.judging import Outcome
from monitor.core.incidents.evidence_text import rarity_text
from schemas.alerts import Alert, Transition
from schemas.config.model import ModelConfig
from schemas.config.values import format_duration
from schemas.time_text import minute_text

_NO_VERDICT = "no verdict"


@dataclass(frozen=True, slots=True)
class TextTable:
    """A table whose cells are text."""

    title: str
    note: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


def tables_of(report: ConfigComparison) -> list[TextTable]:
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
        if any(d.unit_us for side in report.sides.values() for d in side.delays):
            note += " Rule 2 judges ticks: its delays are times."
        if _has_two_lengths(report):
            note += " Windows differ in length: their length is given beside their number."
        columns = ("feature", "planted", *names)
        tables.append(TextTable("Planted shifts", note, columns, _delay_rows(report)))
    return tables


def _rate_rows(report: ConfigComparison) -> list[tuple[str, ...]]:
    """Return notification rates and settings of each config."""
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
        row("fires at", [_threshold(o) for o in outcomes]),
        row("false pages a month", [f"{d.monthly_budget():g}" for d in decisions]),
        *_setting_rows([o.config for o in outcomes]),
    ]


def _setting_rows(configs: Sequence[ModelConfig]) -> list[tuple[str, ...]]:
    """Return the settings of the rules in use; one that a side's rule has not is left empty."""
    texts = [_setting_texts(config) for config in configs]
    names = [name for name in _SETTINGS if any(name in own for own in texts)]
    rules = [config.decision.rule for config in configs]
    has_two_rules = len(set(rules)) > 1 or rules[0] != 1
    rows = [("rule", *(f"{rule}" for rule in rules))] if has_two_rules else []
    return rows + [(name, *(own.get(name, "") for own in texts)) for name in names]


_SETTINGS = ("eps", "persistence", "tick", "smallest")


def _setting_texts(config: ModelConfig) -> dict[str, str]:
    """Format the settings of a config's rule."""
    decision = config.decision
    if decision.rule == 1:
        return {"eps": f"{decision.eps:g}", "persistence": f"{decision.persistence}"}
    return {"tick": format_duration(config.tick_us), "smallest": f"{decision.smallest:g}"}


def _rate(per_week: float | None, n: int) -> str:
    """Format a rate with its count: in a short history a few alerts are a high rate."""
    return _NO_VERDICT if per_week is None else f"{per_week:.3g} ({n:,})"


def _threshold(outcome: Outcome) -> str:
    """Format the threshold: how rarely chance reaches it, or nats at the shortest scale."""
    if math.isnan(outcome.threshold):
        return _NO_VERDICT
    if outcome.config.decision.rule != 1:
        return f"{outcome.threshold:.1f} nats at the shortest scale"
    return f"once in {rarity_text(outcome.threshold)} windows"


def _fired_rows(report: ConfigComparison) -> list[tuple[str, ...]]:
    """Return a line for each cell and window in which a config notifies a receiver."""
    found: dict[tuple[Any, ...], dict[str, Alert]] = {}
    for name, side in report.sides.items():
        for alert in side.outcome.notified:
            key = (alert.time_us, alert.monitor, alert.feature, alert.segment, alert.model_version)
            found.setdefault(key, {})[name] = alert
    rows = []
    for (time_us, *_), by_side in sorted(found.items(), key=lambda item: item[0]):
        alert = next(iter(by_side.values()))
        severities = (_severity(by_side.get(name)) for name in report.sides)
        effect = "" if alert.effect_size is None else f"{alert.effect_size:+.3f}"
        place = (alert.feature, alert.segment, effect, alert.effect_where, f"{alert.n:,}")
        rows.append((minute_text(time_us), *place, *severities))
    return rows


def _severity(alert: Alert | None) -> str:
    """Return the severity as text."""
    if alert is None:
        return ""
    is_worse = alert.transition is Transition.ESCALATED
    return f"{alert.severity.value} (was less)" if is_worse else alert.severity.value


def _delay_rows(report: ConfigComparison) -> list[tuple[str, ...]]:
    """Return one line per planted shift."""
    sides = report.sides.values()
    has_lengths = _has_two_lengths(report) or _has_two_units(report)
    keys = dict.fromkeys((d.feature, d.shift_sd) for side in sides for d in side.delays)
    rows = []
    for key in keys:
        cells = [_delays(side, key, has_length=has_lengths) for side in sides]
        rows.append((key[0], f"{key[1]:+g} sd", *cells))
    return rows


def _has_two_lengths(report: ConfigComparison) -> bool:
    """Return whether the sides' windows differ, so that their numbers cannot be compared."""
    return len({side.outcome.config.window.length_us for side in report.sides.values()}) > 1


def _has_two_units(report: ConfigComparison) -> bool:
    """Return whether delays of one side are windows, and those of the other ticks."""
    return len({d.unit_us for side in report.sides.values() for d in side.delays}) > 1


def _delays(side: ConfigSide, key: tuple[str, float], *, has_length: bool) -> str:
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
    >>> _delay(Delay("x", 0.3, None, 288, 5, (12, 9, 13), unit_us=300_000_000))
    '1h 5m (3 of 5 within 1d)'
    """
    since = "" if delay.at_us is None else f" from {minute_text(delay.at_us)}"
    if not delay.n_starts:
        return "no quiet stretch to plant it in"
    if delay.is_firing_anyway:
        return f"{_time(delay, delay.delays[0], length_us)}{since}, and fires without it"
    within = _time(delay, delay.horizon, length_us)
    found = f"({len(delay.delays)} of {delay.n_starts} within {within}){since}"
    if delay.median is None:
        return f"not found {found}"
    return f"{_time(delay, delay.median, length_us)} {found}"


def _time(delay: Delay, n: float, length_us: int | None) -> str:
    """Write a number of windows, and how long they are together; of ticks only the latter."""
    if delay.unit_us:
        return format_duration(round(n * delay.unit_us))
    return f"{n:g}" if length_us is None else f"{n:g} = {format_duration(round(n * length_us))}"
