"""A comparison as one self-contained HTML page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from monitor.compare.figure import histogram_figure
from monitor.compare.results import Comparison, Variable, VariableStatistic
from monitor.compare.words import (
    LEGEND,
    beyond_mark,
    headline,
    number,
    peer_cell,
    rule,
    together_text,
    verdict,
)
from monitor.report.templating import render


@dataclass(frozen=True, slots=True)
class _Row:
    """One statistic; bold and marked where it is beyond its threshold."""

    name: str
    mark: str | None
    is_beyond: bool
    numbers: Sequence[str]
    tip: str


@dataclass(frozen=True, slots=True)
class _VariableCard:
    """One variable: its line in the summary, its picture and its statistics."""

    anchor: str
    name: str
    kind: str
    n_reference: str
    n_current: str
    shift: str
    verdict: str
    beyond: str
    is_drifted: bool
    notes: Sequence[str]
    figure: Markup
    statistics: Sequence[_Row]


def comparison_page(comparison: Comparison, reference: str, current: str) -> str:
    """Return the page as HTML.

    Parameters
    ----------
    reference, current : str
        What the sides are called.

    Returns
    -------
    str
        HTML without a script or an outside resource: it can be mailed.
    """
    together = comparison.together
    convention = comparison.options.convention
    return render(
        "comparison.html",
        package="monitor.compare",
        title=f"What differs: {reference} and {current}",
        headline=headline(comparison),
        facts=_facts(comparison, reference, current),
        rule=rule(comparison),
        cards=[_card(i, v, comparison) for i, v in enumerate(comparison.variables)],
        statistic_names=["value", "shift", "p, Holm", "threshold", *filter(None, [convention])],
        together="" if together is None else together_text(together),
        is_together_drifted=together is not None and together.is_drifted,
        omitted=comparison.omitted,
        explanation=LEGEND,
    )


def _facts(
    comparison: Comparison, reference: str, current: str
) -> tuple[tuple[str, str, str], ...]:
    """Return name, value and more of each box under the headline."""
    return (
        ("reference", f"{comparison.n_reference:,} rows", reference),
        ("current", f"{comparison.n_current:,} rows", current),
        ("drifted", f"{len(comparison.drifted)} of {comparison.n_judged}", "variables"),
        ("level", f"{comparison.options.alpha:g}", f"of {comparison.n_tests} tests together"),
    )


def _card(i: int, variable: Variable, comparison: Comparison) -> _VariableCard:
    has_peer = bool(comparison.options.convention)
    return _VariableCard(
        anchor=f"v{i}",
        name=variable.name,
        kind=str(variable.kind),
        n_reference=f"{variable.n_reference:,}",
        n_current=f"{variable.n_current:,}",
        shift=f"{variable.shift:.3f}",
        verdict=verdict(variable),
        beyond=", ".join(s.name for s in variable.statistics if s.is_beyond),
        is_drifted=variable.is_drifted,
        notes=variable.notes,
        figure=histogram_figure(variable.name, variable.picture),
        statistics=[_row(s, has_peer=has_peer) for s in variable.statistics if not s.is_idle],
    )


def _row(statistic: VariableStatistic, *, has_peer: bool) -> _Row:
    numbers = [
        _written(statistic.value),
        _written(round(statistic.shift, 4)),
        _written(statistic.p_adjusted, 2),
        _written(statistic.threshold),
    ]
    if has_peer:
        numbers.append(peer_cell(statistic.peer, 2) or "")
    rows = f"{statistic.n_reference:,} and {statistic.n_current:,} rows"
    return _Row(
        statistic.name,
        beyond_mark(statistic),
        statistic.is_beyond,
        numbers,
        f"{rows}, p {_written(statistic.p_value) or 'none'}",
    )


def _written(value: float | None, digits: int = 4) -> str:
    """Format a number with few digits; an empty text for None."""
    shown = number(value)
    return "" if shown is None else f"{shown:.{digits}g}"
