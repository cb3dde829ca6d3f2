"""Streams whose law is known, as counters: what a window of a model would have counted.

Counters are drawn from their multinomial law directly; a hundred thousand rows a window
cost no more than two hundred, and months of hours take seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from detectors.decision_rule.decision import Rule, SetLayout, TolerancePlan, cell_sets, plan_cells
from detectors.decision_rule.design_effect import design_effect, learned_eps
from schemas.baselines import Kind, VariableBaseline
from schemas.panes import MISSING, N_BINS, N_COUNTERS, OVERFLOW, UNDERFLOW

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]

HOURS_A_MONTH = 730
REFERENCE_WINDOWS = 240
"""Ten days of hours."""
PANES_A_WINDOW = 2
DAILY_SD, WINDOW_SD = 0.03, 0.02
"""A wobble's daily swing, and what each window has of its own."""
CLUSTER_ROWS = 10


@dataclass(frozen=True, slots=True)
class PlantedChange:
    """What becomes different, of one variable."""

    shift: float = 0.0
    """Of the mean, in sd."""
    scale: float = 1.0
    """Of the sd."""
    tail: float = 0.0
    """Share of rows that move six sd up."""
    missing: float = 0.0
    """Share of rows without a value."""
    category: float = 0.0
    """Share of rows that become the first category."""


NOTHING = PlantedChange()


@dataclass(frozen=True, slots=True)
class QualityWorld:
    """One kind of stream.

    ``law`` is the law of a value; None makes categories of Zipf's law.
    """

    name: str
    law: stats.rv_continuous | None
    n_rows: int
    cluster_rows: int = 1
    has_wobble: bool = False


def null_worlds(sizes: Sequence[int] = (200, 5_000, 100_000)) -> list[QualityWorld]:
    """Every setting in which nothing is wrong."""
    normal = stats.norm()
    found = []
    for n in sizes:
        found += [
            QualityWorld(f"iid, N={n}", normal, n),
            QualityWorld(f"wobble, N={n}", normal, n, has_wobble=True),
            QualityWorld(f"clusters, N={n}", normal, n, cluster_rows=CLUSTER_ROWS),
            QualityWorld(f"heavy tails, N={n}", stats.t(2), n),
            QualityWorld(f"Zipf, N={n}", None, n),
        ]
    return found


class Streams:
    """C variables of one world, each with a baseline of its own.

    Parameters
    ----------
    n_cells : int
        C.
    n_cells_a_model : int
        K of the rule.
    """

    def __init__(
        self, world: QualityWorld, n_cells: int, n_cells_a_model: int, rng: np.random.Generator
    ) -> None:
        self.world, self.n_cells, self._rng = world, n_cells, rng
        self._edges = self._draw_edges()
        self._shares = self.shares(np.zeros(n_cells))
        panes = self._reference_panes()
        self.reference = panes.sum(axis=0)
        self.plan = self._plan(panes, Rule(alpha=1 / 7300, n_cells=n_cells_a_model))

    def window(self, hour: int, change: PlantedChange = NOTHING) -> Counts:
        """Counters of one window of every variable, shape (C, 64)."""
        return self._counts(self.world.n_rows, self._wobble(hour), change)

    def _wobble(self, hour: int) -> Floats:
        """By how many sd the mean of each variable is off in this hour."""
        if not self.world.has_wobble:
            return np.zeros(self.n_cells)
        own = self._rng.normal(0, WINDOW_SD, self.n_cells)
        return DAILY_SD * np.sin(2 * np.pi * hour / 24) + own

    def _counts(self, n_rows: int, moved: Floats, change: PlantedChange = NOTHING) -> Counts:
        """Draw counters; rows come in identical clusters."""
        is_still = change == NOTHING and not moved.any()
        shares = self._shares if is_still else self.shares(moved, change)
        n = max(1, n_rows // self.world.cluster_rows)
        return self._rng.multinomial(n, shares) * self.world.cluster_rows

    def _draw_edges(self) -> Floats:
        """Edges at the law's sixtieths, the outermost at the extremes a reference would have."""
        law = self.world.law
        if law is None:
            return np.empty((self.n_cells, 0))
        n = REFERENCE_WINDOWS * self.world.n_rows // self.world.cluster_rows
        extreme = self._rng.random((2, self.n_cells)) ** (1 / n)
        inner = np.broadcast_to(np.arange(1, N_BINS) / N_BINS, (self.n_cells, N_BINS - 1))
        low, high = 1 - extreme[0][:, None], extreme[1][:, None]
        return law.ppf(np.concatenate([low, inner, high], axis=1))  # type: ignore[no-any-return]

    def shares(self, moved: Floats, change: PlantedChange = NOTHING) -> Floats:
        """Share of every counter, shape (C, 64)."""
        shares = np.zeros((self.n_cells, N_COUNTERS))
        if self.world.law is None:
            shares[:, :N_BINS] = zipf_shares()
            shares[:, :N_BINS] *= 1 - change.category
            shares[:, 0] += change.category
        else:
            self._fill_numeric(shares, moved + change.shift, change)
        shares *= 1 - change.missing
        shares[:, MISSING] += change.missing
        return shares

    def _fill_numeric(self, shares: Floats, moved: Floats, change: PlantedChange) -> None:
        """Share of every bin when the law has moved."""
        below = self._below(moved, change.scale)
        if change.tail:
            below = (1 - change.tail) * below + change.tail * self._below(moved + 6.0, change.scale)
        shares[:, :N_BINS] = np.diff(below, axis=1)
        shares[:, UNDERFLOW], shares[:, OVERFLOW] = below[:, 0], 1 - below[:, -1]

    def _below(self, moved: Floats, scale: float) -> Floats:
        assert self.world.law is not None
        return self.world.law.cdf((self._edges - moved[:, None]) / scale)  # type: ignore[no-any-return]

    def _reference_panes(self) -> Counts:
        """Shape (W * 2, C, 64): what the baseline is built from, in order of time."""
        n = max(self.world.cluster_rows, self.world.n_rows // PANES_A_WINDOW)
        panes = []
        for hour in range(REFERENCE_WINDOWS):
            moved = self._wobble(hour)
            panes += [self._counts(n, moved) for _ in range(PANES_A_WINDOW)]
        return np.stack(panes)

    def _plan(self, panes: Counts, rule: Rule) -> TolerancePlan:
        """As ``baseline build`` does: sets, design effect and tolerance of each variable."""
        windows = panes.reshape(REFERENCE_WINDOWS, PANES_A_WINDOW, self.n_cells, -1).sum(axis=1)
        cells = [cell_sets(self._variable(c), self.reference[c]) for c in range(self.n_cells)]
        phi = np.array(
            [design_effect(panes[:, c], s, self.reference[c]) for c, s in enumerate(cells)]
        )
        eps = np.array(
            [
                learned_eps(windows[:, c], s, self.reference[c], float(phi[c]))
                for c, s in enumerate(cells)
            ]
        )
        return plan_cells(rule, SetLayout.of(cells), self.reference, phi, eps)

    def _variable(self, cell: int) -> VariableBaseline:
        if self.world.law is None:
            names = tuple(f"c{i:02d}" for i in range(N_BINS))
            return VariableBaseline("x", Kind.CATEGORICAL, np.empty(0), names)
        return VariableBaseline("x", Kind.NUMERIC, self._edges[cell])


@cache
def zipf_shares(n_categories: int = 2_000, exponent: float = 1.1) -> Floats:
    """Shares of the 59 most frequent categories, and of all others together."""
    weight = 1 / np.arange(1, n_categories + 1) ** exponent
    weight /= weight.sum()
    return np.append(weight[: N_BINS - 1], weight[N_BINS - 1 :].sum())


def changes() -> dict[str, tuple[Callable[[int], QualityWorld], PlantedChange]]:
    """What is planted, by name, and in which world of so many rows a window."""

    def normal(n: int) -> QualityWorld:
        return QualityWorld("iid", stats.norm(), n)

    def categories(n: int) -> QualityWorld:
        return QualityWorld("Zipf", None, n)

    shifts = {f"shift {d} sd": (normal, PlantedChange(shift=d)) for d in (0.1, 0.2, 0.3, 0.5)}
    return {
        **shifts,
        "sd x 1.25": (normal, PlantedChange(scale=1.25)),
        "2 % at +6 sd": (normal, PlantedChange(tail=0.02)),
        "5 % missing": (normal, PlantedChange(missing=0.05)),
        "a category +5 %": (categories, PlantedChange(category=0.05)),
        "correlation only": (normal, replace(NOTHING)),
    }
