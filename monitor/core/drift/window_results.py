"""Builds the rows of ``results``: all cells of a window, fired or not. Pure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.decision_rule.decision import REASONS, verdict_of
from detectors.evaluate.cells import Statistic
from detectors.evaluate.fairness_rows import evaluate_fairness
from detectors.evaluate.plan import StatisticPlan
from monitor.core.drift.alerts import CellView, finite
from monitor.core.drift.canary import Canary, CanaryOutcome, Sighting
from monitor.core.drift.cells import label_of
from schemas.baselines import Baseline, Kind
from schemas.config.model import ModelConfig
from schemas.monitors import Monitor
from schemas.panes import ALL, Window
from schemas.result_table import ResultTable
from schemas.results import DetectorResult, Reason, Verdict

DECISION = "decision"
"""Metric of the decision rule's verdicts."""
CANARY_DELAY = "canary_delay"
"""Metric of canaries: planted windows until detection; NULL if not detected."""


def statistic_plan(baseline: Baseline, config: ModelConfig) -> StatisticPlan:
    """Return what computes the descriptive statistics of windows of one baseline."""
    ranges = {
        name: feature.range
        for name, feature in config.features.items()
        if feature.range is not None and feature.kind is Kind.NUMERIC
    }
    return StatisticPlan(baseline, min_rows=config.decision.min_rows, ranges=ranges)


def statistic_table(window: Window, plan: StatisticPlan) -> ResultTable:
    """Return every descriptive statistic of the window's cells against the baseline."""
    return ResultTable(
        monitor=Monitor.DRIFT,
        revised=window.is_revised,
        columns=plan.columns(window.segments),
        **shared_fields(window),
    )


def fairness_results(window: Window, config: ModelConfig) -> list[DetectorResult]:
    """Return how the window's predictions treat the groups of each protected attribute."""
    shared = shared_fields(window)
    fairness = evaluate_fairness(window.segments, config.protected)
    return [_statistic_result(Monitor.FAIRNESS, row, shared) for row in fairness]


def decision_results(views: Sequence[CellView], window: Window) -> list[DetectorResult]:
    """Return the verdict of the rule on each cell."""
    shared, results = shared_fields(window), list[DetectorResult]()
    for _, group in groupby(views, key=lambda view: id(view.decision)):
        results += _of_one_decision(list(group), shared)
    return results


def _of_one_decision(views: Sequence[CellView], shared: dict[str, Any]) -> list[DetectorResult]:
    """Return the results of cells that were evaluated together.

    Notes
    -----
    Arrays are converted to lists once; element access took .4 ms for 32 cells.
    """
    decision = views[0].decision
    n, p, log_m = decision.n.tolist(), _finite(decision.p_current), _finite(decision.log_m)
    effect, mde, eps = _finite(decision.effect), _finite(decision.mde), _finite(decision.eps)
    n_reference = np.array([view.reference_counts for view in views]).sum(axis=1).tolist()
    named, fired = decision.set_index.tolist(), decision.has_fired.tolist()
    reasons = [REASONS[code] for code in decision.reason.tolist()]
    where = [label_of(v.set_names[i]) if (i := named[v.index]) >= 0 else "" for v in views]
    return [
        DetectorResult(
            **shared,
            monitor=view.monitor,
            feature=view.variable.name,
            segment=view.segment,
            metric=DECISION,
            statistic=p[view.index],
            evidence=log_m[view.index],
            effect_size=effect[view.index],
            effect_where=where[k],
            threshold=decision.threshold,
            n=n[view.index],
            n_reference=n_reference[k],
            minimum_detectable_effect=mde[view.index],
            eps=eps[view.index],
            rung=decision.rung_of(view.index) if fired[view.index] else "",
            verdict=verdict_of(reasons[view.index], has_fired=fired[view.index]),
            reason=reasons[view.index],
        )
        for k, view in enumerate(views)
    ]


def _finite(values: NDArray[np.float64]) -> list[float | None]:
    """Return numbers, with None for NaN."""
    return [value if math.isfinite(value) else None for value in values.tolist()]


def no_verdict_result(window: Window, reason: Reason) -> DetectorResult:
    """Return the single row of a window without verdicts, with the reason."""
    return DetectorResult(
        **shared_fields(window),
        monitor=Monitor.DRIFT,
        feature=ALL,
        segment=ALL,
        metric=DECISION,
        statistic=None,
        n=int(window.segments.n_rows[0]) if len(window.segments.segments) else 0,
        verdict=Verdict.NONE,
        reason=reason,
    )


def no_verdict_reason(results: list[DetectorResult]) -> str:
    """Return the reason why no cell of a window has a verdict.

    Parameters
    ----------
    results : list of DetectorResult
        Results of all versions.

    Returns
    -------
    str
        The most frequent reason; empty if at least one cell has a verdict, or there are no cells.
    """
    cells = [r for r in results if r.metric == DECISION and r.monitor == Monitor.DRIFT]
    if any(r.verdict is not Verdict.NONE for r in cells):
        return ""
    counts = Counter(r.reason.value for r in cells)
    if len(counts) > 1:
        counts.pop(Reason.NO_DATA, None)  # reasons of empty segments are ignored
    return max(sorted(counts), key=lambda reason: counts[reason], default="")


def canary_result(sighting: Sighting, canary: Canary, window: Window) -> DetectorResult:
    """Return the result of one planted shift: the number of windows until its detection."""
    decision, is_found = sighting.decision, sighting.outcome is CanaryOutcome.FOUND
    has_verdict = sighting.outcome is not CanaryOutcome.SKIPPED
    quiet = Verdict.NORMAL if has_verdict else Verdict.NONE
    return DetectorResult(
        **shared_fields(window),
        monitor=Monitor.CANARY,
        feature=canary.feature,
        segment=ALL,
        metric=CANARY_DELAY,
        statistic=float(sighting.n_windows) if is_found else None,
        evidence=finite(decision.log_m[0]) if decision else None,
        effect_size=finite(decision.effect[0]) if decision else None,
        threshold=decision.threshold if decision else None,
        n=int(decision.n[0]) if decision else 0,
        n_reference=sighting.n_reference,
        minimum_detectable_effect=finite(decision.mde[0]) if decision else None,
        verdict=Verdict.DRIFT if is_found else quiet,
        reason=decision.reason_of(0) if decision else sighting.reason,
    )


def canary_counter(result: DetectorResult) -> str:
    """Return the name of the counter of a planted shift's outcome."""
    if result.statistic is not None:
        return f"canary_found_{int(result.statistic)}"
    outcome = CanaryOutcome.SKIPPED if result.verdict is Verdict.NONE else CanaryOutcome.MISSED
    return f"canary_{outcome.value}"


def shared_fields(window: Window) -> dict[str, Any]:
    """Return the fields that all results of a window share."""
    series = window.series
    return {
        "tenant": series.tenant,
        "model": series.model,
        "model_version": series.model_version,
        "profile_id": series.profile_id,
        "window_us": window.end_us - window.start_us,
        "start_us": window.start_us,
        "end_us": window.end_us,
        "closed_by": window.closed_by,
    }


def _statistic_result(monitor: Monitor, row: Statistic, shared: dict[str, Any]) -> DetectorResult:
    """Return a descriptive statistic as a result, without verdict."""
    return DetectorResult(
        **shared,
        monitor=monitor,
        feature=row.feature,
        segment=row.segment,
        metric=row.metric,
        statistic=row.statistic,
        p_value=row.p_value,
        effect_size=row.effect_size,
        threshold=row.threshold,
        n=row.n,
        n_reference=row.n_reference,
        verdict=Verdict.NONE,
        reason=row.reason,
    )
