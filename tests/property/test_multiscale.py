"""Laws of the multi-scale rule, and the kernel against its definition."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from detectors.decision_rule.edges import quantile_edges
from detectors.kernels import scale_state as at
from detectors.multiscale.components import ComponentLayout, numeric_components
from detectors.multiscale.definition import judge_by_definition
from detectors.multiscale.evidence import AverageVariance, evidence
from detectors.multiscale.movement import design_effects, natural_variances
from detectors.multiscale.plan import plan_cells
from detectors.multiscale.rule import ScaleRule, guessed_contexts, judge
from detectors.multiscale.state import ScaleState
from detectors.multiscale.thresholds import thresholds
from detectors.multiscale.variances import movement_over, reference_variances
from tests.support.decision.multiscale import (
    HOUR_US,
    SmallModel,
    exact_counts,
    random_model,
    random_shares,
    states_equal,
    stored_and_read,
)

SEEDS = st.integers(0, 2**32 - 1)
TICKS_US = st.sampled_from([HOUR_US // 12, HOUR_US])


def changed(shares, rng):
    """Shares some of whose rows go missing, or of another law."""
    found = []
    for p in shares:
        q = p.copy()
        kind = rng.integers(3)
        if kind == 1:
            q = 0.8 * q
            q[62] += 0.2
        elif kind == 2:
            q = rng.dirichlet(50 * p + 1e-3)
        found.append(q / q.sum())
    return found


@st.composite
def streams(draw):
    """A model with or without season, and ticks of it that change at some time."""
    rng = np.random.default_rng(draw(SEEDS))
    model = random_model(
        rng,
        draw(st.integers(0, 3)),
        draw(st.integers(1, 2)),
        n_reference=draw(st.sampled_from([200, 20_000])),
        hours=draw(st.sampled_from([0.0, 100.0])),
        phi=draw(st.sampled_from([1.0, 4.0])),
    )
    plan = model.plan
    if draw(st.booleans()):
        is_seasonal = rng.random(plan.n_components) < 0.5
        is_seasonal[0] = True
        season = rng.normal(0, 0.02, (48, plan.n_components)) * is_seasonal
        factor = np.where(is_seasonal, 1.1, 1.0)
        plan = plan.with_season(season, is_seasonal, factor)
    n_ticks, size = draw(st.integers(1, 70)), draw(st.sampled_from([3, 80, 600]))
    other, at_tick = changed(model.shares, rng), draw(st.integers(0, 70))
    ticks = []
    for t in range(n_ticks):
        n = int(rng.choice([size, size, size, 0, 1, 20 * size]))
        ticks.append(model.tick(rng, n, other if t >= at_tick else model.shares))
    slots = [(t // 12 + 7) % 48 for t in range(n_ticks)]
    return plan, ScaleRule.of(plan.n_components, tick_us=draw(TICKS_US)), ticks, slots


def run(plan, rule, state, ticks, slots, act=judge, **how):
    return [act(plan, rule, state, *t, s, **how) for t, s in zip(ticks, slots, strict=True)]


def assert_equals_the_definition(plan, rule, ticks, slots, is_firing=True, guesses=None):
    how = {"is_firing": is_firing}
    if guesses is not None:
        how["is_guessed"] = guesses
    a, b = ScaleState.start(plan), ScaleState.start(plan)
    for (sums, rows), slot in zip(ticks, slots, strict=True):
        x = judge(plan, rule, a, sums, rows, slot, **how)
        y = judge_by_definition(plan, rule, b, sums, rows, slot, **how)
        for name in ("has_opened", "has_closed", "context"):
            assert np.array_equal(getattr(x, name), getattr(y, name)), name
        for name in ("evidence", "margin", "change", "natural", "sampling"):
            np.testing.assert_allclose(
                getattr(x, name), getattr(y, name), rtol=1e-4, atol=1e-6, err_msg=name
            )
        assert np.array_equal(x.component, y.component)
        assert np.array_equal(x.scale, y.scale)
        for name in ("components", "scales", "cells", "model"):
            np.testing.assert_allclose(
                getattr(a, name), getattr(b, name), rtol=2e-4, atol=2e-5, err_msg=name
            )
        b = a.copy()  # rounding does not add up over ticks
    return a


@settings(max_examples=25, deadline=None)
@given(streams(), st.booleans(), st.booleans(), st.booleans())
def test_the_kernel_equals_its_definition(stream, is_firing, has_timezone, has_holidays):
    plan, rule, ticks, slots = stream
    guesses = guessed_contexts(has_timezone=has_timezone, has_holidays=has_holidays)
    assert_equals_the_definition(plan, rule, ticks, slots, is_firing, guesses)


@pytest.mark.parametrize("seed", [0, 1])
def test_the_kernel_equals_its_definition_where_the_live_level_is_learned(seed):
    rng = np.random.default_rng(seed)
    model = random_model(rng, 2, 1, n_reference=3_000, hours=100.0)
    # Level 2 and 3 days in: the first confirmed day is corrected for once the second has passed.
    ticks = [model.tick(rng, 80) for _ in range(75)]
    rule = ScaleRule.of(10_000, tick_us=HOUR_US)
    state = assert_equals_the_definition(model.plan, rule, ticks, [0] * 75)
    assert (state.cells[:, at.W_CONFIRMED] > 0).all()
    assert (state.components[:, at.CORRECTION] != 0).any()


@settings(max_examples=25, deadline=None)
@given(streams(), st.integers(0, 70))
def test_a_checkpoint_anywhere_changes_nothing(stream, k):
    plan, rule, ticks, slots = stream
    one, two = ScaleState.start(plan), ScaleState.start(plan)
    whole = run(plan, rule, one, ticks, slots)
    parts = run(plan, rule, two, ticks[:k], slots[:k])
    two = stored_and_read(two)
    parts += run(plan, rule, two, ticks[k:], slots[k:])
    assert states_equal(one, two)
    for a, b in zip(whole, parts, strict=True):
        assert np.array_equal(a.margin, b.margin)
        assert np.array_equal(a.has_opened, b.has_opened)


@settings(max_examples=25, deadline=None)
@given(streams())
def test_a_tick_without_rows_changes_nothing(stream):
    plan, rule, ticks, slots = stream
    state = ScaleState.start(plan)
    run(plan, rule, state, ticks, slots)
    before = state.copy()
    verdicts = judge(plan, rule, state, np.zeros(plan.n_components), np.zeros(plan.n_cells))
    assert states_equal(state, before)
    assert not verdicts.has_opened.any()
    assert not verdicts.has_closed.any()


@settings(max_examples=60, deadline=None)
@given(
    SEEDS,
    st.sampled_from([1, 5, 40, 1000]),
    st.sampled_from([1, 2, 30, 80, 4_000, 50_000]),
    st.integers(0, 200),
    st.sampled_from(["one counter", "two counters", "any"]),
    st.booleans(),
)
def test_one_tick_of_any_content_never_fires(seed, n_usual, n, at_tick, content, has_times):
    rng = np.random.default_rng(seed)
    model = random_model(rng, 2, 1, n_reference=int(rng.choice([500, 50_000, 1_000_000])))
    plan, rule = model.plan, ScaleRule.of(model.plan.n_components)
    state = ScaleState.start(plan)
    at_rest = plan.constants[:, at.P] * n_usual, np.full(plan.n_cells, float(n_usual))
    used = [np.flatnonzero(p) for p in model.shares]
    if content == "any":
        bins = np.stack([rng.choice([*u, 62], n) for u in used])
    else:
        k = 1 if content == "one counter" else 2
        bins = np.stack([rng.choice(rng.choice([*u, 60, 61, 62, 63], k), n) for u in used])
    bins[: model.n_numeric][bins[: model.n_numeric] == 63] = 62
    bins[model.n_numeric :][np.isin(bins[model.n_numeric :], (60, 61))] = 63
    odd = model.of_bins(bins.astype(np.uint8))
    if has_times:
        for _ in range(200):
            judge(plan, rule, state, *at_rest, is_firing=False)
        state.restart()
    for t in range(300):
        verdicts = judge(plan, rule, state, *(odd if t == at_tick else at_rest))
        assert not verdicts.has_opened.any(), (t, verdicts)


@settings(max_examples=20, deadline=None)
@given(SEEDS)
def test_two_ticks_of_missing_values_fire(seed):
    rng = np.random.default_rng(seed)
    shares = [random_shares(rng, 60, 5.0, True)]
    model = SmallModel.of(shares, 1)
    plan, rule, state = model.plan, ScaleRule.of(342), ScaleState.start(model.plan)
    for _ in range(300):
        assert not judge(plan, rule, state, *model.tick(rng, 83)).has_opened.any()
    gone = model.of_bins(np.full((1, 83), 62, np.uint8))
    assert not judge(plan, rule, state, *gone).has_opened.any()
    assert judge(plan, rule, state, *gone).has_opened.any()


@settings(max_examples=15, deadline=None)
@given(SEEDS)
def test_the_order_of_categories_does_not_matter(seed):
    rng = np.random.default_rng(seed)
    p = rng.multinomial(20_000, random_shares(rng, 12, 2.0, False)) / 20_000
    order = np.concatenate((rng.permutation(12), np.arange(12, 64)))
    models = SmallModel.of([p], 0), SmallModel.of([p[order]], 0)
    rule = ScaleRule.of(models[0].plan.n_components, tick_us=HOUR_US)
    states = [ScaleState.start(m.plan) for m in models]
    q = changed([p], rng)[0]
    # Position of every component of the second model in the first.
    own = np.concatenate((order[:12], [12, 13]))
    for t in range(60):
        counts = rng.multinomial(100, p if t < 30 else q)[None]
        found = [
            judge(m.plan, rule, s, *m.layout.add_up(c))
            for m, s, c in zip(models, states, (counts, counts[:, order]), strict=True)
        ]
        np.testing.assert_allclose(found[0].margin, found[1].margin, rtol=1e-4, atol=1e-4)
        assert np.array_equal(found[0].has_opened, found[1].has_opened)
    np.testing.assert_allclose(
        states[0].components[own], states[1].components, rtol=1e-3, atol=1e-4
    )


@settings(max_examples=15, deadline=None)
@given(SEEDS, st.sampled_from([np.exp, np.cbrt, lambda x: 1e3 * x - 7, np.arctan]))
def test_a_monotone_map_of_a_number_changes_no_verdict(seed, to):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=3_000)
    x[: len(x) // 3] = np.round(x[: len(x) // 3], 1)  # ties, and a bin of its own
    y = rng.normal(0.2, 1.0, size=(40, 100))
    found = []
    quantiles = quantile_edges(x)  # interpolated: edges move with the map, values between do not
    for edges, own_x, own_y in ((quantiles, x, y), (to(quantiles), to(x), to(y))):
        counts = counts_of(edges, own_x)
        layout = ComponentLayout.of([numeric_components(edges, counts)])
        plan = plan_cells(layout, *layout.add_up(counts[None]))
        rule, state = ScaleRule.of(27, tick_us=HOUR_US), ScaleState.start(plan)
        ticks = [layout.add_up(counts_of(edges, values)[None]) for values in own_y]
        found.append([judge(plan, rule, state, *tick) for tick in ticks])
    for a, b in zip(*found, strict=True):
        assert np.array_equal(a.has_opened, b.has_opened)
        assert np.array_equal(a.margin, b.margin)


def counts_of(edges, values):
    """Counters of values by the edges of a reference."""
    bins = np.searchsorted(edges[1:], values, side="left")
    bins = np.where(values < edges[0], 60, np.where(values > edges[-1], 61, bins))
    return np.bincount(bins, minlength=64).astype(np.int64)


@settings(max_examples=25, deadline=None)
@given(SEEDS, st.integers(1, 400), st.integers(1, 6))
def test_any_order_and_grouping_of_rows_adds_up_to_the_same(seed, n, n_parts):
    rng = np.random.default_rng(seed)
    model = random_model(rng, 3, 1)
    bins = np.stack([rng.choice(64, n, p=p) for p in model.shares]).astype(np.uint8)
    whole = model.of_bins(bins)
    shuffled = bins[:, rng.permutation(n)]
    parts = np.array_split(shuffled, n_parts, axis=1)
    counts = sum(np.stack([np.bincount(b, minlength=64) for b in part]) for part in parts)
    products = None
    if model.layout.pairs:
        products = sum(model.products(part) for part in parts)
    again = model.layout.add_up(counts.astype(np.int64), products)
    assert np.array_equal(whole[0], again[0])
    assert np.array_equal(whole[1], again[1])


@settings(max_examples=300, deadline=None)
@given(
    st.booleans(),
    st.floats(1e-4, 0.9999),
    st.floats(-0.5, 0.5),
    st.floats(1, 1e6),
    st.floats(1, 50),
    st.floats(1, 40),
    st.sampled_from([0.0, 1e-6, 1e-3]),
    st.sampled_from([0.0, 1e-6, 1e-3]),
)
def test_more_rows_in_the_same_shares_never_lower_the_evidence(
    is_share, p, m, n, phi, factor, natural, reference
):
    assume(not is_share or 0 <= p + m <= 1)
    unit = p * (1 - p) if is_share else 1.0

    def of(rows: float) -> float:
        a = np.ones(1)
        variance = AverageVariance(
            unit * a,
            a / rows,
            phi * unit * a / rows,
            natural * unit * a,
            0 * a,
            reference * unit * a,
            np.inf * a,  # tau^2 is given
            1e9 * a,
        )
        flags = np.full(1, is_share)
        return float(evidence(m * a, flags, p * a, variance, 2 * a, 0.5 * a)[0])

    assert of(n * factor) >= of(n) * (1 - 1e-9) - 1e-9


@settings(max_examples=15, deadline=None)
@given(streams())
def test_a_cell_with_an_open_alert_learns_nothing(stream):
    plan, rule, ticks, slots = stream
    state = ScaleState.start(plan)
    run(plan, rule, state, ticks[:20], slots[:20])
    state.cells[:, at.IS_OPEN] = 1
    state.cells[:, at.OPEN_COMPONENT] = plan.offsets[:-1]
    state.cells[:, at.OPEN_SCALE], state.cells[:, at.OPEN_CHANGE] = 2, 1.0
    tau, phi = natural_variances(plan, state), design_effects(plan, state)
    for tick, slot in zip(ticks[20:], slots[20:], strict=True):
        judge(plan, rule, state, *tick, slot)
        is_open = state.cells[:, at.IS_OPEN] == 1
        if not is_open.all():
            return
        assert np.array_equal(natural_variances(plan, state), tau)
        assert np.array_equal(design_effects(plan, state), phi)


@settings(max_examples=15, deadline=None)
@given(SEEDS, st.sampled_from([200, 3_000, 300_000]), st.sampled_from([0.0, 200.0]))
def test_the_live_correction_is_what_the_error_of_the_reference_explains(seed, n_reference, hours):
    rng = np.random.default_rng(seed)
    model = random_model(rng, 1, 1, n_reference=n_reference, hours=hours)
    plan, rule = model.plan, ScaleRule.of(10_000, tick_us=HOUR_US)
    state = ScaleState.start(plan)
    other = [rng.dirichlet(5_000 * p + 1e-3) for p in model.shares]
    for _ in range(24 * 5):
        tau = natural_variances(plan, state)  # that of before the tick: it is learned last
        judge(plan, rule, state, *model.tick(rng, 200, other))
        phi = design_effects(plan, state)
        cell = plan.codes[:, at.CELL]
        weight = state.cells[cell, at.W_CONFIRMED].astype(np.float64)
        if not (weight > 0).all() or (state.cells[:, at.T_TODAY] != 0).any():
            continue
        span = state.cells[cell, at.T_CONFIRMED].astype(np.float64)
        unit = plan.constants[:, at.PQ]
        reference = reference_variances(plan, rule, state, phi, tau)
        live = phi * unit / weight + movement_over(tau, span)
        mean = state.components[:, at.CONFIRMED] / weight
        b = state.components[:, at.CORRECTION]
        left = state.components[:, at.UNEXPLAINED]
        assert ((left > 0) & (left <= 1)).all()
        np.testing.assert_allclose(b, mean * (1 - left), rtol=1e-3, atol=1e-6)
        np.testing.assert_allclose(1 - left, reference / (reference + live), rtol=1e-3, atol=1e-6)
    assert (state.cells[:, at.W_CONFIRMED] > 0).all()


@pytest.mark.parametrize("act", [judge, judge_by_definition])
def test_a_day_in_which_an_alert_closed_does_not_move_the_baseline(act):
    corrections = []
    for is_changed in (False, True):
        rng = np.random.default_rng(3)
        model = random_model(rng, 1, 0, n_reference=200, hours=0.0)
        plan, rule = model.plan, ScaleRule.of(10_000, tick_us=HOUR_US)
        state = ScaleState.start(plan)
        missing = [0.2 * p + 0.8 * (np.arange(64) == 62) for p in model.shares]
        opened, closed = [], []
        for hour in range(24 * 5):
            shares = missing if is_changed and 49 <= hour < 57 else model.shares
            verdicts = act(plan, rule, state, *model.tick(rng, 400, shares))
            opened += [hour] * bool(verdicts.has_opened[0])
            closed += [hour] * bool(verdicts.has_closed[0])
        corrections.append(state.components[:, at.CORRECTION].copy())
    assert len(opened) == len(closed) == 1
    assert opened[0] // 24 == closed[0] // 24 == 2
    assert state.cells[0, at.T_CONFIRMED] > 0
    without, with_change = corrections
    is_missing = -5  # before the four means
    assert abs(with_change[is_missing] - without[is_missing]) < 0.003


@given(st.integers(50, 100_000), st.floats(0.001, 2.0), st.sampled_from([1 / 60, 1 / 12, 1.0]))
def test_doubling_the_budget_lowers_every_threshold_by_ln_2(n_components, budget, tick_hours):
    once = thresholds(n_components, budget, tick_hours)
    assume(once.min() > 11.5)  # fewer components, or a larger budget than any default
    less = once - thresholds(n_components, 2 * budget, tick_hours)
    assert less == pytest.approx(np.log(2), rel=0.05)


def test_exact_counts_add_up():
    assert exact_counts(np.array([1.0, 1.0, 1.0]) / 3, 100).sum() == 100
