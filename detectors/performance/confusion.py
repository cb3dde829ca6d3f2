"""Rates of a confusion matrix of two classes, by the names of scikit-learn."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from detectors.performance.metric import Metric, normal_metric, share, undefined
from schemas.errors import ShapeError

NO_POSITIVES, NO_NEGATIVES = "no positives", "no negatives"


def confusion_metrics(confusion: ArrayLike, *, phi: float = 1.0) -> dict[str, Metric]:
    """Return every rate of a confusion matrix.

    Parameters
    ----------
    confusion : array_like of int, shape (2, 2)
        [[tn, fp], [fn, tp]].
    phi : float, default 1
        Design effect of the stream; intervals are those of n / phi independent rows.

    Returns
    -------
    dict of str to Metric
        ``accuracy``, ``error_rate``, ``precision``, ``negative_predictive_value``, ``recall``,
        ``specificity``, ``false_positive_rate``, ``false_negative_rate``, ``selection_rate``,
        ``f1``, ``balanced_accuracy``, ``matthews``, ``lift``, and the counts ``tp``, ``fp``,
        ``fn``, ``tn``. Undefined, with its reason, where scikit-learn has 0 and a warning.

    Raises
    ------
    ShapeError
        If it is no matrix of two classes.

    Notes
    -----
    Shares have Wilson's interval, F1 and balanced accuracy that of the delta method; Matthews'
    correlation and lift have none. O(1).

    Examples
    --------
    >>> found = confusion_metrics([[50, 10], [5, 35]])
    >>> print(f"{found['recall'].value:.3f} {found['f1'].value:.4f}")
    0.875 0.8235
    """
    matrix = np.asarray(confusion, np.int64)
    if matrix.shape != (2, 2):
        raise ShapeError(f"shape {matrix.shape}", where="confusion_metrics", fix="pass (2, 2)")
    (tn, fp), (fn, tp) = matrix.tolist()
    n = tn + fp + fn + tp
    shares = {
        "accuracy": (tp + tn, n, "no rows"),
        "error_rate": (fp + fn, n, "no rows"),
        "precision": (tp, tp + fp, "none predicted positive"),
        "negative_predictive_value": (tn, tn + fn, "none predicted negative"),
        "recall": (tp, tp + fn, NO_POSITIVES),
        "specificity": (tn, tn + fp, NO_NEGATIVES),
        "false_positive_rate": (fp, tn + fp, NO_NEGATIVES),
        "false_negative_rate": (fn, tp + fn, NO_POSITIVES),
        "selection_rate": (tp + fp, n, "no rows"),
    }
    found = {name: share(*of, phi=phi) for name, of in shares.items()}
    found["f1"] = _f1(tp, fp, fn, n, phi)
    found["balanced_accuracy"] = _balanced(found["recall"], found["specificity"], phi)
    found["matthews"] = _matthews(tn, fp, fn, tp)
    found["lift"] = _lift(tp, fp, fn, n)
    counts = {"tp": tp, "fp": fp, "fn": fn, "tn": tn}
    return found | {name: Metric(float(count), n) for name, count in counts.items()}


def _f1(tp: int, fp: int, fn: int, n: int, phi: float) -> Metric:
    """Return 2 tp / (2 tp + fp + fn), with the variance of multinomial counts."""
    d = 2 * tp + fp + fn
    if d == 0:
        return undefined("no positives, and none predicted", n)
    # Derivatives by tp, and by fp and fn.
    by_tp, by_wrong = 2 * (fp + fn) / d**2, -2 * tp / d**2
    mean = (by_tp * tp + by_wrong * (fp + fn)) / n
    square = (by_tp**2 * tp + by_wrong**2 * (fp + fn)) / n
    return normal_metric(2 * tp / d, phi * n * (square - mean**2), n, low=0.0, high=1.0)


def _balanced(recall: Metric, specificity: Metric, phi: float) -> Metric:
    """Return the mean of recall and specificity."""
    if recall.value is None or specificity.value is None:
        return undefined(recall.reason or specificity.reason, recall.n + specificity.n)
    sides = [(m.value, m.n) for m in (recall, specificity) if m.value is not None]
    variance = sum(p * (1 - p) / n for p, n in sides) * phi / 4
    value = (recall.value + specificity.value) / 2
    return normal_metric(value, variance, recall.n + specificity.n, low=0.0, high=1.0)


def _matthews(tn: int, fp: int, fn: int, tp: int) -> Metric:
    """Return Matthews' correlation coefficient (Matthews, Biochim. Biophys. Acta 405, 1975)."""
    sides = [tp + fp, tp + fn, tn + fp, tn + fn]
    if 0 in sides:
        return undefined("one class only", tn + fp + fn + tp)
    root = math.prod(math.sqrt(side) for side in sides)
    return Metric((tp * tn - fp * fn) / root, tn + fp + fn + tp)


def _lift(tp: int, fp: int, fn: int, n: int) -> Metric:
    """Return precision over the share of positives."""
    if tp + fp == 0 or tp + fn == 0:
        return undefined(NO_POSITIVES if tp + fn == 0 else "none predicted positive", n)
    return Metric(tp * n / ((tp + fp) * (tp + fn)), n)
