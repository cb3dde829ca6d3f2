"""A shift planted into a shadow is found, or reported, and never becomes real evidence."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import numpy as np
import pyarrow as pa
import pytest

from detectors.decision_rule.planting import plant, reference_sd, shift_matrix
from monitor.baseline.build import build_baseline
from monitor.core.drift.decide import SeriesDecider, SeriesState
from monitor.core.incidents.alerting import Closed
from monitor.core.incidents.grouping import Incidents
from schemas.alerts import CANARY_MISSED, Alert, Cause, Severity, Transition
from schemas.baselines import Baseline
from schemas.config.model import ModelConfig
from schemas.errors import DriftlineError
from schemas.panes import SeriesStats, Window
from schemas.results import DetectorResult, Reason, Verdict
from schemas.time_units import HOUR_US
from tests.support.worlds.seasonal import CONFIG, MONDAY_US, ROWS, table, window_of

EVERY, WITHIN = 30, 8


def with_canary(**settings) -> ModelConfig:
    canary = {"feature": "y", "every": f"{EVERY}h", "within": WITHIN, **settings}
    rule_1 = {"canary": canary, "decision": {"rule": 1}}
    return ModelConfig.model_validate(CONFIG.model_dump() | rule_1)


@pytest.fixture(scope="module")
def baseline() -> Baseline:
    """Eight days: too few for seasons, so x differs from its reference all the time."""
    return build_baseline(table(8 * 24), CONFIG)


def windows(baseline: Baseline, n: int, seed: int = 3) -> list[Window]:
    rng = np.random.default_rng(seed)
    return [window_of(baseline, at, rng) for at in range(n)]


def run(decider: SeriesDecider, some: list[Window]) -> tuple[list[DetectorResult], list[Alert]]:
    results, alerts = [], []
    for window in some:
        decided = decider.decide(window)
        results += [r for r in decided.results if r.monitor == "canary"]
        alerts += [a for a in decided.alerts if a.rule == CANARY_MISSED]
    return results, alerts


def decider_of(baseline: Baseline, config: ModelConfig, state: SeriesState | None = None):
    return SeriesDecider(windows(baseline, 1)[0].series, config, baseline, state)


def is_planting_after(decider: SeriesDecider, window: Window) -> bool:
    decider.decide(window)
    return not decider.canary.canary.state.is_over


def emptied(window: Window) -> Window:
    empty = SeriesStats.empty(("*",), window.segments.counts.shape[1])
    return replace(window, segments=empty)


def test_each_cycle_plants_once_and_finds_it_after_as_many_windows_as_a_real_shift(baseline):
    decider, some = decider_of(baseline, with_canary(shift=0.8)), windows(baseline, 4 * EVERY)
    results, alerts = run(decider, some)
    assert [r.verdict for r in results] == [Verdict.DRIFT] * 4
    assert not alerts
    first = (results[0].end_us - MONDAY_US) // HOUR_US - int(results[0].statistic)
    matrix = shift_matrix(
        baseline.variables[1].edges,
        baseline.reference.counts[0, 1],
        0.8 * reference_sd(baseline, 1),
    )
    really = decider_of(baseline, CONFIG)
    for at, window in enumerate(some):
        counts = window.segments.counts.copy()
        if at >= first:
            counts[:, 1] = plant(counts[:, 1], matrix)
        moved = replace(window, segments=replace(window.segments, counts=counts))
        opened = [a for a in really.judge(moved)[1] if a.feature == "y"]
        if opened:
            assert at - first + 1 == results[0].statistic
            return
    raise AssertionError("the real shift was not found")


def test_the_real_evidence_alerts_and_results_are_those_without_a_canary(baseline):
    watched, alone = decider_of(baseline, with_canary()), decider_of(baseline, CONFIG)
    for window in windows(baseline, 3 * EVERY):
        with_it, without = watched.decide(window), alone.decide(window)
        assert [r for r in with_it.rows() if r.monitor != "canary"] == without.rows()
        assert [a for a in with_it.alerts if a.rule != CANARY_MISSED] == without.alerts
        assert watched.evidence.to_bytes() == alone.evidence.to_bytes()


def test_a_missed_shift_opens_a_ticket_with_the_reason_until_one_is_found(baseline):
    blind = decider_of(baseline, with_canary(shift=0.01))
    results, alerts = run(blind, windows(baseline, 3 * EVERY))
    assert [r.statistic for r in results] == [None] * 3
    assert {r.verdict for r in results} == {Verdict.NORMAL}
    assert {r.reason for r in results} <= {Reason.WITHIN_TOLERANCE, Reason.ACCUMULATING}
    (opened,) = alerts
    assert (opened.transition, opened.severity) == (Transition.OPENED, Severity.TICKET)
    assert opened.title == (
        "m: the monitor did not see a shift of 0.01 sd that was planted into a shadow of y "
        "for 8 windows"
    )
    assert opened.action.startswith("Up to 2.0% of y may move before it counts")
    assert "and the shift moves 0.4% of the rows: raise canary.shift" in opened.action
    assert opened.current_counts == ()
    seeing = decider_of(baseline, with_canary(shift=0.8), blind.export())
    _, alerts = run(seeing, windows(baseline, 5 * EVERY)[3 * EVERY :])
    assert [a.transition for a in alerts] == [Transition.RESOLVED]
    assert alerts[0].opened_at_us == opened.opened_at_us
    assert not any(key.startswith("pipeline|") for key in seeing.open_alerts)


def test_a_missed_canary_is_a_fault_of_the_pipeline_and_joins_no_drift_incident(baseline):
    _, (opened,) = run(decider_of(baseline, with_canary(shift=0.01)), windows(baseline, EVERY))
    engine = Incidents()
    changes = engine.observe(opened, opened.time_us)
    assert [c.incident.cause for c in changes] == [Cause.PIPELINE]
    assert changes[0].incident.title == opened.title


@pytest.mark.parametrize("cut", range(0, 2 * EVERY, 5))
def test_restored_between_any_two_windows_it_says_the_same(baseline, cut):
    config, some = with_canary(shift=0.05), windows(baseline, 2 * EVERY)
    whole = run(decider_of(baseline, config), some)
    before = decider_of(baseline, config)
    first = run(before, some[:cut])
    state = msgspec.msgpack.decode(msgspec.msgpack.encode(before.export()), type=SeriesState)
    second = run(decider_of(baseline, config, state), some[cut:])
    assert (first[0] + second[0], first[1] + second[1]) == whole


def test_a_feature_that_is_firing_already_is_skipped_and_says_so(baseline):
    decider = decider_of(baseline, with_canary())
    rng = np.random.default_rng(5)
    some = [window_of(baseline, at, rng) for at in range(EVERY)]
    matrix = shift_matrix(baseline.variables[1].edges, baseline.reference.counts[0, 1], 3.0)
    for window in some:
        window.segments.counts[:, 1] = plant(window.segments.counts[:, 1], matrix)
    results, alerts = run(decider, some)
    assert [(r.verdict, r.reason) for r in results] == [(Verdict.NONE, Reason.STILL_FIRING)]
    assert not alerts


def test_windows_without_rows_are_no_silence_of_the_monitor(baseline):
    decider = decider_of(baseline, with_canary(shift=0.01))
    some = [emptied(w) if at % 3 else w for at, w in enumerate(windows(baseline, 2 * EVERY))]
    results, alerts = run(decider, some)
    assert [(r.verdict, r.reason) for r in results] == [(Verdict.NONE, Reason.TOO_FEW_SAMPLES)] * 2
    assert not alerts


def test_windows_that_never_come_end_the_stretch_they_belong_to(baseline):
    decider = decider_of(baseline, with_canary(shift=0.01))
    some = windows(baseline, 2 * EVERY)
    planted_from = next(at for at in range(EVERY) if is_planting_after(decider, some[at]))
    results, _ = run(decider, some[planted_from + EVERY - 2 :])
    assert results[0].reason is Reason.TOO_FEW_SAMPLES


def test_the_alert_of_a_canary_that_is_no_more_ends(baseline):
    blind = decider_of(baseline, with_canary(shift=0.01))
    some = windows(baseline, EVERY + 1)
    run(blind, some[:EVERY])
    assert blind.open_alerts
    _, (ended,) = run(decider_of(baseline, CONFIG, blind.export()), some[EVERY:])
    assert ended.transition is Transition.RESOLVED
    assert ended.title == "m: nothing is planted into y any more"


def test_another_feature_in_the_config_starts_afresh(baseline):
    before = decider_of(baseline, with_canary(shift=0.01))
    some = windows(baseline, 2 * EVERY)
    run(before, some[: EVERY - 2])
    after = decider_of(baseline, with_canary(feature="x", shift=0.8), before.export())
    results, _ = run(after, some[EVERY - 2 :])
    assert {r.feature for r in results} == {"x"}


def test_what_another_feature_s_canary_was_is_forgotten(baseline):
    before = decider_of(baseline, with_canary(shift=0.8))
    some = windows(baseline, 2)
    own, other = Closed(some[0].end_us, 2), Closed(some[0].end_us, 4)
    before.closed_alerts |= {"pipeline|y|*": own, "pipeline|x|*": other, "drift|x|*": other}
    after = decider_of(baseline, with_canary(shift=0.8), before.export())
    run(after, some[:1])
    assert after.closed_alerts == {"pipeline|y|*": own, "drift|x|*": other}


def test_models_plant_at_different_hours(baseline):
    series, starts = windows(baseline, 1)[0].series, set()
    for i in range(40):
        config = with_canary().model_copy(update={"model": f"model-{i}"})
        decider = SeriesDecider(replace(series, model=config.model), config, baseline)
        some = windows(baseline, EVERY)
        starts.add(next(w.start_us for w in some if is_planting_after(decider, w)))
    assert len(starts) > 12


def test_a_real_drift_in_the_midst_of_a_stretch_is_not_taken_for_the_planted_one(baseline):
    decider = decider_of(baseline, with_canary(shift=0.01))
    some = windows(baseline, 3 * EVERY)
    run(decider, some[:EVERY])
    (opened,) = [k for k in decider.open_alerts if k.startswith("pipeline|")]
    matrix = shift_matrix(baseline.variables[1].edges, baseline.reference.counts[0, 1], 1.0)
    results = []
    for window in some[EVERY:]:
        if decider.canary.canary.is_planted(window.start_us):
            window.segments.counts[:, 1] = plant(window.segments.counts[:, 1], matrix)
        found, alerts = run(decider, [window])
        results += found
        assert not alerts
    assert [r.reason for r in results] == [Reason.STILL_FIRING] * 2
    assert opened in decider.open_alerts


def thinned(window: Window, share: float) -> Window:
    counts = (window.segments.counts * share).astype(np.int64)
    n_rows = counts[:, 1].sum(axis=1)
    return replace(window, segments=replace(window.segments, counts=counts, n_rows=n_rows))


def test_windows_that_have_become_too_small_are_reported(baseline):
    decider = decider_of(baseline, with_canary(shift=0.8))
    some = [thinned(window, 0.1) for window in windows(baseline, EVERY)]
    assert 0 < some[0].segments.n_rows[0] < decider.rule.min_rows
    (result,), (opened,) = run(decider, some)
    assert result.verdict is Verdict.NORMAL
    assert opened.transition is Transition.OPENED
    assert "lengthen the window" in opened.action


def test_traffic_in_half_of_the_windows_is_enough_to_be_missed(baseline):
    decider = decider_of(baseline, with_canary(shift=0.01))
    some = [emptied(w) if at % 2 else w for at, w in enumerate(windows(baseline, EVERY))]
    (result,), alerts = run(decider, some)
    assert (result.verdict, result.statistic) == (Verdict.NORMAL, None)
    assert len(alerts) == 1


def test_a_shift_found_now_and_then_neither_ends_the_alert_nor_sends_a_message(baseline):
    config, some = with_canary(shift=0.01), windows(baseline, 14 * EVERY)
    transitions, state = [], None
    for cycle in range(14):
        is_seen = cycle in (2, 4, 5, 9, 10, 11, 12)
        own = config if not is_seen else with_canary(shift=0.8)
        decider = decider_of(baseline, own, state)
        _, alerts = run(decider, some[cycle * EVERY : (cycle + 1) * EVERY])
        transitions += [(cycle, alert.transition) for alert in alerts]
        state = decider.export()
    opened, resolved = Transition.OPENED, Transition.RESOLVED
    assert transitions == [(0, opened), (5, resolved), (6, opened), (12, resolved), (13, opened)]


@pytest.mark.parametrize("value", [1e200, -1e200])
def test_a_reference_without_a_measurable_spread_is_skipped_and_stops_nothing(value):
    rows = table(3 * 24)
    y = rows["y"].to_numpy().copy()
    y[0] = value
    own = build_baseline(rows.set_column(2, "y", pa.array(y)), CONFIG)
    decider = decider_of(own, with_canary())
    (result,), alerts = run(decider, windows(own, EVERY))
    assert (result.verdict, result.reason) == (Verdict.NONE, Reason.NO_BASELINE)
    assert not alerts


def test_a_feature_that_the_reference_never_holds_is_skipped_and_stops_nothing(baseline):
    counts = baseline.reference.counts.copy()
    counts[:, 1, :62] = 0
    never = replace(baseline, reference=replace(baseline.reference, counts=counts))
    (result,), alerts = run(decider_of(never, with_canary()), windows(baseline, EVERY))
    assert (result.verdict, result.reason) == (Verdict.NONE, Reason.NO_BASELINE)
    assert not alerts


@pytest.mark.parametrize("within", [2, 3, 4, 5])
def test_a_short_stretch_can_be_missed_too(baseline, within):
    decider = decider_of(baseline, with_canary(shift=0.01, within=within))
    (result,), (opened,) = run(decider, windows(baseline, EVERY))
    assert (result.verdict, result.statistic) == (Verdict.NORMAL, None)
    assert opened.n_windows == within


def test_a_stretch_whose_last_windows_never_came_is_missed_if_enough_did(baseline):
    decider = decider_of(baseline, with_canary(shift=0.01))
    some = windows(baseline, 3 * EVERY)
    first = next(at for at in range(EVERY) if is_planting_after(decider, some[at]))
    results, alerts = run(decider, [*some[first + 1 : first + 6], *some[first + EVERY :]])
    assert (results[0].verdict, results[0].reason) == (Verdict.NORMAL, Reason.NO_DATA)
    assert "Windows did not come" in alerts[0].action


def test_a_too_wide_tolerance_is_reported_for_a_bounded_feature_too():
    rows = table(8 * 24)
    bounded = np.random.default_rng(4).random(rows.num_rows)
    own = build_baseline(rows.set_column(2, "y", pa.array(bounded)), CONFIG)
    wide = with_canary(shift=0.5).model_copy(
        update={"decision": CONFIG.decision.model_copy(update={"eps": 0.45})}
    )
    some = windows(own, EVERY)
    for at, window in enumerate(some):
        values = np.random.default_rng(at).random(ROWS)
        edges = own.variables[1].edges
        window.segments.counts[0, 1] = 0
        inside = np.clip(values, edges[0], edges[-1])
        window.segments.counts[0, 1, :60] = np.histogram(inside, edges)[0]
    (result,), (opened,) = run(decider_of(own, wide), some)
    assert result.verdict is Verdict.NORMAL
    assert opened.transition is Transition.OPENED


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"feature": "z"}, "'z' is not a numeric feature"),
        ({"shift": 0}, "0 is no shift"),
        ({"every": "8h"}, "it would be planted all the time"),
    ],
)
def test_a_canary_that_cannot_be_is_refused_with_its_reason(settings, said):
    with pytest.raises((DriftlineError, ValueError), match=said):
        with_canary(**settings)


def test_a_shift_planted_into_withheld_windows_is_skipped(baseline):
    decider, results = decider_of(baseline, with_canary(shift=0.8)), []
    for window in windows(baseline, EVERY):
        decided = decider.withhold(window, Reason.PIPELINE)
        results += [r for r in decided.results if r.monitor == "canary"]
        assert not decided.alerts
    assert [(r.verdict, r.reason) for r in results] == [(Verdict.NONE, Reason.STILL_FIRING)]
