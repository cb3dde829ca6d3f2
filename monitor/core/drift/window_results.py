"""Builds the rows of ``results``: all cells of a window, fired or not. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from detectors.decision_rule.decision import REASONS, verdict_of
from detectors.decision_rule.settings import RUNG_NAMES
from detectors.evaluate.cells import Statistic
from detectors.evaluate.fairness_rows import evaluate_fairness
from detectors.evaluate.plan import StatisticPlan
from monitor.core.drift.alerts import CellGroup, finite
from monitor.core.drift.canary import CanaryOutcome, CanarySchedule, Sighting
from monitor.core.drift.cells import label_of
from schemas.baselines import Baseline, Kind
from schemas.config.model import ModelConfig
from schemas.monitors import Monitor
from schemas.panes import ALL, Window
from schemas.result_table import ResultTable, VerdictColumns
from schemas.results import DetectorResult, Reason, Verdict

DECISION = "decision"
"""Metric of the decision rule's verdicts."""
_VERDICTS: Final = (Verdict.DRIFT, Verdict.NORMAL, Verdict.NONE)
_QUIET: Final = np.array([_VERDICTS.index(verdict_of(r, has_fired=False)) for r in REASONS])
"""Position of the verdict on a cell that did not fire, by reason."""
_RUNGS: Final = ("", *RUNG_NAMES)
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


def verdict_table(group: CellGroup, window: Window) -> ResultTable:
    """Return the verdict of the rule on each cell of a group, as columns."""
    decision, n_cells, n_variables = group.decision, len(group), len(group.variables)
    cell = np.arange(n_cells)
    wheres, where = _named_sets(group)
    columns = VerdictColumns(
        features=tuple(variable.name for variable in group.variables),
        segments=group.segments,
        metrics=(DECISION,),
        reasons=REASONS,
        feature=cell % n_variables,
        segment=cell // n_variables,
        metric=np.zeros(n_cells, np.int64),
        reason=decision.reason,
        statistic=_finite(decision.p_current),
        p_value=np.full(n_cells, np.nan),
        effect_size=_finite(decision.effect),
        threshold=np.full(n_cells, decision.threshold),
        n=decision.n,
        n_reference=group.reference_counts.sum(axis=1),
        verdicts=_VERDICTS,
        rungs=_RUNGS,
        wheres=wheres,
        verdict=np.where(decision.has_fired, 0, _QUIET[decision.reason]),
        rung=np.where(decision.has_fired, decision.rung + 1, 0),
        effect_where=where,
        evidence=_finite(decision.log_m),
        minimum_detectable_effect=_finite(decision.mde),
        eps=_finite(decision.eps),
    )
    return ResultTable(monitor=group.monitor, columns=columns, **shared_fields(window))


def without_verdicts(table: ResultTable, reason: Reason) -> ResultTable:
    """Return the same numbers without verdicts, all for one reason."""
    columns = table.columns
    if not isinstance(columns, VerdictColumns):
        return table
    nothing = np.zeros(len(columns), np.int64)
    hidden = replace(
        columns,
        reasons=(reason,),
        verdicts=(Verdict.NONE,),
        rungs=("",),
        reason=nothing,
        verdict=nothing,
        rung=nothing,
    )
    return replace(table, columns=hidden)


def _named_sets(group: CellGroup) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """Return the label of each cell's reported set, and its position; empty without rows."""
    positions: dict[str, int] = {}
    where = [
        positions.setdefault(label_of(group.set_names[i]) if i >= 0 else "", len(positions))
        for i in group.decision.set_index.tolist()
    ]
    return tuple(positions), np.array(where, np.int64)


def _finite(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return numbers, with NaN for what is infinite."""
    return np.where(np.isfinite(values), values, np.nan)


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


def cell_outcomes(
    results: Iterable[DetectorResult], tables: Iterable[ResultTable] = ()
) -> Counter[tuple[str, str]]:
    """Count the cells that drift rules judge, by segment and reason for no verdict.

    Parameters
    ----------
    results, tables
        Rows of windows, in both forms.

    Returns
    -------
    Counter of (str, str)
        The empty reason counts cells with a verdict.
    """
    found = Counter(
        (r.segment, r.reason.value if r.verdict is Verdict.NONE else "")
        for r in results
        if r.metric == DECISION and r.monitor == Monitor.DRIFT
    )
    for table in tables:
        columns = table.columns
        if table.monitor == Monitor.DRIFT and isinstance(columns, VerdictColumns):
            has_none = np.array([v is Verdict.NONE for v in columns.verdicts])[columns.verdict]
            n_reasons = len(columns.reasons) + 1
            codes = columns.segment * n_reasons + np.where(has_none, columns.reason + 1, 0)
            numbers = np.bincount(codes, minlength=len(columns.segments) * n_reasons)
            reasons = ("", *(reason.value for reason in columns.reasons))
            for code in np.flatnonzero(numbers).tolist():
                segment, reason = divmod(code, n_reasons)
                found[columns.segments[segment], reasons[reason]] += int(numbers[code])
    return found


def no_verdict_reason(results: Iterable[DetectorResult], tables: Iterable[ResultTable] = ()) -> str:
    """Return the reason why no cell of a window has a verdict.

    Parameters
    ----------
    results, tables
        Rows of all versions, in both forms.

    Returns
    -------
    str
        The most frequent reason; empty if at least one cell has a verdict, or there are no cells.
    """
    return most_frequent_reason(cell_outcomes(results, tables))


def most_frequent_reason(outcomes: Mapping[tuple[str, str], int]) -> str:
    """Return :func:`no_verdict_reason` of counted cells."""
    counts: Counter[str] = Counter()
    for (_, reason), n in outcomes.items():
        counts[reason] += n
    if counts[""]:
        return ""
    del counts[""]
    if len(counts) > 1:
        counts.pop(Reason.NO_DATA, None)  # reasons of empty segments are ignored
    return max(sorted(counts), key=lambda reason: counts[reason], default="")


def canary_result(sighting: Sighting, canary: CanarySchedule, window: Window) -> DetectorResult:
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
