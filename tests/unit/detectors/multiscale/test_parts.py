"""Parts of the multi-scale rule: components, baselines of counts, seasons, onset, detectable."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from detectors.decision_rule.edges import quantile_edges
from detectors.kernels import scale_state as at
from detectors.kernels.scale_evidence import N_YOUNG
from detectors.multiscale.components import (
    ComponentLayout,
    categorical_components,
    group_bins,
    numeric_components,
    variable_components,
)
from detectors.multiscale.detectable import HORIZON_HOURS, detectable_changes
from detectors.multiscale.movement import natural_variances
from detectors.multiscale.onset import look_back_ticks, onset
from detectors.multiscale.plan import GROUP_GATE, _products, block_phi, plan_cells
from detectors.multiscale.products import counter_values, product_sums
from detectors.multiscale.rule import ScaleRule, judge, learn_reference
from detectors.multiscale.seasons import fit_season, slot_of
from detectors.multiscale.state import ScaleState
from detectors.multiscale.thresholds import thresholds
from detectors.multiscale.variances import average_variances, newest_weights
from schemas.baselines import Kind, VariableBaseline
from schemas.errors import DomainError, ShapeError
from tests.support.decision.multiscale import SmallModel, random_model, states_equal

EVEN = np.concatenate((np.full(60, 1 / 60), np.zeros(4)))
MISSING, UNDERFLOW, OVERFLOW = 62, 60, 61


def counters(x, edges):
    """Counter of each value."""
    own = np.searchsorted(edges[1:], x, side="left")
    own = np.where(x < edges[0], UNDERFLOW, np.where(x > edges[-1], OVERFLOW, own))
    return np.where(np.isnan(x), MISSING, own)


def test_polynomials_have_mean_0_and_variance_1_in_the_reference():
    rng = np.random.default_rng(0)
    x = np.concatenate((rng.lognormal(0, 1, 5_000), np.zeros(900)))
    edges = quantile_edges(x)
    counts = np.bincount(counters(x, edges), minlength=64)
    cell = numeric_components(edges, counts)
    sums, rows = ComponentLayout.of([cell]).add_up(counts[None])
    assert sums[cell.location :] / rows[0] == pytest.approx(np.zeros(4), abs=1e-12)
    groups = sums[: cell.n_groups] / rows[0]
    own = cell.polynomials[:, : cell.n_groups]
    assert (own * groups) @ own.T == pytest.approx(np.eye(4), abs=1e-9)
    assert groups.sum() == pytest.approx(1.0)


@pytest.mark.parametrize("to", [np.exp, lambda x: 3 * x - 7, np.cbrt])
def test_a_monotone_map_of_a_number_changes_nothing(to):
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=3_001), rng.normal(0.3, 1.2, 500)
    found = []
    for f in (lambda v: v, to):
        # Quantiles that are values of the reference, so that they are mapped exactly.
        edges = np.sort(f(x))[np.arange(0, 3_001, 50)]
        counts = np.bincount(counters(f(x), edges), minlength=64)
        layout = ComponentLayout.of([numeric_components(edges, counts)])
        new = np.bincount(counters(f(y), edges), minlength=64)
        found.append((layout.add_up(counts[None]), layout.add_up(new[None])))
    for (a, _), (b, _) in zip(found[0], found[1], strict=True):
        assert np.array_equal(a, b)


def test_few_distinct_values_are_groups_of_their_own():
    counts = np.zeros(64, np.int64)
    counts[:5] = 900, 50, 30, 15, 5
    assert group_bins(counts, 5).tolist() == [0, 1, 2, 3, 4, 5]
    counts[:60] = 1
    counts[10] = 1_000
    bounds = group_bins(counts, 60).tolist()
    assert bounds[0] == 0
    assert bounds[-1] == 60
    assert 10 in bounds
    assert len(bounds) <= 21


@pytest.mark.parametrize("n_present", [0, 500])
def test_a_constant_has_no_groups(n_present):
    counts = np.zeros(64, np.int64)
    counts[0], counts[MISSING] = n_present, 100
    cell = numeric_components(np.array([1.0, 1.0]), counts)
    assert cell.names == ("below minimum", "above maximum", "missing")
    assert cell.location == -1


def test_a_feature_without_any_value_has_no_groups():
    counts = np.zeros(64, np.int64)
    counts[MISSING] = 100
    assert len(numeric_components(np.arange(31.0), counts)) == 3


def test_a_plan_follows_from_the_counts_of_a_baseline():
    edges = np.arange(61.0)
    variables = [
        VariableBaseline("x", Kind.NUMERIC, edges),
        VariableBaseline("land", Kind.CATEGORICAL, np.empty(0), ("a", "b")),
    ]
    counts = np.zeros((2, 64), np.int64)
    counts[0, :60], counts[1, :2] = 10, (400, 200)
    cells = [variable_components(v, c) for v, c in zip(variables, counts, strict=True)]
    assert cells[0].names == numeric_components(edges, counts[0]).names
    layout = ComponentLayout.of(cells)
    plan = plan_cells(layout, *layout.add_up(counts), phi=np.array([1.0, 3.0]))
    assert plan.constants[-4:, at.P] == pytest.approx([2 / 3, 1 / 3, 0, 0])
    assert plan.constants[-1, at.PQ] == pytest.approx(0.3 / 600)
    assert plan.references[:, at.PHI_REFERENCE].tolist() == [1.0, 3.0]
    assert not plan.has_season


def test_products_leave_out_features_without_a_location():
    counts = np.zeros(64, np.int64)
    counts[:60] = 10
    x, land = numeric_components(np.arange(61.0), counts), categorical_components(("a", "b"))
    layout = ComponentLayout.of([x, land, x], [0, 1, 2])
    assert layout.pairs == ((2, 0),)
    assert layout.n_cells == 4
    assert layout.names()[-1] == "cell 2 x cell 0"
    with pytest.raises(ShapeError, match="1 products"):
        layout.add_up(np.stack([counts] * 3))


def test_the_component_of_a_pair_is_made_of_the_locations_of_its_cells():
    counts = np.zeros((3, 64), np.int64)
    counts[0, :60], counts[1, :2], counts[2, :20] = 10, 300, 30
    x, y = (numeric_components(np.arange(n + 1.0), counts[c]) for n, c in ((60, 0), (20, 2)))
    land = categorical_components(("a", "b"))
    layout = ComponentLayout.of([x, land, y], [0, 2])
    plan = plan_cells(layout, *layout.add_up(counts, np.zeros(1, np.int64)))
    [(a, b)] = layout.pairs
    places = [layout.offsets[c] + layout.cells[c].location for c in (a, b)]
    first, second, product, g_max = _products(layout)
    assert [first[-1], second[-1]] == places
    assert product[-1] == 1.0
    assert g_max[-1] == pytest.approx(g_max[places[0]] * g_max[places[1]])
    assert g_max[-1] > 2.0, "the largest product is beyond that of the variances"
    assert plan.codes[-1, 1:3].tolist() == places


def test_the_mean_product_of_two_features_is_their_rank_correlation():
    rng = np.random.default_rng(2)
    a = rng.normal(size=40_000)
    b = 0.6 * a + 0.8 * rng.normal(size=40_000)
    bins, cells = [], []
    for x in (a, b):
        edges = quantile_edges(x)
        bins.append(counters(x, edges))
        cells.append(numeric_components(edges, np.bincount(bins[-1], minlength=64)))
    found = product_sums(np.stack(bins).astype(np.uint8), counter_values(cells)) / 2**20 / len(a)
    assert found[0] == pytest.approx(
        np.corrcoef(a.argsort().argsort(), b.argsort().argsort())[0, 1], abs=0.01
    )


def test_a_plan_refuses_constants_of_another_version():
    plan = SmallModel.of([EVEN], 1).plan
    with pytest.raises(ShapeError, match="5 constants"):
        replace(plan, constants=plan.constants[:, :5])


def test_a_plan_refuses_a_cell_without_reference():
    layout = ComponentLayout.of([categorical_components(("a",))])
    with pytest.raises(DomainError, match="without reference"):
        plan_cells(layout, *layout.add_up(np.zeros((1, 64), np.int64)))


def test_blocks_of_identical_tens_have_a_design_effect_of_ten():
    rng = np.random.default_rng(3)
    counts = np.zeros((2_000, 1, 64), np.int64)
    counts[:, 0, 0] = 10 * rng.binomial(100, 0.5, 2_000)
    counts[:, 0, 1] = 1_000 - counts[:, 0, 0]
    layout = ComponentLayout.of([categorical_components(("a", "b"))])
    sums = np.stack([layout.add_up(c)[0] for c in counts])
    rows = np.full((2_000, 1), 1_000.0)
    plan = plan_cells(layout, sums.sum(axis=0), rows.sum(axis=0))
    # Two of four components vary: unseen and missing do not occur.
    assert block_phi(plan, sums, rows)[0] == pytest.approx(5.0, rel=0.1)
    rows[::2] = 0.0
    assert block_phi(plan, sums, rows).tolist() == [1.0]


def test_arrays_that_do_not_fit_the_plan_are_refused():
    model = random_model(np.random.default_rng(4), 1, 1)
    rule, state = ScaleRule.of(model.plan.n_components), ScaleState.start(model.plan)
    sums, rows = model.tick(np.random.default_rng(4), 10)
    with pytest.raises(ShapeError, match="expected"):
        judge(model.plan, rule, state, sums[:-1], rows)
    with pytest.raises(DomainError, match="slot 48"):
        judge(model.plan, rule, state, sums, rows, 48)
    with pytest.raises(DomainError, match="tick"):
        ScaleRule.of(10, tick_us=0)
    with pytest.raises(DomainError, match="n_components"):
        ScaleRule.of(0)
    with pytest.raises(DomainError, match="smaller budget"):
        thresholds(1, 1e6, 1.0)


def test_a_state_needs_no_more_bytes_than_promised():
    numeric = SmallModel.of([EVEN], 1)
    categories = SmallModel.of([EVEN], 0)
    assert numeric.plan.n_components == 27
    assert categories.plan.n_components == 62
    assert ScaleState.start(numeric.plan).n_bytes <= 2_300
    assert ScaleState.start(categories.plan).n_bytes <= 5_000


def test_a_restart_keeps_variances_and_nothing_else():
    rng = np.random.default_rng(5)
    model = random_model(rng, 1, 1, hours=10.0)
    rule, state = ScaleRule.of(model.plan.n_components), ScaleState.start(model.plan)
    ticks = [model.tick(rng, 50) for _ in range(120)]
    sums, rows = (np.stack(found) for found in zip(*ticks, strict=True))
    learn_reference(model.plan, rule, state, sums, rows, np.zeros(120, np.int64))
    fresh = ScaleState.start(model.plan)
    fresh.components[:, at.EXCESS : at.PHI_SUM + 1] = state.components[
        :, at.EXCESS : at.PHI_SUM + 1
    ]
    fresh.scales[:, :, at.SAMPLES :] = state.scales[:, :, at.SAMPLES :]
    fresh.cells[:, at.MEAN_ROWS] = state.cells[:, at.MEAN_ROWS]
    fresh.cells[:, at.N_PHI : at.PHI_CELL + 1] = state.cells[:, at.N_PHI : at.PHI_CELL + 1]
    assert states_equal(state, fresh)
    # One of 40 is left out: the longest average is as noisy as the shortest then.
    assert (state.scales[:, 0, at.SAMPLES] == 39).all()


def season_model(effect, n_days=21):
    """Hourly ticks of a category whose share follows the hour, and its plan."""
    rng = np.random.default_rng(6)
    layout = ComponentLayout.of([categorical_components(("a", "b"))])
    hours = np.arange(24 * n_days)
    p = 0.5 + effect(hours)
    counts = np.zeros((len(hours), 1, 64), np.int64)
    counts[:, 0, 0] = rng.binomial(1_000, p)
    counts[:, 0, 1] = 1_000 - counts[:, 0, 0]
    sums = np.stack([layout.add_up(c)[0] for c in counts])
    rows = np.full((len(hours), 1), 1_000.0)
    plan = plan_cells(layout, sums.sum(axis=0), rows.sum(axis=0), hours=len(hours))
    slots = hours % 24 + 24 * (hours // 24 % 7 >= 5)
    return plan, sums, rows, slots, hours // 24


def test_a_season_is_found_and_days_that_differ_are_none():
    wave = season_model(lambda h: 0.1 * np.sin(2 * np.pi * h / 24))
    plan = fit_season(*wave)
    assert plan.has_season
    assert plan.codes[:, at.IS_SEASONAL].tolist() == [1, 1, 0, 0]
    expected = 0.1 * np.sin(2 * np.pi * (np.arange(48) % 24) / 24)
    assert plan.season[:, 0] == pytest.approx(expected, abs=0.02)
    days = np.random.default_rng(7).normal(0, 0.05, 21)
    assert not fit_season(*season_model(lambda h: days[h // 24])).has_season
    assert not fit_season(*season_model(lambda h: 0.1 * np.sin(2 * np.pi * h / 24), 13)).has_season


def test_a_slot_without_two_days_has_no_season():
    plan, sums, rows, slots, days = season_model(lambda h: 0.1 * np.sin(h * np.pi / 12))
    is_known = slots != 3
    fitted = fit_season(plan, *(x[is_known] for x in (sums, rows, slots, days)))
    assert fitted.has_season
    assert not fitted.season[3].any()
    assert np.abs(fitted.season[[9, 21]]).max() > 0.02


def test_slots_are_hours_and_weekends():
    hour = 3_600_000_000
    monday = 4 * 24 * hour  # 1970-01-05
    times = monday + np.array([0, 23, 5 * 24, 7 * 24 - 1, 7 * 24]) * hour
    assert slot_of(times).tolist() == [0, 23, 24, 47, 0]


@pytest.mark.parametrize("is_share", [True, False])
def test_the_beginning_of_a_change_is_found_with_an_interval(is_share):
    rng = np.random.default_rng(8)
    n, begin, errors, n_covered = np.full(288, 80.0), 200, [], 0
    for _ in range(60):
        is_on = np.arange(288) >= begin
        if is_share:
            sums = rng.binomial(80, np.where(is_on, 0.1, 0.05)).astype(float)
        else:
            sums = rng.normal(np.where(is_on, 0.3, 0.0) * 80, np.sqrt(80.0))
        found = onset(sums, n, 0.05 if is_share else 0.0, is_share=is_share, n_reference=1e6)
        assert found.low <= found.tick <= found.high
        errors.append(abs(found.tick - begin))
        n_covered += found.low <= begin <= found.high
    assert np.median(errors) <= 1
    assert n_covered >= 0.85 * 60


def test_movement_widens_the_interval_and_not_the_beginning():
    sums, rows = np.array([4.0, 6, 5, 9, 12, 13, 11]), np.full(7, 100.0)
    narrow = onset(sums, rows, 0.05, is_share=True, n_reference=1e4)
    wide = onset(sums, rows, 0.05, is_share=True, n_reference=1e4, inflation=9.0)
    assert narrow.tick == wide.tick == 3
    assert wide.low <= narrow.low <= narrow.high <= wide.high
    assert wide.high - wide.low > narrow.high - narrow.low


def test_a_tick_without_rows_is_no_beginning():
    sums, rows = np.array([0.0, 0, 0, 0, 9, 9]), np.array([9.0, 9, 0, 0, 9, 9])
    assert onset(sums, rows, 0.01, is_share=True, n_reference=1e4).tick == 4
    with pytest.raises(ShapeError, match="ticks with rows"):
        onset(np.zeros(3), np.zeros(3), 0.1, is_share=True, n_reference=10)
    with pytest.raises(DomainError, match="inflation"):
        onset(sums, rows, 0.01, is_share=True, n_reference=1e4, inflation=0.5)


@pytest.mark.parametrize("n_rows", [1.0, 19.9, 20.1, 500.0])
def test_a_share_of_fewer_than_20_rows_moves_as_its_cell_does(n_rows):
    """Decision rule 2, section 1.3, step 7: p < 20 q has shown nothing of its own yet."""
    shares = np.zeros(64)
    shares[:2] = 0.7, 0.3
    plan = SmallModel.of([shares], 0, phi=2.0).plan
    state, share = ScaleState.start(plan), 1
    p = plan.constants[share, at.P]
    q = p / n_rows
    state.scales[:, :, at.WEIGHT], state.scales[:, :, at.SQUARES] = 1.0, q
    inflation = 3.0
    samples = N_YOUNG  # no longer young: a commoner share has shown its own movement
    state.scales[:, :, at.SAMPLES] = samples
    total = (at.PRIOR_SAMPLES + samples) * inflation
    state.scales[:, :, at.INFLATION] = total - at.PRIOR_SAMPLES
    found = average_variances(plan, ScaleRule.of(plan.n_components), state)
    own = natural_variances(plan, state)[share]
    of_cell = (inflation - 1) * found.sampling[share]
    expected = np.maximum(own, of_cell) if n_rows < 20 else own
    assert found.sampling[share] == pytest.approx(2.0 * p * (1 - p) * q)
    assert found.natural[share] == pytest.approx(expected)
    assert (of_cell > own).all()


@pytest.mark.parametrize("samples", [0.0, 7.0, 15.0, 29.0, 30.0, 90.0])
def test_a_young_scale_moves_at_least_as_its_cell_in_a_falling_part(samples):
    shares = np.zeros(64)
    shares[:2] = 0.7, 0.3
    plan = SmallModel.of([shares], 0, phi=2.0).plan
    state = ScaleState.start(plan)
    q, inflation = 1e-4, 40.0
    state.scales[:, :, at.WEIGHT], state.scales[:, :, at.SQUARES] = 1.0, q
    state.scales[:, :, at.SAMPLES] = samples
    total = (at.PRIOR_SAMPLES + samples) * inflation
    state.scales[:, :, at.INFLATION] = total - at.PRIOR_SAMPLES
    found = average_variances(plan, ScaleRule.of(plan.n_components), state)
    part = max(0.0, 1 - samples / 30)
    own = natural_variances(plan, state)[0]
    expected = np.maximum(own, part * (inflation - 1) * found.sampling[0])
    assert found.natural[0] == pytest.approx(expected)
    assert (found.natural[0] > own).all() == (samples < 30)


def test_the_newest_row_weighs_more_as_traffic_falls():
    plan = SmallModel.of([EVEN], 1).plan
    rule, state = ScaleRule.of(27), ScaleState.start(plan)
    newest, scale = [], 2
    for n in [200.0] * 600 + [2.0] * 24:
        state.scales[0, :, at.WEIGHT] = rule.decay * state.scales[0, :, at.WEIGHT] + n
        state.scales[0, :, at.SQUARES] = rule.decay**2 * state.scales[0, :, at.SQUARES] + n
        newest.append(newest_weights(plan, rule, state)[0, scale])
    assert newest[599] == pytest.approx(rule.decay[scale], rel=1e-3)
    assert (np.diff(newest[600:]) > 0).all()
    assert newest[-1] > 2 * newest[599]


def test_a_row_beyond_the_maximum_opens_no_alert_as_traffic_falls():
    """One row of three at night was 19 nats: it weighs as many as the hours before together."""
    model = SmallModel.of([EVEN], 1, n_reference=504_000, hours=504.0)
    rule, state = ScaleRule.of(342), ScaleState.start(model.plan)
    rng, beyond = np.random.default_rng(4), np.zeros((1, 3), np.uint8)
    day = [200, 200, 180, 120, 80, 45, 25, 14, 8, 5, 3, 3]
    for n in np.repeat([*day, *day[::-1]] * 3, 12).tolist():
        judge(model.plan, rule, state, *model.tick(rng, n))
    falling = np.repeat(day, 12)[:-2].tolist()
    for n in falling:
        assert not judge(model.plan, rule, state, *model.tick(rng, n)).has_opened.any()
    beyond[0] = OVERFLOW, 7, 12
    found = judge(model.plan, rule, state, *model.of_bins(beyond))
    assert not found.has_opened.any()
    later = [judge(model.plan, rule, state, *model.tick(rng, 3)) for _ in range(24)]
    assert not any(verdicts.has_opened.any() for verdicts in later)


def test_six_time_constants_are_searched():
    assert [look_back_ticks(s, 1 / 12) for s in (0, 2, 5)] == [72, 144, 9_216]


def test_what_is_detectable_shrinks_with_time_and_grows_with_movement():
    rng = np.random.default_rng(9)
    model = SmallModel.of([EVEN], 1, n_reference=200_000, hours=200.0)
    rule, states = ScaleRule.of(342), []
    for moves in (False, True):
        state = ScaleState.start(model.plan)
        found = []
        for t in range(3_000):
            if moves and t % 12 == 0:
                off = rng.normal(0, 0.03)
            shares = EVEN.copy()
            if moves:
                shares[:60] *= 1 + off * np.linspace(-1.7, 1.7, 60)
            found.append(model.tick(rng, 80, [shares]))
        sums, rows = (np.stack(x) for x in zip(*found, strict=True))
        learn_reference(model.plan, rule, state, sums, rows, np.zeros(3_000, np.int64))
        for own in found[:600]:
            judge(model.plan, rule, state, *own)
        states.append(state)
    still, moving = (detectable_changes(model.plan, rule, s) for s in states)
    location = model.layout.cells[0].location
    a, b = still.change[:, location], moving.change[:, location]
    assert (np.diff(a) <= 0).all()
    assert a[0] > 3 * a[-1]
    assert (b >= a).all()
    assert b[-1] > a[-1]
    assert (still.change >= 0).all()
    assert len(still.change) == len(HORIZON_HOURS)
    # A planted change of that size is found about then; one of a third of it is not.
    for factor, is_expected in ((1.5, True), (0.33, False)):
        n_found = 0
        for seed in range(8):
            state, own = states[0].copy(), np.random.default_rng(seed)
            shares = EVEN.copy()
            shares[:60] *= 1 + factor * a[1] * np.linspace(-1.7, 1.7, 60)
            opened = [
                judge(model.plan, rule, state, *model.tick(own, 80, [shares])).has_opened.any()
                for _ in range(12)
            ]
            n_found += any(opened)
        assert n_found >= 6 if is_expected else n_found <= 1


def test_no_growth_beyond_the_rows_that_are_left_is_called_detectable():
    shares = np.zeros(64)
    shares[:2] = 0.98, 0.02
    model, rng = SmallModel.of([shares], 0, n_reference=200_000), np.random.default_rng(11)
    state, rule = ScaleState.start(model.plan), ScaleRule.of(model.layout.n_components)
    for _ in range(60):
        judge(model.plan, rule, state, *model.tick(rng, 30))
    found = detectable_changes(model.plan, rule, state).change
    common, rare = found[:, 0], found[:, 1]
    assert np.nanmax(common, initial=0.0) <= 0.02 + 1e-3
    assert np.isfinite(rare).all()
    assert (rare > 0.005).all()


def test_nothing_is_detectable_before_a_scale_has_samples():
    model = random_model(np.random.default_rng(10), 1, 0)
    state = ScaleState.start(model.plan)
    found = detectable_changes(model.plan, ScaleRule.of(27), state)
    assert np.isnan(found.change).all()
    assert (found.scale == -1).all()
    assert not found.is_natural.any()


def test_groups_of_a_number_matter_from_a_larger_change_on_than_categories():
    letters = np.zeros(64)
    letters[:10] = 0.1
    model = SmallModel.of([EVEN, letters], 1)
    factor = model.plan.constants[:, at.GATE]
    names = [name for cell in model.layout.cells for name in cell.names]
    assert (factor[:20] == GROUP_GATE).all()
    assert (factor[20:] == 1).all()
    assert names[20] == "below minimum"
    few = SmallModel.of([letters], 1)
    assert (few.plan.constants[:, at.GATE] == GROUP_GATE).sum() == 10
    fewer = np.zeros(64)
    fewer[:3] = 0.5, 0.3, 0.2
    assert (SmallModel.of([fewer], 1).plan.constants[:, at.GATE] == 1).all()
