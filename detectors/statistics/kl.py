"""Kullback-Leibler divergence of the current rows from the reference."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from detectors.statistics.histogram import Numbers, paired
from detectors.statistics.psi import ZeroFill, fill_zeros


def kl(reference: ArrayLike, current: ArrayLike, *, convention: ZeroFill = "evidently") -> Numbers:
    """Kullback-Leibler divergence of the reference from the current histogram.

    One-sided: it sees what the reference had and the window lost. Prefer
    Jensen-Shannon unless a likelihood ratio is what is wanted: that one is
    symmetric, bounded, and needs nothing in empty bins.

    Parameters
    ----------
    reference, current : array_like, shape (..., n_bins)
        Counts or proportions of at most ten bins, or the filling outweighs the drift;
        :func:`detectors.statistics.histogram.paired` checks them.
    convention : {"evidently", "exact"}, default "evidently"
        What an empty bin holds, see :func:`detectors.statistics.psi.fill_zeros`; with
        ``"evidently"`` the filled histograms are scaled to sum to 1 again, as
        there. ``"exact"`` is infinite where only the current bin is empty.

    Returns
    -------
    float64 or ndarray of float64, shape (...)
        In nats, >= 0; NaN where either side holds nothing.

    Notes
    -----
    KL = sum over b of p_b ln(p_b / q_b). O(n_bins); exact from merged panes.

    References
    ----------
    Kullback and Leibler, On information and sufficiency, Ann. Math. Stat. 22
    (1951), eq. 2.4. evidently 0.7.23, ``calculations/stattests/kl_div.py``.

    Examples
    --------
    >>> print(f"{kl([50, 50], [60, 40]):.6f}")
    0.020411
    >>> print(kl([50, 50], [100, 0], convention="exact"))
    inf
    """
    p, q = paired(reference, current)
    p, q = fill_zeros(p, convention), fill_zeros(q, convention)
    p, q = p / p.sum(axis=-1, keepdims=True), q / q.sum(axis=-1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = p * (np.log(p) - np.log(q))
    is_empty = (p == 0) & ~np.isnan(q)
    return np.where(is_empty, 0.0, terms).sum(axis=-1)  # type: ignore[no-any-return]
