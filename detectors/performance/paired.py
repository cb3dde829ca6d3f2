"""Evidence that a challenger makes more errors than the champion on the same rows."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import logsumexp

from schemas.errors import DomainError

STAKES = (0.05, 0.1, 0.2, 0.4, 0.8)
"""Over 1 + tolerance: sizes of the bets, averaged."""


def paired_log_evidence(
    n_worse: ArrayLike, n_equal: ArrayLike, n_better: ArrayLike, *, tolerance: float
) -> np.float64 | NDArray[np.float64]:
    """Return the log e-value that the error rate has grown by more than a tolerance.

    Parameters
    ----------
    n_worse : array_like of int
        Rows that the challenger alone gets wrong.
    n_equal : array_like of int
        Rows that both get right, or both wrong.
    n_better : array_like of int
        Rows that the champion alone gets wrong.
    tolerance : float
        Growth of the error rate that does not matter, in [0, 1).

    Returns
    -------
    float64 or ndarray of float64
        In nats; its exponential has a mean of at most 1 while the growth is within tolerance,
        for any dependence within a row, and for independent rows.

    Notes
    -----
    With d = 1, 0, -1 of a row, 1 + l (d - tolerance) has a mean of at most 1 for each stake l
    in [0, 1 / (1 + tolerance)); products over rows need the three counts only, so windows and
    segments merge. Averaged over :data:`STAKES`.

    References
    ----------
    Waudby-Smith, Ramdas, Estimating means of bounded random variables by betting, JRSS-B 86
    (2024).

    Examples
    --------
    >>> print(f"{paired_log_evidence(60, 900, 40, tolerance=0.0):.6f}")
    1.110134
    """
    if not 0 <= tolerance < 1:
        what = f"tolerance is {tolerance}"
        raise DomainError(what, where="paired_log_evidence", fix="use a share in [0, 1)")
    worse, equal, better = np.broadcast_arrays(
        *(np.asarray(x, np.float64) for x in (n_worse, n_equal, n_better))
    )
    if np.any((worse < 0) | (equal < 0) | (better < 0)):
        raise DomainError("a count is negative", where="paired_log_evidence")
    stakes = np.array(STAKES) / (1 + tolerance)
    logs = (
        worse[..., None] * np.log1p(stakes * (1 - tolerance))
        + equal[..., None] * np.log1p(-stakes * tolerance)
        + better[..., None] * np.log1p(-stakes * (1 + tolerance))
    )
    return np.asarray(logsumexp(logs, axis=-1) - np.log(len(stakes)))[()]
