"""Compares replicas: a shift of all is in the data, a shift of one is in the replica.

The rule of :mod:`detectors.decision_rule.decision` on the score of each replica (a host, a GPU),
with the other replicas of the same window as the reference. Prefer it to comparing
each replica with the baseline: a change of traffic then fires nothing here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from detectors.decision_rule.decision import Decision, Evidence, decide, is_positive_alone
from detectors.decision_rule.sets import CellSets, SetLayout
from detectors.decision_rule.settings import N_BETS, N_RUNGS, Rule
from detectors.decision_rule.tolerance import TolerancePlan, plan_cells
from schemas.errors import ShapeError
from schemas.panes import N_COUNTERS

FORGET_AFTER: Final = 168
"""Windows without rows after which a replica's evidence is dropped, because pods are replaced."""


@dataclass(frozen=True, slots=True)
class ReplicaEvidence:
    """Evidence of R replicas so far; immutable."""

    names: tuple[str, ...]
    evidence: Evidence
    n_idle: NDArray[np.int64]
    """Shape (R,): windows since the replica last had rows."""

    @staticmethod
    def start() -> ReplicaEvidence:
        """Return evidence without replicas, which are added on their first window."""
        return ReplicaEvidence((), Evidence.start(SetLayout.of([])), np.zeros(0, np.int64))


@dataclass(frozen=True, slots=True)
class ReplicaDecision:
    """Decision on R replicas in one window."""

    names: tuple[str, ...]
    """All known replicas, including those without rows, in the order of ``decision``."""
    decision: Decision
    plan: TolerancePlan
    """Of this window: its references are the other replicas."""
    reference_counts: NDArray[np.int64]
    """Shape (R, 64): the other replicas' counters."""
    counts: NDArray[np.int64]
    """Shape (R, 64): each replica's own; zeros of one without rows."""


def decide_replicas(
    rule: Rule,
    sets: CellSets,
    past: ReplicaEvidence,
    names: Sequence[str],
    counts: NDArray[np.int64],
    phi: float = 1.0,
) -> tuple[ReplicaDecision, ReplicaEvidence]:
    """Compare each replica of one window with the others.

    Parameters
    ----------
    rule : Rule
        Settings; ``n_cells`` includes the replicas that are expected.
    sets : CellSets
        Of the score, chosen from the baseline: they stay the same over windows.
    past : ReplicaEvidence
        Evidence so far; not changed.
    names : sequence of str
        Replicas of this window, without duplicates.
    counts : ndarray of int64, shape (R, 64)
        Their counters of the score.
    phi : float, optional
        Design effect of the score.

    Returns
    -------
    tuple of ReplicaDecision and ReplicaEvidence
        The verdicts, and the evidence with this window added.

    Raises
    ------
    ShapeError
        If names and counts do not match, or names are not unique.

    Notes
    -----
    p_ref, n0, eps and which sets are rare are those of this window; the components
    persist by replica, set and bet. An outlier replica is excluded from the
    others' reference (:func:`suspects`): else one that answers a constant moves it
    for all, and with four replicas all four fired. Nothing is learned from a reference. A replica
    alone in its window has no reference and keeps its evidence; one without rows for
    168 windows is forgotten.

    References
    ----------
    Formula 7 of the rule.

    Examples
    --------
    >>> from detectors.decision_rule.sets import cell_sets
    >>> from schemas.baselines import Kind, VariableBaseline
    >>> counts = np.zeros((4, 64), np.int64)
    >>> counts[:, :4] = 50
    >>> counts[2, :4] = 0, 0, 0, 200  # a constant score
    >>> score = VariableBaseline("score", Kind.NUMERIC, np.linspace(0, 1, 5))
    >>> sets = cell_sets(score, counts[0])
    >>> names, past = ("gpu-a", "gpu-b", "gpu-c", "gpu-d"), ReplicaEvidence.start()
    >>> rule = Rule(alpha=1 / 7300, n_cells=5)
    >>> for _ in range(2):
    ...     seen, past = decide_replicas(rule, sets, past, names, counts)
    >>> [n for n, fired in zip(seen.names, seen.decision.has_fired) if fired]
    ['gpu-c']
    """
    if counts.shape != (len(names), N_COUNTERS) or len(set(names)) != len(names):
        raise ShapeError(
            f"{len(names)} names for counts of shape {counts.shape}",
            where="replicas",
            fix=f"pass each name once and ({len(names)}, {N_COUNTERS})",
        )
    return ReplicaRule(rule, sets, phi).decide(past, names, counts)


class ReplicaRule:
    """:func:`decide_replicas` for the windows of one series that follow each other.

    Parameters
    ----------
    rule, sets, phi
        As in :func:`decide_replicas`.

    Notes
    -----
    The sets of R replicas are laid out once, until R changes. The plan of a window is kept for
    the next one, and used again only if the counters of every reference are the same, as in
    windows without rows.
    """

    def __init__(self, rule: Rule, sets: CellSets, phi: float = 1.0) -> None:
        self._rule, self._sets, self._phi = rule, sets, phi
        self._layout = SetLayout.of([])
        self._last: tuple[NDArray[np.int64], TolerancePlan] | None = None

    def decide(
        self, past: ReplicaEvidence, names: Sequence[str], counts: NDArray[np.int64]
    ) -> tuple[ReplicaDecision, ReplicaEvidence]:
        """Compare each replica of one window with the others; see :func:`decide_replicas`."""
        if counts.shape != (len(names), N_COUNTERS) or len(set(names)) != len(names):
            raise ShapeError(
                f"{len(names)} names for counts of shape {counts.shape}",
                where="replicas",
                fix=f"pass each name once and ({len(names)}, {N_COUNTERS})",
            )
        known = _joined(past, self._sets, names)
        own = np.zeros((len(known.names), N_COUNTERS), np.int64)
        position = {name: i for i, name in enumerate(known.names)}
        own[[position[name] for name in names]] = counts
        others = _others(own, self.suspects(own))
        plan = self.plan(others)
        decision = decide(plan, known.evidence, own)
        n_idle = np.where(decision.n > 0, 0, known.n_idle + 1)
        seen = ReplicaDecision(known.names, decision, plan, others, own)
        kept = ReplicaEvidence(known.names, known.evidence, n_idle)
        return seen, _kept(kept, len(self._sets))

    def plan(self, reference_counts: NDArray[np.int64]) -> TolerancePlan:
        """Plan every replica against its own reference, shape (R, 64)."""
        if self._last is not None and np.array_equal(self._last[0], reference_counts):
            return self._last[1]
        n_replicas = len(reference_counts)
        if self._layout.n_cells != n_replicas:
            self._layout = SetLayout.of([self._sets] * n_replicas)
        effect, nothing = np.full(n_replicas, self._phi), np.zeros(n_replicas)
        plan = plan_cells(self._rule, self._layout, reference_counts, effect, nothing)
        self._last = reference_counts, plan
        return plan

    def suspects(self, counts: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Find the replicas that are no reference for the others; see :func:`suspects`."""
        is_suspect = np.zeros(len(counts), np.bool_)
        n_rows = counts.sum(axis=1)
        for _ in range((int((n_rows > 0).sum()) - 1) // 2):
            plan = self.plan(_others(counts, is_suspect))
            candidates = is_positive_alone(plan, counts) & ~is_suspect
            if not candidates.any():
                break
            shares = self._sets.tally(counts) / np.maximum(n_rows, 1)[:, None]
            excess = shares - (plan.p_ref + plan.eps_set).reshape(shares.shape)
            is_suspect[np.argmax(np.where(candidates, excess.max(axis=1), -np.inf))] = True
        return is_suspect


def suspects(
    rule: Rule, sets: CellSets, counts: NDArray[np.int64], phi: float
) -> NDArray[np.bool_]:
    """Find the replicas of one window that are no reference for the others.

    Parameters
    ----------
    rule : Rule
        Settings.
    sets : CellSets
        Of the score.
    counts : ndarray of int64, shape (R, 64)
        The window.
    phi : float
        Design effect of the score.

    Returns
    -------
    ndarray of bool, shape (R,)
        True for outliers; always fewer than half of those with rows,
        so of two replicas neither is trusted more.

    Notes
    -----
    One at a time: of the replicas whose window is positive against the others, the
    one furthest beyond its tolerance, until none is positive. Cost: one plan a round.
    """
    return ReplicaRule(rule, sets, phi).suspects(counts)


def _others(counts: NDArray[np.int64], is_suspect: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Counters of the other replicas that are not suspect."""
    trusted = np.where(is_suspect[:, None], 0, counts)
    return np.asarray(trusted.sum(axis=0) - trusted, np.int64)


def _joined(past: ReplicaEvidence, sets: CellSets, names: Sequence[str]) -> ReplicaEvidence:
    """Return a copy of the evidence with new replicas added, sorted, at L = -inf."""
    new = sorted(set(names) - set(past.names))
    if not new:
        return ReplicaEvidence(past.names, past.evidence.copy(), past.n_idle)
    fresh = Evidence.start(SetLayout.of([sets] * len(new)))
    evidence = Evidence(
        np.concatenate([past.evidence.ratios, fresh.ratios]),
        np.concatenate([past.evidence.history, fresh.history]),
        np.concatenate([past.evidence.n_windows, fresh.n_windows]),
    )
    n_idle = np.concatenate([past.n_idle, np.zeros(len(new), np.int64)])
    return ReplicaEvidence((*past.names, *new), evidence, n_idle)


def _kept(known: ReplicaEvidence, n_sets: int) -> ReplicaEvidence:
    """Drop replicas that have been silent too long."""
    stays = known.n_idle < FORGET_AFTER
    if stays.all():
        return known
    ratios = known.evidence.ratios.reshape(len(stays), n_sets, N_RUNGS * N_BETS)[stays]
    evidence = Evidence(
        np.ascontiguousarray(ratios.reshape(-1, N_RUNGS * N_BETS)),
        known.evidence.history[stays],
        known.evidence.n_windows[stays],
    )
    names = tuple(name for name, stay in zip(known.names, stays, strict=True) if stay)
    return ReplicaEvidence(names, evidence, known.n_idle[stays])
