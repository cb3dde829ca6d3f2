"""Rows of ``results`` of the cells that rule 2 judges: the strongest evidence within a window."""

from __future__ import annotations

import math
import sys
from collections.abc import Collection, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from detectors.kernels.scale_state import IS_SHARE, P
from detectors.multiscale.rule import CONTEXTS
from detectors.multiscale.thresholds import SCALE_HOURS
from monitor.core.drift.alerts import finite
from monitor.core.drift.cells import align_counts
from monitor.core.drift.ticks.cells import ScaleCells
from monitor.core.drift.ticks.state import CellFinding
from monitor.core.drift.window_results import DECISION, shared_fields
from schemas.alerts import Onset
from schemas.baselines import Baseline
from schemas.monitors import Monitor
from schemas.panes import Window
from schemas.results import DetectorResult, Reason, Verdict

RULE: Final = 2


def scale_results(
    window: Window,
    baseline: Baseline,
    cells: ScaleCells,
    peaks: Mapping[int, CellFinding],
    onsets: Mapping[int, tuple[int, int, int]],
    is_judged: NDArray[np.bool_],
    unjudged: Reason = Reason.TOO_FEW_SAMPLES,
) -> list[DetectorResult]:
    """Return the verdict of rule 2 on each declared cell of a window.

    Parameters
    ----------
    peaks : mapping of int to CellFinding
        Strongest evidence among the window's ticks, by cell.
    onsets : mapping of int to (int, int, int)
        Of cells whose alert is open: most likely, first and last likely beginning.
    is_judged : ndarray of bool, shape (C,)
        Cells with an average that is old enough to be judged and a tick in this window, or with
        enough rows for a total loss.
    unjudged : Reason, optional
        Why the others are not judged.
    """
    segments, variables = baseline.reference.segments, baseline.variables
    n = align_counts(window.segments, segments).sum(axis=1)
    n_reference = baseline.reference.counts.reshape(len(n), -1).sum(axis=1)
    cell_of = {cell.place: c for c, cell in enumerate(cells.cells)}
    shared = shared_fields(window)
    found = []
    for place in range(len(n)):
        c = cell_of.get(place)
        peak = peaks.get(c) if c is not None else None
        is_young = not (is_judged.any() if c is None else is_judged[c])
        why = unjudged if is_young else None
        verdict, reason = _verdict(c, int(n[place]), peak, onsets, why)
        onset = onsets.get(c) if c is not None else None
        found.append(
            DetectorResult(
                **shared,
                **_figures(cells, peak),
                **_onset_fields(onset),
                monitor=Monitor.DRIFT,
                feature=variables[place % len(variables)].name,
                segment=segments[place // len(variables)],
                metric=DECISION,
                n=int(n[place]),
                n_reference=int(n_reference[place]),
                verdict=verdict,
                reason=reason,
                rule=RULE,
            )
        )
    return found


def _onset_fields(onset: tuple[int, int, int] | None) -> dict[str, Any]:
    """Return the beginning of an open alert by field name; nothing is set without an alert."""
    return {} if onset is None else dict(zip(Onset._fields, onset, strict=True))


def _verdict(
    cell: int | None,
    n: int,
    peak: CellFinding | None,
    open_cells: Collection[int],
    unjudged: Reason | None,
) -> tuple[Verdict, Reason]:
    """Return the verdict on a cell and its reason; ``unjudged`` is why it has none."""
    if n == 0:
        return Verdict.NONE, Reason.NO_DATA
    if cell is None and unjudged is not Reason.TOO_FEW_SAMPLES:
        return Verdict.NONE, Reason.NO_BASELINE
    if peak is not None and peak.margin >= 0:
        return Verdict.DRIFT, Reason.EVIDENCE
    if cell in open_cells:
        return Verdict.DRIFT, Reason.STILL_FIRING
    if unjudged is not None:
        return Verdict.NONE, unjudged
    return Verdict.NORMAL, Reason.WITHIN_TOLERANCE


def _figures(cells: ScaleCells, peak: CellFinding | None) -> dict[str, Any]:
    """Return the fields of the strongest evidence of a cell."""
    if peak is None or peak.component < 0:
        return {"statistic": None}
    i, plan = peak.component, cells.plan
    now = peak.change
    if plan.codes[i, IS_SHARE]:
        now = float(np.clip(plan.constants[i, P] + peak.change, 0.0, 1.0))
    return {
        "statistic": finite(now),
        "evidence": finite(peak.evidence),
        "threshold": finite(peak.evidence - peak.margin),
        "effect_size": finite(peak.change),
        "effect_where": cells.names[i],
        "component": cells.names[i],
        "scale_s": SCALE_HOURS[peak.scale] * 3600,
        "natural_sd": math.sqrt(min(max(peak.natural, 0.0), sys.float_info.max)),
        "context": CONTEXTS[peak.context],
    }
