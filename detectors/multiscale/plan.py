"""Quantities of a baseline that the kernel needs: shares, variances, products, season."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from detectors.kernels.scale_state import N_CONSTANTS, N_SLOTS
from detectors.multiscale.components import (
    MIN_GROUPS_SPREAD,
    NO_COMPONENT,
    SHIFT_IN_SPREAD,
    ComponentLayout,
)
from schemas.errors import DomainError, ShapeError

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

SMALLEST: Final = 0.05
"""Smallest change that matters: Cohen's h of a share, sd of a mean."""
GROUP_GATE: Final = 1.3
"""Factor on it for the groups of a number that has many. One in a hundred rows with a value of
its own moves one group of twenty by h = .042 and, with the noise of 16 hours, beyond .05: bots
with a new value every day opened 27 alerts a month. A shift, another spread or a mode is found by
the means and by the other groups; a category keeps .05.
"""
LEAST_ROWS: Final = 0.3
"""p(1 - p) of a share is at least .3 / n0, because zero of n0 rows is not a rate of zero."""


@dataclass(frozen=True, slots=True)
class ScalePlan:
    """A baseline as arrays over I components and C cells."""

    offsets: Integers
    """Shape (C + 1,): where the components of each cell begin."""
    constants: Floats
    """Shape (I, 6): p, p(1 - p) or 1, largest |g|, factor of the product, season factor, factor
    of the smallest change.
    """
    codes: Integers
    """Shape (I, 5): is share, the two components whose product is taken off (-1: none; of this
    cell or of one before it), cell, is seasonal.
    """
    references: Floats
    """Shape (C, 4): rows n0, hours (0 where it has no times), smallest change, design effect."""
    season: NDArray[np.float32]
    """Shape (48, I): expected deviation by hour of the day and kind of day; (48, 0) for none."""

    def __post_init__(self) -> None:
        """Check the columns, which the kernel does not.

        Raises
        ------
        ShapeError
            If a constant is missing.
        """
        if self.constants.shape[1] != N_CONSTANTS:
            raise ShapeError(
                f"{self.constants.shape[1]} constants of a component",
                where="plan",
                fix=f"expected {N_CONSTANTS}",
            )

    @property
    def n_components(self) -> int:
        """I."""
        return len(self.constants)

    @property
    def n_cells(self) -> int:
        """C."""
        return len(self.references)

    @property
    def has_season(self) -> bool:
        """Whether any component is seasonal."""
        return bool(self.season.shape[1] > 0)

    def with_season(
        self, season: Floats, is_seasonal: NDArray[np.bool_], factor: Floats
    ) -> ScalePlan:
        """Return the plan with seasons: :func:`detectors.multiscale.seasons.fit_season`."""
        codes, constants = self.codes.copy(), self.constants.copy()
        codes[:, 4] = is_seasonal
        constants[:, 4] = factor
        own = season if is_seasonal.any() else np.zeros((N_SLOTS, 0))
        return replace(self, codes=codes, constants=constants, season=own.astype(np.float32))

    def with_phi(self, phi: Floats) -> ScalePlan:
        """Return the plan with other design effects, shape (C,)."""
        references = self.references.copy()
        references[:, 3] = phi
        return replace(self, references=references)


def plan_cells(
    layout: ComponentLayout,
    reference_sums: Floats,
    reference_rows: Floats,
    *,
    hours: float = 0.0,
    phi: Floats | None = None,
    smallest: Floats | float = SMALLEST,
) -> ScalePlan:
    """Build the plan of a model from the sums of its reference.

    Parameters
    ----------
    layout : ComponentLayout
        Components of the cells.
    reference_sums, reference_rows : ndarray of float64, shapes (I,) and (C,)
        The reference as :meth:`ComponentLayout.add_up` adds it up; the counts of a
        baseline of an older version are enough.
    hours : float, optional
        Span of the reference; 0 where it has no times. It is then taken for a stretch of
        the stream of as many rows.
    phi : ndarray of float64, shape (C,), optional
        Design effects in the reference's order; 1 where they are left out.
    smallest : ndarray of float64, shape (C,), or float
        Smallest change that matters.

    Returns
    -------
    ScalePlan
        p_i = sum / rows; p(1 - p) of a share is at least .3 / n0; 1 for a mean.

    Raises
    ------
    ShapeError
        If the sums do not fit the layout.
    DomainError
        If a cell has no reference.

    References
    ----------
    Decision rule 2, section 1.2.

    Examples
    --------
    >>> from detectors.multiscale.components import categorical_components
    >>> counts = np.zeros((1, 64), np.int64)
    >>> counts[0, :2] = 25, 75
    >>> layout = ComponentLayout.of([categorical_components(("a", "b"))])
    >>> plan = plan_cells(layout, *layout.add_up(counts))
    >>> plan.constants[:, :2].tolist()
    [[0.25, 0.1875], [0.75, 0.1875], [0.0, 0.003], [0.0, 0.003]]
    """
    if reference_sums.shape != (layout.n_components,) or len(reference_rows) != layout.n_cells:
        raise ShapeError(
            f"sums of shape {reference_sums.shape}, {len(reference_rows)} cells",
            where="plan",
            fix=f"expected {layout.n_components} components of {layout.n_cells} cells",
        )
    if not (reference_rows > 0).all():
        raise DomainError("a cell without reference", where="plan", fix="leave the cell out")
    n_in_cell = np.diff(layout.offsets)
    cell = np.repeat(np.arange(layout.n_cells), n_in_cell)
    rows = reference_rows[cell]
    is_share = np.zeros(layout.n_components, bool)
    is_share[: len(layout.basis)] = layout.basis < 0
    p = reference_sums / rows
    unit = np.where(is_share, np.maximum(p * (1 - p), LEAST_ROWS / rows), 1.0)
    first, second, product, g_max = _products(layout)
    constants = np.stack([p, unit, g_max, product, np.ones(len(p)), _gates(layout)], axis=1)
    codes = np.stack([is_share, first, second, cell, np.zeros(len(p))], axis=1).astype(np.int64)
    ones = np.ones(layout.n_cells)
    references = np.stack(
        [reference_rows, hours * ones, smallest * ones, ones if phi is None else phi], axis=1
    )
    season = np.zeros((N_SLOTS, 0), np.float32)
    return ScalePlan(layout.offsets.astype(np.int64), constants, codes, references, season)


def _gates(layout: ComponentLayout) -> Floats:
    """Return the factor of the smallest change of every component."""
    found = np.ones(layout.n_components)
    for offset, cell in zip(layout.offsets.tolist(), layout.cells, strict=False):
        if cell.n_groups >= MIN_GROUPS_SPREAD:
            found[offset : offset + cell.n_groups] = GROUP_GATE
    return found


def _products(layout: ComponentLayout) -> tuple[Integers, Integers, Floats, Floats]:
    """Return the subtracted products: components, factor, and the largest |g| of each mean."""
    n = layout.n_components
    first, product, g_max = np.full(n, NO_COMPONENT), np.ones(n), np.ones(n)
    second = first.copy()
    for offset, cell in zip(layout.offsets, layout.cells, strict=False):
        if not cell.n_means:
            continue
        location = offset + cell.location
        g_max[location : offset + len(cell)] = np.abs(cell.polynomials).max(axis=1)
        if cell.n_means >= 2 and cell.n_groups >= MIN_GROUPS_SPREAD:
            spread = location + 1
            first[spread] = second[spread] = location
            product[spread] = SHIFT_IN_SPREAD
    begin = layout.offsets[len(layout.cells)]
    for k, (a, b) in enumerate(layout.pairs):
        first[begin + k] = layout.offsets[a] + layout.cells[a].location
        second[begin + k] = layout.offsets[b] + layout.cells[b].location
        g_max[begin + k] = g_max[first[begin + k]] * g_max[second[begin + k]]
    return first, second, product, g_max


def block_phi(plan: ScalePlan, sums: Floats, rows: Floats) -> Floats:
    """Estimate the design effect of each cell from neighbouring ticks or blocks of rows.

    Parameters
    ----------
    sums, rows : ndarray of float64, shapes (T, I) and (T, C)
        Ticks of the reference in order of time, or blocks in the order of the file.

    Returns
    -------
    ndarray of float64, shape (C,)
        Mean squared difference of neighbours over what independent rows would give, at
        least 1; 1 where no two neighbours have rows.

    Notes
    -----
    A file that was shuffled gives 1 whatever the stream does; the rule takes it for five
    ticks only.

    References
    ----------
    Decision rule 2, section 1.3 step 5; Kish, Survey Sampling, 1965, section 8.2.
    """
    cell = plan.codes[:, 3]
    n = rows[:, cell]
    has_rows = (n[1:] > 0) & (n[:-1] > 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        gap = np.diff(sums / n, axis=0) ** 2
        expected = plan.constants[:, 1] * (1 / n[1:] + 1 / n[:-1])
        ratio = np.where(has_rows, np.minimum(gap / expected, _MAX_BLOCK_RATIO), 0.0)
    by_component = ratio.sum(axis=0) / np.maximum(has_rows.sum(axis=0), 1)
    total = np.add.reduceat(by_component, plan.offsets[:-1])
    return np.maximum(1.0, total / np.diff(plan.offsets))


_MAX_BLOCK_RATIO: Final = 50.0
