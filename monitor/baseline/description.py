"""Text description of a baseline."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from monitor.baseline.variables import notes_on
from schemas.baselines import Baseline, ReferenceTicks
from schemas.config.values import format_duration
from schemas.panes import MISSING, UNSEEN

FEW_ROWS = 1_000
"""Segments with fewer rows have a wider tolerance: eps >= sqrt(ln(200 K) / (2 n0))."""


@dataclass(frozen=True, slots=True)
class VariableSummary:
    """Decisions on one variable."""

    name: str
    kind: str
    n_bins: int
    missing_share: float
    phi: float
    note: str


def describe_variables(baseline: Baseline) -> list[VariableSummary]:
    """Return the decisions on each variable, with notes on what to check.

    Returns
    -------
    list of VariableSummary
        In the baseline's order.
    """
    n_rows = max(int(baseline.reference.n_rows[0]), 1)
    missing, unseen = (baseline.reference.counts[0][:, [MISSING, UNSEEN]] / n_rows).T.tolist()
    notes = (notes_on(*each) for each in zip(baseline.variables, missing, unseen, strict=True))
    return [
        VariableSummary(
            *(variable.name, str(variable.kind), variable.n_bins, share, float(phi)),
            note="; ".join(part for part in (note, season) if part),
        )
        for variable, share, phi, note, season in zip(
            baseline.variables, missing, baseline.phi[0], notes, _seasons(baseline), strict=True
        )
    ]


def _seasons(baseline: Baseline) -> list[str]:
    """Return the segments in which each variable is seasonal."""
    if baseline.seasonal is None:
        return [""] * len(baseline.variables)
    is_known = baseline.seasonal.unzoned_us is None
    zone = baseline.seasonal.timezone if is_known else "UTC: no timezone is set"
    return [
        ""
        if not n
        else f"follows the hour of the week ({zone}): compared with it in {_of(n, len(own))}"
        for own in baseline.seasonal.is_seasonal.T
        for n in (int(own.sum()),)
    ]


def _of(n: int, n_segments: int) -> str:
    """Format a number of segments."""
    if n_segments == 1:
        return "all rows"
    return f"{n} of {n_segments} segments (all rows are one)"


def ticks_text(ticks: ReferenceTicks) -> str:
    """Write what rule 2 learned from a reference's ticks.

    Examples
    --------
    >>> from numpy import empty, zeros
    >>> none = empty((0, 0), "f4")
    >>> ticks = ReferenceTicks(300_000_000, 4_032, none, none, none, none, zeros(2, bool), none)
    >>> ticks_text(ticks)
    'learned from 4,032 ticks of 5m; no season'
    """
    season = (
        f"season by hour of the day and kind of day in {int(ticks.is_seasonal.sum()):,} components"
        if ticks.is_seasonal.any()
        else "no season"
    )
    return f"learned from {ticks.n_ticks:,} ticks of {format_duration(ticks.tick_us)}; {season}"


def rows_per_window(baseline: Baseline) -> float | None:
    """Return the mean rows of the reference's windows; None without times."""
    n_windows = baseline.n_reference_windows
    return int(baseline.reference.n_rows[0]) / n_windows if n_windows else None


def describe_segments(baseline: Baseline) -> list[tuple[str, int, str]]:
    """Return each segment with rows, with their number and a note.

    Returns
    -------
    list of (segment, rows, note)
        Without ``*``.
    """
    names, n_rows = baseline.reference.segments, baseline.reference.n_rows
    return [
        (
            names[s],
            int(n_rows[s]),
            "few rows: only large changes show" if n_rows[s] < FEW_ROWS else "",
        )
        for s in np.flatnonzero(n_rows)
        if s > 0
    ]
