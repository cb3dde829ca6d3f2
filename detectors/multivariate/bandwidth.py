"""Median heuristic: the width at which a Gaussian kernel separates rows."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from detectors.multivariate.rows import rows_of
from schemas.errors import DomainError


def median_bandwidth(rows: ArrayLike, *, max_rows: int = 1000, seed: int = 0) -> float:
    """Median distance between two rows; the usual default bandwidth.

    Parameters
    ----------
    rows : array_like of float, shape (n, n_features)
        Of the reference, in comparable units; rows with NaN are left out.
    max_rows : int, default 1000
        Beyond so many a sample of them is taken.
    seed : int, default 0
        Of that sample.

    Returns
    -------
    float
        Positive: of the distances above 0, where half of all are 0 (few-valued data).

    Raises
    ------
    ShapeError
        If these are not rows of numbers.
    DomainError
        If fewer than two rows are present, all are the same, one is infinite or too
        large, or ``max_rows`` is below 2.

    Notes
    -----
    O(max_rows^2 n_features): about half a second at 1,000 rows of 768 columns. From the
    reference alone, so that the kernel is the same for every window; evidently pools
    both sides and takes exp(-|x - y|^2 / median^2), a width narrower by sqrt(2).

    References
    ----------
    Gretton et al., A kernel two-sample test, JMLR 13 (2012), section 8.

    Examples
    --------
    >>> median_bandwidth([[0.0], [1.0], [3.0]])
    2.0
    """
    from scipy.spatial.distance import pdist

    if max_rows < 2:
        raise DomainError(f"max_rows is {max_rows}", where="median_bandwidth", fix="pass 2 or more")
    present, _ = rows_of(rows, "median_bandwidth")
    if len(present) > max_rows:
        # Sorted, so that memory is read forwards.
        chosen = np.random.default_rng(seed).choice(len(present), max_rows, replace=False)
        present = present[np.sort(chosen)]
    distances = pdist(present)
    apart = distances[distances > 0]
    if not len(apart) or not np.isfinite(apart).all():
        what = f"{len(present)} rows, {len(apart)} pairs of them apart"
        fix = "pass two or more different rows, divided by their scale"
        raise DomainError(what, where="median_bandwidth", fix=fix)
    median = float(np.median(distances))
    return median if median > 0 else float(np.median(apart))
