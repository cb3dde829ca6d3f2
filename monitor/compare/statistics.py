"""Every registered statistic of one variable."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

import numpy as np

from detectors.conventions import Convention, PeerScore, peer_score
from detectors.registry import Detector, Kind, Score, detectors_of
from detectors.statistics.psi import psi_bias
from detectors.statistics.shift import moments_of_sample
from monitor.compare.effect import Surroundings, shift_of
from monitor.compare.results import VariableStatistic
from monitor.compare.samples import CategoryPair, NumberPair
from schemas.errors import DomainError, ShapeError

Pair = NumberPair | CategoryPair

MIN_EXPECTED = 5
"""Rows that a test of categories wants to expect in each. Of Zipf's categories without drift
the G-test had p < .05 in 180 of 200 comparisons of 300 rows, chi-square of 200 rows against
5,000 in 46; joined 20 and 8."""

_EXACT: Mapping[str, Mapping[str, Any]] = {
    name: {"method": "auto"} for name in ("ks", "cramer_von_mises", "mann_whitney")
}
"""Exact p-values where rows are few: two files are compared once, not every minute."""


def statistics_of(pair: Pair, convention: Convention | None = None) -> list[VariableStatistic]:
    """Return every statistic that the registry has for a variable.

    Parameters
    ----------
    pair : NumberPair or CategoryPair
        Both sides.
    convention : {"evidently", "nannyml", "scipy"}, optional
        Library whose number is added, where it has one.

    Returns
    -------
    list of VariableStatistic
        In the registry's order; none where a side holds no value. Thresholds and adjusted
        p-values are not filled in yet.

    Notes
    -----
    Distances (PSI, KL, Jensen-Shannon, Hellinger, total variation) take ten quantiles of the
    reference, or the categories, and the rows without a value as one more. Tests of order,
    and distances with a unit, take every distinct number and leave those rows out; tests of
    categories count them as one, and join the categories of which fewer than five rows are
    expected (Cochran, Some methods for strengthening the common chi-square tests, Biometrics
    10, 1954). Fisher's and the two-proportion z-test are there where
    there are two categories. O(n log n), the sort of the rows.
    """
    if not all(pair.n_present):
        return []
    measured = _of_numbers(pair) if isinstance(pair, NumberPair) else _of_categories(pair)
    peers = _peers(pair, convention)
    return [
        _statistic(detector, score, rows, around, peers.get(detector.name))
        for detector, score, rows, around in measured
    ]


_Measured = tuple[Detector, Score, tuple[int, int], Surroundings]


def _of_numbers(pair: NumberPair) -> Iterator[_Measured]:
    """Distances over deciles, everything else over the distinct values."""
    deciles = pair.deciles()
    values, before, now = pair.points()
    sd = float(moments_of_sample(pair.values[0]).sd)
    of_bins = Surroundings(sd, *pair.n_rows, _bias(*deciles))
    of_points = Surroundings(sd, *pair.n_present, 0.0)
    for detector in detectors_of("numeric"):
        options = _EXACT.get(detector.name, {})
        if detector.takes == "histogram" and not detector.is_ordered:
            yield detector, detector.measure(*deciles), pair.n_rows, of_bins
        elif detector.takes == "histogram":
            yield detector, detector.measure(before, now, **options), pair.n_present, of_points
        else:
            yield detector, detector.measure(before, now, values), pair.n_present, of_points


def _of_categories(pair: CategoryPair) -> Iterator[_Measured]:
    """All over the categories and the rows without one; those of pairs where there are two."""
    table = pair.table()
    around = Surroundings(math.nan, *pair.n_rows, _bias(*table))
    for detector in detectors_of("categorical"):
        if detector.quantity == "test" and detector.takes == "histogram":
            yield detector, detector.measure(*_without_rare(*table)), pair.n_rows, around
        elif detector.takes != "pair":
            yield detector, detector.measure(*table), pair.n_rows, around
        elif len(pair.categories) == 2:
            of_pair = around._replace(n_reference=pair.n_present[0], n_current=pair.n_present[1])
            yield detector, detector.measure(*pair.counts), pair.n_present, of_pair


def _without_rare(p: np.ndarray, q: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Join categories of which either side would expect fewer than five rows.

    Chosen by both sides' sum, which says nothing of their difference. Of three categories and
    more: pairs have exact tests.
    """
    both = p + q
    expected = both / both.sum() * min(p.sum(), q.sum())
    is_rare = (both > 0) & (expected < MIN_EXPECTED)
    if is_rare.sum() < 2 or (both > 0).sum() < 3:
        return p, q
    return tuple(np.append(c[~is_rare], c[is_rare].sum()) for c in (p, q))  # type: ignore[return-value]


def _bias(p: np.ndarray, q: np.ndarray) -> float:
    """Mean of PSI over these bins if nothing has changed."""
    return float(psi_bias(((p + q) > 0).sum(), p.sum(), q.sum()))


def _statistic(
    detector: Detector,
    score: Score,
    rows: tuple[int, int],
    around: Surroundings,
    peer: PeerScore | None,
) -> VariableStatistic:
    """Return a statistic from its score; None where there are too few rows."""
    value, effect = float(score.statistic), float(score.effect)
    p_value = math.nan
    if detector.quantity == "test" and score.p_value is not None:
        p_value = float(score.p_value)
    if min(rows) < detector.min_rows:
        value = effect = p_value = math.nan
    shift = shift_of(detector.name, value, effect, around)
    return VariableStatistic(
        detector.name, detector.quantity, value, effect, shift, p_value, *rows, peer=peer
    )


def _peers(pair: Pair, convention: Convention | None) -> dict[str, PeerScore]:
    """Return the peer library's numbers; what it cannot compute is left out."""
    if convention is None:
        return {}
    x, y = pair.raw()
    kind: Kind = "numeric" if isinstance(pair, NumberPair) else "categorical"
    found = {}
    for detector in detectors_of(kind):
        if convention in detector.conventions:
            # The registry does not say for which kind; and Fisher's test wants a pair.
            with suppress(DomainError, ShapeError):
                found[detector.name] = peer_score(
                    detector.name, x, y, convention=convention, kind=kind
                )
    return found
