"""Band: the range in which a statistic stayed over the windows of the reference."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from schemas.errors import DomainError, ShapeError


class Band(NamedTuple):
    """Range of a statistic without drift, ends included."""

    low: float
    high: float

    def is_outside(self, value: float) -> bool:
        """Return whether a window's value is drift; NaN, a window without rows, is not.

        Examples
        --------
        >>> Band(0.45, 0.65).is_outside(0.7)
        True
        """
        return value < self.low or value > self.high


def band_of_windows(values: ArrayLike, *, n_sd: float = 3.0) -> Band:
    """Mean of the reference windows, and some standard deviations to both sides.

    Prefer it where a statistic has no known law, as the multivariate ones, and the
    evidence rule of :mod:`detectors.decision_rule.decision` for what counts in panes: 3 sd of a
    skewed statistic over many windows and models do fire without drift.

    Parameters
    ----------
    values : array_like of float, shape (n_windows,)
        The statistic of each reference window; NaN is dropped. About 30 or more: with 10
        the sd itself is off by a quarter.
    n_sd : float, default 3
        nannyml's.

    Returns
    -------
    Band
        mean -+ n_sd sd, divisor n.

    Raises
    ------
    ShapeError
        If there is not one dimension.
    DomainError
        If fewer than two values are present, one is infinite, or ``n_sd`` is not positive.

    Notes
    -----
    Windows should have about as many rows as those to be judged: the spread of most
    statistics goes with 1 / n or its root. O(n_windows).

    References
    ----------
    nannyml 0.13.1, ``StandardDeviationThreshold`` (numpy's ``std``). Its earlier
    releases divided by n - 1.

    Examples
    --------
    >>> band = band_of_windows([1.0, 2.0, 3.0, 2.0])
    >>> print(f"{band.low:.4f} {band.high:.4f}")
    -0.1213 4.1213
    """
    array = np.asarray(values, np.float64)
    if array.ndim != 1:
        raise ShapeError(f"shape is {array.shape}", where="band_of_windows", fix="pass (n,)")
    kept = array[~np.isnan(array)]
    if len(kept) < 2 or np.isinf(kept).any():
        what = f"{len(kept)} of {len(array)} values are present, {np.isinf(kept).sum()} infinite"
        raise DomainError(what, where="band_of_windows", fix="pass two or more windows with rows")
    if not n_sd > 0:
        raise DomainError(f"n_sd is {n_sd}", where="band_of_windows", fix="pass a positive number")
    mean, sd = float(kept.mean()), float(kept.std())
    return Band(mean - n_sd * sd, mean + n_sd * sd)
