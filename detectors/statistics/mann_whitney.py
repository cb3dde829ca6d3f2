"""Mann-Whitney: how often a row of one sample exceeds a row of the other."""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from detectors.statistics.gaps import FloatArray, Samples, samples_of
from detectors.statistics.histogram import Numbers
from schemas.errors import DomainError

Alternative = Literal["two-sided", "less", "greater"]
Method = Literal["asymptotic", "exact", "auto"]

MAX_EXACT_ROWS = 8
"""``auto`` is exact where either side has at most so many untied rows, as in scipy."""
MAX_EXACT_PAIRS = 1_000_000
"""``auto`` is asymptotic beyond it: the exact count takes time in proportion to pairs."""


class MannWhitney(NamedTuple):
    """Result of a Mann-Whitney test, with an effect size."""

    statistic: Numbers
    """U of the reference: pairs in which its row is the larger one, ties half."""
    p_value: Numbers
    effect: Numbers
    """P(reference > current) + half of P(equal): .5 without drift; an AUC."""


def mann_whitney(
    reference: ArrayLike,
    current: ArrayLike,
    *,
    alternative: Alternative = "two-sided",
    method: Method = "asymptotic",
    continuity: bool = True,
) -> MannWhitney:
    """Mann-Whitney U test; prefer it to the t-test for a move of heavy-tailed values.

    Ranks only: one wild value counts as one row. It is blind to a change of spread,
    which Cramér-von Mises and Kuiper see.

    Parameters
    ----------
    reference, current : array_like of int, shape (..., n_bins)
        Counts of ordered bins or atoms (:func:`detectors.statistics.histogram.atoms` of raw
        samples: then nothing is approximated).
    alternative : {"two-sided", "less", "greater"}, default "two-sided"
        ``"less"``: the reference is the smaller one. That alone is what evidently
        tests: a feature that falls is never drift there.
    method : {"asymptotic", "exact", "auto"}, default "asymptotic"
        ``"auto"`` is exact without ties where a side has at most 8 rows, as scipy.
    continuity : bool, default True
        Half a pair towards 1/2 in the asymptotic p-value, as scipy.

    Returns
    -------
    MannWhitney
        Of shape (...). NaN where a side holds nothing; p 1 where all rows are tied.

    Raises
    ------
    ShapeError
        If the numbers of bins differ, or counts are not integers.
    DomainError
        If a count is negative, or the alternative or method unknown.

    Notes
    -----
    U = sum over b of x_b (sum of y below b + y_b / 2). The normal approximation has the
    variance with ties, so bins cost power and not validity. On bins the effect is off
    by at most sum over b of p_b q_b / 2 from that of the raw rows: below 1/120 with
    sixty reference quantiles. Exact: the Gaussian binomial coefficients, in whole
    numbers; O(n0 n min(n0, n)). It knows no ties: p is then that of U rounded down.
    O(n_bins) otherwise; exact for those bins from merged panes.

    References
    ----------
    Mann and Whitney, On a test of whether one of two random variables is
    stochastically larger than the other, Ann. Math. Stat. 18 (1947).
    Lehmann, Nonparametrics (1975), chapter 1, for the variance with ties.

    Examples
    --------
    >>> test = mann_whitney([25, 25, 25, 25], [10, 20, 30, 40])
    >>> print(f"{test.statistic} {test.p_value:.5f} {test.effect}")
    3750.0 0.00153 0.375
    """
    if alternative not in ("two-sided", "less", "greater"):
        fix = "use 'two-sided', 'less' or 'greater'"
        raise DomainError(f"alternative is {alternative!r}", where="mann_whitney", fix=fix)
    if method not in ("asymptotic", "exact", "auto"):
        fix = "use 'auto', 'exact' or 'asymptotic'"
        raise DomainError(f"method is {method!r}", where="mann_whitney", fix=fix)
    s = samples_of(reference, current)
    # Gaps from 1/2 are added up, not pairs: 1e15 rows a side are 1e30 pairs.
    lead = (s.p * (np.cumsum(s.q, axis=-1) - s.q / 2 - 0.5)).sum(axis=-1)
    ties = (s.pooled**3).sum(axis=-1)
    p_value = np.asarray(_asymptotic(lead, ties, s, alternative, continuity))
    effect = np.clip(0.5 + lead, 0.0, 1.0)
    statistic = np.asarray(effect * s.n0 * s.n)
    if method != "asymptotic":
        p_value = _exact_where_asked(statistic, ties, s, p_value, alternative, method)
    return MannWhitney(statistic[()], p_value[()], effect[()])


def _signed(lead: FloatArray, alternative: str) -> FloatArray:
    """The lead in the direction that is tested."""
    if alternative == "two-sided":
        return np.abs(lead)
    return np.asarray(lead if alternative == "greater" else -lead)


def _asymptotic(
    lead: FloatArray, ties: FloatArray, s: Samples, alternative: str, continuity: bool
) -> FloatArray:
    """Normal tail at the lead, in pairs, over its standard deviation with ties."""
    from scipy.special import ndtr

    total = s.n0 + s.n
    # (N + 1) - sum(t^3 - t) / (N (N - 1)), from shares.
    left = np.maximum(total**2 * (1 - ties) / (total - 1), 0.0)
    sd = np.sqrt(left / 12 / s.n0 / s.n)
    moved = _signed(lead, alternative) - (0.5 / s.n0 / s.n if continuity else 0.0)
    # All tied: nothing moved, and there is no spread to measure it by.
    z = np.divide(moved, sd, out=np.full(sd.shape, -np.inf), where=~(sd <= 1e-14))
    one = np.where(np.isnan(sd), np.nan, ndtr(-z))
    return np.minimum(2 * one, 1.0) if alternative == "two-sided" else one


def _exact_where_asked(
    statistic: FloatArray,
    ties: FloatArray,
    s: Samples,
    p_value: FloatArray,
    alternative: str,
    method: str,
) -> NDArray[np.float64]:
    """Replace p-values of small untied samples, or of all of them."""
    result = np.array(p_value)
    for at in np.ndindex(result.shape):
        if not np.isfinite(result[at]):
            continue
        n0, n = int(s.n0[at]), int(s.n[at])
        has_ties = ties[at] * (n0 + n) ** 2 > 1 + 1e-9
        is_small = min(n0, n) <= MAX_EXACT_ROWS and n0 * n <= MAX_EXACT_PAIRS
        if method == "exact" or (is_small and not has_ties):
            result[at] = _exact(float(statistic[at]), n0, n, alternative)
    return result


def _exact(statistic: float, n0: int, n: int, alternative: str) -> float:
    """P(U or more) over all orders of untied rows, in the direction that is tested."""
    u = {"greater": statistic, "less": n0 * n - statistic}.get(
        alternative, max(statistic, n0 * n - statistic)
    )
    whole = math.floor(u + 1e-6)  # the slack is for the rounding of the effect
    ways = _ways(min(n0, n), max(n0, n))
    below = sum(ways[: n0 * n - whole + 1])  # symmetric: as many at most n0 n - U
    share = below / math.comb(n0 + n, n0)
    return min(2 * share, 1.0) if alternative == "two-sided" else share


def _ways(few: int, many: int) -> list[int]:
    """Orders of untied rows for each U: coefficients of [few + many choose few]_q.

    Multiplied by 1 - q^(many + i), divided by 1 - q^i, in turn: after each i they are
    counts again. Python's whole numbers, because comb(100, 50) exceeds any fixed width.
    """
    ways = np.zeros(few * many + 1, object)
    ways[0] = 1
    for i in range(1, few + 1):
        shifted = ways[: len(ways) - min(many + i, len(ways))].copy()
        ways[len(ways) - len(shifted) :] -= shifted
        for start in range(i):
            ways[start::i] = np.cumsum(ways[start::i])
    return [int(w) for w in ways]
