"""L-infinity: the category whose share moved most."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from detectors.statistics.histogram import Numbers, paired

USUAL_THRESHOLD = 0.3
"""Almost a third of the rows moved into, or out of, one category."""


class LInfinity(NamedTuple):
    """The largest change of a single share, and where it was."""

    statistic: Numbers
    """In [0, 1]."""
    bin: NDArray[np.int64]
    """Index of the bin; -1 without one."""
    change: Numbers
    """Current minus reference share of that bin: the statistic with its sign."""


def l_infinity(reference: ArrayLike, current: ArrayLike) -> LInfinity:
    """Largest change of one category's share; prefer it where one category must be named.

    Many small changes add up in total variation and stay invisible here; one large
    one is diluted there and not here, whatever the number of categories.

    Parameters
    ----------
    reference, current : array_like, shape (..., n_bins)
        Counts or proportions of categories; :func:`detectors.statistics.histogram.paired` checks
        them.

    Returns
    -------
    LInfinity
        Statistic (NaN where either side holds nothing), bin and signed change. Which
        of several equal changes is named is left to rounding.

    Notes
    -----
    max over b of |p_b - q_b|. Empty bins need no filling. O(n_bins); exact from
    merged panes.

    References
    ----------
    Breck et al., Data validation for machine learning, MLSys (2019), section 3.2.

    Examples
    --------
    >>> moved = l_infinity([50, 30, 20], [40, 25, 35])
    >>> print(f"{moved.statistic:.2f} in bin {moved.bin}: {moved.change:+.2f}")
    0.15 in bin 2: +0.15
    """
    p, q = paired(reference, current)
    difference = q - p
    where = np.abs(np.nan_to_num(difference)).argmax(axis=-1)
    change = np.take_along_axis(difference, np.expand_dims(where, -1), axis=-1)[..., 0]
    index = np.where(np.isnan(change), -1, where)
    return LInfinity(np.abs(change), index, change)
