"""Orthonormal polynomials of the reference's ranks: location, spread, skewness, tails."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

NAMES: Final = ("location", "spread", "skewness", "tails")
N_POLYNOMIALS: Final = len(NAMES)
_LEAST_NORM: Final = 1e-6
"""Squared norm below which a power depends on the lower ones: there are too few groups."""


def orthonormal_polynomials(shares: Floats) -> Floats:
    """Return g1 to g4, orthonormal under the shares of the reference's groups.

    Parameters
    ----------
    shares : ndarray of float64, shape (G,)
        Share of each group among the present values, in order of value; sums to 1.

    Returns
    -------
    ndarray of float64, shape (k, G)
        k = min(4, G - 1) rows at most. Each has mean 0 and variance 1 under ``shares``.

    Notes
    -----
    Gram-Schmidt of (2u - 1)^d, u the mid-rank of a group. A value maps to its group only,
    so any monotone transformation of the feature gives the same numbers. For a Gaussian a
    shift of d standard deviations moves g1 by .98 d.

    References
    ----------
    Neyman, Smooth test for goodness of fit, Skandinavisk Aktuarietidskrift 20, 1937;
    decision rule 2, section 1.2.

    Examples
    --------
    >>> g = orthonormal_polynomials(np.full(20, 0.05))
    >>> np.allclose(g @ g.T / 20, np.eye(4))
    True
    >>> orthonormal_polynomials(np.array([0.5, 0.5])).tolist()
    [[-1.0, 1.0]]
    """
    ranks = 2.0 * (np.cumsum(shares) - shares / 2.0) - 1.0
    found: list[Floats] = [np.ones(len(shares))]
    for degree in range(1, N_POLYNOMIALS + 1):
        power = ranks**degree
        for lower in found:
            power = power - (shares * power * lower).sum() * lower
        norm = float((shares * power * power).sum())
        if norm > _LEAST_NORM:
            found.append(power / np.sqrt(norm))
    return np.array(found[1:]).reshape(-1, len(shares))
