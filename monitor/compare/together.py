"""Changes of the dependence between numeric columns, which no single column shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import pyarrow as pa

from detectors.multivariate.correlation import correlation_change, correlations
from detectors.multivariate.domain_classifier import domain_classifier
from detectors.multivariate.moments import SecondMoments
from detectors.statistics.normal import normal_scores
from monitor.compare.derived import sampled
from monitor.compare.values import FloatArray, numbers_of

MAX_ROWS: Final = 20_000
"""Rows of a side that are looked at, evenly spread over it."""
MAX_COLUMNS: Final = 60
"""Numeric columns that are looked at, the first ones."""
MAX_CLASSIFIED: Final = 12
CLASSIFIED_ROWS: Final = 1_000
"""Columns, and rows of a side, that are given to the classifier, whose terms are the columns'
products: a fraction of a second."""
MIN_COMPLETE: Final = 100
"""Rows without a gap, on each side: with fewer a correlation is noise."""
THRESHOLD: Final = 0.1
"""Change of a correlation that is large; a tenth of the whole scale."""


@dataclass(frozen=True, slots=True)
class Together:
    """Joint comparison of the numeric columns of two tables."""

    columns: tuple[str, ...]
    n_reference: int
    """Rows without a gap in any of the columns."""
    n_current: int
    pair: tuple[str, str]
    """Whose rank correlation changed most."""
    before: float
    now: float
    p_value: float
    """Of the largest change, for all pairs."""
    auc: float
    """How well a classifier separates the sides, which marginal changes add to: .5 is not
    at all; NaN where it was not asked."""
    auc_sd: float
    """Standard deviation of that without drift, about."""
    p_adjusted: float = float("nan")
    """By Holm, with every test of the comparison."""
    is_drifted: bool = False

    @property
    def name(self) -> str:
        """What drifted, if it did."""
        return f"correlation of {self.pair[0]} and {self.pair[1]}"

    def judged(self, p_adjusted: float, alpha: float) -> Together:
        """Add the verdict: drift is a change that is both large and significant."""
        is_large = abs(self.now - self.before) > THRESHOLD
        return replace(self, p_adjusted=p_adjusted, is_drifted=is_large and p_adjusted < alpha)


def look_together(reference: pa.Table, current: pa.Table, names: Sequence[str]) -> Together | None:
    """Compare the dependence between numeric columns.

    Parameters
    ----------
    names : sequence of str
        Of numeric columns that both have.

    Returns
    -------
    Together or None
        None with fewer than two columns, too few rows without a gap, or no two columns that
        vary on both sides.

    Notes
    -----
    The values of each side are ranked separately and replaced by normal scores, so a shift, a
    change of scale or a tail of one column has no effect: only the dependence counts. With ties
    (whole numbers) the scores are not normal and the p-value is less exact. Cost: MAX_ROWS x
    MAX_COLUMNS numbers per side, and the classifier.

    Examples
    --------
    >>> x = np.random.default_rng(0).normal(size=(3, 500))
    >>> before = pa.table({"a": x[0], "b": x[0] + x[1]})
    >>> now = pa.table({"a": x[0], "b": x[2] - x[0]})
    >>> found = look_together(before, now, ["a", "b"])
    >>> print(f"{found.before:.1f} {found.now:.1f} {found.p_value < 1e-9}")
    0.7 -0.7 True
    """
    chosen = list(names)[:MAX_COLUMNS]
    if len(chosen) < 2:
        return None
    x, y = (_complete_rows(table, chosen) for table in (reference, current))
    if min(len(x), len(y)) < MIN_COMPLETE:
        return None
    before, now = (SecondMoments.of(normal_scores(rows)) for rows in (x, y))
    change = correlation_change(before, now)
    if change.pair is None:
        return None
    i, j = change.pair
    separated = (
        domain_classifier(x, y, max_rows=CLASSIFIED_ROWS) if len(chosen) <= MAX_CLASSIFIED else None
    )
    return Together(
        columns=tuple(chosen),
        n_reference=len(x),
        n_current=len(y),
        pair=(chosen[i], chosen[j]),
        before=float(correlations(before)[i, j]),
        now=float(correlations(now)[i, j]),
        p_value=change.p_value,
        auc=separated.auc if separated else float("nan"),
        auc_sd=separated.null_sd if separated else float("nan"),
    )


def _complete_rows(table: pa.Table, names: Sequence[str]) -> FloatArray:
    """Return rows in which every column has a number, shape (n, d)."""
    columns = [numbers_of(sampled(table[name], MAX_ROWS))[0] for name in names]
    rows = np.stack(columns, axis=1)
    return rows[~np.isnan(rows).any(axis=1)]
