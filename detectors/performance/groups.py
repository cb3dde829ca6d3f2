"""Fairness with labels: rates of groups, and how far apart they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from detectors.performance.confusion import confusion_metrics
from detectors.performance.metric import Metric, undefined
from schemas.errors import DomainError, ShapeError

MIN_ROWS = 30
"""Of a rate's own denominator; with fewer it is shown and not compared."""
DIFFERENCES = {
    "demographic_parity_difference": "selection_rate",
    "equal_opportunity_difference": "recall",
    "false_positive_rate_difference": "false_positive_rate",
    "predictive_parity_difference": "precision",
    "accuracy_difference": "accuracy",
}
"""Names of fairlearn where it has one, and the rate that is compared."""


@dataclass(frozen=True, slots=True)
class Gap:
    """How far apart a rate is between groups."""

    difference: float | None
    """Highest less lowest; None where fewer than two groups are compared."""
    ratio: float | None
    """Lowest over highest; None also where the highest is 0."""
    highest: str = ""
    lowest: str = ""
    left_out: tuple[str, ...] = ()
    """Groups whose denominator is too small, or empty."""


@dataclass(frozen=True, slots=True)
class GroupOutcomes:
    """Rates and gaps of one protected attribute."""

    rates: Mapping[str, Mapping[str, Metric]]
    """By metric and group."""
    gaps: Mapping[str, Gap]
    """By metric."""
    equalized_odds_difference: Metric
    """Greater of the differences of recall and false positive rate."""
    equalized_odds_mean: Metric
    """Mean of the two."""


def group_outcomes(
    names: Sequence[str], confusions: ArrayLike, *, min_rows: int = MIN_ROWS, phi: float = 1.0
) -> GroupOutcomes:
    """Compare the rates of groups.

    Parameters
    ----------
    names : sequence of str, length G
        Each once.
    confusions : array_like of int, shape (G, 2, 2)
        [[tn, fp], [fn, tp]] of each group.
    min_rows : int, default 30
        Of a rate's own denominator: positives for recall, negatives for the false positive
        rate.
    phi : float, default 1
        Design effect, which widens intervals.

    Returns
    -------
    GroupOutcomes

    Raises
    ------
    ShapeError
        If there is not one confusion matrix for each name.
    DomainError
        If a name repeats.

    Notes
    -----
    fairlearn compares a group without positives as one with a recall of 0; here its recall is
    undefined and left out, by name. O(G).

    Examples
    --------
    >>> found = group_outcomes(["a", "b"], [[[80, 20], [10, 90]], [[90, 10], [30, 70]]])
    >>> gap = found.gaps["recall"]
    >>> print(f"{gap.difference:.2f} {gap.highest} {gap.lowest}")
    0.20 a b
    """
    matrices = np.asarray(confusions, np.int64)
    if matrices.shape != (len(names), 2, 2):
        what = f"{len(names)} names and confusions of shape {matrices.shape}"
        raise ShapeError(what, where="group_outcomes", fix="pass (G, 2, 2)")
    if len(set(names)) != len(names):
        raise DomainError("a group repeats", where="group_outcomes", fix="add its rows up")
    by_group = {
        name: confusion_metrics(matrix, phi=phi)
        for name, matrix in zip(names, matrices, strict=True)
    }
    of = sorted({*DIFFERENCES.values(), "specificity", "false_negative_rate", "error_rate"})
    rates = {metric: {name: found[metric] for name, found in by_group.items()} for metric in of}
    gaps = {metric: gap_of(found, min_rows) for metric, found in rates.items()}
    odds = [gaps["recall"].difference, gaps["false_positive_rate"].difference]
    known = [difference for difference in odds if difference is not None]
    n = float(matrices.sum())
    if len(known) < 2:
        none = undefined(f"fewer than two groups have {min_rows} rows of each class", n)
        return GroupOutcomes(rates, gaps, none, none)
    return GroupOutcomes(rates, gaps, Metric(max(known), n), Metric(sum(known) / 2, n))


def gap_of(rates: Mapping[str, Metric], min_rows: int = MIN_ROWS) -> Gap:
    """Return how far apart one rate is between the groups that have enough rows.

    Examples
    --------
    >>> gap_of({"a": Metric(0.5, 40), "b": Metric(0.4, 90), "c": Metric(0.0, 3)}).left_out
    ('c',)
    """
    compared = {
        name: rate.value
        for name, rate in rates.items()
        if rate.value is not None and rate.n >= min_rows
    }
    left_out = tuple(name for name in rates if name not in compared)
    if len(compared) < 2:
        return Gap(None, None, left_out=left_out)
    highest = max(compared, key=compared.__getitem__)
    lowest = min(compared, key=compared.__getitem__)
    high, low = compared[highest], compared[lowest]
    return Gap(high - low, low / high if high > 0 else None, highest, lowest, left_out)
