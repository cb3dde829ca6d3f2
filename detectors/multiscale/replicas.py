"""Each replica against the others in the same tick, as a cell of the multi-scale rule.

The components of a replica's score, less those of the other replicas in the same tick, are
followed by the averages and learned variances of every other cell. What all replicas share, such
as a season or a change of the data, cancels. The baseline is the mean difference of the replica's
own first week, so a region that has always been off is no finding.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from detectors.kernels import scale_state as at
from detectors.kernels.scale_learning import CORRECTION_HOURS
from detectors.multiscale.components import CellComponents, ComponentLayout
from detectors.multiscale.plan import LEAST_ROWS, SMALLEST, ScalePlan, plan_cells
from detectors.multiscale.rule import ScaleRule, Verdicts, judge
from detectors.multiscale.state import ScaleState
from schemas.errors import ShapeError
from schemas.panes import N_COUNTERS
from schemas.time_units import DAY_US

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Bools = NDArray[np.bool_]

PRIOR_SD: Final = 0.2
"""Standard deviations by which replicas are expected to differ before anything is known of one."""
LEARNING_HOURS: Final = 168.0
"""The baseline of a replica is the mean difference of so many confirmed hours of its ticks."""
SETTLED_HOURS: Final = 24.0
"""Hours of ticks after which the level of a replica is known well enough to be a reference."""
LEAST_OTHERS: Final = 5.0
"""Rows of the other replicas in a tick below which a replica is not judged in it."""
SHRINKAGE_ROWS: Final = 20.0
"""Rows of the usual variance in that of the other replicas in one tick."""
POOL_HOURS: Final = 8.0
"""Time constant of the shares of all replicas together, about which differences are judged."""
PRIOR_ROWS: Final = 200.0
"""Rows of the baseline in these shares."""
MOST_SCALED: Final = 4.0
"""A component that varies more in the others than so many times as usual is not judged in this
tick: the law of a rare share is no longer that of a common one.
"""
FORGOTTEN_US: Final = 7 * DAY_US
"""A replica without rows for so long is forgotten: pods are replaced."""
MOST_KNOWN: Final = 2_000
"""Beyond so many replicas of a family those longest without rows are forgotten sooner: a service
that starts a pod for each task has thousands of names a week.
"""
COUNT_SCALE: Final = 2.0**40
"""Shares are added up as integers of this part, as counters are."""
SUSPECT_NATS: Final = 16.0
"""Evidence of one tick alone from which on a replica is no reference for the others in it. At the
limit of the kernel's clip, a tick in ten left out the replica with the most rows of a rare value,
and all others seemed to have ever more of it.
"""


@dataclass(frozen=True, slots=True, eq=False)
class ReplicaPlan:
    """The score of a model, as the cell of one replica.

    Attributes
    ----------
    components : CellComponents
        Of the score.
    counts : ndarray of int64, shape (64,)
        Its reference: shares and variances are those of the baseline.
    phi, smallest : float
        Design effect in the order of the reference; smallest change that matters.
    """

    components: CellComponents
    counts: Integers
    phi: float = 1.0
    smallest: float = SMALLEST

    def of(self, n_replicas: int) -> tuple[ComponentLayout, ScalePlan]:
        """Return layout and plan of so many replicas.

        Notes
        -----
        The reference is a difference of 0, known to :data:`PRIOR_SD` only. The live correction
        then moves the baseline of each replica onto its own mean.

        References
        ----------
        Decision rule 2, section 1.5.
        """
        layout = ComponentLayout.of([self.components] * n_replicas)
        sums, rows = layout.add_up(np.repeat(self.counts[None], n_replicas, axis=0))
        phi = np.full(n_replicas, self.phi)
        plan = plan_cells(layout, sums, rows, phi=phi, smallest=self.smallest)
        references = plan.references.copy()
        references[:, at.N_REFERENCE] = PRIOR_SD**-2
        return layout, replace(plan, references=references)


@dataclass(slots=True)
class ReplicaState:
    """What is known of the replicas of one family; a pure function of its ticks."""

    names: tuple[str, ...]
    last_us: Integers
    """Shape (R,): end of the last tick with rows."""
    averages: ScaleState
    """One cell a replica."""
    pool: Floats
    """Shape (64,): counters of all replicas that are a reference, each tick worth less with age."""

    @staticmethod
    def start(plan: ReplicaPlan) -> ReplicaState:
        """Return the state without replicas, which are added with their first rows."""
        averages = ReplicaState.averages_of(len(plan.components), 0)
        return ReplicaState((), np.zeros(0, np.int64), averages, np.zeros(N_COUNTERS))

    @staticmethod
    def averages_of(n_components: int, n_replicas: int) -> ScaleState:
        """Return the averages of so many new replicas, with J components each."""
        components = np.zeros((n_components * n_replicas, at.N_COMPONENT_VALUES), np.float32)
        components[:, at.UNEXPLAINED] = 1.0
        return ScaleState(
            components,
            np.zeros((n_replicas, at.N_SCALES, at.N_SCALE_VALUES), np.float32),
            np.zeros((n_replicas, at.N_CELL_VALUES), np.float32),
            np.zeros(at.N_MODEL_VALUES, np.float32),
        )

    def joined(self, names: Sequence[str], n_components: int) -> ReplicaState:
        """Return the state with new replicas, sorted, behind the known ones."""
        new = sorted(set(names) - set(self.names))
        if not new:
            return self
        fresh = self.averages_of(n_components, len(new))
        old = self.averages
        averages = ScaleState(
            np.concatenate((old.components, fresh.components)),
            np.concatenate((old.scales, fresh.scales)),
            np.concatenate((old.cells, fresh.cells)),
            old.model,
        )
        last_us = np.concatenate((self.last_us, np.zeros(len(new), np.int64)))
        return ReplicaState((*self.names, *new), last_us, averages, self.pool)

    def without(self, is_gone: Bools) -> ReplicaState:
        """Return the state without some replicas."""
        stays = ~is_gone
        old, n = self.averages, len(self.names)
        by_replica = old.components.reshape(n, -1, at.N_COMPONENT_VALUES)[stays]
        cells, n_components = old.cells[stays], by_replica.shape[1]
        # components are numbered over all replicas
        moved = np.flatnonzero(stays) - np.arange(len(cells))
        cells[:, at.OPEN_COMPONENT] -= np.where(cells[:, at.IS_OPEN] != 0, moved * n_components, 0)
        averages = ScaleState(
            by_replica.reshape(-1, at.N_COMPONENT_VALUES),
            old.scales[stays],
            cells,
            old.model,
        )
        names = tuple(name for name, stay in zip(self.names, stays, strict=True) if stay)
        return ReplicaState(names, self.last_us[stays], averages, self.pool)


@dataclass(frozen=True, slots=True)
class ReplicaTick:
    """One tick of R replicas against each other."""

    plan: ScalePlan
    """Of this tick: shares and variances are those of all replicas together."""
    verdicts: Verdicts
    sums: Floats
    """Shape (R, J): difference of each component from the other replicas, times ``rows``."""
    rows: Floats
    """Shape (R,): rows that a difference is worth, 1 / (1 / n + 1 / n of the others)."""
    counts: Integers
    """Shape (R, 64): counters of each."""
    others: Integers
    """Shape (R, 64): counters of the replicas that each is compared with."""


class ReplicaRule:
    """Judges the replicas of one family, tick by tick.

    Parameters
    ----------
    plan : ReplicaPlan
        Of the model's score.
    budget : float
        Incidents without cause a month.
    tick_us : int
        Length of a tick.
    n_beside : int, optional
        Components of the model that share the budget: those of its other cells.

    Notes
    -----
    The plan of R replicas is kept until R changes.
    """

    def __init__(self, plan: ReplicaPlan, budget: float, tick_us: int, n_beside: int = 0) -> None:
        self.plan, self._budget, self._tick_us, self._n_beside = plan, budget, tick_us, n_beside
        self.n_components = len(plan.components)
        self._last: tuple[int, ComponentLayout, ScalePlan, ScaleRule] | None = None

    def parts(self, n_replicas: int) -> tuple[ComponentLayout, ScalePlan, ScaleRule]:
        """Return layout, plan and rule of so many replicas."""
        if self._last is None or self._last[0] != n_replicas:
            n_components = self._n_beside + self.n_components * n_replicas
            rule = ScaleRule.of(n_components, self._budget, self._tick_us)
            self._last = n_replicas, *self.plan.of(n_replicas), rule
        return self._last[1:]

    def judge(
        self, state: ReplicaState, names: Sequence[str], counts: Integers, end_us: int
    ) -> tuple[ReplicaTick, ReplicaState]:
        """Judge one closed tick.

        Parameters
        ----------
        state : ReplicaState
            Of the ticks before; its averages are updated.
        names : sequence of str
            Replicas with rows in this tick, each once.
        counts : ndarray of int64, shape (len(names), 64)
            Counters of the score of each.
        end_us : int
            End of the tick.

        Returns
        -------
        tick : ReplicaTick
            In the order of the state that is returned.
        state : ReplicaState
            With new replicas; those without rows for a week stay until :func:`forgotten`.

        Raises
        ------
        ShapeError
            If names and counts do not match.
        """
        if counts.shape != (len(names), N_COUNTERS) or len(set(names)) != len(names):
            raise ShapeError(
                f"{len(names)} names for counters of shape {counts.shape}",
                where="replicas",
                fix=f"pass each name once and ({len(names)}, {N_COUNTERS})",
            )
        state = state.joined(names, self.n_components)
        n_replicas = len(state.names)
        layout, plan, rule = self.parts(n_replicas)
        plan = self._plan_about(state.pool, plan)
        place = {name: r for r, name in enumerate(state.names)}
        own = np.zeros((n_replicas, N_COUNTERS), np.int64)
        own[[place[name] for name in names]] = counts
        state.last_us[own.any(axis=1)] = end_us
        tally = _Tally.of(layout, plan, rule, state.averages, own)
        is_pool = tally.pool()
        differences, rows = tally.differences(is_pool)
        sums = rows[:, None] * (tally.p + differences)
        verdicts = judge(plan, rule, state.averages, sums.reshape(-1), rows)
        _end_learning(state.averages, rule)
        pooled = np.where(is_pool[:, None], own, 0)
        total = pooled.sum(axis=0)
        state.pool = math.exp(-rule.tick_hours / POOL_HOURS) * state.pool + total
        sums = rows[:, None] * differences
        return ReplicaTick(plan, verdicts, sums, rows, own, total - pooled), state

    def _plan_about(self, pool: Floats, plan: ScalePlan) -> ScalePlan:
        """Return the plan with the shares that all replicas together had lately."""
        reference = self.plan.counts
        mixed = pool + PRIOR_ROWS * reference / max(int(reference.sum()), 1)
        layout = ComponentLayout.of([self.plan.components])
        scale = COUNT_SCALE / float(mixed.sum())
        sums, rows = layout.add_up(np.rint(mixed * scale).astype(np.int64)[None])
        n = plan.n_cells
        is_share = plan.codes[:, at.IS_SHARE] == 1
        constants = plan.constants.copy()
        p = np.tile(sums / rows[0], n)
        least = LEAST_ROWS / max(int(reference.sum()), 1)
        constants[is_share, at.P] = p[is_share]
        constants[is_share, at.PQ] = np.maximum(p * (1.0 - p), least)[is_share]
        return replace(plan, constants=constants)


def forgotten(state: ReplicaState, now_us: int) -> Bools:
    """Return the replicas without rows for a week, or beyond the most known, shape (R,)."""
    found: Bools = state.last_us <= now_us - FORGOTTEN_US
    n_over = max(0, len(found) - MOST_KNOWN)
    found[np.argsort(state.last_us, kind="stable")[:n_over]] = True
    return found


def _has_learned(averages: ScaleState, rule: ScaleRule) -> Bools:
    """Return the replicas whose first week is confirmed."""
    confirmed = averages.cells[:, at.T_CONFIRMED]
    found: Bools = confirmed * rule.tick_hours >= LEARNING_HOURS * at.BARELY
    return found


def _end_learning(averages: ScaleState, rule: ScaleRule) -> None:
    """End the correction of replicas whose first week is confirmed."""
    complete = np.ceil(CORRECTION_HOURS / rule.tick_hours)
    averages.cells[_has_learned(averages, rule), at.T_CONFIRMED] = complete


@dataclass(frozen=True, slots=True, eq=False)
class _Tally:
    """One tick of R replicas with J components each, before it is judged."""

    sums: Floats
    rows: Floats
    p: Floats
    unit: Floats
    """Usual variance of one row, shape (J,)."""
    groups: Floats
    """Squares of the polynomials by group, shape (k, G)."""
    is_share: Bools
    levels: Floats
    """Shape (R, J): the mean difference of each replica, of its first week once that is over. If
    levels went on following the stream, nothing would hold their common part in place."""
    natural: Floats
    """Shape (R, J): variance of ticks by themselves."""
    phi: Floats
    is_open: Bools
    open_change: Floats
    g_max: Floats
    is_settled: Bools

    @staticmethod
    def of(
        layout: ComponentLayout,
        plan: ScalePlan,
        rule: ScaleRule,
        averages: ScaleState,
        counts: Integers,
    ) -> _Tally:
        """Add up a tick, and read what is known of each replica."""
        sums, rows = layout.add_up(counts)
        n, cell = len(rows), layout.cells[0]
        shape = (n, len(cell))
        components, cells = averages.components.astype(np.float64), averages.cells
        weight = averages.scales[:, -1, at.WEIGHT].astype(np.float64)[:, None]
        mean = components[:, at.SUM + at.N_SCALES - 1].reshape(shape)
        is_following = (weight > 0) & ~_has_learned(averages, rule)[:, None]
        levels = np.where(is_following, mean / np.maximum(weight, 1e-9), 0.0)
        first = slice(0, len(cell))
        unit = plan.constants[first, at.PQ]
        prior = at.PRIOR_SAMPLES * at.PRIOR_VARIANCE * unit
        samples = averages.scales[:, 0, at.SAMPLES, None].astype(np.float64)
        excess = components[:, at.EXCESS].reshape(shape)
        references = plan.references
        return _Tally(
            sums=sums.reshape(shape),
            rows=rows,
            p=plan.constants[first, at.P],
            unit=unit,
            groups=cell.polynomials[:, : cell.n_groups] ** 2,
            is_share=plan.codes[first, at.IS_SHARE] == 1,
            levels=levels + components[:, at.CORRECTION].reshape(shape),
            natural=np.maximum(0.0, (prior + excess) / (at.PRIOR_SAMPLES + samples)),
            phi=np.array([at.cell_phi(cells, references, r) for r in range(n)]),
            is_open=cells[:, at.IS_OPEN] != 0,
            g_max=plan.constants[first, at.G_MAX],
            open_change=np.abs(cells[:, at.OPEN_CHANGE].astype(np.float64)),
            is_settled=cells[:, at.AGE] * rule.tick_hours >= SETTLED_HOURS * at.BARELY,
        )

    def pool(self) -> Bools:
        """Return the replicas that are a reference for the others in this tick.

        Replicas whose level is not known yet are none, unless they have most of the rows. Those
        with an open alert are none, nor those that are wrong by this tick alone; always less than
        half of the pool is left out, so of two neither is trusted more.
        """
        has_rows = self.rows > 0
        pool = has_rows & self.is_settled
        if 2.0 * self.rows[pool].sum() < self.rows.sum():
            pool = has_rows
        n_left = (int(pool.sum()) - 1) // 2
        opened = np.flatnonzero(pool & self.is_open)
        opened = opened[np.argsort(-self.open_change[opened], kind="stable")][: max(n_left, 0)]
        pool[opened] = False
        for _ in range(n_left - len(opened)):
            excess = np.where(pool, self._excess(pool), 0.0)
            worst = int(np.argmax(excess))
            if excess[worst] <= SUSPECT_NATS:
                break
            pool[worst] = False
        return pool

    def differences(self, pool: Bools) -> tuple[Floats, Floats]:
        """Return the differences from the others, and the rows that each is worth.

        Notes
        -----
        Each of the others counts without its own level, so that the reference does not move
        when one of them comes or goes. A component that varies more in the others than it does
        on average, as a season may have it, is scaled down to its usual variance.
        """
        n = self.rows[:, None]
        total = np.where(pool[:, None], self.sums - n * self.levels, 0.0)
        raw = np.where(pool[:, None], self.sums, 0.0)
        n_pool = np.where(pool, self.rows, 0.0)
        n_others = n_pool.sum() - n_pool
        is_judged = (self.rows > 0) & (n_others >= LEAST_OTHERS)
        with np.errstate(divide="ignore", invalid="ignore"):
            others = (total.sum(axis=0) - total) / n_others[:, None]
            live = self._live((raw.sum(axis=0) - raw) / n_others[:, None])
            live = SHRINKAGE_ROWS * self.unit + n_others[:, None] * live
            live /= SHRINKAGE_ROWS + n_others[:, None]
            growth = np.maximum(1.0, live / self.unit)
            scaled = (self.sums / n - others) / np.sqrt(growth)
            scaled = np.where(growth > MOST_SCALED, self.levels, scaled)
            rows = 1.0 / (1.0 / self.rows + 1.0 / n_others)
        return np.where(is_judged[:, None], scaled, 0.0), np.where(is_judged, rows, 0.0)

    def _live(self, shares: Floats) -> Floats:
        """Return the variance of one row of each component in the other replicas."""
        found = np.where(self.is_share, shares * (1.0 - shares), 0.0)
        k, n_groups = self.groups.shape
        if k:
            mean = shares[:, -k:]
            found[:, -k:] = shares[:, :n_groups] @ self.groups.T - mean * mean
        return found

    def _excess(self, pool: Bools) -> Floats:
        """Return the evidence of this tick alone against each replica, nats, shape (R,)."""
        difference, rows = self.differences(pool)
        moved = difference - self.levels
        per_row = self.phi[:, None] / np.maximum(rows, 1e-9)[:, None]
        variance = self.unit * per_row + self.natural
        p = np.clip(self.p, 1e-9, 1.0 - 1e-9)
        now = np.clip(self.p + moved, 1e-12, 1.0 - 1e-12)
        entropy = now * np.log(now / p) + (1.0 - now) * np.log((1.0 - now) / (1.0 - p))
        of_share = entropy * self.unit / variance
        of_mean = moved * moved / (2.0 * (variance + self.g_max * np.abs(moved) * per_row / 3.0))
        found = np.where(self.is_share, of_share, of_mean).max(axis=1)
        return np.where(rows > 0, found, 0.0)
