"""Small models for tests of the multi-scale rule: a layout, its plan, and ticks drawn from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from detectors.multiscale.components import (
    CellComponents,
    ComponentLayout,
    categorical_components,
    numeric_components,
)
from detectors.multiscale.plan import ScalePlan, plan_cells
from detectors.multiscale.products import counter_values, product_sums
from detectors.multiscale.state import ScaleState

HOUR_US = 3_600_000_000
Tick = tuple[NDArray[np.float64], NDArray[np.float64]]


@dataclass
class SmallModel:
    """Numeric cells first, then categorical ones, then the products of all numeric cells."""

    shares: list[NDArray[np.float64]]
    """Of the 64 counters of each cell."""
    n_numeric: int
    layout: ComponentLayout
    plan: ScalePlan

    @staticmethod
    def of(
        shares: Sequence[NDArray[np.float64]],
        n_numeric: int,
        n_reference: int = 20_000,
        hours: float = 0.0,
        phi: float = 1.0,
        has_products: bool = True,
    ) -> SmallModel:
        """Build a model whose reference has exactly these shares, rounded to rows."""
        counts = np.stack([exact_counts(p, n_reference) for p in shares])
        cells = [components(p, counts[c], is_numeric=c < n_numeric) for c, p in enumerate(shares)]
        paired = range(n_numeric) if has_products else ()
        layout = ComponentLayout.of(cells, paired)
        products = np.zeros(len(layout.pairs), np.int64) if layout.pairs else None
        sums, rows = layout.add_up(counts, products)
        plan = plan_cells(layout, sums, rows, hours=hours, phi=np.full(layout.n_cells, phi))
        return SmallModel(list(shares), n_numeric, layout, plan)

    def tick(
        self, rng: np.random.Generator, n: int, shares: Sequence[NDArray[np.float64]] | None = None
    ) -> Tick:
        """Draw a tick of n rows, cells independent of each other."""
        own = self.shares if shares is None else shares
        bins = np.stack([rng.choice(64, n, p=p) for p in own]).astype(np.uint8)
        return self.of_bins(bins)

    def of_bins(self, bins: NDArray[np.uint8]) -> Tick:
        """Add up rows, shape (cells, n)."""
        counts = np.stack([np.bincount(b, minlength=64) for b in bins]).astype(np.int64)
        return self.layout.add_up(counts, self.products(bins))

    def products(self, bins: NDArray[np.uint8]) -> NDArray[np.int64] | None:
        """Sum the products of the numeric cells."""
        if not self.layout.pairs:
            return None
        used = sorted({c for pair in self.layout.pairs for c in pair})
        return product_sums(bins[used], counter_values([self.layout.cells[c] for c in used]))


def components(
    shares: NDArray[np.float64], counts: NDArray[np.int64], *, is_numeric: bool
) -> CellComponents:
    """Return the components of a cell with as many bins as the shares use."""
    n_bins = int(np.flatnonzero(shares[:60]).max(initial=0)) + 1
    if is_numeric:
        return numeric_components(np.arange(n_bins + 1.0), counts)
    return categorical_components([f"k{i}" for i in range(n_bins)])


def exact_counts(shares: NDArray[np.float64], n: int) -> NDArray[np.int64]:
    """Round n rows of these shares to counters whose sum is n."""
    below = np.rint(np.cumsum(shares) / shares.sum() * n)
    return np.diff(below, prepend=0.0).astype(np.int64)


def random_shares(rng: np.random.Generator, n_bins: int, evenness: float, is_numeric: bool):
    """Shares of 64 counters: bins, missing, sometimes values beyond the extremes."""
    p = np.zeros(64)
    p[:n_bins] = rng.dirichlet(np.full(n_bins, evenness))
    p[62] = rng.choice([0.0, 0.001, 0.05])
    if is_numeric:
        p[60], p[61] = rng.choice([0.0, 0.002], 2)
    else:
        p[63] = rng.choice([0.0, 0.01])
    return p / p.sum()


def random_model(
    rng: np.random.Generator, n_numeric: int, n_categorical: int, **options
) -> SmallModel:
    """Return a model of cells of all sizes."""
    shares = [
        random_shares(
            rng, int(rng.choice([1, 2, 7, 30, 60])), rng.choice([0.3, 5.0]), c < n_numeric
        )
        for c in range(n_numeric + n_categorical)
    ]
    return SmallModel.of(shares, n_numeric, **options)


def states_equal(a: ScaleState, b: ScaleState) -> bool:
    """Whether two states are the same, bit by bit."""
    return all(np.array_equal(getattr(a, f.name), getattr(b, f.name)) for f in fields(a))


def stored_and_read(state: ScaleState) -> ScaleState:
    """A state from the bytes of another."""
    found = {}
    for f in fields(state):
        own = getattr(state, f.name)
        found[f.name] = np.frombuffer(own.tobytes(), own.dtype).reshape(own.shape).copy()
    return ScaleState(**found)


__all__ = ["SmallModel", "random_model", "states_equal", "stored_and_read"]
