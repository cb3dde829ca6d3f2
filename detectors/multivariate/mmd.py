"""Maximum mean discrepancy: any change of a joint distribution, from mergeable sums."""

from __future__ import annotations

from detectors.multivariate.fourier_features import FeatureSums
from detectors.multivariate.projection import check_projection


def mmd_squared(reference: FeatureSums, current: FeatureSums) -> float:
    """Squared maximum mean discrepancy of a Gaussian kernel, by random Fourier features.

    Prefer it for changes of any form in up to some tens of columns, as dependence that
    is not linear; correlation and PCA see the linear part with far fewer rows. With many
    columns a Gaussian kernel sees all rows as equally far apart and loses its power.

    Parameters
    ----------
    reference, current : FeatureSums
        Of one :class:`detectors.multivariate.fourier_features.FourierFeatures`.

    Returns
    -------
    float
        About 0 without drift, on either side of it, and at most about 2; NaN with fewer
        than two rows on a side. There is no usual threshold: take the upper end of
        :func:`detectors.multivariate.band.band_of_windows` over reference windows of
        about the same number of rows, which needs no permutation.

    Raises
    ------
    DomainError
        If the sums come from two projections.

    Notes
    -----
    With m the mean feature of a side (cosines and sines over sqrt(n_frequencies))::

        |m0 - m|^2 - (1 - |m0|^2) / (n0 - 1) - (1 - |m|^2) / (n - 1)

    Because a row's features have length 1, this is the unbiased statistic with every
    pair of rows, of the kernel as approximated. Against the exact kernel |m0 - m|^2 is
    off by at most 4 sqrt(ln(2 / delta) / (2 n_frequencies)) with probability 1 - delta
    (Hoeffding: the mean of as many independent terms in [0, 4]), with a standard
    deviation of at most twice its root over sqrt(n_frequencies). The reference's windows
    see the same frequencies, so a threshold from them has no such error.
    O(n_frequencies).

    References
    ----------
    Gretton et al., A kernel two-sample test, JMLR 13 (2012), eq. 3. Zhao and Meng,
    FastMMD, Neural Computation 27 (2015), for the sums.

    Examples
    --------
    >>> import numpy as np
    >>> from detectors.multivariate.fourier_features import FourierFeatures
    >>> x = np.random.default_rng(0).normal(size=(900, 2))
    >>> features = FourierFeatures.fit(x[:300])
    >>> before, same, moved = (features.sums_of(p) for p in (x[:300], x[300:600], x[600:] + 0.5))
    >>> print(f"{mmd_squared(before, same):.4f} {mmd_squared(before, moved):.4f}")
    -0.0017 0.0690
    """
    check_projection(reference.projection, current.projection)
    if min(reference.n, current.n) < 2:
        return float("nan")
    n_frequencies = len(reference.sums) // 2
    means = [side.sums / side.n for side in (reference, current)]
    gap = means[0] - means[1]
    squared = float(gap @ gap) / n_frequencies
    for mean, side in zip(means, (reference, current), strict=True):
        squared -= (1 - float(mean @ mean) / n_frequencies) / (side.n - 1)
    return squared
