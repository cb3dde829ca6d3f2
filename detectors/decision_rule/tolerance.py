"""The tolerance null: how much each set of a cell may gain.

A cell is within its tolerance while p_t(A) - p_ref(A) <= eps for every set A.
The plan of a baseline is built once; a replica's reference is the other replicas
of the same window, so its plan is rebuilt from the same sets.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detectors.decision_rule.sets import SetLayout, cell_sets
from detectors.decision_rule.settings import (
    BETS,
    MAX_Q1,
    N_BETS,
    N_RUNGS,
    RARE_BETS,
    RARE_EPS,
    RARE_EPS_ROWS,
    RARE_ROWS,
    RUNGS,
    Rule,
)
from schemas.baselines import Baseline
from schemas.panes import N_COUNTERS


@dataclass(frozen=True, slots=True)
class TolerancePlan:
    """Quantities of C cells with T sets that do not depend on the window."""

    layout: SetLayout
    rule: Rule
    n_reference: NDArray[np.int64]
    """Shape (C,): n0."""
    phi: NDArray[np.float64]
    """Shape (C,)."""
    eps: NDArray[np.float64]
    """Shape (C,): tolerance of the sets that are not rare."""
    cap: NDArray[np.float64]
    """Shape (C,): maximum evidence of a component per window, nats."""
    p_ref: NDArray[np.float64]
    """Shape (T,)."""
    eps_set: NDArray[np.float64]
    """Shape (T,): tolerance of each set."""
    gain: NDArray[np.float64]
    """Shape (T, 16), by rung: evidence of a row inside the set, nats; 0 for a disabled bet."""
    loss: NDArray[np.float64]
    """Shape (T, 16): evidence of a row outside the set (negative)."""
    hardest: NDArray[np.int64]
    """Shape (C,): of each cell the set whose share is nearest to one half."""


def plan_cells(
    rule: Rule,
    layout: SetLayout,
    reference_counts: NDArray[np.int64],
    phi: NDArray[np.float64],
    eps_learned: NDArray[np.float64],
) -> TolerancePlan:
    """Compute gains and losses of every bet against this reference.

    Parameters
    ----------
    rule : Rule
        Settings.
    layout : SetLayout
        The sets of C cells.
    reference_counts : ndarray of int64, shape (C, 64)
        Baseline of each cell; a row of zeros means none.
    phi, eps_learned : ndarray of float64, shape (C,)
        Design effect, and the learned term of eps (0 for none).

    Returns
    -------
    TolerancePlan
        For :func:`detectors.decision_rule.decision.decide`.

    Notes
    -----
    Rungs: eps_A of every set, rare ones too, becomes max(eps_A, rung); a rare
    set keeps its rare bets. Where eps_A is beyond a rung already, that rung's
    statistic equals the base. Cost: 32 logarithms a set.
    """
    n_reference = reference_counts.sum(axis=1)
    cell, n_sets = layout.cell, np.diff(layout.offsets)
    with np.errstate(invalid="ignore", divide="ignore"):
        p_ref = layout.tally(reference_counts) / n_reference[cell]
    eps = rule.eps(n_reference, phi, eps_learned)
    is_rare = p_ref * n_reference[cell] < RARE_ROWS
    with np.errstate(divide="ignore"):
        rare_eps = np.maximum(RARE_EPS, RARE_EPS_ROWS / n_reference)
    eps_set = np.where(is_rare, rare_eps[cell], eps[cell])
    gain, loss = _ratios(p_ref, eps_set, is_rare, phi[cell])
    return TolerancePlan(
        layout=layout,
        rule=rule,
        n_reference=n_reference,
        phi=phi,
        eps=eps,
        cap=np.array([rule.cap(N_BETS * int(n)) for n in n_sets]),
        p_ref=p_ref,
        eps_set=eps_set,
        gain=gain,
        loss=loss,
        hardest=_hardest(layout, p_ref),
    )


def plan_baseline(rule: Rule, baseline: Baseline, phi: float | None = None) -> TolerancePlan:
    """Plan every cell of a baseline, segment by segment, its variables in order.

    Parameters
    ----------
    rule : Rule
        Settings.
    baseline : Baseline
        Baseline with S segments and V variables.
    phi : float, optional
        Declared cluster size; overrides the baseline's estimate.

    Returns
    -------
    TolerancePlan
        Of S x V cells; cell ``s * V + v`` is segment s, variable v, so that
        ``counts.reshape(-1, 64)`` of a window in the baseline's order fits.
    """
    reference = np.ascontiguousarray(baseline.reference.counts.reshape(-1, N_COUNTERS))
    n_variables = len(baseline.variables)
    cells = [
        cell_sets(baseline.variables[c % n_variables], reference[c]) for c in range(len(reference))
    ]
    effect = baseline.phi.reshape(-1) if phi is None else np.full(len(reference), float(phi))
    return plan_cells(
        rule, SetLayout.of(cells), reference, effect, baseline.eps_learned.reshape(-1)
    )


def _hardest(layout: SetLayout, p_ref: NDArray[np.float64]) -> NDArray[np.int64]:
    """Of each cell the set whose share is nearest to one half; NaN sorts last."""
    order = np.lexsort((np.abs(p_ref - 0.5), layout.cell))
    return order[layout.offsets[:-1]]


def _ratios(
    p_ref: NDArray[np.float64],
    eps: NDArray[np.float64],
    is_rare: NDArray[np.bool_],
    phi: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """ln(q1 / q0) / phi and ln((1 - q1) / (1 - q0)) / phi by set, rung and bet; 0 where dead."""
    bets = np.where(is_rare[:, None], RARE_BETS, BETS)[:, None, :]
    q0 = (p_ref[:, None] + np.maximum(eps[:, None], RUNGS))[:, :, None]
    q1 = q0 + bets
    is_live = q1 < MAX_Q1  # False for NaN too: bets of a cell without a baseline are disabled
    q0, q1 = np.where(is_live, q0, 0.5), np.where(is_live, q1, 0.5)
    gain = np.log(q1 / q0) / phi[:, None, None]
    loss = np.log((1.0 - q1) / (1.0 - q0)) / phi[:, None, None]
    shape = (len(p_ref), N_RUNGS * N_BETS)
    return gain.reshape(shape), loss.reshape(shape)
