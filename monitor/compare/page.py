"""A comparison as one HTML page, whole in itself."""

from __future__ import annotations

from monitor.compare.figure import histogram_figure
from monitor.compare.results import Comparison, Omitted, Statistic, Variable
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
from monitor.report.markup import cards_table, scroll_region
from monitor.report.page import whole_page
from schemas.spelling import spell_html as escape

_STYLE = """
.pair { display:grid; grid-template-columns:minmax(0,1fr) minmax(0,2.3fr); gap:16px; }
.num { text-align:right; white-space:nowrap; }
.beyond td { font-weight:600; } .beyond .mark { color:var(--bad); }
.pair table { font-size:.8rem; } .pair th, .pair td { padding:3px 5px; }
.facts .more { font-size:1rem; font-weight:400; color:var(--soft); overflow-wrap:anywhere; }
.drifted { border-color:var(--bad); box-shadow:0 0 0 1px var(--bad); }
@media (max-width:720px) { .pair { grid-template-columns:minmax(0,1fr); } }
"""
_TITLE = "What differs"


def comparison_page(comparison: Comparison, reference: str, current: str) -> str:
    """Write the page.

    Parameters
    ----------
    reference, current : str
        What the sides are called.

    Returns
    -------
    str
        HTML without a script or an outside resource: it can be mailed.
    """
    facts = (
        ("reference", f"{comparison.n_reference:,} rows", reference),
        ("current", f"{comparison.n_current:,} rows", current),
        ("drifted", f"{len(comparison.drifted)} of {comparison.n_judged}", "variables"),
        ("level", f"{comparison.options.alpha:g}", f"of {comparison.n_tests} tests together"),
    )
    sections = [
        f"<style>{_STYLE}</style>",
        f"<h1>{_TITLE}</h1>",
        f'<p class="lead">{escape(headline(comparison))}</p>',
        f'<dl class="facts">{"".join(_fact(*fact) for fact in facts)}</dl>',
        f'<p class="soft">{escape(rule(comparison))}</p>',
        _summary(comparison),
        _together(comparison),
        _omitted(comparison),
        '<h2>Variable by variable</h2><div class="legend">'
        '<span><i class="ref"></i>reference</span><span><i class="cur"></i>current</span></div>',
        *(_card(i, v, comparison) for i, v in enumerate(comparison.variables)),
        f'<p class="soft">{escape(LEGEND)} {_LAST_WORDS}</p>',
    ]
    return whole_page(f"{_TITLE}: {reference} and {current}", sections)


_LAST_WORDS = (
    "Distances take ten quantiles of the reference, or the categories, and rows without a value "
    "as one more; tests of order leave those rows out."
)


def _fact(name: str, value: str, more: str) -> str:
    """One box under the headline."""
    return (
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd>"
        f'<dd class="more">{escape(more)}</dd></div>'
    )


def _summary(comparison: Comparison) -> str:
    """One line a variable."""
    if not comparison.variables:
        return "<p>No column could be compared.</p>"
    names = ("variable", "kind", "reference", "current", "shift", "verdict", "beyond")
    table = cards_table(names, [_summary_row(i, v) for i, v in enumerate(comparison.variables)])
    return f"<h2>Widest first</h2>{scroll_region('Widest first', table, css='card')}"


def _summary_row(i: int, variable: Variable) -> tuple[str, ...]:
    """Name, size and verdict of one variable, with a link to its card."""
    beyond = ", ".join(s.name for s in variable.statistics if s.is_beyond)
    css = "missed" if variable.is_drifted else "soft"
    return (
        f'<a href="#v{i}">{escape(variable.name)}</a>',
        str(variable.kind),
        f"{variable.n_reference:,}",
        f"{variable.n_current:,}",
        f"{variable.shift:.3f}",
        f'<span class="{css}">{verdict(variable)}</span>',
        escape(beyond),
    )


def _together(comparison: Comparison) -> str:
    """What no column shows alone."""
    found = comparison.together
    if found is None:
        return ""
    css = "card drifted" if found.is_drifted else "card"
    said = escape(together_text(found))
    return f'<h2>Together</h2><section class="{css}"><p>{said}</p></section>'


def _omitted(comparison: Comparison) -> str:
    """Columns that were not compared, and why."""
    if not comparison.omitted:
        return ""
    items = "".join(_omitted_item(o) for o in comparison.omitted)
    return f"<h2>Not compared</h2><ul>{items}</ul>"


def _omitted_item(omitted: Omitted) -> str:
    """One column; one that is gone has drifted."""
    reason = escape(omitted.reason)
    said = f'<span class="missed">{reason}</span>' if omitted.is_drift else reason
    return f"<li>{escape(omitted.name)}: {said}</li>"


def _card(i: int, variable: Variable, comparison: Comparison) -> str:
    """Picture and statistics of one variable."""
    css = "card drifted" if variable.is_drifted else "card"
    notes = "".join(f'<p class="soft">{escape(note)}</p>' for note in variable.notes)
    figure = histogram_figure(variable.name, variable.picture)
    return (
        f'<section class="{css}" id="v{i}"><h3>{escape(variable.name)} '
        f'<span class="soft">{variable.kind}, {verdict(variable)}</span></h3>{notes}'
        f'<div class="pair"><div>{figure}</div>'
        f"{scroll_region(f'Statistics of {variable.name}', _statistics(variable, comparison))}"
        "</div></section>"
    )


def _statistics(variable: Variable, comparison: Comparison) -> str:
    """Every statistic of one variable."""
    convention = comparison.options.convention
    names = ["value", "shift", "p, Holm", "threshold", *([convention] if convention else [])]
    head = "".join(f'<th scope="col" class="num">{name}</th>' for name in names)
    shown = [s for s in variable.statistics if not s.is_idle]
    rows = "".join(_statistic_row(s, has_peer=bool(convention)) for s in shown)
    first = '<th scope="col">statistic</th>'
    return f"<table><thead><tr>{first}{head}</tr></thead><tbody>{rows}</tbody></table>"


def _statistic_row(statistic: Statistic, *, has_peer: bool) -> str:
    """One statistic; bold and marked where it is beyond its threshold."""
    written = [
        _written(statistic.value),
        _written(round(statistic.shift, 4)),
        _written(statistic.p_adjusted, 2),
        _written(statistic.threshold),
    ]
    if has_peer:
        written.append(peer_cell(statistic.peer, 2) or "")
    rows = f"{statistic.n_reference:,} and {statistic.n_current:,} rows"
    tip = f"{rows}, p {_written(statistic.p_value) or 'none'}"
    mark = beyond_mark(statistic)
    said = f' <span class="mark">{mark}</span>' if mark else ""
    css = ' class="beyond"' if statistic.is_beyond else ""
    numbers = "".join(f'<td class="num">{cell}</td>' for cell in written)
    return f'<tr{css} title="{tip}"><td>{statistic.name}{said}</td>{numbers}</tr>'


def _written(value: float | None, digits: int = 4) -> str:
    """Few digits; nothing for what is not there."""
    shown = number(value)
    return "" if shown is None else f"{shown:.{digits}g}"
