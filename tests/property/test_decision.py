"""Laws of the decision rule, and the rule against its slow definition."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.decision_rule.decision import (
    Evidence,
    Rule,
    SetLayout,
    cell_sets,
    decide,
    plan_cells,
)
from detectors.kernels import decision as kernels
from schemas.baselines import Kind, VariableBaseline
from tests.support.decision.first_rule import SlowCell, sets_of

SLACK = 2e-6
"""Evidence is kept in float32."""


@st.composite
def cases(draw):
    """A few cells of any kind with a baseline, and windows that lie near or far from it."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n_cells, n_windows = draw(st.integers(1, 3)), draw(st.integers(1, 7))
    variables, reference = [], np.zeros((n_cells, 64), np.int64)
    windows = np.zeros((n_windows, n_cells, 64), np.int64)
    for c in range(n_cells):
        n_bins, is_numeric = draw(st.integers(1, 60)), draw(st.booleans())
        used = [*range(n_bins), 62, 63, *([60, 61] if is_numeric else [])]
        p = rng.dirichlet(np.full(len(used), draw(st.sampled_from([0.05, 0.5, 5.0]))))
        reference[c, used] = rng.multinomial(draw(st.sampled_from([20, 700, 50_000])), p)
        for w in range(n_windows):
            q = p if rng.random() < 0.4 else rng.dirichlet(p * rng.choice([5, 50, 500]) + 1e-3)
            n = rng.choice([0, 1, 25, 300, 20_000])
            windows[w, c, used] = rng.multinomial(n, q)
        if is_numeric:
            variables.append(VariableBaseline(f"x{c}", Kind.NUMERIC, np.arange(n_bins + 1.0)))
        else:
            names = tuple(f"k{i}" for i in range(n_bins))
            variables.append(VariableBaseline(f"x{c}", Kind.CATEGORICAL, np.empty(0), names))
    rule = Rule(
        alpha=draw(st.sampled_from([1 / 7300, 1 / 50, 1.0])),
        n_cells=draw(st.integers(1, 200)),
        m=draw(st.integers(1, 4)),
    )
    phi = np.array([draw(st.sampled_from([1.0, 1.7, 10.0])) for _ in variables])
    learned = np.array([draw(st.sampled_from([0.0, 0.09])) for _ in variables])
    layout = SetLayout.of([cell_sets(v, r) for v, r in zip(variables, reference, strict=True)])
    return variables, reference, windows, plan_cells(rule, layout, reference, phi, learned)


def same(a, b) -> bool:
    return all(
        np.array_equal(
            getattr(a, f.name), getattr(b, f.name), equal_nan=f.name not in ("threshold")
        )
        for f in fields(a)
    )


@settings(deadline=None, max_examples=120)
@given(cases())
def test_the_kernel_is_the_slow_definition(case):
    variables, reference, windows, plan = case
    rule, evidence = plan.rule, Evidence.start(plan.layout)
    slow = [
        SlowCell(
            sets_of(v.kind is Kind.NUMERIC, v.n_bins, reference[c]),
            *(reference[c], rule.alpha, rule.n_cells, rule.m, rule.eps_floor),
            phi=plan.phi[c],
            learned=max(0.0, plan.eps[c]) if plan.eps[c] == 0.09 else 0.0,
        )
        for c, v in enumerate(variables)
    ]
    for counts in windows:
        decision = decide(plan, evidence, counts)
        for c, cell in enumerate(slow):
            log_m, window, has_fired, rung = cell.see(counts[c])
            if abs(log_m - cell.threshold) < SLACK or abs(window) < 1e-9:
                return  # a tie that rounding may decide either way
            if log_m > -15:  # below, float32 forgets what 1 + e^L does not notice
                np.testing.assert_allclose(decision.log_m[c], log_m, atol=SLACK)
            if window > -600:
                np.testing.assert_allclose(decision.window_evidence[c], window, atol=SLACK)
            assert decision.has_fired[c] == has_fired
            assert decision.rung[c] == rung


@settings(deadline=None, max_examples=40)
@given(cases(), st.randoms(use_true_random=False))
def test_cells_do_not_see_each_other_or_their_order(case, random):
    variables, reference, windows, plan = case
    order = list(range(len(variables)))
    random.shuffle(order)
    layout = SetLayout.of([cell_sets(variables[c], reference[c]) for c in order])
    eps_learned = np.where(plan.eps == 0.09, 0.09, 0.0)[order]
    other = plan_cells(plan.rule, layout, reference[order], plan.phi[order], eps_learned)
    here, there = Evidence.start(plan.layout), Evidence.start(layout)
    for counts in windows:
        a, b = decide(plan, here, counts), decide(other, there, counts[order])
        for name in ("log_m", "window_evidence", "has_fired", "rung", "effect", "mde", "reason"):
            np.testing.assert_array_equal(getattr(a, name)[order], getattr(b, name))


@settings(deadline=None, max_examples=40)
@given(cases(), st.integers(0, 7))
def test_a_restart_from_the_saved_state_changes_no_bit(case, cut):
    _, _, windows, plan = case
    whole, halves = Evidence.start(plan.layout), Evidence.start(plan.layout)
    for w, counts in enumerate(windows):
        if w == cut:
            halves = Evidence.from_bytes(halves.to_bytes(), plan.layout)
        assert same(decide(plan, whole, counts), decide(plan, halves, counts))
    assert whole.to_bytes() == halves.to_bytes()


@settings(deadline=None, max_examples=40)
@given(cases())
def test_windows_without_rows_change_nothing_afterwards(case):
    _, _, windows, plan = case
    plain, gaps = Evidence.start(plan.layout), Evidence.start(plan.layout)
    for counts in windows:
        decide(plan, gaps, np.zeros_like(counts))
        assert same(decide(plan, plain, counts), decide(plan, gaps, counts))
    assert plain.to_bytes() == gaps.to_bytes()


@settings(deadline=None, max_examples=8)
@given(cases())
def test_compiled_is_uncompiled(case):
    _, _, windows, plan = case
    plain = getattr(kernels.step, "py_func", kernels.step)
    compiled, interpreted = Evidence.start(plan.layout), Evidence.start(plan.layout)
    with pytest.MonkeyPatch.context() as patch:
        for counts in windows:
            patch.setattr("detectors.decision_rule.decision.step", kernels.step)
            a = decide(plan, compiled, counts)
            patch.setattr("detectors.decision_rule.decision.step", plain)
            b = decide(plan, interpreted, counts)
            np.testing.assert_array_equal(a.has_fired, b.has_fired)
            np.testing.assert_array_equal(a.reason, b.reason)
            np.testing.assert_allclose(a.log_m, b.log_m, rtol=1e-6)
    np.testing.assert_allclose(compiled.ratios, interpreted.ratios, rtol=1e-5, atol=1e-6)


@settings(deadline=None, max_examples=40)
@given(cases())
def test_the_severity_rungs_never_change_the_verdict(case):
    _, _, windows, plan = case
    with_rungs, without = Evidence.start(plan.layout), Evidence.start(plan.layout)
    for counts in windows:
        a, b = decide(plan, with_rungs, counts), decide(plan, without, counts, n_rungs=1)
        np.testing.assert_array_equal(a.has_fired, b.has_fired)
        np.testing.assert_array_equal(a.log_m, b.log_m)
        assert (a.rung >= b.rung).all()


@settings(deadline=None, max_examples=40)
@given(cases())
def test_the_minimum_detectable_effect_never_rises_with_n(case):
    _, _, windows, plan = case
    evidence = Evidence.start(plan.layout)
    small = decide(plan, evidence.copy(), windows[0]).mde
    large = decide(plan, evidence.copy(), 10 * windows[0]).mde
    assert (~np.isfinite(small) | (large <= small + 1e-12)).all()
