"""Hints on what rule 2 cannot learn from a reference: no times, few rows, shuffled rows. Pure."""

from __future__ import annotations

from typing import Final

import numpy as np

from schemas.baselines import Baseline

MIN_ROWS: Final = 2_000
"""With fewer, the reference's own error hides small changes for days."""
SHUFFLED_PHI: Final = 1.1
"""A median design effect below it is that of independent rows: 4 blocks of 60 bins vary by .1."""


def reference_hints(baseline: Baseline) -> list[str]:
    """Return what a reference leaves to the first days of the stream, for a model of rule 2.

    Returns
    -------
    list of str
        For fewer than 2,000 rows; without ticks, because there are no times or too few of them;
        and then also for rows that may have been shuffled: their design effect is 1, while rows
        of the stream may come in sessions.
    """
    n_rows, found = int(baseline.reference.n_rows[0]), []
    if n_rows < MIN_ROWS:
        found.append(
            f"warning: {n_rows:,} rows are few: with {MIN_ROWS:,} and more, small changes are "
            "found sooner"
        )
    if baseline.ticks is not None:
        return found
    found.append(
        "warning: the reference has no times, or too few of them: how averages vary by themselves "
        "is learned from the stream, and small changes of its first day are found later, or not"
    )
    if n_rows >= MIN_ROWS and float(np.median(baseline.phi[0])) < SHUFFLED_PHI:
        found.append(
            "warning: neighbouring rows are no more alike than others, as in a shuffled file: if "
            "the stream has sessions, its first day has to show them; rows in their original order "
            "would"
        )
    return found
