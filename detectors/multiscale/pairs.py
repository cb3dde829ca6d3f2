"""Correlations: the cell of products of the most important numeric features.

A product of two locations moves with both features; less the product of their own averages at
the same scale it moves with their correlation only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from detectors.kernels.scale_state import N_MODEL_VALUES, N_SLOTS
from detectors.multiscale.components import (
    NO_COMPONENT,
    PRODUCT_UNIT,
    CellComponents,
    variable_components,
)
from detectors.multiscale.plan import SMALLEST, ScalePlan
from detectors.multiscale.products import counter_values
from detectors.multiscale.state import ScaleState
from schemas.baselines import Baseline, Kind, LearnedProducts, VariableBaseline
from schemas.names import SCORE

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

MAX_PAIRED: Final = 10
"""Features whose products are followed: 45 pairs."""


def pairable(variables: Sequence[VariableBaseline], counts: Integers) -> list[str]:
    """Return the numeric features that have a location, in order.

    Parameters
    ----------
    counts : ndarray of int64, shape (V, 64)
        Of all rows of the reference.
    """
    return [
        v.name
        for v, own in zip(variables, counts, strict=True)
        if v.kind is Kind.NUMERIC
        and v.name != SCORE
        and own.any()
        and variable_components(v, own).location != NO_COMPONENT
    ]


def paired_values(
    variables: Sequence[VariableBaseline], counts: Integers, features: Sequence[str]
) -> Floats:
    """Return the value of every counter of some features under their first polynomials, (F, 64)."""
    at = {v.name: i for i, v in enumerate(variables)}
    cells: list[CellComponents] = [
        variable_components(variables[at[name]], counts[at[name]]) for name in features
    ]
    return counter_values(cells)


@dataclass(frozen=True, slots=True, eq=False)
class PairCells:
    """Locations of F features and their products, as cells of the multi-scale kernel.

    Attributes
    ----------
    features : tuple of str
        F features.
    places : ndarray of int64, shape (F,)
        Their variables.
    values : ndarray of float64, shape (F, 64)
        Of every counter under the first polynomial.
    plan : ScalePlan
        F cells of one mean each, then the cell of F (F - 1) / 2 products.
    learned : LearnedProducts or None
        From the ticks of the reference.
    """

    features: tuple[str, ...]
    places: Integers
    values: Floats
    plan: ScalePlan
    learned: LearnedProducts | None = None

    @staticmethod
    def of(baseline: Baseline, hours: float = 0.0, smallest: float = SMALLEST) -> PairCells | None:
        """Return the cells of a baseline; None if it has no products.

        Parameters
        ----------
        hours : float, optional
            Span of the reference; 0 where it has no times.
        """
        products = baseline.products
        if products is None:
            return None
        at = {v.name: i for i, v in enumerate(baseline.variables)}
        places = np.array([at[name] for name in products.features])
        counts = baseline.reference.counts[0]
        values = paired_values(baseline.variables, counts, products.features)
        n, n_pairs = len(places), len(products.sums)
        cells = PairCells(products.features, places, values, _EMPTY)
        sums, rows = cells.add_up(counts, products.sums)
        cell = np.concatenate((np.arange(n), np.full(n_pairs, n)))
        left = np.full(n + n_pairs, NO_COMPONENT)
        right = left.copy()
        left[n:], right[n:] = np.array(pairs_of(n)).T
        none, one = np.zeros(n + n_pairs), np.ones(n + n_pairs)
        g_max = np.abs(values).max(axis=1)
        g_max = np.concatenate((g_max, g_max[left[n:]] * g_max[right[n:]]))
        phi = np.maximum(baseline.phi[0, places], 1.0)
        phi = np.append(phi, phi.max())
        references = np.stack([rows, np.full(n + 1, hours), np.full(n + 1, smallest), phi], axis=1)
        plan = ScalePlan(
            offsets=np.array([*range(n + 1), n + n_pairs]),
            constants=np.stack([sums / rows[cell], one, g_max, one, one, one], axis=1),
            codes=np.stack([none, left, right, cell, none], axis=1).astype(np.int64),
            references=references,
            season=np.zeros((N_SLOTS, 0), np.float32),
        )
        return PairCells(products.features, places, values, plan, products.learned)

    def start(self, tick_us: int) -> ScaleState:
        """Return the state before the first tick of the stream."""
        learned = self.learned
        if learned is None or learned.tick_us != tick_us:
            return ScaleState.start(self.plan)
        model = np.zeros(N_MODEL_VALUES, np.float32)
        return ScaleState(learned.components, learned.scales, learned.cells, model).copy()

    @property
    def n_pairs(self) -> int:
        """F (F - 1) / 2."""
        return len(self.features) * (len(self.features) - 1) // 2

    def pair(self, component: int) -> tuple[str, str]:
        """Return the features of a product, by its component."""
        a, b = pairs_of(len(self.features))[component - len(self.features)]
        return self.features[b], self.features[a]

    def add_up(self, counts: Integers, products: Integers) -> tuple[Floats, Floats]:
        """Return the sums of all components in one tick, and the rows of each cell.

        Parameters
        ----------
        counts : ndarray of int64, shape (V, 64)
            Of all variables.
        products : ndarray of int64, shape (n_pairs,)
            Of :func:`detectors.multiscale.products.product_sums`.
        """
        own = counts[self.places]
        return self.sums_of((own * self.values).sum(axis=1), products, own.sum(axis=1))

    def sums_of(
        self, locations: Floats, products: Integers, rows: Integers | int
    ) -> tuple[Floats, Floats]:
        """Return the sums of all components, and the rows of each cell.

        Parameters
        ----------
        locations : ndarray of float64, shape (F,)
            Sum of the first polynomial of each feature.
        products : ndarray of int64, shape (n_pairs,)
            As of :meth:`add_up`.
        rows : ndarray of int64, shape (F,), or int
            Rows of each feature: all rows, missing values included.
        """
        of_cells = np.empty(len(self.places) + 1)
        of_cells[:-1] = rows
        of_cells[-1] = of_cells[0]
        return np.concatenate((locations, products * PRODUCT_UNIT)), of_cells


def pairs_of(n_features: int) -> list[tuple[int, int]]:
    """Return the features of each product, in the order of the sums.

    Examples
    --------
    >>> pairs_of(3)
    [(1, 0), (2, 0), (2, 1)]
    """
    return [(a, b) for a in range(n_features) for b in range(a)]


_EMPTY: Final = ScalePlan(
    np.zeros(1, np.int64),
    np.zeros((0, 6)),
    np.zeros((0, 5), np.int64),
    np.zeros((0, 4)),
    np.zeros((N_SLOTS, 0), np.float32),
)
