"""Wasserstein-1: how far rows moved, in the variable's own unit."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from detectors.statistics.histogram import Numbers, ascending, counts_pair, paired
from schemas.errors import DomainError, ShapeError

USUAL_THRESHOLD = 0.1
"""Of the normed distance: a tenth of the reference's standard deviation."""
SMALLEST_SD = 1e-3
"""Scale of a (nearly) constant reference, as evidently has it."""

FloatArray = NDArray[np.float64]


class Tails(NamedTuple):
    """Summary of the values beyond the edges of a pane."""

    below: NDArray[np.int64]
    """Rows under the first edge."""
    above: NDArray[np.int64]
    """Rows over the last edge."""
    sums: FloatArray
    """Sum of all values, those within the edges included."""
    minima: FloatArray
    """Smallest value; +inf without values."""
    maxima: FloatArray
    """Largest value; -inf without values."""


class Distance(NamedTuple):
    """A distance from bins, with bounds of the distance between the raw samples."""

    value: Numbers
    """In the variable's unit."""
    low: Numbers
    high: Numbers


def wasserstein(values: ArrayLike, reference: ArrayLike, current: ArrayLike) -> Numbers:
    """Wasserstein-1 distance between two distributions on known points; no error at all.

    Prefer it to Kolmogorov-Smirnov where the size of a move matters: a tail that
    goes twice as far out leaves KS unchanged. From panes use
    :func:`wasserstein_binned`.

    Parameters
    ----------
    values : array_like of float, shape (n,) or (..., n)
        Ascending points.
    reference, current : array_like, shape (..., n)
        Counts or proportions at those points; for raw samples those of
        :func:`detectors.statistics.histogram.atoms`.

    Returns
    -------
    float64 or ndarray of float64, shape (...)
        In the unit of ``values``; NaN where either side holds nothing.

    Raises
    ------
    ShapeError, DomainError
        As :func:`detectors.statistics.histogram.ascending`.

    Notes
    -----
    W = integral of |F - G|. O(n). evidently divides by the reference's standard
    deviation (:func:`normed`), nannyml does not: .1 means different things there.

    References
    ----------
    Vallender, Calculation of the Wasserstein distance between probability
    distributions on the line, Theory Probab. Appl. 18 (1974), eq. 3.

    Examples
    --------
    >>> print(wasserstein([0.0, 1.0, 3.0], [1, 1, 0], [0, 1, 1]))
    1.5
    """
    p, q = paired(reference, current)
    points = ascending(values, p, "wasserstein")
    gap = np.abs(np.cumsum(p - q, axis=-1))[..., :-1]
    # The last gap is left out, and with it a NaN of a single point.
    moved = (gap * np.diff(points, axis=-1)).sum(axis=-1)
    return moved + 0.0 * (p + q)[..., 0]  # type: ignore[no-any-return]


def wasserstein_binned(
    edges: ArrayLike,
    reference: ArrayLike,
    current: ArrayLike,
    tails: Tails,
    *,
    sum_reference: ArrayLike | None = None,
) -> Distance:
    """Wasserstein-1 distance of a window's bins from the reference's, with bounds.

    Parameters
    ----------
    edges : array_like of float, shape (..., n_bins + 1)
        Ascending and finite; repeat the last one to pad. The reference lies
        between the first and the last.
    reference, current : array_like of int, shape (..., n_bins)
        Rows in (edges[i], edges[i + 1]], the first bin closed on both sides.
    tails : Tails of shape (...)
        The current window's values beyond the edges.
    sum_reference : array_like of float, shape (...), optional
        Sum of the reference's values: then the difference of the means, which is
        exact, corrects the value from the bins.

    Returns
    -------
    Distance
        Value and bounds, NaN where either side holds nothing. Rows beyond an edge
        count as lying on it where the extremes deny them.

    Raises
    ------
    ShapeError
        If there is not one edge more than bins, or counts are not integers.
    DomainError
        If a count is negative, or edges are not finite or descend.

    Notes
    -----
    Within a bin both cumulatives are interpolated linearly. The error of each is at most its
    own share, so that of |F - G| is at most the larger of the two, and the interior error is
    <= sum over b of width_b max(p_b, q_b). Beyond the edges the reference is 0 or 1,
    so a tail adds exactly its share times (its mean - the edge). The tail's mean is
    not kept, but the sum of all values is: the difference from the sum of the bins belongs to
    the tails, bounded by the extremes (one row is at the extreme, all others between it and
    the edge). One value at 1e9 therefore adds 1e9 / n, not half of the tail's rows times
    that.

    W = U + D, the areas where F is above G (rows moved up) and below it, and
    U - D is the difference of the means. With ``sum_reference`` the error of the bins' U - D
    is distributed in proportion to U and D: a shift in one direction is exact, and W is never
    below the difference of the means. Without it a shift of .3 sd of a Gaussian in 60 quantile
    bins is .32, because the outer bins are wide. O(n_bins); mergeable, like all of its inputs.

    References
    ----------
    Vallender (1974), eq. 3, for the integral; the bounds are derived above.

    Examples
    --------
    >>> import numpy as np
    >>> far = Tails(np.array(0), np.array(1), np.array(100.0), np.array(1.0), np.array(97.0))
    >>> moved = wasserstein_binned([0.0, 1.0, 2.0], [2, 2], [2, 1], far)
    >>> print(f"{moved.value:.3f} in [{moved.low:.3f}, {moved.high:.3f}]")
    23.875 in [22.875, 24.875]
    """
    e = checked_edges(np.asarray(edges, np.float64))
    p_counts, q_counts = counts_pair(reference, current)
    if e.shape[-1] != p_counts.shape[-1] + 1:
        what = f"{e.shape[-1]} edges for {p_counts.shape[-1]} bins"
        raise ShapeError(what, where="wasserstein_binned", fix="pass one edge more than bins")
    n0 = p_counts.sum(axis=-1).astype(np.float64)
    n = (q_counts.sum(axis=-1) + tails.below + tails.above).astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        p = p_counts / np.expand_dims(n0, -1)
        q = q_counts / np.expand_dims(n, -1)
        # F - G at every edge; under the first one lies only the current's lower tail.
        lower_share = np.asarray(tails.below / n)[..., None]
        gaps = np.concatenate([-lower_share, np.cumsum(p - q, axis=-1) - lower_share], axis=-1)
        width = np.diff(e, axis=-1)
        size = (width * _mean_gap(gaps[..., :-1], gaps[..., 1:])).sum(axis=-1)
        signed = (width * (gaps[..., :-1] + gaps[..., 1:])).sum(axis=-1) / 2
        inner_error = (width * np.maximum(p, q)).sum(axis=-1)
        below, above, outer_error = _beyond(e, q_counts, tails)
        up, down = (size + signed) / 2 + above / n, (size - signed) / 2 + below / n
        error = inner_error + outer_error / n
        means = np.nan if sum_reference is None else np.asarray(sum_reference, np.float64) / n0
        found = _with_mean(up, down, np.asarray(tails.sums / n - means), error)
    is_empty = (n0 == 0) | (n == 0)
    return Distance(*(np.where(is_empty, np.nan, bound)[()] for bound in found))


def normed(distance: ArrayLike, sd_reference: ArrayLike) -> Numbers:
    """Divide a distance by the reference's standard deviation, at least .001.

    Prefer it to the raw distance to compare features with each other: a Gaussian
    that moves by d standard deviations has d.

    Parameters
    ----------
    distance : array_like of float
        In the variable's unit.
    sd_reference : array_like of float
        Standard deviation of the reference, divisor n.

    Returns
    -------
    float64 or ndarray of float64
        In standard deviations; NaN where either is.

    Raises
    ------
    DomainError
        If a standard deviation is negative.

    Notes
    -----
    The floor is absolute: a variable whose values are all below .001 is measured in
    units of .001 and can hardly drift. Rescale such a feature.

    References
    ----------
    evidently 0.7.23, ``calculations/stattests/wasserstein_distance_norm.py``.

    Examples
    --------
    >>> print(normed(3.0, 2.0), normed(0.01, 0.0))
    1.5 10.0
    """
    sd = np.asarray(sd_reference, np.float64)
    if (sd < 0).any():
        raise DomainError(f"a standard deviation is {sd[sd < 0].flat[0]}", where="normed")
    return np.asarray(distance) / np.maximum(sd, SMALLEST_SD)


def checked_edges(edges: FloatArray) -> FloatArray:
    """Return edges that are finite and do not descend."""
    if edges.ndim == 0 or edges.shape[-1] < 2:
        raise ShapeError(f"edges have shape {edges.shape}", where="wasserstein_binned")
    if not np.isfinite(edges).all() or (np.diff(edges, axis=-1) < 0).any():
        raise DomainError("edges are not finite and ascending", where="wasserstein_binned")
    return edges


def _mean_gap(left: FloatArray, right: FloatArray) -> FloatArray:
    """Mean of |a straight line| between two values."""
    total = np.abs(left) + np.abs(right)
    crossing = (left * left + right * right) / np.where(total > 0, 2 * total, 1.0)
    return np.where(left * right < 0, crossing, total / 2)


def _with_mean(
    up: FloatArray, down: FloatArray, move: FloatArray, error: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Correct both areas by the exact difference of the means, NaN where it is unknown."""
    value = np.asarray(up + down)
    known = np.where(np.isfinite(move), move, 0.0)
    low = np.minimum(np.maximum(value - error, np.abs(known)), value + error)
    lacking = np.where(np.isfinite(move), known - (up - down), 0.0)
    lean = np.divide(up - down, value, out=np.zeros_like(value), where=value > 0)
    return np.clip(value + lacking * lean, low, value + error), low, value + error


def _beyond(
    edges: FloatArray, counts: NDArray[np.int64], tails: Tails
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Summed distances of each tail's rows from its edge, and how wrong their sum can be."""
    low, high = edges[..., 0], edges[..., -1]
    # Each tail's rows sum their distances to between "one at the extreme, the others
    # at the edge" and "all at the extreme".
    reach_below = np.where(tails.below > 0, np.maximum(low - tails.minima, 0.0), 0.0)
    reach_above = np.where(tails.above > 0, np.maximum(tails.maxima - high, 0.0), 0.0)
    least = reach_below, reach_above
    most = tails.below * reach_below, tails.above * reach_above
    room = most[0] - least[0], most[1] - least[1]
    middle = (counts * (edges[..., :-1] + edges[..., 1:]) / 2).sum(axis=-1)
    # What the sum leaves to the tails, as (distance above) - (distance below).
    left_over = tails.sums - middle - tails.below * low - tails.above * high
    spare = left_over - (least[1] - most[0])
    share = np.clip(spare / np.where(room[0] + room[1] > 0, room[0] + room[1], 1.0), 0.0, 1.0)
    below, above = most[0] - share * room[0], least[1] + share * room[1]
    slack = (counts * np.diff(edges, axis=-1)).sum(axis=-1) / 2
    both = (tails.below > 0) & (tails.above > 0)
    one_tail = np.minimum(slack, np.maximum(room[0], room[1]))
    error = np.where(both, np.maximum(share, 1 - share) * (room[0] + room[1]), one_tail)
    return below, above, error
