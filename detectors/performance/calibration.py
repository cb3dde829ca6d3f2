"""How probable scores are: calibration error, Brier's score and its parts, log loss."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from detectors.performance.counters import BinaryOutcomes
from detectors.performance.metric import Metric, undefined

NO_SCORES = "no scores in [0, 1]"


@dataclass(frozen=True, slots=True)
class Calibration:
    """Metrics of scores that are probabilities."""

    ece: Metric
    """Expected calibration error over 20 equal bins of the score."""
    brier: Metric
    log_loss: Metric
    reliability: float
    """Of Murphy's decomposition: 0 if each bin's score is its share of positives."""
    resolution: float
    """How much the bins' shares of positives differ."""
    uncertainty: float
    """Variance of the label."""
    within_bins: float
    """What the three leave of Brier's score: scores of one bin differ."""


def calibration(outcomes: BinaryOutcomes) -> Calibration:
    """Measure the calibration of a window.

    Returns
    -------
    Calibration
        Undefined without rows whose score is in [0, 1].

    Notes
    -----
    ECE = sum_b |sum s - sum y| / n. brier = reliability - resolution + uncertainty +
    within_bins, with the bins of the ECE; the last term is 0 for scores that are equal within
    a bin. O(20).

    References
    ----------
    Murphy, J. Appl. Meteorol. 12 (1973) 595-600. Naeini et al., AAAI 2015 (ECE).

    Examples
    --------
    >>> rows = BinaryOutcomes.of([1, 0, 1, 0], [1, 0, 1, 0], [0.9, 0.1, 0.9, 0.3], np.zeros(0))
    >>> found = calibration(rows)
    >>> print(f"{found.ece.value:.3f} {found.brier.value:.3f}")
    0.150 0.030
    """
    rows, scores, positives = outcomes.calibration
    n = float(rows.sum())
    if n == 0:
        none = undefined(NO_SCORES)
        return Calibration(none, none, none, 0.0, 0.0, 0.0, 0.0)
    some = rows > 0
    mean = np.divide(scores, rows, out=np.zeros_like(rows), where=some)
    hit = np.divide(positives, rows, out=np.zeros_like(rows), where=some)
    base = float(positives.sum() / n)
    reliability = float((rows * (mean - hit) ** 2).sum() / n)
    resolution = float((rows * (hit - base) ** 2).sum() / n)
    brier, loss = outcomes.sums / n
    return Calibration(
        Metric(float(np.abs(scores - positives).sum() / n), n),
        Metric(float(brier), n),
        Metric(float(loss), n),
        reliability,
        resolution,
        base * (1 - base),
        float(brier) - reliability + resolution - base * (1 - base),
    )
