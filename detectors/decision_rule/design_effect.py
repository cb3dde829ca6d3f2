"""Design effect: the variance of a share relative to that of independent rows.

Two numbers of a baseline: phi, the design effect of clustered rows, from
differences between neighbouring panes (over whole windows real movement would
be taken for clustering), and the learned term of eps, from what quiet windows
did move.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from detectors.decision_rule.sets import CellSets
from schemas.errors import DomainError

MIN_WINDOWS: Final = 168
"""Minimum reference windows for learning eps (a week of hours)."""
MIN_WINDOW_ROWS: Final = 1_000
"""Minimum rows of a window; below, noise would be learned as movement."""
_P_LOW, _P_HIGH = 0.02, 0.98
QUANTILE: Final = 0.99
"""Share of reference windows that are within the learned tolerance."""


def design_effect(
    pane_counts: NDArray[np.int64], sets: CellSets, reference_counts: NDArray[np.int64]
) -> float:
    """Estimate the design effect of one cell from neighbouring panes.

    Parameters
    ----------
    pane_counts : ndarray of int64, shape (P, 64)
        Panes, or blocks of consecutive rows, in order of time.
    sets : CellSets
        The cell's sets.
    reference_counts : ndarray of int64, shape (64,)
        The cell's baseline.

    Returns
    -------
    float
        phi >= 1; 1 if no two neighbouring panes have rows.

    Raises
    ------
    ShapeError
        If the counters do not number 64.

    Notes
    -----
    Sets with p_ref outside [.02, .98] are left out: their differences are too
    coarse. Pairs overlap (1-2, 2-3, ...); a pair with an empty pane is left out.
    Not mergeable: it needs the panes in order.

    References
    ----------
    Formula 5 of the rule; Kish, Survey Sampling, 1965, section 8.2 (design effect).

    Examples
    --------
    >>> from detectors.decision_rule.sets import cell_sets
    >>> from schemas.baselines import Kind, VariableBaseline
    >>> rng, panes = np.random.default_rng(0), np.zeros((4000, 64), np.int64)
    >>> panes[:, 0] = 10 * rng.binomial(100, 0.5, 4000)  # rows in identical tens
    >>> panes[:, 1] = 1000 - panes[:, 0]
    >>> land = VariableBaseline("land", Kind.CATEGORICAL, np.empty(0), ("a", "b"))
    >>> sets = cell_sets(land, panes.sum(axis=0))
    >>> round(design_effect(panes, sets, panes.sum(axis=0)))
    10
    """
    shares, n_rows, p_ref = _shares(pane_counts, sets, reference_counts)
    is_usable = (p_ref >= _P_LOW) & (p_ref <= _P_HIGH)
    has_rows = (n_rows[1:] > 0) & (n_rows[:-1] > 0)
    if not is_usable.any() or not has_rows.any():
        return 1.0
    gap = np.diff(shares[:, is_usable], axis=0)[has_rows]
    spread = 1.0 / n_rows[1:][has_rows] + 1.0 / n_rows[:-1][has_rows]
    expected = np.outer(spread, (p_ref * (1 - p_ref))[is_usable])
    return max(1.0, float(np.mean(gap**2 / expected)))


def learned_eps(
    window_counts: NDArray[np.int64],
    sets: CellSets,
    reference_counts: NDArray[np.int64],
    phi: float,
) -> float:
    """Learn the natural movement of a cell from quiet windows.

    Parameters
    ----------
    window_counts : ndarray of int64, shape (W, 64)
        Reference windows of the length used for detection.
    sets : CellSets
        The cell's sets.
    reference_counts : ndarray of int64, shape (64,)
        The cell's baseline.
    phi : float
        Design effect.

    Returns
    -------
    float
        99 % quantile over windows of the largest excess over any set; 0 below 168
        windows of 1,000 rows and more, and never negative.

    Raises
    ------
    DomainError
        If phi is below 1.

    Notes
    -----
    Two standard errors of the window's own sampling are taken off first, so that
    noise is not learned as movement. Of forty sets the largest excess lies further out
    still: by car_loan's own hours, 7 rows each, eps came to .07-.28, and a real shift of
    loan_length by .2 was not found. Windows below 1,000 rows teach nothing.
    One window in a hundred may lie outside what
    is learned: the error rate of the rule is then measured, not proved.

    References
    ----------
    Formula 4 of the rule.

    Examples
    --------
    >>> from detectors.decision_rule.sets import cell_sets
    >>> from schemas.baselines import Kind, VariableBaseline
    >>> windows = np.zeros((200, 64), np.int64)
    >>> windows[:, 0] = 5000 + 1000 * np.sin(np.arange(200.0))  # a wobble of .1
    >>> windows[:, 1] = 10_000 - windows[:, 0]
    >>> land = VariableBaseline("land", Kind.CATEGORICAL, np.empty(0), ("a", "b"))
    >>> sets = cell_sets(land, windows.sum(axis=0))
    >>> round(learned_eps(windows, sets, windows.sum(axis=0), phi=1.0), 3)
    0.09
    """
    if not phi >= 1:
        raise DomainError(f"phi is {phi:g}", where="learned eps", fix="a design effect is >= 1")
    shares, n_rows, p_ref = _shares(window_counts, sets, reference_counts)
    has_rows = n_rows >= MIN_WINDOW_ROWS
    if has_rows.sum() < MIN_WINDOWS:
        return 0.0
    noise = 2.0 * np.sqrt(phi * np.outer(1.0 / n_rows[has_rows], p_ref * (1 - p_ref)))
    excess = (shares[has_rows] - p_ref - noise).max(axis=1)
    return max(0.0, float(np.quantile(excess, QUANTILE)))


def _shares(
    counts: NDArray[np.int64], sets: CellSets, reference_counts: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]]:
    """Shares by row of counters and set, rows, and the reference's shares."""
    n_rows = counts.sum(axis=1)
    shares = sets.tally(counts) / np.maximum(n_rows, 1)[:, None]
    p_ref = sets.tally(reference_counts[None])[0] / max(int(reference_counts.sum()), 1)
    return shares, n_rows, p_ref
