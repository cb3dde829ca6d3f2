"""A profile told to people."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from monitor.baseline.variables import notes_on
from schemas.panes import MISSING, UNSEEN
from schemas.profiles import Profile

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
    """Say what was decided about each variable, and what somebody should look at.

    Parameters
    ----------
    profile : Profile

    Returns
    -------
    list of VariableSummary
        In the profile's order.
    """
    n_rows = max(int(profile.reference.n_rows[0]), 1)
    missing, unseen = (profile.reference.counts[0][:, [MISSING, UNSEEN]] / n_rows).T.tolist()
    return [
        VariableSummary(v.name, str(v.kind), v.n_bins, share, float(phi), notes_on(v, share, new))
        for v, share, new, phi in zip(
            profile.variables, missing, unseen, profile.phi[0], strict=True
        )
    ]


def describe_segments(profile: Profile) -> list[tuple[str, int, str]]:
    """Name each segment that has rows, with their number and a note.

    Parameters
    ----------
    profile : Profile

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
