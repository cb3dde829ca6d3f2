"""The default decision rule: whether a cell's change exceeds its tolerance.

Each set of a cell carries four bets that its share has grown beyond p_ref + eps.
A bet's evidence is a likelihood ratio, capped, and summed over windows by
Shiryaev-Roberts; a cell fires when the mean over its bets reaches K / alpha and
its windows were positive often enough. Use this for alerts; PSI, KS and the other
statistics describe the same counters for people.

References
----------
Shin, Ramdas, Rinaldo, E-detectors, 2022, definition 2.2 (the mixture of
Shiryaev-Roberts e-detectors) and proposition 2.4 (average run length).
Shekhar, Ramdas, Nonparametric two-sample testing by betting, 2021.
Turner, Ly, Grunwald, Generic E-variables for exact sequential k-sample tests, 2024.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, overload

import numpy as np
from numpy.typing import NDArray

from detectors.decision_rule.mde import minimum_detectable_effects
from detectors.decision_rule.sets import CellSets, SetLayout, cell_sets
from detectors.decision_rule.settings import N_BETS, N_RUNGS, RUNG_NAMES, Rule, alpha_of
from detectors.decision_rule.tolerance import TolerancePlan, plan_cells
from detectors.decision_rule.tolerance import plan_baseline as plan_tolerance
from detectors.kernels.decision import step
from detectors.multiscale.rule import BUDGET, Verdicts
from detectors.multiscale.state import ScaleState
from detectors.multiscale.tick_plan import TickPlan
from schemas.baselines import Baseline
from schemas.errors import DomainError, ShapeError
from schemas.panes import N_COUNTERS
from schemas.results import Reason, Verdict
from schemas.time_units import HOUR_US

__all__ = [
    "REASONS",
    "CellSets",
    "Decision",
    "Evidence",
    "Rule",
    "SetLayout",
    "TickPlan",
    "TolerancePlan",
    "alpha_of",
    "cell_sets",
    "decide",
    "plan_baseline",
    "plan_cells",
]

REASONS: Final = (
    Reason.WITHIN_TOLERANCE,
    Reason.ACCUMULATING,
    Reason.NOT_PERSISTENT,
    Reason.EVIDENCE,
    Reason.TOO_FEW_SAMPLES,
    Reason.NO_BASELINE,
    Reason.NO_DATA,
)
"""Reason by the code in ``Decision.reason``."""
_NO_VERDICT: Final = (Reason.TOO_FEW_SAMPLES, Reason.NO_BASELINE, Reason.NO_DATA)


@dataclass(slots=True)
class Evidence:
    """Evidence of C cells so far. :func:`decide` updates it in place."""

    ratios: NDArray[np.float32]
    """Shape (T, 16): e^L by set, rung and bet; 0 is L = -inf."""
    history: NDArray[np.uint32]
    """Shape (C,): bit i is set if the window i windows ago was positive."""
    n_windows: NDArray[np.int64]
    """Shape (C,): windows since the first positive one of the present run; 0 while quiet."""

    @staticmethod
    def start(layout: SetLayout) -> Evidence:
        """Return the initial evidence of cells: L = -inf.

        Parameters
        ----------
        layout : SetLayout
            The sets of C cells.

        Returns
        -------
        Evidence
            All zeros.
        """
        return Evidence(
            np.zeros((layout.n_sets, N_RUNGS * N_BETS), np.float32),
            np.zeros(layout.n_cells, np.uint32),
            np.zeros(layout.n_cells, np.int64),
        )

    def copy(self) -> Evidence:
        """Return an independent copy."""
        return Evidence(self.ratios.copy(), self.history.copy(), self.n_windows.copy())

    def of_cell(self, layout: SetLayout, cell: int) -> Evidence:
        """Return a copy of one cell's evidence."""
        own = slice(layout.offsets[cell], layout.offsets[cell + 1])
        at = slice(cell, cell + 1)
        return Evidence(self.ratios[own].copy(), self.history[at].copy(), self.n_windows[at].copy())

    def to_bytes(self) -> bytes:
        """Return the whole state, little-endian; the same bytes restore the same future.

        Notes
        -----
        64 bytes a set and 12 a cell, mostly zeros while nothing happens: compress it.
        """
        return b"".join(
            (
                self.ratios.astype("<f4").tobytes(),
                self.history.astype("<u4").tobytes(),
                self.n_windows.astype("<i8").tobytes(),
            )
        )

    @staticmethod
    def from_bytes(data: bytes, layout: SetLayout) -> Evidence:
        """Restore the evidence from :meth:`to_bytes`.

        Parameters
        ----------
        data : bytes
            The state.
        layout : SetLayout
            The sets it was gathered on.

        Returns
        -------
        Evidence
            Equal to the one saved.

        Raises
        ------
        ShapeError
            If the length is not that of these sets.
        """
        n_ratios, n_cells = layout.n_sets * N_RUNGS * N_BETS, layout.n_cells
        if len(data) != 4 * n_ratios + 12 * n_cells:
            raise ShapeError(
                f"{len(data)} bytes of evidence, not {4 * n_ratios + 12 * n_cells}",
                where=f"{n_cells} cells, {layout.n_sets} sets",
                fix="restore it with the baseline it was saved under",
            )
        split = 4 * n_ratios + 4 * n_cells
        return Evidence(
            np.frombuffer(data, "<f4", n_ratios).astype(np.float32).reshape(layout.n_sets, -1),
            np.frombuffer(data, "<u4", n_cells, 4 * n_ratios).astype(np.uint32),
            np.frombuffer(data, "<i8", n_cells, split).astype(np.int64),
        )


@dataclass(frozen=True, slots=True)
class Decision:
    """Decision on C cells in one window. Every array has shape (C,)."""

    n: NDArray[np.int64]
    """Rows, missing included."""
    log_m: NDArray[np.float64]
    """log M after this window, before a reset; -inf before the first."""
    window_evidence: NDArray[np.float64]
    """Log-mean of exp(l): evidence of this window alone."""
    is_positive: NDArray[np.bool_]
    has_fired: NDArray[np.bool_]
    rung: NDArray[np.int64]
    """Highest rung reached, 0 to 3; -1 if the cell did not fire."""
    set_index: NDArray[np.int64]
    """The set named, among all sets of the layout: of a cell that is over the threshold or
    positive the one that gives most to M, else the one that grew most; -1 without rows.
    """
    p_current: NDArray[np.float64]
    """Share of that set in the window; NaN without rows."""
    p_reference: NDArray[np.float64]
    effect: NDArray[np.float64]
    """p_current - p_reference."""
    eps: NDArray[np.float64]
    """Tolerance of that set."""
    mde: NDArray[np.float64]
    """Minimum detectable effect of this window; NaN where n is too small for any."""
    n_windows: NDArray[np.int64]
    """Windows with rows from the first positive one of this run to this one."""
    reason: NDArray[np.int64]
    """Index into :data:`REASONS`."""
    threshold: float
    """ln(K / alpha)."""

    def reason_of(self, cell: int) -> Reason:
        """Why this verdict."""
        return REASONS[self.reason[cell]]

    def verdict_of(self, cell: int) -> Verdict:
        """Return ``drift`` if the cell fired, ``none`` without a verdict, else ``normal``."""
        return verdict_of(self.reason_of(cell), has_fired=bool(self.has_fired[cell]))

    def rung_of(self, cell: int) -> str:
        """Return the name of the highest rung reached, or ""."""
        return RUNG_NAMES[self.rung[cell]] if self.has_fired[cell] else ""


def verdict_of(reason: Reason, *, has_fired: bool) -> Verdict:
    """Return the verdict of a reason."""
    if has_fired:
        return Verdict.DRIFT
    return Verdict.NONE if reason in _NO_VERDICT else Verdict.NORMAL


@overload
def plan_baseline(
    rule: Rule | Literal[1], baseline: Baseline, phi: float | None = None
) -> TolerancePlan: ...


@overload
def plan_baseline(rule: Literal[2], baseline: Baseline, phi: float | None = None) -> TickPlan: ...


def plan_baseline(
    rule: Rule | Literal[1, 2], baseline: Baseline, phi: float | None = None
) -> TolerancePlan | TickPlan:
    """Plan every cell of a baseline, segment by segment, its variables in order.

    Parameters
    ----------
    rule : Rule, 1 or 2
        Settings of rule 1, or the number of a rule with a budget of .1 a month and windows of an
        hour or ticks of 5 minutes. Rule 2 with other settings: :meth:`TickPlan.of`.
    baseline : Baseline
        Baseline with S segments and V variables.
    phi : float, optional
        Declared cluster size; overrides the baseline's estimate.

    Returns
    -------
    TolerancePlan or TickPlan
        Of S x V cells; cell ``s * V + v`` is segment s, variable v, so that
        ``counts.reshape(-1, 64)`` of a window in the baseline's order fits.

    Raises
    ------
    DomainError
        If there is no such rule.
    """
    if isinstance(rule, int):
        if rule == 2:
            return TickPlan.of(baseline, phi=phi)
        if rule != 1:
            raise DomainError(f"rule {rule}", where="plan_baseline", fix="pass 1 or 2")
        n_cells = baseline.reference.counts.shape[0] * baseline.reference.counts.shape[1]
        rule = Rule(alpha=alpha_of(HOUR_US, BUDGET), n_cells=n_cells)
    return plan_tolerance(rule, baseline, phi)


@overload
def decide(
    plan: TolerancePlan,
    evidence: Evidence,
    counts: NDArray[np.int64],
    *,
    rule: Literal[1] | None = None,
    n_rungs: int = N_RUNGS,
) -> Decision: ...


@overload
def decide(
    plan: TickPlan,
    evidence: ScaleState,
    counts: NDArray[np.int64],
    *,
    rule: Literal[2] | None = None,
    n_rungs: int = N_RUNGS,
) -> Verdicts: ...


def decide(
    plan: TolerancePlan | TickPlan,
    evidence: Evidence | ScaleState,
    counts: NDArray[np.int64],
    *,
    rule: int | None = None,
    n_rungs: int = N_RUNGS,
) -> Decision | Verdicts:
    """Evaluate one tumbling window, or one tick, of every cell, and update the evidence.

    Parameters
    ----------
    plan : TolerancePlan or TickPlan
        Of C cells, for rule 1 or 2: :func:`plan_baseline`.
    evidence : Evidence or ScaleState
        Evidence so far; **updated in place**. Pass a copy to keep it unchanged. The first is
        ``Evidence.start(plan.layout)`` of rule 1, and ``plan.start()`` of rule 2.
    counts : ndarray of int64, shape (C, 64)
        Counters of the window or tick; a row's sum is N, missing included.
    rule : {1, 2}, optional
        By default that of the plan.
    n_rungs : int, optional
        Rule 1: 1 disables the severity rungs, for measuring their cost.

    Returns
    -------
    Decision or Verdicts
        One entry a cell; those of rule 2 are the cells ``plan.places``.

    Raises
    ------
    ShapeError
        If counts or evidence do not fit the plan.
    DomainError
        If plan and evidence are not of this rule.

    Notes
    -----
    A cell without rows keeps its evidence and its history. A window of fewer than
    ``min_rows`` adds its evidence but cannot fire. A cell that fires starts again:
    its base statistic, its history, and those rungs that had reached the threshold;
    a rung on the way keeps its evidence, else a shift found in two windows would
    never climb. Cells do not see each other. Cost: one exponential a component
    (a set and a bet), fewer for rungs, whose components are mostly far below.

    References
    ----------
    Formulas 1 to 3 and 6 of the rule; Shin et al. 2022, definition 2.2.

    Examples
    --------
    >>> from schemas.baselines import Kind, VariableBaseline
    >>> reference, window = np.zeros((1, 64), np.int64), np.zeros((1, 64), np.int64)
    >>> reference[0, :2] = 9000, 1000
    >>> window[0, :2] = 700, 300
    >>> land = VariableBaseline("land", Kind.CATEGORICAL, np.empty(0), ("a", "b"))
    >>> layout = SetLayout.of([cell_sets(land, reference[0])])
    >>> rule = Rule(alpha=1 / 7300, n_cells=1)
    >>> plan = plan_cells(rule, layout, reference, np.ones(1), np.zeros(1))
    >>> evidence = Evidence.start(layout)
    >>> [bool(decide(plan, evidence, window).has_fired[0]) for _ in range(3)]
    [False, True, False]
    """
    own = 2 if isinstance(plan, TickPlan) else 1
    if own != (own if rule is None else rule):
        raise DomainError(f"rule {rule}", where="decide", fix=f"the plan is of rule {own}")
    if isinstance(plan, TickPlan) and isinstance(evidence, ScaleState):
        return plan.judge(evidence, counts)
    if isinstance(plan, TickPlan) or isinstance(evidence, ScaleState):
        fix = "start it from the plan: plan.start(), or Evidence.start(plan.layout)"
        raise DomainError("evidence of the other rule", where="decide", fix=fix)
    return _decision(plan, *_stepped(plan, evidence, counts, n_rungs))


def is_positive_alone(plan: TolerancePlan, counts: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which cells a window makes positive by itself, without severity rungs.

    Parameters
    ----------
    plan : TolerancePlan
        Of C cells.
    counts : ndarray of int64, shape (C, 64)
        Counters of the window.

    Returns
    -------
    ndarray of bool, shape (C,)
        ``is_positive`` of :func:`decide` for evidence that starts with this window.
    """
    integers, _ = _stepped(plan, Evidence.start(plan.layout), counts, 1)
    return integers[:, 1].astype(bool)


def _stepped(
    plan: TolerancePlan, evidence: Evidence, counts: NDArray[np.int64], n_rungs: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Update the evidence; return the integers and floats of the kernel, one row a cell."""
    layout, rule = plan.layout, plan.rule
    c = layout.n_cells
    _check_shapes(layout, evidence, counts)
    integers, floats = np.zeros((c, 7), np.int64), np.zeros((c, 3))
    step(
        np.ascontiguousarray(counts, np.int64),
        layout.offsets,
        layout.first,
        layout.stop,
        layout.extra,
        layout.is_complement,
        plan.gain,
        plan.loss,
        plan.p_ref,
        plan.n_reference,
        plan.cap,
        rule.threshold,
        rule.m,
        rule.min_rows,
        n_rungs,
        evidence.ratios,
        evidence.history,
        evidence.n_windows,
        integers,
        floats,
    )
    return integers, floats


def _check_shapes(layout: SetLayout, evidence: Evidence, counts: NDArray[np.int64]) -> None:
    """The kernel reads by index and would not notice."""
    if counts.shape != (layout.n_cells, N_COUNTERS):
        raise ShapeError(
            f"counts of shape {counts.shape}",
            where="decide",
            fix=f"pass ({layout.n_cells}, {N_COUNTERS})",
        )
    if len(evidence.ratios) != layout.n_sets or len(evidence.history) != layout.n_cells:
        raise ShapeError(
            f"evidence of {len(evidence.history)} cells and {len(evidence.ratios)} sets",
            where="decide",
            fix=f"pass that of {layout.n_cells} cells and {layout.n_sets} sets",
        )


def _decision(
    plan: TolerancePlan, integers: NDArray[np.int64], floats: NDArray[np.float64]
) -> Decision:
    """Build the decision, with the set that is reported."""
    named, p_current = integers[:, 4], floats[:, 2]
    is_idle = named < 0
    p_reference = np.where(is_idle, np.nan, plan.p_ref[named])
    return Decision(
        n=integers[:, 0],
        log_m=floats[:, 0],
        window_evidence=floats[:, 1],
        is_positive=integers[:, 1].astype(bool),
        has_fired=integers[:, 2].astype(bool),
        rung=integers[:, 3],
        set_index=named,
        p_current=p_current,
        p_reference=p_reference,
        effect=p_current - p_reference,
        eps=np.where(is_idle, np.nan, plan.eps_set[named]),
        mde=minimum_detectable_effects(plan, integers[:, 0]),
        n_windows=integers[:, 5],
        reason=integers[:, 6],
        threshold=plan.rule.threshold,
    )
