"""The tolerance null: how much each set of a cell may gain.

A cell is within its tolerance while p_t(A) - p_ref(A) <= eps for every set A.
The plan of a baseline is built once; a replica's reference is the other replicas
of the same window, so its plan is rebuilt from the same sets.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from detectors.decision_rule.sets import SetLayout, check_counters
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
from detectors.kernels.odds import odds
from schemas.baselines import Baseline
from schemas.panes import N_COUNTERS

_BETS: Final = np.array([BETS, RARE_BETS])
_RUNGS: Final = np.array(RUNGS)


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

    Raises
    ------
    ShapeError
        If there is not a row of 64 counters for each cell.

    Notes
    -----
    Rungs: eps_A of every set, rare ones too, becomes max(eps_A, rung); a rare
    set keeps its rare bets. Where eps_A is beyond a rung already, that rung's
    statistic equals the base. Cost: 32 logarithms a set.
    """
    check_counters(reference_counts, layout.n_cells)
    n_reference = reference_counts.sum(axis=1)
    eps = rule.eps(n_reference, phi, eps_learned)
    with np.errstate(divide="ignore"):
        rare_eps = np.maximum(RARE_EPS, RARE_EPS_ROWS / n_reference)
    p_ref, eps_set = np.empty((2, layout.n_sets))
    gain, loss = np.empty((2, layout.n_sets, N_RUNGS * N_BETS))
    hardest = np.zeros(layout.n_cells, np.int64)
    inputs = np.ascontiguousarray(reference_counts, np.int64), n_reference
    sets = layout.offsets, layout.first, layout.stop, layout.extra, layout.is_complement
    limits = eps, rare_eps, RARE_ROWS, _BETS, _RUNGS, MAX_Q1
    arguments: list[Any] = [*inputs, *sets, *limits, p_ref, eps_set, gain, loss, hardest]
    odds(*arguments)
    effect = phi[layout.cell, None]
    for ratios in (gain, loss):
        np.log(ratios, out=ratios)
        ratios /= effect
    return TolerancePlan(
        layout=layout,
        rule=rule,
        n_reference=n_reference,
        phi=phi,
        eps=eps,
        cap=_caps(rule, layout),
        p_ref=p_ref,
        eps_set=eps_set,
        gain=gain,
        loss=loss,
        hardest=hardest,
    )


def _caps(rule: Rule, layout: SetLayout) -> NDArray[np.float64]:
    """Return the cap of each cell, which depends on how many sets it has."""
    n_sets = np.diff(layout.offsets).tolist()
    by_size = {n: rule.cap(N_BETS * n) for n in set(n_sets)}
    return np.array([by_size[n] for n in n_sets], np.float64)


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
    effect = baseline.phi.reshape(-1) if phi is None else np.full(len(reference), float(phi))
    layout = SetLayout.of_cells(baseline.variables, reference)
    return plan_cells(rule, layout, reference, effect, baseline.eps_learned.reshape(-1))
