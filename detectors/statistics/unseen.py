"""Share of rows with categories that are not in the reference."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from detectors.statistics.histogram import Numbers, counts_pair


class UnseenShare(NamedTuple):
    """Rows of new categories, and how many of them a sample of that size expects."""

    statistic: Numbers
    """Share of the current rows, in [0, 1]."""
    expected: Numbers
    """Good and Turing's estimate: reference categories of one row, over its rows."""
    n_categories: NDArray[np.int64]
    """New categories that occur."""


def unseen_category_share(reference: ArrayLike, current: ArrayLike) -> UnseenShare:
    """Share of rows in categories the reference lacks; prefer it for new values of any kind.

    Together they count even where each is rare, which L-infinity misses; and Chi-square
    in evidently's form calls a single such row certain drift. From panes, which join all
    new categories in one counter, use :func:`detectors.quality.checks.unseen_share`.

    Parameters
    ----------
    reference, current : array_like of int, shape (..., n_categories)
        Counts over the categories of both, which
        :func:`detectors.statistics.histogram.counts_pair` checks.

    Returns
    -------
    UnseenShare
        Of shape (...). NaN where a side holds nothing.

    Notes
    -----
    A share well above ``expected`` is a change; a share near it is normal for a long tail of
    categories, such as identifiers. O(n_categories); exact from merged panes as long
    as they keep the categories apart.

    References
    ----------
    Good, The population frequencies of species and the estimation of population
    parameters, Biometrika 40 (1953).

    Examples
    --------
    >>> found = unseen_category_share([60, 39, 1, 0, 0], [50, 45, 0, 3, 2])
    >>> print(found.statistic, found.expected, found.n_categories)
    0.05 0.01 2
    """
    p, q = counts_pair(reference, current)
    n0, n = (np.where(c.sum(axis=-1) > 0, c.sum(axis=-1), np.nan) for c in (p, q))
    is_new = (p == 0) & (q > 0)
    share = np.where(is_new, q, 0).sum(axis=-1) / n + 0 * n0
    expected = (p == 1).sum(axis=-1) / n0 + 0 * n
    return UnseenShare(share[()], expected[()], is_new.sum(axis=-1))
