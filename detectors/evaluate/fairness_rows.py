"""Fairness of a window, from its segments' counts of positive predictions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from detectors.evaluate.cells import Statistic
from detectors.evaluate.fairness import (
    MIN_GROUP_ROWS,
    USUAL_DIFFERENCE,
    USUAL_RATIO,
    GroupRate,
    Parity,
    demographic_parity,
)
from detectors.quality.checks import share_change
from detectors.statistics.intervals import Interval
from schemas.panes import ALL, SeriesStats
from schemas.results import Reason


def evaluate_fairness(
    current: SeriesStats, protected: Sequence[str], *, min_rows: int = MIN_GROUP_ROWS
) -> list[Statistic]:
    """Compare how often the groups of each protected attribute get the positive class.

    Parameters
    ----------
    current : SeriesStats
        With ``n_positive`` and ``n_predicted`` by segment.
    protected : sequence of str
        Segment names; the groups of ``sex`` are the segments ``sex=...``.
    min_rows : int, default 30
        Smaller groups are not compared.

    Returns
    -------
    list of Statistic
        For each attribute, under its name as ``feature``: in segment ``*``
        ``demographic_parity_difference`` (with interval and p-value) and
        ``demographic_parity_ratio``; in each group ``positive_rate`` (with interval)
        and ``disparate_impact``, whose effect is the difference from the
        best-treated group. Without a number: ``no_data`` (no predictions, or none of
        them positive where a ratio needs one), ``too_few_samples`` (fewer than two
        groups large enough, or this group too small).

    Raises
    ------
    DomainError
        If positives outnumber predictions.

    Notes
    -----
    ``other``, the values beyond a segment's first hundred, is a group like any: a
    category may really be called so. p-value and interval of the difference are
    corrected for having picked the extreme pair. O(groups).

    Examples
    --------
    >>> from schemas.panes import SeriesStats
    >>> now = SeriesStats.empty(("*", "sex=f", "sex=m"), 1)
    >>> now.n_predicted[:], now.n_positive[:] = (500, 200, 300), (200, 60, 140)
    >>> for row in evaluate_fairness(now, ["sex"])[:2]:
    ...     print(row.metric, f"{row.statistic:.3f}", row.n)
    demographic_parity_difference 0.167 500
    demographic_parity_ratio 0.643 500
    """
    rows = []
    for attribute in protected:
        prefix = f"{attribute}="
        at = [i for i, name in enumerate(current.segments) if name.startswith(prefix)]
        groups = [current.segments[i] for i in at]
        positive, predicted = current.n_positive[at], current.n_predicted[at]
        parity = demographic_parity(groups, positive, predicted, min_rows=min_rows)
        rows += _attribute_rows(attribute, parity, dict(zip(groups, positive, strict=True)))
        for group in parity.groups:
            rows += _group_rows(attribute, group, min_rows, parity)
    return rows


def _attribute_rows(
    attribute: str, parity: Parity, n_positive: Mapping[str, int]
) -> list[Statistic]:
    """Difference and ratio between the extreme groups."""
    n = sum(g.n for g in parity.groups)
    rows = {g.group: g for g in parity.groups}
    n_compared = sum(g.difference is not None for g in parity.groups)
    reason, p_value = Reason.NO_DATA if n == 0 else Reason.TOO_FEW_SAMPLES, None
    if parity.difference is not None:
        pair = [rows[name] for name in (parity.highest, parity.lowest)]
        hits = [n_positive[g.group] for g in pair]
        p = float(share_change(hits[0], pair[0].n, hits[1], pair[1].n).p_value)
        reason, p_value = Reason.DESCRIPTIVE, min(p * n_compared * (n_compared - 1) / 2, 1.0)
    bounds = parity.difference_interval
    difference = Statistic(
        attribute,
        ALL,
        "demographic_parity_difference",
        parity.difference,
        p_value,
        parity.difference,
        USUAL_DIFFERENCE,
        n,
        reason=reason,
        low=_low(bounds),
        high=_high(bounds),
    )
    if reason is Reason.DESCRIPTIVE and parity.ratio is None:
        reason = Reason.NO_DATA
    metric = "demographic_parity_ratio"
    ratio = Statistic(
        attribute, ALL, metric, parity.ratio, None, parity.ratio, USUAL_RATIO, n, reason=reason
    )
    return [difference, ratio]


def _group_rows(attribute: str, group: GroupRate, min_rows: int, parity: Parity) -> list[Statistic]:
    """Rate of one group, alone and over the best-treated group's."""
    few = Reason.NO_DATA if group.n == 0 else Reason.TOO_FEW_SAMPLES
    is_large = group.n >= max(min_rows, 1)
    own = Reason.DESCRIPTIVE if is_large else few
    rate = Statistic(
        attribute,
        group.group,
        "positive_rate",
        group.rate if is_large else None,
        n=group.n,
        reason=own,
        low=_low(group.interval) if is_large else None,
        high=_high(group.interval) if is_large else None,
    )
    compared = Reason.DESCRIPTIVE if group.disparate_impact is not None else few
    if group.difference is not None and group.disparate_impact is None:
        compared = Reason.NO_DATA  # compared, but no group has a positive
    impact = Statistic(
        attribute,
        group.group,
        "disparate_impact",
        group.disparate_impact,
        None,
        group.difference,
        USUAL_RATIO,
        group.n,
        reason=compared,
    )
    return [rate, impact]


def _low(interval: Interval | None) -> float | None:
    """Lower end, if there is an interval."""
    return interval.low if interval else None


def _high(interval: Interval | None) -> float | None:
    """Upper end, if there is an interval."""
    return interval.high if interval else None
