"""One HTML page about a backtest: what each config would have said, and on what evidence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from monitor.report.evidence_panel import EvidencePanel, evidence_panel
from monitor.report.templating import render


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
    return render(
        "backtest.html", title=title, headline=headline, sections=sections, figure=evidence_panel
    )
