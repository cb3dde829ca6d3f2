"""How large a change is, whatever the evidence for it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detectors.kernels.scale_evidence import SMALLEST_SHARE

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


def size_of_change(m: Floats, is_share: Bools, p: Floats, unit: Floats) -> Floats:
    """Return how large a change is, whatever the evidence for it.

    Returns
    -------
    ndarray of float64
        Cohen's h of a share, 2 |asin sqrt(p + m) - asin sqrt(p)|, 0 where |m| < .002; |m| of
        a mean, about standard deviations. A cell fires from ``smallest`` on, .05.

    References
    ----------
    Decision rule 2, section 1.3 step 9; Cohen, Statistical power analysis, 1988, chapter 6.

    Examples
    --------
    >>> is_share, one = np.array([True, True, False]), np.ones(3)
    >>> m, p = np.array([0.001, 0.1, 0.1]), np.array([0.1, 0.5, 0.0])
    >>> size_of_change(m, is_share, p, one).round(3).tolist()
    [0.0, 0.201, 0.1]
    """
    now = np.clip(p + m, 0.0, 1.0)
    base = np.clip(p, 0.0, 1.0)
    h = 2 * np.abs(np.arcsin(np.sqrt(now)) - np.arcsin(np.sqrt(base)))
    h = np.where(np.abs(m) < SMALLEST_SHARE, 0.0, h)
    return np.where(is_share, h, np.abs(m) / np.sqrt(unit))
