"""One HTML page about a backtest: what each config would have reported, on what evidence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from monitor.backtest.tables import TextTable
from monitor.report.evidence_panel import EvidencePanel, evidence_panel
from monitor.report.templating import render


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
        Self-contained HTML: no script, no outside resource.
    """
    return render(
        "backtest.html", title=title, headline=headline, sections=sections, figure=evidence_panel
    )
