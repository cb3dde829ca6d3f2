"""Multivariate detectors on raw rows, without keeping summaries.

For tables that fit into memory, for a first look, and for the registry, whose detectors
all take two sides. Where windows are to be kept and merged, keep their summaries instead.
"""

from __future__ import annotations

from typing import Any

from numpy.typing import ArrayLike

from detectors.multivariate.correlation import CorrelationChange
from detectors.multivariate.correlation import correlation_change as _correlation_change
from detectors.multivariate.directions import Directions
from detectors.multivariate.embedding import CentroidShift, EmbeddingMoments
from detectors.multivariate.embedding import centroid_shift as _centroid_shift
from detectors.multivariate.fourier_features import FourierFeatures
from detectors.multivariate.jennrich import JennrichTest
from detectors.multivariate.jennrich import jennrich as _jennrich
from detectors.multivariate.mmd import mmd_squared
from detectors.multivariate.moments import SecondMoments
from detectors.multivariate.principal_components import PrincipalComponents
from detectors.multivariate.sliced_energy import energy_of_counts
from detectors.statistics.wasserstein import Distance


def reconstruction_error(reference: ArrayLike, current: ArrayLike, **options: Any) -> float:
    """Error with which the reference's principal components rebuild the current rows.

    Parameters
    ----------
    reference, current : array_like of float, shape (n, d)
        Rows of either side.
    **options
        Of :meth:`.principal_components.PrincipalComponents.fit`.

    Examples
    --------
    >>> apart = reconstruction_error([[0, 0], [1, 1], [2, 2]], [[0, 2], [2, 0]])
    >>> print(f"{apart:.3f}")
    3.000
    """
    plane = PrincipalComponents.fit(SecondMoments.of(reference), **options)
    return plane.reconstruction_error(SecondMoments.of(current))


def correlation_change(reference: ArrayLike, current: ArrayLike) -> CorrelationChange:
    """See :func:`.correlation.correlation_change`; rows of shape (n, d) on both sides."""
    return _correlation_change(SecondMoments.of(reference), SecondMoments.of(current))


def jennrich(reference: ArrayLike, current: ArrayLike) -> JennrichTest:
    """See :func:`.jennrich.jennrich`; rows of shape (n, d) on both sides."""
    return _jennrich(SecondMoments.of(reference), SecondMoments.of(current))


def mmd(reference: ArrayLike, current: ArrayLike, **options: Any) -> float:
    """See :func:`.mmd.mmd_squared`; the bandwidth is the reference's median distance.

    Parameters
    ----------
    reference, current : array_like of float, shape (n, d)
        Rows of either side.
    **options
        Of :meth:`.fourier_features.FourierFeatures.fit`.
    """
    features = FourierFeatures.fit(reference, **options)
    return mmd_squared(features.sums_of(reference), features.sums_of(current))


def centroid_shift(reference: ArrayLike, current: ArrayLike) -> CentroidShift:
    """See :func:`.embedding.centroid_shift`; vectors of shape (n, d) on both sides."""
    return _centroid_shift(EmbeddingMoments.of(reference), EmbeddingMoments.of(current))


def binned_energy(reference: ArrayLike, current: ArrayLike, **options: Any) -> Distance:
    """See :func:`.sliced_energy.energy_of_counts`; bins are cut on the reference.

    Parameters
    ----------
    reference, current : array_like of float, shape (n, d)
        Vectors of either side.
    **options
        Of :meth:`.directions.Directions.fit`.
    """
    directions = Directions.fit(reference, **options)
    return energy_of_counts(
        directions.counts_of(reference), directions.counts_of(current), directions
    )
