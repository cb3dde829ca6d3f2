"""Text description of a baseline."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from monitor.baseline.variables import notes_on
from schemas.baselines import Profile
from schemas.panes import MISSING, UNSEEN

FEW_ROWS = 1_000
"""A segment with fewer rows widens its own tolerance: eps >= sqrt(ln(200 K) / (2 n0))."""


@dataclass(frozen=True, slots=True)
class VariableSummary:
    """What was decided about one variable."""

    name: str
    kind: str
    n_bins: int
    missing_share: float
    phi: float
    note: str


def describe_variables(profile: Profile) -> list[VariableSummary]:
    """Return the decisions about each variable, and notes on what to check.

    Returns
    -------
    list of VariableSummary
        In the profile's order.
    """
    n_rows = max(int(profile.reference.n_rows[0]), 1)
    missing, unseen = (profile.reference.counts[0][:, [MISSING, UNSEEN]] / n_rows).T.tolist()
    notes = (notes_on(*each) for each in zip(profile.variables, missing, unseen, strict=True))
    return [
        VariableSummary(
            *(variable.name, str(variable.kind), variable.n_bins, share, float(phi)),
            note="; ".join(part for part in (note, season) if part),
        )
        for variable, share, phi, note, season in zip(
            profile.variables, missing, profile.phi[0], notes, _seasons(profile), strict=True
        )
    ]


def _seasons(profile: Profile) -> list[str]:
    """Return the segments in which each variable is seasonal."""
    if profile.seasonal is None:
        return [""] * len(profile.variables)
    is_known = profile.seasonal.unzoned_us is None
    zone = profile.seasonal.timezone if is_known else "UTC: no timezone is set"
    return [
        ""
        if not n
        else f"follows the hour of the week ({zone}): compared with it in {_of(n, len(own))}"
        for own in profile.seasonal.is_seasonal.T
        for n in (int(own.sum()),)
    ]


def _of(n: int, n_segments: int) -> str:
    """Count segments."""
    if n_segments == 1:
        return "all rows"
    return f"{n} of {n_segments} segments (all rows are one)"


def rows_per_window(profile: Profile) -> float | None:
    """Return the mean rows of the reference's windows; None where it has no times."""
    n_windows = profile.n_reference_windows
    return int(profile.reference.n_rows[0]) / n_windows if n_windows else None


def describe_segments(profile: Profile) -> list[tuple[str, int, str]]:
    """Name each segment that has rows, with their number and a note.

    Returns
    -------
    list of (segment, rows, note)
        Without ``*``.
    """
    names, n_rows = profile.reference.segments, profile.reference.n_rows
    return [
        (
            names[s],
            int(n_rows[s]),
            "few rows: only large changes show" if n_rows[s] < FEW_ROWS else "",
        )
        for s in np.flatnonzero(n_rows)
        if s > 0
    ]
