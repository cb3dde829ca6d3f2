"""Wasserstein-1 in standard deviations of the reference, from counted points."""

from __future__ import annotations

from numpy.typing import ArrayLike

from detectors.statistics.histogram import Numbers
from detectors.statistics.shift import moments_of_points
from detectors.statistics.wasserstein import normed, wasserstein


def normed_wasserstein(values: ArrayLike, reference: ArrayLike, current: ArrayLike) -> Numbers:
    """Wasserstein-1 distance over the reference's standard deviation, at least .001.

    Prefer it to :func:`detectors.statistics.wasserstein.wasserstein` to compare features with each
    other, and to agree with evidently, whose default it is above 1,000 reference rows.

    Parameters
    ----------
    values, reference, current
        As :func:`detectors.statistics.wasserstein.wasserstein` takes them; counts only.

    Returns
    -------
    float64 or ndarray of float64, shape (...)
        In standard deviations; NaN where a side holds nothing.

    Raises
    ------
    ShapeError
        If the lengths differ, or counts are not integers.
    DomainError
        If the points are not finite or do not ascend, or a count is negative.

    Notes
    -----
    O(n). From panes: :func:`detectors.statistics.wasserstein.wasserstein_binned`, then
    :func:`detectors.statistics.wasserstein.normed` with the standard deviation of the baseline.

    References
    ----------
    evidently 0.7.23, ``calculations/stattests/wasserstein_distance_norm.py``.

    Examples
    --------
    >>> print(normed_wasserstein([0.0, 2.0, 4.0], [1, 1, 0], [0, 1, 1]))
    2.0
    """
    distance = wasserstein(values, reference, current)
    return normed(distance, moments_of_points(values, reference).sd)
