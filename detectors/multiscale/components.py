"""Components of a cell: the quantities that are monitored of its 64 counters.

:class:`CellComponents` are those of one cell, :class:`ComponentLayout` those of all cells of
a model laid end to end, with the products of its most important numeric features last.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from detectors.kernels.components import NO_BASIS, NO_COUNTER, add_up
from detectors.multiscale.polynomials import NAMES, orthonormal_polynomials
from schemas.baselines import Kind, VariableBaseline
from schemas.errors import ShapeError
from schemas.panes import MISSING, N_BINS, N_COUNTERS, OVERFLOW, UNDERFLOW, UNSEEN

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

N_GROUPS: Final = 20
MIN_GROUPS_SPREAD: Final = 8
"""With fewer groups the spread is not corrected for a shift of the location."""
SHIFT_IN_SPREAD: Final = 0.6
"""A shift alone moves g2 by .6 g1^2."""
NO_COMPONENT: Final = -1
_SPECIAL: Final = (
    (UNDERFLOW, "below minimum"),
    (OVERFLOW, "above maximum"),
    (MISSING, "missing"),
)


@dataclass(frozen=True, slots=True)
class CellComponents:
    """Components of one cell: groups or categories, special shares, polynomial means."""

    names: tuple[str, ...]
    first: Integers
    stop: Integers
    extra: Integers
    """A counter added to first to stop, or -1."""
    polynomials: Floats
    """Shape (k, 20), of the last k components; columns beyond ``n_groups`` are 0."""
    n_groups: int
    """The first components, in order of value; 0 for a category or a constant."""

    def __len__(self) -> int:
        """Number of components."""
        return len(self.names)

    @property
    def n_means(self) -> int:
        """Number of polynomial means."""
        return len(self.polynomials)

    @property
    def location(self) -> int:
        """Index of the mean of g1, or -1."""
        return len(self) - self.n_means if self.n_means else NO_COMPONENT


def group_bins(counts: Integers, n_bins: int) -> Integers:
    """Join bins to at most 20 groups of about equal share.

    Parameters
    ----------
    counts : ndarray of int64, shape (64,)
        The cell's reference.
    n_bins : int
        Bins in use.

    Returns
    -------
    ndarray of int64, shape (G + 1,)
        Bins at which groups begin, then ``n_bins``: the inner edges nearest to 5 %, 10 %,
        ... 95 % of the present values. Three bins each where 60 bins are alike.

    Examples
    --------
    >>> counts = np.zeros(64, np.int64)
    >>> counts[:60] = 10
    >>> group_bins(counts, 60)[:4].tolist()
    [0, 3, 6, 9]
    >>> counts[:3] = 1000, 20, 980
    >>> group_bins(counts, 3).tolist()
    [0, 1, 2, 3]
    """
    own = counts[:n_bins]
    total = int(own.sum())
    if n_bins <= 1 or total == 0:
        return np.array([0, n_bins], np.int64)
    if n_bins <= N_GROUPS:
        return np.arange(n_bins + 1, dtype=np.int64)
    shares = np.cumsum(own)[:-1] / total
    targets = np.arange(1, N_GROUPS) / N_GROUPS
    nearest = np.abs(shares[None] - targets[:, None]).round(12).argmin(axis=1)
    return np.concatenate(([0], np.unique(nearest) + 1, [n_bins])).astype(np.int64)


def variable_components(variable: VariableBaseline, reference_counts: Integers) -> CellComponents:
    """Return the components of a cell of a baseline.

    Parameters
    ----------
    variable : VariableBaseline
        Bins or categories.
    reference_counts : ndarray of int64, shape (64,)
        Counters of the cell in the baseline.

    Notes
    -----
    Counts are all that is needed: a baseline of an older version gives components, shares,
    polynomials and, with its ``phi``, a plan. It lacks products, the span in hours, the
    movement and the season of its ticks.

    Examples
    --------
    >>> counts = np.zeros(64, np.int64)
    >>> counts[:2] = 70, 30
    >>> land = VariableBaseline("land", Kind.CATEGORICAL, np.empty(0), ("a", "b"))
    >>> variable_components(land, counts).names
    ('a', 'b', 'unseen', 'missing')
    """
    if variable.kind is Kind.NUMERIC:
        return numeric_components(variable.edges, reference_counts)
    return categorical_components(variable.categories)


def numeric_components(edges: Floats, reference_counts: Integers) -> CellComponents:
    """Choose the components of a numeric cell (decision rule 2, section 1.2).

    Parameters
    ----------
    edges : ndarray of float64, shape (n_bins + 1,)
        Of the variable's bins.
    reference_counts : ndarray of int64, shape (64,)
        The cell's own baseline.

    Returns
    -------
    CellComponents
        Up to 20 groups of bins (values beyond the extremes are in the outermost too), below
        minimum, above maximum, missing, and up to four polynomial means.

    Raises
    ------
    ShapeError
        If there are not 64 counters.

    Notes
    -----
    A missing value counts 0 in the polynomial means. A constant has neither groups nor
    polynomials.

    Examples
    --------
    >>> counts = np.zeros(64, np.int64)
    >>> counts[:60] = 10
    >>> cell = numeric_components(np.arange(61.0), counts)
    >>> len(cell), cell.names[20:]
    (27, ('below minimum', 'above maximum', 'missing', 'location', 'spread', 'skewness', 'tails'))
    """
    _check_counters(reference_counts)
    bounds = group_bins(reference_counts, len(edges) - 1).tolist()
    has_values = int(reference_counts[: len(edges) - 1].sum()) > 0
    n_groups = len(bounds) - 1 if len(bounds) > 2 and has_values else 0
    names: list[str] = []
    rows: list[tuple[int, int, int]] = []
    for g in range(n_groups):
        low, high = bounds[g], bounds[g + 1]
        beyond = {0: UNDERFLOW, n_groups - 1: OVERFLOW}.get(g, NO_COUNTER)
        names.append(f"{edges[low]:.6g} to {edges[high]:.6g}")
        rows.append((low, high, beyond))
    polynomials = np.zeros((0, N_GROUPS))
    if n_groups:
        inside = np.array([reference_counts[a:b].sum() for a, b, _ in rows], np.float64)
        own = orthonormal_polynomials(inside / inside.sum())
        polynomials = np.zeros((len(own), N_GROUPS))
        polynomials[:, :n_groups] = own
    names += [name for _, name in _SPECIAL] + list(NAMES[: len(polynomials)])
    rows += [(0, 0, counter) for counter, _ in _SPECIAL]
    rows += [(0, 0, NO_COUNTER)] * len(polynomials)
    return _cell(tuple(names), rows, polynomials, n_groups)


def categorical_components(categories: Sequence[str]) -> CellComponents:
    """Choose the components of a categorical cell: each category, unseen, missing.

    Parameters
    ----------
    categories : sequence of str
        At most 60, in the order of their counters.

    Examples
    --------
    >>> categorical_components(("a", "b")).names
    ('a', 'b', 'unseen', 'missing')
    """
    if len(categories) > N_BINS:
        raise ShapeError(f"{len(categories)} categories", where="components", fix="at most 60")
    rows = [(i, i + 1, NO_COUNTER) for i in range(len(categories))]
    rows += [(0, 0, UNSEEN), (0, 0, MISSING)]
    return _cell((*categories, "unseen", "missing"), rows, np.zeros((0, N_GROUPS)), 0)


def _check_counters(counts: Integers) -> None:
    if counts.shape != (N_COUNTERS,):
        found = "x".join(map(str, counts.shape))
        raise ShapeError(f"{found} counters", where="components", fix="expected 64")


def _cell(
    names: tuple[str, ...], rows: list[tuple[int, int, int]], polynomials: Floats, n_groups: int
) -> CellComponents:
    first, stop, extra = np.array(rows, np.int64).T.copy()
    return CellComponents(names, first, stop, extra, polynomials, n_groups)


@dataclass(frozen=True, slots=True)
class ComponentLayout:
    """Components of C cells, concatenated; the cell of products of features is last."""

    cells: tuple[CellComponents, ...]
    offsets: Integers
    """Shape (C + 1,), or (C + 2,) with products."""
    first: Integers
    stop: Integers
    extra: Integers
    basis: Integers
    """Row of ``polynomials`` of each mean; -1 for a share."""
    polynomials: Floats
    n_groups: Integers
    pairs: tuple[tuple[int, int], ...]
    """Cells of each product, in the order of the last components."""

    @staticmethod
    def of(cells: Sequence[CellComponents], paired: Sequence[int] = ()) -> ComponentLayout:
        """Lay cells end to end.

        Parameters
        ----------
        cells : sequence of CellComponents
            C cells.
        paired : sequence of int, optional
            Cells whose locations are multiplied, at most ten; those without a location
            are left out.
        """
        usable = [c for c in paired if cells[c].n_means]
        pairs = tuple((a, b) for i, a in enumerate(usable) for b in usable[:i])
        basis: list[int] = []
        n_rows = 0
        for cell in cells:
            basis += [NO_BASIS] * (len(cell) - cell.n_means)
            basis += range(n_rows, n_rows + cell.n_means)
            n_rows += cell.n_means
        return ComponentLayout(
            cells=tuple(cells),
            offsets=np.cumsum([0, *(len(c) for c in cells), *([len(pairs)] if pairs else [])]),
            first=np.concatenate([c.first for c in cells]),
            stop=np.concatenate([c.stop for c in cells]),
            extra=np.concatenate([c.extra for c in cells]),
            basis=np.array(basis, np.int64),
            polynomials=np.concatenate([c.polynomials for c in cells]),
            n_groups=np.array([c.n_groups for c in cells], np.int64),
            pairs=pairs,
        )

    @property
    def n_components(self) -> int:
        """Number of components, products included."""
        return int(self.offsets[-1])

    @property
    def n_cells(self) -> int:
        """Number of cells, that of the products included."""
        return len(self.offsets) - 1

    def add_up(self, counts: Integers, products: Integers | None = None) -> tuple[Floats, Floats]:
        """Return the sums of all components in one tick, and the rows of each cell.

        Parameters
        ----------
        counts : ndarray of int64, shape (C, 64)
            Counters of the cells that are not products.
        products : ndarray of int64, shape (n_pairs,), optional
            Sums of :func:`detectors.multiscale.products.product_sums`; required with pairs.

        Returns
        -------
        sums : ndarray of float64, shape (I,)
            Counts of shares and sums of means.
        rows : ndarray of float64, shape (n_cells,)
            A cell of products has the rows of the first of its features.

        Raises
        ------
        ShapeError
            If the shapes do not fit the layout.

        Notes
        -----
        A function of integers: any grouping of panes into a tick gives the same sums.
        """
        n_plain = len(self.cells)
        n_products = 0 if products is None else len(products)
        if counts.shape != (n_plain, N_COUNTERS) or n_products != len(self.pairs):
            raise ShapeError(
                f"counters of shape {counts.shape}, {n_products} products",
                where="components",
                fix=f"expected ({n_plain}, {N_COUNTERS}) and {len(self.pairs)} products",
            )
        sums, rows = np.zeros(self.n_components), np.zeros(self.n_cells)
        prefix = np.zeros(N_BINS + 1, np.int64)
        add_up(
            counts,
            self.first,
            self.stop,
            self.extra,
            self.basis,
            self.polynomials,
            self.n_groups,
            self.offsets[: n_plain + 1],
            prefix,
            sums,
            rows,
        )
        if products is not None and self.pairs:
            sums[self.offsets[n_plain] :] = products * PRODUCT_UNIT
            rows[n_plain] = rows[self.pairs[0][0]]
        return sums, rows

    def names(self) -> tuple[str, ...]:
        """Name of every component; a product is "cell 1 x cell 0"."""
        own = [name for cell in self.cells for name in cell.names]
        return (*own, *(f"cell {a} x cell {b}" for a, b in self.pairs))


PRODUCT_UNIT: Final = 2.0**-20
"""Products are integers of this unit, so that panes merge exactly."""
