"""Errors of predicted numbers, from sums that merge."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike

from detectors.performance.metric import Metric, normal_metric, undefined
from schemas.errors import ShapeError


@dataclass(frozen=True, slots=True)
class RegressionOutcomes:
    """Sums over labelled rows of a regression.

    Attributes
    ----------
    n : int
        Rows with a finite label and prediction.
    error, absolute, square : float
        Sums of prediction - label, of its size, and of its square.
    fourth : float
        Sum of the fourth power, for the interval of the squared error.
    label, label_square : float
        Sums of the label and of its square.
    n_relative : int
        Rows whose label is not 0, nor so near to it that the quotient overflows.
    relative : float
        Sum of |error / label| over these.
    n_log : int
        Rows whose label and prediction are above -1.
    log_square : float
        Sum of (ln(1 + prediction) - ln(1 + label))^2 over these.
    """

    n: int
    error: float
    absolute: float
    square: float
    fourth: float
    label: float
    label_square: float
    n_relative: int
    relative: float
    n_log: int
    log_square: float

    @classmethod
    def of(cls, labels: ArrayLike, predictions: ArrayLike) -> Self:
        """Sum over rows; those of which either number is not finite are left out.

        Raises
        ------
        ShapeError
            If there is not one prediction for each label.

        Examples
        --------
        >>> RegressionOutcomes.of([1.0, 2.0, float("nan")], [1.5, 2.0, 3.0]).absolute
        0.5
        """
        y, p = np.asarray(labels, np.float64), np.asarray(predictions, np.float64)
        if y.shape != p.shape:
            what = f"{y.shape} labels and {p.shape} predictions"
            raise ShapeError(what, where="RegressionOutcomes", fix="pass one for each row")
        finite = np.isfinite(y) & np.isfinite(p)
        y, p = y[finite], p[finite]
        e = p - y
        above = (y > -1) & (p > -1)
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            ratios = np.abs(e / y)
            squares, fourths, label_squares = e**2, e**4, y**2
        relative = ratios[np.isfinite(ratios)]
        logs = np.log1p(p[above]) - np.log1p(y[above])
        return cls(
            n=len(y),
            error=float(e.sum()),
            absolute=float(np.abs(e).sum()),
            square=float(squares.sum()),
            fourth=float(fourths.sum()),
            label=float(y.sum()),
            label_square=float(label_squares.sum()),
            n_relative=len(relative),
            relative=float(relative.sum()),
            n_log=int(above.sum()),
            log_square=float((logs**2).sum()),
        )

    def __add__(self, other: RegressionOutcomes) -> RegressionOutcomes:
        """Return the sums over both sets of rows."""
        pairs = ((getattr(self, name), getattr(other, name)) for name in self.__slots__)
        return RegressionOutcomes(*(a + b for a, b in pairs))


def regression_metrics(outcomes: RegressionOutcomes, *, phi: float = 1.0) -> dict[str, Metric]:
    """Return the metrics of predicted numbers, by the names of scikit-learn.

    Returns
    -------
    dict of str to Metric
        ``mean_error``, ``mae``, ``mse``, ``rmse``, ``r2``, ``mape``, ``msle``, ``rmsle``.
        ``mape`` leaves out rows whose label is 0 (scikit-learn divides by 2e-16 there), and
        the logarithmic ones those at or below -1; ``n`` says how many are left.

    Notes
    -----
    Means have the interval of a normal distribution, widened by ``phi``; R2 and MAPE have
    none. O(1).

    Examples
    --------
    >>> found = regression_metrics(RegressionOutcomes.of([1, 2, 3, 4], [1, 2, 3, 6]))
    >>> print(found["mae"].value, found["rmse"].value, f"{found['r2'].value:.1f}")
    0.5 1.0 0.2
    """
    o = outcomes
    if o.n == 0:
        names = ("mean_error", "mae", "mse", "rmse", "r2", "mape", "msle", "rmsle")
        return {name: undefined("no rows") for name in names}

    def mean(total: float, squares: float, low: float = 0.0) -> Metric:
        value = total / o.n
        return normal_metric(value, phi * max(squares / o.n - value**2, 0.0) / o.n, o.n, low=low)

    spread = o.label_square - o.label**2 / o.n
    msle = Metric(o.log_square / o.n_log, o.n_log) if o.n_log else undefined("labels below -1")
    return {
        "mean_error": mean(o.error, o.square, -math.inf),
        "mae": mean(o.absolute, o.square),
        "mse": mean(o.square, o.fourth),
        "rmse": Metric(math.sqrt(o.square / o.n), o.n),
        "r2": Metric(1 - o.square / spread, o.n)
        if spread > 0
        else undefined("all labels are equal", o.n),
        "mape": Metric(o.relative / o.n_relative, o.n_relative)
        if o.n_relative
        else undefined("all labels are 0"),
        "msle": msle,
        "rmsle": msle if msle.value is None else Metric(math.sqrt(msle.value), msle.n),
    }
