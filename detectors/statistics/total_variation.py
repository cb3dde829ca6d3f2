"""Total variation: the share of rows that would have to change bins."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from detectors.statistics.histogram import Numbers, counts_pair, paired
from schemas.errors import DomainError

USUAL_THRESHOLD = 0.1
"""A tenth of the rows."""
MAX_PERMUTED_ROWS = 1_000_000_000
"""Rows of both sides together that numpy can deal out."""


def total_variation(reference: ArrayLike, current: ArrayLike) -> Numbers:
    """Total variation distance; prefer it where the number must mean something to people.

    .07 says that seven rows of a hundred are elsewhere, whichever bins: the largest
    change of probability of any set of bins. L-infinity looks at single bins only.

    Parameters
    ----------
    reference, current : array_like, shape (..., n_bins)
        Counts or proportions of categories, or of deciles, for the noise below;
        :func:`detectors.statistics.histogram.paired` checks them.

    Returns
    -------
    float64 or ndarray of float64, shape (...)
        In [0, 1]; NaN where either side holds nothing.

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


def total_variation_p_value(
    reference: ArrayLike, current: ArrayLike, *, n_permutations: int = 1000, seed: int = 0
) -> Numbers:
    """Share of random splits of all rows whose total variation is at least the one seen.

    Prefer chi-square, which needs no draws; this one to read evidently's figure, which
    for total variation is a p-value, or where most categories are too rare for chi-square.

    Parameters
    ----------
    reference, current : array_like of int, shape (..., n_bins)
        Counts.
    n_permutations : int, default 1000
        As evidently. The smallest p-value is 1 / (n_permutations + 1).
    seed : int, default 0
        The same input has the same answer.

    Returns
    -------
    float64 or ndarray of float64, shape (...)
        NaN where either side holds nothing.

    Raises
    ------
    ShapeError
        If the numbers of bins differ, or counts are not integers.
    DomainError
        If a count is negative, there are no permutations, or 1e9 rows or more.

    Notes
    -----
    (1 + b) / (1 + B), where b of B splits are at least as far apart: a valid p-value.
    evidently divides b by B and draws rows; this function draws counts (multivariate
    hypergeometric, the same distribution). The two differ by the noise of 1,000 draws, up
    to .03.
    O(n_bins n_permutations) whatever the rows; exact law from merged panes.

    References
    ----------
    Phipson and Smyth, Permutation p-values should never be zero, Stat. Appl. Genet. Mol.
    Biol. 9 (2010). evidently 0.7.23, ``calculations/stattests/tvd_stattest.py``.

    Examples
    --------
    >>> print(total_variation_p_value([50, 50], [30, 70]) < 0.02)
    True
    """
    if n_permutations < 1:
        what = f"n_permutations is {n_permutations}"
        raise DomainError(what, where="total_variation_p_value", fix="pass 1 or more")
    p, q = counts_pair(reference, current)
    p, q = np.broadcast_arrays(p, q)
    seen = np.asarray(total_variation(p, q))
    result = np.full(seen.shape, np.nan)
    for at in np.ndindex(seen.shape):
        both, n0 = p[at] + q[at], int(p[at].sum())
        if both.sum() >= MAX_PERMUTED_ROWS:
            fix = "use chi_square, which needs no draws"
            raise DomainError(f"{both.sum()} rows", where="total_variation_p_value", fix=fix)
        if np.isnan(seen[at]):
            continue
        rng = np.random.default_rng(seed)
        drawn = rng.multivariate_hypergeometric(both, n0, n_permutations, method="marginals")
        # Splits as far apart as the observed one count, regardless of rounding.
        n_far = (total_variation(drawn, both - drawn) >= seen[at] - 1e-12).sum()
        result[at] = (1 + n_far) / (1 + n_permutations)
    return result[()]
