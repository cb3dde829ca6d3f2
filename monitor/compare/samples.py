"""One variable of both sides, in the forms that statistics need."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from detectors.decision_rule.edges import quantile_edges
from detectors.statistics.deciles import group_by_quantile
from detectors.statistics.histogram import atoms
from driftline.canonical import boolean_aliases
from monitor.compare.values import FloatArray, numbers_of, text_of
from schemas.batch import Int64Array

N_QUANTILES = 10
"""Deciles of the reference, as the monitor's own distances have them."""


@dataclass(frozen=True, slots=True)
class NumberPair:
    """Numbers of both sides; a pair is always (reference, current)."""

    values: tuple[FloatArray, FloatArray]
    """Present and finite."""
    n_rows: tuple[int, int]
    n_mistyped: tuple[int, int]

    @property
    def n_present(self) -> tuple[int, int]:
        """Rows that hold a number."""
        return len(self.values[0]), len(self.values[1])

    @property
    def n_missing(self) -> tuple[int, int]:
        """Rows without any value."""
        return _rest(self.n_rows, self.n_present, self.n_mistyped)

    def deciles(self) -> tuple[Int64Array, Int64Array]:
        """Count rows in deciles of the reference, and last those without a number.

        As the monitor does it: sixty quantiles, joined into ten groups. What lies beyond an
        extreme belongs to the outer group; but if several rows of the reference are that
        extreme, it is a value like any other, and what lies beyond has a bin of its own:
        else a constant that became another one would have no distance.
        """
        x, y = self.values
        edges = quantile_edges(x)
        (p, p_beyond), (q, q_beyond) = _in_bins(x, edges), _in_bins(y, edges)
        has_own = [int((x == extreme).sum()) > 1 for extreme in (edges[0], edges[-1])]
        for side, (at, is_own) in enumerate(zip((0, -1), has_own, strict=True)):
            q[at] += 0 if is_own else q_beyond[side]
        p, q = group_by_quantile(p, q, n_groups=N_QUANTILES)
        n0, n = (rows - held for rows, held in zip(self.n_rows, self.n_present, strict=True))
        return np.append(p, [*p_beyond[has_own], n0]), np.append(q, [*q_beyond[has_own], n])

    def points(self) -> tuple[FloatArray, Int64Array, Int64Array]:
        """Return the distinct values, ascending, and both sides' counts at them."""
        p, q, values = atoms(*self.values)
        return values, p, q

    def raw(self) -> tuple[FloatArray, FloatArray]:
        """Return what a peer is given."""
        return self.values


@dataclass(frozen=True, slots=True)
class CategoryPair:
    """Categories of both sides, counted; a pair is always (reference, current)."""

    categories: tuple[str, ...]
    """Those of the reference by frequency, then the others by theirs; equal ones by name."""
    counts: tuple[Int64Array, Int64Array]
    n_rows: tuple[int, int]
    n_mistyped: tuple[int, int]

    @property
    def n_present(self) -> tuple[int, int]:
        """Rows that hold a category."""
        return int(self.counts[0].sum()), int(self.counts[1].sum())

    @property
    def n_missing(self) -> tuple[int, int]:
        """Rows without any value."""
        return _rest(self.n_rows, self.n_present, self.n_mistyped)

    def table(self) -> tuple[Int64Array, Int64Array]:
        """Return counts of each category, and last of the rows without one."""
        n0, n = (rows - held for rows, held in zip(self.n_rows, self.n_present, strict=True))
        return np.append(self.counts[0], n0), np.append(self.counts[1], n)

    def raw(self) -> tuple[Any, Any]:
        """Return what a peer is given: rows again, in another order."""
        names = np.array(self.categories, object)
        return np.repeat(names, self.counts[0]), np.repeat(names, self.counts[1])


def number_pair(reference: pa.ChunkedArray, current: pa.ChunkedArray) -> NumberPair:
    """Read both sides of a column as numbers.

    Parameters
    ----------
    reference, current : pyarrow.ChunkedArray
        Of any types, not necessarily the same.

    Returns
    -------
    NumberPair

    Examples
    --------
    >>> pair = number_pair(pa.chunked_array([[1, None]]), pa.chunked_array([["2", "x"]]))
    >>> pair.n_present, pair.n_missing, pair.n_mistyped
    ((1, 1), (1, 0), (0, 1))
    """
    (x, x_mistyped), (y, y_mistyped) = numbers_of(reference), numbers_of(current)
    return NumberPair(
        (x[~np.isnan(x)], y[~np.isnan(y)]), (len(x), len(y)), (x_mistyped, y_mistyped)
    )


def category_pair(reference: pa.ChunkedArray, current: pa.ChunkedArray) -> CategoryPair:
    """Read both sides of a column as categories, and count them.

    Parameters
    ----------
    reference, current : pyarrow.ChunkedArray
        Of any types, not necessarily the same: 7 and "7" are one category.

    Returns
    -------
    CategoryPair

    Examples
    --------
    >>> pair = category_pair(pa.chunked_array([["a", "b", "b"]]), pa.chunked_array([["c", None]]))
    >>> pair.categories, pair.table()
    (('b', 'a', 'c'), (array([2, 1, 0, 0]), array([0, 0, 1, 1])))
    """
    (x, x_mistyped), (y, y_mistyped) = text_of(reference), text_of(current)
    before = _counted(x)
    now = _renamed(_counted(y), boolean_aliases(before))
    names = sorted(before.keys() | now.keys(), key=lambda n: (-before.get(n, 0), -now.get(n, 0), n))
    return CategoryPair(
        tuple(names),
        (_in_order(before, names), _in_order(now, names)),
        (len(x), len(y)),
        (x_mistyped, y_mistyped),
    )


def _in_bins(values: FloatArray, edges: FloatArray) -> tuple[Int64Array, Int64Array]:
    """Count numbers in right-closed bins, the first closed on both sides; and beyond them."""
    beyond = np.array([(values < edges[0]).sum(), (values > edges[-1]).sum()], np.int64)
    inside = values[(values >= edges[0]) & (values <= edges[-1])]
    at = np.searchsorted(edges[1:], inside, side="left")
    return np.bincount(at, minlength=len(edges) - 1).astype(np.int64), beyond


def _renamed(counts: dict[str, int], names: dict[str, str]) -> dict[str, int]:
    """Count categories under their other names."""
    found: dict[str, int] = {}
    for name, n in counts.items():
        own = names.get(name, name)
        found[own] = found.get(own, 0) + n
    return found


def _counted(text: pa.ChunkedArray) -> dict[str, int]:
    """Count each category."""
    found = pc.value_counts(text.drop_null())
    return dict(
        zip(found.field("values").to_pylist(), found.field("counts").to_pylist(), strict=True)
    )


def _in_order(counts: dict[str, int], names: Sequence[str]) -> Int64Array:
    """Return counts of the names, 0 where there is none."""
    return np.array([counts.get(name, 0) for name in names], np.int64)


def _rest(
    rows: tuple[int, int], present: tuple[int, int], mistyped: tuple[int, int]
) -> tuple[int, int]:
    """Rows that are neither present nor mistyped."""
    return rows[0] - present[0] - mistyped[0], rows[1] - present[1] - mistyped[1]
