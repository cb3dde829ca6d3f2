"""One HTML page about a backtest: what each config would have said, and on what evidence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from monitor.report.evidence_panel import EvidencePanel, evidence_panel
from monitor.report.evidence_words import nats_detail
from monitor.report.markup import cards_table, scroll_region
from monitor.report.page import whole_page
from schemas.spelling import spell_html as escape

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
    first, *rest = [_table(section.name, table) for table in section.tables] or [""]
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
    cards = "".join(_panel(section, panel) for panel in section.panels)
    thresholds = ", ".join(
        f"{track.name} fires at log M = {track.threshold:.2f}" for track in section.panels[0].tracks
    )
    nats = nats_detail(f"the scale is the logarithm of evidence M; {thresholds}")
    return (
        "<h3>Evidence of the worst cells</h3>"
        '<p class="soft">Each line is one cell: in how many windows chance alone would get so far '
        "once, if nothing had changed by more than the tolerance. It fires at its dashed line if "
        "enough of its windows were positive, and starts again; each firing is a mark at the "
        f"top.</p>{nats}{_LEGEND}{cards}"
    )


def _panel(section: BacktestSection, panel: EvidencePanel) -> str:
    """Draw one cell."""
    figure = evidence_panel(panel, section.start_us, section.end_us)
    region = scroll_region(f"Evidence of {panel.label}, {section.name}", figure, css="wide")
    return f'<section class="card"><h4>{escape(panel.label)}</h4>{region}</section>'


def _table(section: str, table: TextTable) -> str:
    """Write one table."""
    note = f'<p class="soft">{escape(table.note)}</p>' if table.note else ""
    if not table.rows:
        return f"<h3>{escape(table.title)}</h3>{note}<p>None.</p>"
    rows = [[escape(value) for value in row] for row in table.rows]
    written = cards_table(table.columns, rows, css="dated")
    region = scroll_region(f"{table.title}, {section}", written, css="card")
    return f"<h3>{escape(table.title)}</h3>{note}{region}"
