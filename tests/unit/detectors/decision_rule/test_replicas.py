"""Replicas against each other: the one that differs fires, and no other."""

from __future__ import annotations

import numpy as np
import pytest

from detectors.decision_rule.decision import Rule, cell_sets
from detectors.decision_rule.replicas import (
    FORGET_AFTER,
    ReplicaEvidence,
    ReplicaRule,
    decide_replicas,
)
from schemas.baselines import Kind, VariableBaseline
from schemas.errors import ShapeError

RULE = Rule(alpha=1 / 7300, n_cells=52)
EDGES = np.linspace(0.0, 1.0, 61)
SETS = cell_sets(VariableBaseline("score", Kind.NUMERIC, EDGES), np.repeat([100, 0], [60, 4]))
FAULTS = {
    "constant": lambda score: np.full_like(score, 0.5),
    "flipped": lambda score: 1 - score,
    "x .8": lambda score: 0.8 * score,
    "permuted": lambda score: score[::-1],
}


def scores(rng, n_replicas, n_rows, fault=None, at=3):
    score = rng.beta(0.7, 0.4, (n_replicas, n_rows))
    if fault is not None:
        score[at] = FAULTS[fault](score[at])
    return np.array(
        [np.bincount(np.searchsorted(EDGES[1:-1], row), minlength=64) for row in score], np.int64
    )


def watch(windows, names):
    past, fired = ReplicaEvidence.start(), []
    for w, counts in enumerate(windows):
        seen, past = decide_replicas(RULE, SETS, past, names, counts)
        fired += [(w, seen.names[r]) for r in np.flatnonzero(seen.decision.has_fired)]
    return fired, past


@pytest.mark.parametrize("fault", ["constant", "flipped"])
@pytest.mark.parametrize(("n_replicas", "n_rows"), [(8, 125), (8, 1000), (4, 500), (32, 100)])
def test_a_broken_replica_fires_alone_and_soon(fault, n_replicas, n_rows):
    rng = np.random.default_rng(n_replicas)
    names = tuple(f"gpu-{r:02}" for r in range(n_replicas))
    windows = [scores(rng, n_replicas, n_rows, fault if w >= 5 else None) for w in range(15)]
    fired, _ = watch(windows, names)
    assert {name for _, name in fired} == {"gpu-03"}
    assert fired[0][0] in (6, 7)


def test_a_shift_that_all_share_is_no_replica_of_its_own():
    rng = np.random.default_rng(1)
    windows = [scores(rng, 8, 500) for _ in range(5)]
    shifted = [np.roll(counts, 7, axis=1) for counts in windows]
    fired, _ = watch(windows + shifted, tuple("abcdefgh"))
    assert fired == []


def test_permuted_scores_have_the_same_marginal_and_stay_silent():
    rng = np.random.default_rng(2)
    fired, _ = watch([scores(rng, 8, 500, "permuted") for _ in range(20)], tuple("abcdefgh"))
    assert fired == []


def test_a_quiet_fleet_stays_silent():
    rng = np.random.default_rng(3)
    fired, _ = watch([scores(rng, 16, 200) for _ in range(100)], tuple("abcdefghijklmnop"))
    assert fired == []


def test_two_broken_replicas_of_eight_both_fire_and_no_other():
    rng = np.random.default_rng(4)
    windows = [scores(rng, 8, 500, "constant") for _ in range(6)]
    for counts in windows:
        counts[6] = counts[3]
    fired, _ = watch(windows, tuple("abcdefgh"))
    assert {name for _, name in fired} == {"d", "g"}


def test_a_replica_alone_has_no_reference_and_keeps_its_evidence():
    counts = scores(np.random.default_rng(5), 1, 500)
    seen, past = decide_replicas(RULE, SETS, ReplicaEvidence.start(), ("a",), counts)
    assert seen.decision.reason_of(0) == "no_baseline"
    assert not past.evidence.ratios.any()


def test_the_order_of_the_names_does_not_matter():
    rng = np.random.default_rng(6)
    names, windows = np.array(tuple("abcdefgh")), [scores(rng, 8, 200, "x .8") for _ in range(12)]
    straight, turned = ReplicaEvidence.start(), ReplicaEvidence.start()
    for counts in windows:
        order = rng.permutation(8)
        a, straight = decide_replicas(RULE, SETS, straight, tuple(names), counts)
        b, turned = decide_replicas(RULE, SETS, turned, tuple(names[order]), counts[order])
        assert a.names == b.names
        np.testing.assert_array_equal(a.decision.log_m, b.decision.log_m)


def test_replicas_come_go_and_are_forgotten():
    rng = np.random.default_rng(7)
    counts = scores(rng, 3, 100)
    _, past = decide_replicas(RULE, SETS, ReplicaEvidence.start(), ("a", "b", "c"), counts)
    for _ in range(FORGET_AFTER - 1):
        _, past = decide_replicas(RULE, SETS, past, ("b", "c", "d"), counts)
    assert past.names == ("a", "b", "c", "d")
    before = past.evidence.to_bytes()
    _, after = decide_replicas(RULE, SETS, past, ("b", "c", "d"), counts)
    assert after.names == ("b", "c", "d")
    assert past.evidence.to_bytes() == before
    assert len(after.evidence.ratios) == 3 * len(SETS)


def test_names_that_do_not_fit_are_refused():
    counts = scores(np.random.default_rng(8), 2, 10)
    for names in (("a",), ("a", "a")):
        with pytest.raises(ShapeError, match="pass each name once"):
            decide_replicas(RULE, SETS, ReplicaEvidence.start(), names, counts)


def same_decision(a, b):
    assert a.names == b.names
    np.testing.assert_array_equal(a.reference_counts, b.reference_counts)
    for name in ("n", "log_m", "has_fired", "rung", "set_index", "effect", "eps", "mde", "reason"):
        np.testing.assert_array_equal(getattr(a.decision, name), getattr(b.decision, name), name)


def test_a_kept_plan_sees_replicas_that_come_go_change_or_are_silent():
    rng = np.random.default_rng(11)
    rule, kept, fresh = ReplicaRule(RULE, SETS), ReplicaEvidence.start(), ReplicaEvidence.start()
    names = tuple("abcdefgh")
    steady = scores(rng, 8, 400)
    windows = [
        (names, steady),
        (names, steady),  # the same counters again: the plan is reused
        (names, scores(rng, 8, 400)),
        (names, scores(rng, 8, 400, "constant")),
        (names[:5], scores(rng, 5, 400)),
        ((*names, "i", "j"), scores(rng, 10, 400)),
        ((), np.zeros((0, 64), np.int64)),
        ((), np.zeros((0, 64), np.int64)),
        (names[::-1], scores(rng, 8, 400)),
        (("x", *names[1:]), scores(rng, 8, 400)),
    ]
    for own, counts in windows:
        seen, kept = rule.decide(kept, own, counts)
        without, fresh = decide_replicas(RULE, SETS, fresh, own, counts)
        same_decision(seen, without)
        assert kept.evidence.to_bytes() == fresh.evidence.to_bytes()
        assert (kept.names, kept.n_idle.tolist()) == (fresh.names, fresh.n_idle.tolist())


def test_the_plan_of_equal_references_is_the_same_object():
    counts = scores(np.random.default_rng(12), 4, 300)
    rule, past = ReplicaRule(RULE, SETS), ReplicaEvidence.start()
    first, past = rule.decide(past, tuple("abcd"), counts)
    again, past = rule.decide(past, tuple("abcd"), counts)
    other, _ = rule.decide(past, tuple("abcd"), counts + 1)
    assert first.plan is again.plan
    assert other.plan is not again.plan
