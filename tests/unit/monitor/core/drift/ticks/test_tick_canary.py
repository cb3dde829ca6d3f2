"""A shift planted into ticks is found or reported, and never becomes real evidence."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from itertools import pairwise

import numpy as np
import pytest
from msgspec import UNSET

from detectors.decision_rule.planting import plant
from monitor.baseline.build import build_baseline
from monitor.core.drift.canary import planted_shift
from monitor.core.drift.decide import SeriesDecider, SeriesState
from monitor.core.drift.ticks.decider import ScaleDecider
from schemas.actions import Action, ActionCell, ActionKind, Label
from schemas.alerts import CANARY_MISSED, Alert, Transition
from schemas.baselines import Baseline
from schemas.config.model import ModelConfig
from schemas.errors import DriftlineError
from schemas.panes import Window
from schemas.results import DetectorResult, Reason, Verdict
from schemas.time_units import HOUR_US
from tests.support.worlds.seasonal import CONFIG, table, window_of

EVERY, WITHIN = 10, 3
TICK_US = HOUR_US // 12


def with_canary(rule: int = 2, **settings: object) -> ModelConfig:
    canary = {"feature": "y", "every": f"{EVERY}h", "within": WITHIN, "shift": 1.0, **settings}
    return ModelConfig.model_validate(
        CONFIG.model_dump() | {"canary": canary, "decision": {"rule": rule}}
    )


@cache
def baseline() -> Baseline:
    return build_baseline(table(8 * 24), with_canary())


@cache
def hours(n: int) -> list[tuple[list[Window], Window]]:
    """Ticks of 300 rows, and the window that they make up."""
    rng, found = np.random.default_rng(3), []
    for at in range(n):
        window, ticks = window_of(baseline(), at, rng), []
        for k in range(12):
            tick = window_of(baseline(), at, rng)
            tick.start_us = window.start_us + k * TICK_US
            tick.end_us = tick.start_us + TICK_US
            ticks.append(tick)
        found.append((ticks, window))
    return found


def decider_of(config: ModelConfig, state: SeriesState | None = None) -> ScaleDecider:
    return ScaleDecider(hours(1)[0][1].series, config, baseline(), state)


Found = tuple[list[DetectorResult], list[Alert]]


def run(decider: ScaleDecider, some: list[tuple[list[Window], Window]]) -> Found:
    """Results and alerts of the canary."""
    results, alerts = [], []
    for ticks, window in some:
        own = [alert for tick in ticks for alert in decider.take_tick(tick)]
        decided = decider.decide(window)
        results += [r for r in decided.results if r.monitor == "canary"]
        alerts += [a for a in [*own, *decided.alerts] if a.rule == CANARY_MISSED]
    return results, alerts


def test_each_cycle_plants_once_and_finds_it_as_soon_as_a_real_shift():
    (young, *results), alerts = run(decider_of(with_canary()), hours(4 * EVERY))
    # The first is planted in the second hour, in which no average is old enough.
    assert (young.verdict, young.reason) == (Verdict.NONE, Reason.TOO_FEW_SAMPLES)
    assert [(r.verdict, r.statistic) for r in results] == [(Verdict.DRIFT, 1.0)] * 3
    assert not alerts
    assert {b.end_us - a.end_us for a, b in pairwise(results)} == {EVERY * HOUR_US}
    began_us = results[0].start_us
    real, matrix = decider_of(with_canary()), planted_shift(baseline(), 1, 1.0)
    assert matrix is not None
    for ticks, window in hours(4 * EVERY):
        for tick in ticks:
            counts = tick.segments.counts.copy()
            if tick.start_us >= began_us:
                counts[:, 1] = plant(counts[:, 1], matrix)
            opened = real.take_tick(replace(tick, segments=replace(tick.segments, counts=counts)))
            if any(a.feature == "y" for a in opened):
                assert began_us < opened[0].time_us <= window.end_us == results[0].end_us
                return
    raise AssertionError("the real shift was not found")


def test_averages_alerts_and_results_are_those_without_a_canary():
    bare = ModelConfig.model_validate(with_canary().model_dump() | {"canary": None})
    watched, alone = decider_of(with_canary()), decider_of(bare)
    for ticks, window in hours(2 * EVERY):
        for tick in ticks:
            assert watched.take_tick(tick) == alone.take_tick(tick)
        with_it, without = watched.decide(window), alone.decide(window)
        assert [r for r in with_it.results if r.monitor != "canary"] == without.results
        assert with_it.alerts == without.alerts
        assert watched.export().scale == alone.export().scale


def test_a_missed_shift_opens_a_ticket_until_shifts_are_found():
    blind = decider_of(with_canary(shift=0.001))
    (_, *results), alerts = run(blind, hours(3 * EVERY))
    assert [(r.verdict, r.statistic) for r in results] == [(Verdict.NORMAL, None)] * 2
    (opened,) = alerts
    assert opened.title == (
        "m: the monitor did not see a shift of 0.001 sd that was planted into a shadow of y "
        "for 3 windows"
    )
    assert opened.action.startswith("A real change of y of this size would be missed too")
    seeing = decider_of(with_canary(), blind.export())
    _, alerts = run(seeing, hours(5 * EVERY)[3 * EVERY :])
    assert [a.transition for a in alerts] == [Transition.RESOLVED]


def test_a_restart_after_any_tick_changes_nothing():
    config, some = with_canary(), hours(2 * EVERY)
    whole, alerts = run(decider_of(config), some)
    decider, results = decider_of(config), []
    for ticks, window in some:
        for tick in ticks:
            decider.take_tick(tick)
            decider = decider_of(config, decider.export())
        results += [r for r in decider.decide(window).results if r.monitor == "canary"]
        decider = decider_of(config, decider.export())
    assert results == whole
    assert results
    assert not alerts


def test_nothing_is_planted_while_the_feature_fires():
    shifted = [
        ([moved(tick) for tick in ticks], moved(window)) for ticks, window in hours(2 * EVERY)
    ]
    (_, *results), alerts = run(decider_of(with_canary()), shifted)
    assert {(r.verdict, r.reason) for r in results} == {(Verdict.NONE, Reason.STILL_FIRING)}
    assert len(results) == 1
    assert not alerts


def test_nothing_is_planted_while_a_fault_that_a_person_closed_goes_on():
    decider = decider_of(with_canary(shift=0.001))
    some = [([moved(t) for t in ticks], moved(window)) for ticks, window in hours(2 * EVERY)]
    opened = [
        alert
        for ticks, window in some[: EVERY // 2]
        for alert in [
            *(a for t in ticks for a in decider.take_tick(t)),
            *decider.decide(window).alerts,
        ]
        if alert.feature == "y" and alert.transition is Transition.OPENED
    ]
    cells = tuple(ActionCell(a.model_version, "y", a.segment, a.opened_at_us) for a in opened)
    decider.take_action(
        Action(
            kind=ActionKind.CLOSE, action_id="1", by="ann", time_us=5, incident_id="i",
            tenant=opened[0].tenant, model=opened[0].model, label=Label.FAULT, cells=cells,
        )
    )  # fmt: skip
    assert not any("|y|" in key for key in decider.open_alerts)
    results, _ = run(decider, some[EVERY // 2 :])
    assert [(r.verdict, r.reason) for r in results] == [(Verdict.NONE, Reason.STILL_FIRING)]


def moved(window: Window) -> Window:
    matrix = planted_shift(baseline(), 1, 1.0)
    assert matrix is not None
    counts = window.segments.counts.copy()
    counts[:, 1] = plant(counts[:, 1], matrix)
    return replace(window, segments=replace(window.segments, counts=counts))


def planting() -> ScaleDecider:
    """A decider within a planting, which has not been found."""
    decider = decider_of(with_canary(shift=0.001))
    for ticks, window in hours(2 * EVERY):
        for tick in ticks:
            decider.take_tick(tick)
        decider.decide(window)
        assert decider.shadow is not None
        if not decider.shadow.state.is_over:
            return decider
    raise AssertionError("nothing was planted")


def test_a_change_of_the_rule_ends_a_planting_without_outcome():
    state = planting().export()
    back = SeriesDecider(hours(1)[0][1].series, with_canary(rule=1), baseline(), state)
    canary = back.canary.state
    assert canary is not None
    assert (canary.is_over, canary.evidence) == (True, b"")
    old = back.export()
    assert old.rule is UNSET
    assert decider_of(with_canary(), old).canary.state == canary


@pytest.mark.parametrize("damage", [b"", b"\x00", b"\x93\xc4\x01a\xc0\xc2"])
def test_a_damaged_planting_is_refused(damage):
    state = planting().export()
    assert state.canary is not None
    state.canary.evidence = damage
    with pytest.raises(DriftlineError):
        decider_of(with_canary(), state)
