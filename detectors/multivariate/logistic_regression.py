"""Logistic regression with a ridge: the classifier of the domain classifier."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from detectors.multivariate.rows import FloatArray
from schemas.errors import DomainError, ShapeError


class LogisticRegression(NamedTuple):
    """A fitted plane; :meth:`score` is larger the likelier a row is of class 1."""

    weights: FloatArray
    """Shape (n_features,)."""
    intercept: float

    def score(self, features: FloatArray) -> FloatArray:
        """Return log odds of class 1, shape (n,)."""
        return features @ self.weights + self.intercept


def logistic_regression(
    features: FloatArray, labels: NDArray[np.bool_], *, ridge: float = 1.0
) -> LogisticRegression:
    """Fit log odds as a plane, by penalised maximum likelihood.

    Parameters
    ----------
    features : ndarray of float64, shape (n, n_features)
        Of spread about 1: the ridge is the same for all.
    labels : ndarray of bool, shape (n,)
        Both classes must occur.
    ridge : float, default 1
        sklearn's 1 / C. Positive, so that the answer is unique also where classes are
        separated or columns are copies.

    Returns
    -------
    LogisticRegression

    Raises
    ------
    ShapeError
        If there are not as many labels as rows.
    DomainError
        If a class has no rows, or the ridge is not positive.

    Notes
    -----
    Minimises sum over rows of log(1 + exp(-y (w'x + b))) + ridge |w|^2 / 2, y = -1 or 1;
    the intercept b is not penalised. L-BFGS until the gradient is below 1e-7 a row;
    O(n n_features) a step, of which some tens are needed.

    References
    ----------
    Hastie, Tibshirani and Friedman, The elements of statistical learning, 2nd ed. (2009),
    section 4.4.

    Examples
    --------
    >>> x = np.array([[-1.0], [-0.5], [0.5], [1.0]])
    >>> plane = logistic_regression(x, np.array([False, False, True, True]))
    >>> print(f"{plane.weights[0]:.3f} {abs(plane.intercept):.3f}")
    0.944 0.000
    """
    from scipy.optimize import minimize
    from scipy.special import expit

    if labels.shape != features.shape[:1]:
        what = f"labels have shape {labels.shape}, features {features.shape}"
        raise ShapeError(what, where="logistic_regression", fix="pass one label a row")
    if not 0 < labels.sum() < len(labels) or not ridge > 0:
        what = f"{labels.sum()} of {len(labels)} labels are True, ridge is {ridge}"
        fix = "pass both classes and a positive ridge"
        raise DomainError(what, where="logistic_regression", fix=fix)
    signs = np.where(labels, 1.0, -1.0)

    def loss(plane: FloatArray) -> tuple[float, FloatArray]:
        """Mean loss, and its gradient: weights first, the intercept last."""
        weights = plane[:-1]
        margins = signs * (features @ weights + plane[-1])
        slopes = -signs * expit(-margins)
        gradient = np.append(features.T @ slopes + ridge * weights, slopes.sum())
        total = np.logaddexp(0.0, -margins).sum() + ridge * (weights @ weights) / 2
        return float(total) / len(labels), gradient / len(labels)

    start = np.zeros(features.shape[1] + 1)
    options = {"maxiter": 500, "gtol": 1e-7, "ftol": 1e-14}
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options=options)
    return LogisticRegression(found.x[:-1], float(found.x[-1]))
