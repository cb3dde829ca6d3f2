"""What a backtest reads from the verdicts of rule 2."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

from monitor.backtest.traces import Cell, Trace, n_rows_of
from monitor.core.drift.coverage import Coverage
from monitor.core.drift.decide import SeriesDecider
from monitor.core.drift.ticks.decider import ScaleDecider
from monitor.core.drift.window_results import DECISION
from schemas.config.model import ModelConfig
from schemas.monitors import Monitor
from schemas.panes import Window
from schemas.results import DetectorResult, Reason, Verdict


def fires_at(decider: SeriesDecider) -> float:
    """Return the evidence at which a decider fires, nats.

    Under rule 2 every scale has its own threshold: that of the shortest one, the highest.
    """
    if isinstance(decider, ScaleDecider):
        return float(decider.cells.rule.thresholds[0])
    return decider.rule.threshold


def is_tick_withheld(tick: Window, config: ModelConfig, withheld: Collection[int]) -> bool:
    """Return whether a tick is not judged, because the window before was withheld, as in detect."""
    length_us = config.window.length_us
    return tick.start_us // length_us * length_us in withheld


def cover_results(coverage: Coverage, window: Window, results: Sequence[DetectorResult]) -> bool:
    """Count what was judged of a window; return whether any cell got a verdict."""
    coverage.add(n_rows_of(window), results)
    return any(r.verdict is not Verdict.NONE for r in results if r.monitor == Monitor.DRIFT)


def trace_results(
    traces: dict[Cell, Trace], results: Sequence[DetectorResult], window: Window, threshold: float
) -> None:
    """Record the evidence of every cell.

    Parameters
    ----------
    threshold : float
        The one threshold of the trace: evidence is moved as far as the threshold of its scale
        is from it, so that a trace reaches it where the cell fires.
    """
    for result in results:
        if result.metric != DECISION:
            continue
        cell = (
            window.series.model_version, result.monitor.value, result.feature, result.segment,
        )  # fmt: skip
        margin = -math.inf
        if result.evidence is not None and result.threshold is not None:
            margin = result.evidence - result.threshold
        has_fired = result.reason is Reason.EVIDENCE
        traces.setdefault(cell, Trace()).add(window.end_us, threshold + margin, has_fired)
