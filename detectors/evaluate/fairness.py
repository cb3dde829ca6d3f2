"""Fairness of decisions between groups: how often each one gets the positive class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from detectors.statistics.intervals import (
    Interval,
    check_confidence,
    newcombe_interval,
    wilson_interval,
)
from schemas.errors import DomainError, ShapeError

MIN_GROUP_ROWS = 30
"""A smaller group is not compared: its rate is mostly chance."""
USUAL_DIFFERENCE = 0.1
USUAL_RATIO = 0.8
"""The four-fifths rule."""


@dataclass(frozen=True, slots=True)
class GroupRate:
    """One group's positive rate, alone and against the best-treated group."""

    group: str
    n: int
    rate: float | None
    """None without rows."""
    interval: Interval | None
    """Wilson's."""
    disparate_impact: float | None
    """Rate over the highest compared rate; None where too small, or without a positive."""
    difference: float | None
    """Rate minus the highest compared rate, <= 0."""


@dataclass(frozen=True, slots=True)
class Parity:
    """Demographic parity of one attribute."""

    groups: tuple[GroupRate, ...]
    """In the order given; too small ones too."""
    lowest: str
    highest: str
    """Groups compared; empty where fewer than two are large enough."""
    difference: float | None
    """Highest rate minus lowest."""
    difference_interval: Interval | None
    """Newcombe's, widened for having picked the extreme pair of several."""
    ratio: float | None
    """Lowest rate over highest; None without a positive."""


def demographic_parity(
    groups: Sequence[str],
    n_positive: ArrayLike,
    n_predicted: ArrayLike,
    *,
    min_rows: int = MIN_GROUP_ROWS,
    confidence: float = 0.95,
) -> Parity:
    """Compare how often groups are predicted positive; prefer it where labels come late.

    It needs no labels. Where they exist, equal opportunity and equalized odds ask a
    better question, because rates may differ for reasons the labels share.

    Parameters
    ----------
    groups : sequence of str, length G
        Names, without repetition.
    n_positive, n_predicted : array_like of int, shape (G,)
        Rows predicted positive, and rows with any prediction.
    min_rows : int, default 30
        Groups below are shown and not compared.
    confidence : float, default .95
        Of each interval.

    Returns
    -------
    Parity
        Difference and ratio are None where fewer than two groups are large enough.

    Raises
    ------
    ShapeError
        If the lengths differ, or counts are not integers.
    DomainError
        If a count is negative, positives outnumber predictions, a group is named
        twice, or confidence is not inside (0, 1).

    Notes
    -----
    Difference = max - min and ratio = min / max over groups, as fairlearn has them;
    aif360 signs its difference unprivileged - privileged, which requires naming the
    privileged group. The highest and lowest group are picked after looking, so their
    difference is positive by chance alone: its interval uses 1 - (1 - confidence) /
    pairs (Bonferroni). O(G); exact from merged panes.

    References
    ----------
    Dwork et al., Fairness through awareness, ITCS (2012), section 3. Uniform
    Guidelines on Employee Selection Procedures, 29 CFR 1607.4 D (1978), for .8.

    Examples
    --------
    >>> parity = demographic_parity(["a", "b", "c"], [50, 30, 2], [100, 100, 5])
    >>> print(f"{parity.lowest} {parity.difference:.2f} {parity.ratio:.2f}")
    b 0.20 0.60
    >>> print(parity.groups[2].disparate_impact)
    None
    """
    x, n = _checked(groups, n_positive, n_predicted, confidence)
    large = [i for i in range(len(groups)) if n[i] >= max(min_rows, 1)]
    if len(large) < 2:
        rows = tuple(_alone(groups[i], x[i], n[i], confidence) for i in range(len(groups)))
        return Parity(rows, "", "", None, None, None)
    best = max(large, key=lambda i: x[i] / n[i])
    worst = min(large, key=lambda i: x[i] / n[i])
    if best == worst:  # all rates are equal: any other group is the lowest
        worst = next(i for i in large if i != best)
    top, bottom = x[best] / n[best], x[worst] / n[worst]
    pairs = len(large) * (len(large) - 1) // 2
    widened = 1 - (1 - confidence) / pairs
    return Parity(
        groups=tuple(
            _against(_alone(groups[i], x[i], n[i], confidence), top, i in large)
            for i in range(len(groups))
        ),
        lowest=groups[worst],
        highest=groups[best],
        difference=top - bottom,
        difference_interval=newcombe_interval(x[best], n[best], x[worst], n[worst], widened),
        ratio=bottom / top if top > 0 else None,
    )


def _checked(
    groups: Sequence[str], n_positive: ArrayLike, n_predicted: ArrayLike, confidence: float
) -> tuple[list[int], list[int]]:
    """Return counts as lists of int, checked."""
    x, n = np.asarray(n_positive), np.asarray(n_predicted)
    shapes = f"{len(groups)} groups, {x.shape} positives, {n.shape} predictions"
    if x.shape != (len(groups),) or n.shape != x.shape:
        raise ShapeError(shapes, where="demographic_parity")
    if len(groups) and not (x.dtype.kind in "iu" and n.dtype.kind in "iu"):
        raise ShapeError(f"dtypes are {x.dtype}, {n.dtype}", where="demographic_parity")
    if len(set(groups)) != len(groups):
        raise DomainError("a group is named twice", where="demographic_parity")
    for i in range(len(groups)):
        if not 0 <= x[i] <= n[i]:
            raise DomainError(f"{x[i]} positives of {n[i]} predictions", where=groups[i])
    check_confidence(confidence)
    return _listed(x), _listed(n)


def _listed(counts: NDArray[np.int64]) -> list[int]:
    """Plain integers."""
    return [int(c) for c in counts]


def _alone(group: str, x: int, n: int, confidence: float) -> GroupRate:
    """One group without comparison."""
    if n == 0:
        return GroupRate(group, 0, None, None, None, None)
    return GroupRate(group, n, x / n, wilson_interval(x, n, confidence), None, None)


def _against(row: GroupRate, top: float, is_large: bool) -> GroupRate:
    """The same group against the highest rate."""
    if not is_large or row.rate is None:
        return row
    impact = row.rate / top if top > 0 else None
    return GroupRate(row.group, row.n, row.rate, row.interval, impact, row.rate - top)
