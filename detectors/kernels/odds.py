"""What the decision rule's bets pay, for all sets of all cells."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detectors.kernels.decision import N_BETS, N_BINS, N_COUNTERS, N_RUNGS
from detectors.kernels.jit import kernel


@kernel
def odds(
    counts: NDArray[np.int64],
    n_reference: NDArray[np.int64],
    offsets: NDArray[np.int64],
    first: NDArray[np.int64],
    stop: NDArray[np.int64],
    extra: NDArray[np.int64],
    is_complement: NDArray[np.bool_],
    eps: NDArray[np.float64],
    rare_eps: NDArray[np.float64],
    rare_rows: float,
    bets: NDArray[np.float64],
    rungs: NDArray[np.float64],
    max_q1: float,
    p_ref: NDArray[np.float64],
    eps_set: NDArray[np.float64],
    inside: NDArray[np.float64],
    outside: NDArray[np.float64],
    hardest: NDArray[np.int64],
) -> None:
    """Compute how much likelier a row is under each bet than at the edge of the tolerance.

    Without logarithms, which NumPy computes several at a time.

    Parameters
    ----------
    counts : ndarray of int64, shape (C, 64)
        Reference of each cell.
    n_reference : ndarray of int64, shape (C,)
        Its rows. A cell without rows has no shares, and its bets are dead.
    offsets, first, stop, extra, is_complement
        Sets: :class:`detectors.decision_rule.sets.SetLayout`.
    eps, rare_eps : ndarray of float64, shape (C,)
        Tolerance of the cell's sets, and of its rare sets.
    rare_rows : float
        A set with fewer rows in the reference is rare.
    bets : ndarray of float64, shape (2, 4)
        How far beyond the tolerance each bet places its alternative; of rare sets second.
    rungs : ndarray of float64, shape (4,)
        Least tolerance at each rung.
    max_q1 : float
        A bet on a share at or beyond this is dead: its ratios are 1.
    p_ref, eps_set : ndarray of float64, shape (T,)
        Output: share and tolerance of each set; the share is NaN without rows.
    inside, outside : ndarray of float64, shape (T, 16)
        Output: q1 / q0 and (1 - q1) / (1 - q0), by rung and bet.
    hardest : ndarray of int64, shape (C,)
        Output: of each cell the first set of those whose share is nearest to one half.
    """
    prefix = np.zeros(N_BINS + 1, np.int64)
    for c in range(len(offsets) - 1):
        n = 0
        for b in range(N_BINS):
            n += counts[c, b]
            prefix[b + 1] = n
        for b in range(N_BINS, N_COUNTERS):
            n += counts[c, b]
        hardest[c], least = offsets[c], np.inf
        for t in range(offsets[c], offsets[c + 1]):
            rows = prefix[stop[t]] - prefix[first[t]]
            if extra[t] >= 0:
                rows += counts[c, extra[t]]
            if is_complement[t]:
                rows = n - rows
            share = rows / n_reference[c] if n_reference[c] > 0 else np.nan
            is_rare = share * n_reference[c] < rare_rows
            p_ref[t], eps_set[t] = share, rare_eps[c] if is_rare else eps[c]
            if abs(share - 0.5) < least:
                hardest[c], least = t, abs(share - 0.5)
            own = bets[1 if is_rare else 0]
            for r in range(N_RUNGS):
                q0 = share + max(eps_set[t], rungs[r])
                for j in range(N_BETS):
                    q1, i = q0 + own[j], r * N_BETS + j
                    if q1 < max_q1:  # False for NaN too
                        inside[t, i] = q1 / q0
                        outside[t, i] = (1.0 - q1) / (1.0 - q0)
                    else:
                        inside[t, i] = outside[t, i] = 1.0
