"""Domain classifier: how well a model separates current rows from reference rows."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from detectors.multivariate.band import Band
from detectors.multivariate.logistic_regression import logistic_regression
from detectors.multivariate.rows import FloatArray, rows_of
from detectors.statistics.histogram import atoms
from detectors.statistics.mann_whitney import mann_whitney
from detectors.statistics.normal import normal_scores
from schemas.errors import DomainError

USUAL_BAND = Band(0.45, 0.65)
"""nannyml's: outside it is drift. Fit for a few hundred rows a side and more."""
MAX_TERMS = 2_000
"""Terms of the classifier: 61 columns with products."""


class DomainClassifier(NamedTuple):
    """How well a classifier separates the two sides."""

    auc: float
    """Mean over folds; .5: not at all, 1: every row. NaN with too few rows."""
    null_sd: float
    """Standard deviation without drift, about: of Mann-Whitney's statistic."""
    n_reference: int
    """Rows used."""
    n_current: int


def domain_classifier(
    reference: ArrayLike,
    current: ArrayLike,
    *,
    products: bool = True,
    n_folds: int = 5,
    max_rows: int = 2_000,
    seed: int = 0,
) -> DomainClassifier:
    """Cross-validated AUC of a classifier between reference and current rows.

    Prefer it where one number in a fixed scale must cover many features of any unit; it
    needs raw rows, so :mod:`detectors.multivariate.mmd` and
    :mod:`detectors.multivariate.principal_components` serve merged windows.

    Parameters
    ----------
    reference, current : array_like of float, shape (n, n_features)
        Rows with NaN are left out.
    products : bool, default True
        Give the classifier squares and products of columns too; without them it sees
        moved means and no changed dependence.
    n_folds : int, default 5
        Each row is scored by a model that has not seen it.
    max_rows : int, default 2000
        Of each side; of more a sample is taken.
    seed : int, default 0
        Of sample and folds.

    Returns
    -------
    DomainClassifier
        ``USUAL_BAND.is_outside(result.auc)`` is nannyml's verdict. NaN with fewer than
        ``n_folds`` rows on a side.

    Raises
    ------
    ShapeError
        If the numbers of columns differ, or these are not rows of numbers.
    DomainError
        If a value is infinite, an option is out of its domain, or there are more than
        2,000 terms.

    Notes
    -----
    Columns become normal scores of their ranks among both sides together, so that units,
    heavy tails and any increasing transformation make no difference. The classifier is
    :func:`detectors.multivariate.logistic_regression.logistic_regression` on the scores
    and their products: with normal scores that is the form of the likelihood ratio of
    two normals. nannyml boosts trees (LightGBM), which find more forms and need more
    rows, and takes one AUC over all folds, whose scores are not on one scale.

    null_sd = sqrt((n0 + n + 1) / (12 n0 n)): .009 at 2,000 rows a side, but .058 at 50,
    where .65 is only 2.6 sd. Up to ``max_rows`` the order of rows makes no difference.
    Not mergeable. O(max_rows n_features^2) a step of the fit, of which more are needed
    with more columns: .3 s at 2,000 rows a side of 10 columns, 5 s of 30 (measured on a
    busy machine).

    References
    ----------
    Lopez-Paz and Oquab, Revisiting classifier two-sample tests, ICLR (2017). Hanley and
    McNeil, The meaning and use of the area under a ROC curve, Radiology 143 (1982).
    nannyml 0.13.1, ``drift/multivariate/domain_classifier``, for the band.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.random.default_rng(0).normal(size=(300, 2))
    >>> now = np.c_[x[:, 0], 0.8 * x[:, 0] + 0.6 * x[:, 1]]
    >>> USUAL_BAND.is_outside(domain_classifier(x[:150], now[150:]).auc)
    True
    >>> USUAL_BAND.is_outside(domain_classifier(x[:150], now[150:], products=False).auc)
    False
    """
    if n_folds < 2 or max_rows < n_folds:
        what = f"n_folds is {n_folds}, max_rows {max_rows}"
        fix = "pass 2 or more folds and at least as many rows"
        raise DomainError(what, where="domain_classifier", fix=fix)
    x = rows_of(reference, "reference").present
    y = rows_of(current, "current", x.shape[1]).present
    rng = np.random.default_rng(seed)
    x, y = (_sampled(rows, max_rows, rng) for rows in (x, y))
    if min(len(x), len(y)) < n_folds:
        return DomainClassifier(np.nan, np.nan, len(x), len(y))
    # Sorted first: what the seed then shuffles does not depend on the order of rows.
    pooled = np.concatenate([x[np.lexsort(x.T)], y[np.lexsort(y.T)]])
    is_current = np.arange(len(pooled)) >= len(x)
    terms = _terms(normal_scores(pooled), products)
    folds = np.concatenate([rng.permutation(np.arange(len(side)) % n_folds) for side in (x, y)])
    auc = float(np.mean([_auc(terms, is_current, folds == fold) for fold in range(n_folds)]))
    null_sd = float(np.sqrt((len(pooled) + 1) / (12 * len(x) * len(y))))
    return DomainClassifier(auc, null_sd, len(x), len(y))


def _sampled(rows: FloatArray, max_rows: int, rng: np.random.Generator) -> FloatArray:
    """At most so many rows, without replacement."""
    if len(rows) <= max_rows:
        return rows
    return rows[rng.choice(len(rows), max_rows, replace=False)]


def _terms(scores: FloatArray, products: bool) -> FloatArray:
    """Scores, their squares and products; each with mean 0 and spread 1, or all 0."""
    d = scores.shape[1]
    n_terms = d + products * d * (d + 1) // 2
    if n_terms > MAX_TERMS:
        fix = "pass products=False, or fewer columns"
        raise DomainError(f"{d} columns give {n_terms} terms", where="domain_classifier", fix=fix)
    if products:
        i, j = np.triu_indices(d)
        scores = np.hstack([scores, scores[:, i] * scores[:, j]])
    centred = scores - scores.mean(axis=0)
    sd = centred.std(axis=0)
    # A constant column, or one of two values whose square is constant, leaves rounding.
    return centred / np.where(sd > 1e-9, sd, np.inf)  # type: ignore[no-any-return]


def _auc(terms: FloatArray, is_current: NDArray[np.bool_], is_left_out: NDArray[np.bool_]) -> float:
    """AUC on the rows left out, of the classifier fitted to the others."""
    plane = logistic_regression(terms[~is_left_out], is_current[~is_left_out])
    scores, side = plane.score(terms[is_left_out]), is_current[is_left_out]
    p, q, _ = atoms(scores[~side], scores[side])
    return 1.0 - float(mann_whitney(p, q).effect)
