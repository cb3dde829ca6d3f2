"""Two histograms over the same bins, for display."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from monitor.compare.results import Picture
from monitor.compare.samples import CategoryPair, NumberPair
from monitor.compare.values import FloatArray

MAX_POINTS = 30
"""So many distinct numbers have a column each."""
N_COLUMNS = 40
TAIL = 0.005
"""Share of the rows beyond either end; they are counted in the outermost columns."""
_EXACT = 2.0**52
MAX_CATEGORIES = 16
MISSING = "no value"


def picture_of(pair: NumberPair | CategoryPair) -> Picture:
    """Bin both sides for a picture; the statistics have bins of their own.

    Returns
    -------
    Picture
        Numbers in 40 equally wide columns from the .5 % to the 99.5 % quantile of both sides
        together, or one a distinct number; the 16 largest categories, and the rest in one. Last, if
        there are any, the rows without a value.
    """
    picture = _of_categories(pair) if isinstance(pair, CategoryPair) else _of_numbers(pair)
    n0, n = (rows - held for rows, held in zip(pair.n_rows, pair.n_present, strict=True))
    if not n0 + n:
        return picture
    return picture._replace(
        labels=(*picture.labels, MISSING),
        reference=np.append(picture.reference, n0),
        current=np.append(picture.current, n),
    )


def _of_numbers(pair: NumberPair) -> Picture:
    """Use columns of equal width, or one per number where there are few numbers."""
    pooled = np.concatenate(pair.values)
    points = np.unique(pooled)
    if len(points) <= MAX_POINTS:
        counts = [(v[:, None] == points).sum(axis=0).astype(np.int64) for v in pair.values]
        return Picture(tuple(f"{x:.6g}" for x in points), np.empty(0), counts[0], counts[1], True)
    edges = _edges(pooled)
    counts = [
        np.histogram(np.clip(v, edges[0], edges[-1]), edges)[0].astype(np.int64)
        for v in pair.values
    ]
    labels = [f"{a:.4g} to {b:.4g}" for a, b in pairwise(edges.tolist())]
    labels[0], labels[-1] = f"below {edges[1]:.4g}", f"above {edges[-2]:.4g}"
    return Picture(tuple(labels), edges, counts[0], counts[1], True)


def _edges(pooled: FloatArray) -> FloatArray:
    """Return edges of equal, finite width for any values."""
    low, high = np.quantile(pooled, [TAIL, 1 - TAIL], method="inverted_cdf")
    if low == high or not np.isfinite(high - low):
        low, high = pooled.min() / 2, pooled.max() / 2
        return np.linspace(low, high, N_COLUMNS + 1) * 2
    if high - low < _EXACT and bool((pooled == np.floor(pooled)).all()):
        # Columns that hold unequal numbers of whole numbers would draw a comb.
        width = -(-int(high - low + 1) // N_COLUMNS)
        n_columns = -(-int(high - low + 1) // width)
        return float(low) - 0.5 + width * np.arange(n_columns + 1, dtype=np.float64)
    return np.linspace(low, high, N_COLUMNS + 1)


def _of_categories(pair: CategoryPair) -> Picture:
    """Use a column for each of the largest categories of either side, and one for the rest."""
    shares = [c / max(int(c.sum()), 1) for c in pair.counts]
    order = np.argsort(-np.maximum(*shares), kind="stable")
    shown, rest = order[:MAX_CATEGORIES], order[MAX_CATEGORIES:]
    labels = [pair.categories[i] for i in shown]
    counts = [c[shown] for c in pair.counts]
    if len(rest):
        labels.append(f"{len(rest):,} others")
        counts = [np.append(s, c[rest].sum()) for s, c in zip(counts, pair.counts, strict=True)]
    return Picture(tuple(labels), np.empty(0), counts[0], counts[1], False)
