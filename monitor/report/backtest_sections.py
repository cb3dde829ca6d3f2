"""A backtest's sections of the page."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from monitor.backtest.comparison import ConfigComparison
from monitor.backtest.judging import Cell, Outcome
from monitor.backtest.tables import tables_of
from monitor.backtest.text import config_lines, headline, solution_text
from monitor.report.backtest_page import BacktestSection
from monitor.report.evidence_panel import EvidencePanel, EvidenceTrack
from schemas.monitors import Monitor

MAX_PANELS = 6
"""Cells whose evidence is drawn."""


def report_sections(reports: Sequence[ConfigComparison]) -> list[BacktestSection]:
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


def worst_cells(report: ConfigComparison) -> list[Cell]:
    """Return what fired under either config, the earliest first, then what came nearest to it."""
    ranks: dict[Cell, tuple[float, float]] = {}
    for side in report.sides.values():
        for cell, trace in side.outcome.traces.items():
            fired, peak = ranks.get(cell, (math.inf, math.inf))
            ranks[cell] = min([fired, *trace.fired_us]), min(peak, -max(trace.log_m))
    return sorted(ranks, key=lambda cell: (ranks[cell], cell))[:MAX_PANELS]


def _panel(report: ConfigComparison, cell: Cell) -> EvidencePanel:
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
