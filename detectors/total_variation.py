"""Total variation: the share of rows that would have to change bins."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from detectors.histogram import Numbers, paired

USUAL_THRESHOLD = 0.1
"""A tenth of the rows."""


def total_variation(reference: ArrayLike, current: ArrayLike) -> Numbers:
    """Total variation distance; prefer it where the number must mean something to people.

    .07 says that seven rows of a hundred are elsewhere, whichever bins: the largest
    change of probability of any set of bins. L-infinity looks at single bins only.

    Parameters
    ----------
    reference, current : array_like, shape (..., n_bins)
        Counts (integers), or proportions (floats that sum to 1).

    Returns
    -------
    float64 or ndarray of float64, shape (...)
        In [0, 1]; NaN where either side holds nothing.

    Raises
    ------
    ShapeError
        If the numbers of bins differ, or the input is neither counts nor floats.
    DomainError
        If a count is negative, or proportions do not sum to 1.

    Notes
    -----
    TV = sum over b of |p_b - q_b| / 2. Empty bins need no filling. Noise grows with
    the number of bins: without drift about sqrt(B (1/n + 1/n0) / (2 pi)), which is .04 for
    ten bins and .1 for sixty at 1,000 rows. O(n_bins); exact from merged panes.

    References
    ----------
    Levin, Peres, Markov Chains and Mixing Times, 2nd ed. (2017), proposition 4.2.

    Examples
    --------
    >>> print(f"{total_variation([50, 50], [60, 40]):.2f}")
    0.10
    """
    p, q = paired(reference, current)
    return np.abs(p - q).sum(axis=-1) / 2  # type: ignore[no-any-return]
