"""Data quality of one variable: shares of rows, and notes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from detectors.quality.checks import share_change
from monitor.compare.change import percent
from monitor.compare.effect import Surroundings, shift_of
from monitor.compare.results import VariableStatistic
from monitor.compare.samples import CategoryPair, NumberPair

USUAL_THRESHOLD = 0.02
"""Of the change of a share: the decision rule's own tolerance."""
_MAX_SHOWN = 40
NEW = "new: "
"""Beginning of the note that names new categories."""
_NEW_SHARE = 0.01
_MAX_NEW = 3
SHARES = ("missing", "mistyped", "unseen", "out_of_range")


def shares_of(pair: NumberPair | CategoryPair) -> list[VariableStatistic]:
    """Return the shares of rows that are missing, mistyped, unseen or out of range.

    Returns
    -------
    list of VariableStatistic
        Value: the share of the current rows; effect: how much larger it is than in the
        reference. Unseen and out of range are shares of the rows that hold a value.

    Notes
    -----
    New categories, and values beyond the extremes, are expected: more where the reference
    is short or has many rare categories. What a row of the reference would be to the other
    rows is compared with what the current rows are: its categories of a single row (Good
    and Turing), its single minimum and maximum. So a file of identifiers has no unseen
    category too many. Only more than expected is news, so their tests are one-sided.

    References
    ----------
    Good, The population frequencies of species and the estimation of population parameters,
    Biometrika 40 (1953). Robbins, Estimating the total probability of the unobserved outcomes
    of an experiment, Ann. Math. Stat. 39 (1968), for its variance. Tarone, A modified
    Bonferroni method for discrete data, Biometrics 46 (1990): what cannot be significant is
    not one of the tests that are adjusted for.
    """
    found = [
        _share("missing", pair.n_missing, pair.n_rows),
        _share("mistyped", pair.n_mistyped, pair.n_rows),
    ]
    if not all(pair.n_present):
        return found
    if isinstance(pair, NumberPair):
        return [*found, _rise("out_of_range", _beyond(pair), pair.n_present)]
    # The number of singles varies more than a binomial one: Robbins's second term.
    more = 2 * float((pair.counts[0] == 2).sum()) / pair.n_present[0] ** 2
    return [*found, _rise("unseen", _unseen(pair), pair.n_present, more)]


def notes_on(pair: NumberPair | CategoryPair) -> tuple[str, ...]:
    """Return notes on quality that no statistic covers.

    Returns
    -------
    tuple of str
        Empty where there is nothing to say.
    """
    return tuple(_notes(pair))


def _notes(pair: NumberPair | CategoryPair) -> Iterator[str]:
    """Return notes on empty and constant sides, and on new categories."""
    sides = ("reference", "current")
    for side, n in zip(sides, pair.n_present, strict=True):
        if not n:
            yield f"no value in the {side} rows"
    fixed = _constants(pair)
    before, now = map(_short, fixed)
    if all(fixed):
        yield f"always {before}" if fixed[0] == fixed[1] else f"{before}, now {now}"
    else:
        for side, value in zip(sides, (before, now), strict=True):
            if value:
                yield f"always {value} in the {side} rows"
    new = _new_categories(pair) if isinstance(pair, CategoryPair) and not all(fixed) else []
    if new:
        yield NEW + ", ".join(f"`{_short(name)}` ({percent(share)})" for name, share in new)


def _new_categories(pair: CategoryPair) -> list[tuple[str, float]]:
    """Return the commonest categories that the reference lacks, of 1 % of the rows and more."""
    before, now = pair.counts
    if not all(pair.n_present):
        return []
    shares = np.where(before == 0, now, 0) / pair.n_present[1]
    commonest = np.argsort(-shares, kind="stable")[:_MAX_NEW].tolist()
    return [(pair.categories[i], float(shares[i])) for i in commonest if shares[i] >= _NEW_SHARE]


def _short(value: str) -> str:
    """Return a value, or its beginning where it would fill the line."""
    return value if len(value) <= _MAX_SHOWN else value[:_MAX_SHOWN] + "..."


def _constants(pair: NumberPair | CategoryPair) -> tuple[str, str]:
    """The only value of each side; empty where there are several or none."""
    if isinstance(pair, NumberPair):
        found = [f"{x[0]:.6g}" if len(x) and bool((x == x[0]).all()) else "" for x in pair.values]
    else:
        held = [np.flatnonzero(c) for c in pair.counts]
        found = [pair.categories[h[0]] if len(h) == 1 else "" for h in held]
    return found[0], found[1]


def _beyond(pair: NumberPair) -> tuple[int, int]:
    """Rows beyond the extremes of the reference; of it, those that are an extreme alone."""
    x, y = pair.values
    low, high = x.min(), x.max()
    n_alone = int((x == low).sum() == 1) + int((x == high).sum() == 1)
    return min(n_alone, len(x)), int(((y < low) | (y > high)).sum())


def _unseen(pair: CategoryPair) -> tuple[int, int]:
    """Rows of new categories; of the reference, those of a category of one row."""
    before, now = pair.counts
    return int((before == 1).sum()), int(now[before == 0].sum())


def _share(name: str, hits: tuple[int, int], rows: tuple[int, int]) -> VariableStatistic:
    """Compare one share."""
    change = share_change(hits[1], rows[1], hits[0], rows[0])
    value, effect = float(change.share), float(change.effect)
    shift = shift_of(name, value, effect, Surroundings(math.nan, *rows, 0.0))
    # Without a hit on either side no test could find anything: it is none (Tarone 1990).
    p_value = float(change.p_value) if any(hits) else math.nan
    return VariableStatistic(name, "share", value, effect, shift, p_value, *rows)


def _rise(
    name: str, hits: tuple[int, int], rows: tuple[int, int], more_variance: float = 0.0
) -> VariableStatistic:
    """Compare a share of which only an increase matters."""
    from scipy.special import ndtr

    share = _share(name, hits, rows)
    pooled = sum(hits) / sum(rows)
    variance = pooled * (1 - pooled) * (1 / rows[0] + 1 / rows[1]) + more_variance
    p_value = float(ndtr(-share.effect / math.sqrt(variance))) if variance > 0 else math.nan
    return replace(share, shift=share.shift if share.effect > 0 else 0.0, p_value=p_value)
