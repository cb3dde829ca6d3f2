"""The most likely beginning of a change, over stored ticks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detectors.kernels.jit import uncounted
from detectors.kernels.scale_evidence import relative_entropy


@uncounted
def scan(
    sums: NDArray[np.float64],
    rows: NDArray[np.float64],
    expected: NDArray[np.float64],
    is_share: bool,
    least_share: float,
    inflation: float,
    nats: NDArray[np.float64],
) -> int:
    """Fill the log-likelihood ratio of a beginning at each tick; return the largest's index.

    Parameters
    ----------
    sums, rows, expected : ndarray of float64, shape (T,)
        Count or sum of the component, rows, and expected share or mean of each tick.
    is_share : bool
        Bernoulli, otherwise Gaussian of variance 1.
    least_share : float
        A share is taken for at least that much.
    inflation : float
        Variance of the ticks over that of independent rows.
    nats : ndarray of float64, shape (T,)
        Filled; 0 where no rows follow.
    """
    total, n, wanted = 0.0, 0.0, 0.0
    best = len(sums) - 1
    for t in range(len(sums) - 1, -1, -1):
        total += sums[t]
        n += rows[t]
        wanted += rows[t] * expected[t]
        nats[t] = 0.0
        if n > 0.0:
            if is_share:
                p = min(max(wanted / n, least_share), 1.0 - 1e-12)
                now = min(max(total / n, 1e-12), 1.0 - 1e-12)
                nats[t] = n * relative_entropy(now, p) / inflation
            else:
                nats[t] = (total - wanted) ** 2 / n / (2.0 * inflation)
        if rows[t] > 0.0 and nats[t] > nats[best]:
            best = t
    return best
