"""One HTML page about a backtest: what each config would have said, and on what evidence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from monitor.report.evidence_panel import EvidencePanel, evidence_panel
from monitor.report.page import whole_page

_LEGEND = (
    '<div class="legend"><span><i class="others"></i>today</span>'
    '<span><i class="cur"></i>proposed</span></div>'
)


@dataclass(frozen=True, slots=True)
class TextTable:
    """A table of words and numbers, written already."""

    title: str
    note: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    """An empty table is said to be empty in words."""


@dataclass(frozen=True, slots=True)
class BacktestSection:
    """One model."""

    name: str
    headline: str
    start_us: int
    end_us: int
    tables: Sequence[TextTable]
    panels: Sequence[EvidencePanel]
    """The cells with the most evidence, the worst first."""
    solution: str = ""
    """What keeps to a budget, in a sentence."""
    config_lines: str = ""
    """The same, to paste."""


def render_backtest(title: str, headline: str, sections: Sequence[BacktestSection]) -> str:
    """Return the page as text.

    Parameters
    ----------
    title, headline : str
    sections : sequence of BacktestSection
        One a model.

    Returns
    -------
    str
        HTML, whole in itself: no script, no outside resource.
    """
    head = f'<h1>{escape(title)}</h1><p class="lead">{escape(headline)}</p>'
    return whole_page(title, [head, *map(_section, sections)])


def _section(section: BacktestSection) -> str:
    """Write one model: rates, evidence, what fired, delays."""
    first, *rest = [_table(table) for table in section.tables] or [""]
    lines = f"<pre>{escape(section.config_lines)}</pre>" if section.config_lines else ""
    found = f"<p>{escape(section.solution)}</p>{lines}" if section.solution else ""
    paste = f'<div class="card"><h3>The budget</h3>{found}</div>' if found else ""
    return (
        f"<h2>{escape(section.name)}</h2><p>{escape(section.headline)}</p>"
        f"{first}{paste}{_panels(section)}{''.join(rest)}"
    )


def _panels(section: BacktestSection) -> str:
    """Draw the evidence, cell by cell."""
    if not section.panels:
        return ""
    cards = "".join(
        f'<div class="card scroll wide"><h3>{escape(panel.label)}</h3>'
        f"{evidence_panel(panel, section.start_us, section.end_us)}</div>"
        for panel in section.panels
    )
    return (
        "<h3>Evidence of the worst cells</h3>"
        '<p class="soft">Each line is log M of one cell: how strongly its windows so far speak '
        "against “nothing beyond the tolerance”. It fires at its dashed line if "
        "enough of its windows were positive, and starts again; each firing is a mark at the "
        f"top.</p>{_LEGEND}{cards}"
    )


def _table(table: TextTable) -> str:
    """Write one table; each cell names its column for narrow screens."""
    note = f'<p class="soft">{escape(table.note)}</p>' if table.note else ""
    if not table.rows:
        return f"<h3>{escape(table.title)}</h3>{note}<p>None.</p>"
    head = "".join(f"<th>{escape(name)}</th>" for name in table.columns)
    rows = "".join(
        "<tr>"
        + "".join(
            f'<td data-name="{escape(name)}">{escape(value)}</td>'
            for name, value in zip(table.columns, row, strict=True)
        )
        + "</tr>"
        for row in table.rows
    )
    return (
        f'<h3>{escape(table.title)}</h3>{note}<div class="card scroll"><table class="cards dated">'
        f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
    )
