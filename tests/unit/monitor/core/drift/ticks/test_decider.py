"""Rule 2 over one series: alerts that open, escalate and close by evidence; takeovers."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from detectors.kernels.scale_state import IS_OPEN, OPEN_COMPONENT
from monitor.core.drift.decide import SeriesDecider, SeriesState
from monitor.core.drift.state_checks import check_evidence
from monitor.core.drift.ticks.alerts import Finding, severity_of_change
from monitor.core.drift.ticks.closing import HeldTick
from monitor.core.drift.ticks.decider import DECIDERS, ScaleDecider
from monitor.core.drift.ticks.history import Stretch
from monitor.core.drift.ticks.state import CellFinding, state_of
from monitor.core.drift.ticks.total_loss import Streak
from monitor.core.drift.ticks.transitions import RESOLVING_HOURS
from monitor.core.drift.windows import MAX_EMPTY
from monitor.core.incidents.alerting import CellState
from schemas.alerts import Alert, Severity
from schemas.config.model import Importance, ModelConfig
from schemas.errors import DomainError, DriftlineError, ShapeError
from schemas.panes import ALL, SeriesStats, Window
from schemas.results import Reason, Verdict
from schemas.time_units import HOUR_US
from tests.support.worlds.ticks import (
    CONFIG,
    SETTINGS,
    START_US,
    TICK_US,
    baseline,
    draw,
    series,
    stats_of,
)

TICKS_AN_HOUR = HOUR_US // TICK_US


def window(start_us: int, length_us: int, stats: SeriesStats) -> Window:
    end_us = start_us + length_us
    return Window(series(), start_us, end_us, stats, SeriesStats.empty((), 1), 1, "watermark")


class Stream:
    """Feeds a decider hour by hour."""

    def __init__(self, decider: ScaleDecider, seed: int = 0) -> None:
        self.decider, self.rng = decider, np.random.default_rng(seed)
        self.hour = 0
        self.alerts: list[Alert] = []

    def run(self, n_hours: int, rate: int = 17, **law) -> list[Alert]:
        """Judge so many hours of one law; return what changed in them."""
        begin = len(self.alerts)
        for _ in range(n_hours):
            rows = draw(self.rng, 60, rate, **law)
            start_us = START_US + self.hour * HOUR_US
            for i in range(TICKS_AN_HOUR):
                stats = stats_of(rows.bins[rows.minute // 5 == i])
                tick = window(start_us + i * TICK_US, TICK_US, stats)
                self.alerts += self.decider.take_tick(tick)
            self.decided = self.decider.decide(window(start_us, HOUR_US, stats_of(rows.bins)))
            self.alerts += self.decided.alerts
            self.hour += 1
        return self.alerts[begin:]


def new(state: SeriesState | None = None, **decision) -> ScaleDecider:
    config = ModelConfig.model_validate(SETTINGS | {"decision": {"rule": 2, **decision}})
    return ScaleDecider(series(), config, baseline(), state)


def changes(alerts: list[Alert]) -> list[tuple[str, str, str]]:
    return [(a.feature, a.transition.value, a.severity.value) for a in alerts]


def test_a_shift_opens_an_alert_and_closes_it_by_evidence_of_being_back():
    stream = Stream(new())
    assert stream.run(24) == []
    opened = stream.run(6, shift=1.0)
    assert changes(opened) == [("a", "opened", "page")]
    (alert,) = opened
    planted_us = START_US + 24 * HOUR_US
    assert alert.onset_us == planted_us
    assert alert.onset_low_us <= planted_us <= alert.onset_high_us <= alert.time_us
    assert alert.time_us <= planted_us + 4 * TICK_US
    assert "since about 22:00 (2" in alert.title
    by_feature = {r.feature: r for r in stream.decided.results if r.metric == "decision"}
    assert by_feature["a"].verdict is Verdict.DRIFT
    assert by_feature["c"].verdict is Verdict.NORMAL
    closed = stream.run(12)
    assert changes(closed) == [("a", "resolved", "page")]
    assert closed[0].onset_us == planted_us
    assert closed[0].sequence == 1
    assert stream.decider.open_alerts == {}
    assert stream.decider.onsets == {}


def test_a_change_that_grows_escalates_once():
    stream = Stream(new())
    stream.run(24)
    assert changes(stream.run(4, shift=0.35)) == [("a", "opened", "ticket")]
    assert changes(stream.run(4, shift=1.5)) == [("a", "escalated", "page")]


def test_a_feature_missing_from_the_first_row_is_found_after_two_ticks():
    stream = Stream(new())
    (alert,) = stream.run(1, missing_from=0)
    assert changes([alert]) == [("c", "opened", "page")]
    assert alert.time_us == START_US + 2 * TICK_US
    assert alert.effect_where == "missing"
    assert alert.p_current == pytest.approx(1.0)
    # The alert is one of the rule: it closes by the same evidence.
    assert changes(stream.run(3)) == [("c", "resolved", "page")]


def test_while_an_alert_is_open_its_cell_learns_nothing():
    stream = Stream(new())
    stream.run(24)
    stream.run(2, shift=1.0)
    cells = stream.decider.averages.scales[0, :, 2].copy()
    stream.run(3, shift=1.0)
    assert stream.decider.averages.cells[0, IS_OPEN] == 1.0
    assert np.array_equal(stream.decider.averages.scales[0, :, 2], cells)


def test_a_state_of_rule_1_leaves_its_open_alerts_and_no_evidence():
    first = SeriesDecider(series(), CONFIG, baseline())
    opened = CellState(START_US - HOUR_US, START_US - 9 * HOUR_US, Severity.TICKET, 0, n_hold=4)
    first.open_alerts["drift|c|*"] = opened
    state = msgspec.msgpack.decode(msgspec.msgpack.encode(first.export()), type=SeriesState)
    decider = new(state)
    assert decider.open_alerts["drift|c|*"] == opened
    stream = Stream(decider)
    assert changes(stream.run(2, missing_from=0)) == [("c", "escalated", "page")]
    assert stream.alerts[0].onset_us == START_US - 9 * HOUR_US
    assert stream.alerts[0].opened_at_us == START_US - HOUR_US


def test_an_alert_the_rule_did_not_open_resolves_after_a_quiet_day():
    decider = new()
    decider.open_alerts["drift|a|*"] = CellState(START_US, START_US, Severity.TICKET, 0)
    stream = Stream(decider)
    assert stream.run(int(RESOLVING_HOURS) - 1) == []
    assert changes(stream.run(2)) == [("a", "resolved", "ticket")]


def test_a_state_of_rule_2_leaves_rule_1_its_open_alerts():
    stream = Stream(new())
    stream.run(1, missing_from=0)
    state = msgspec.msgpack.decode(
        msgspec.msgpack.encode(stream.decider.export()), type=SeriesState
    )
    first = SeriesDecider(series(), CONFIG, baseline(), state)
    assert set(first.open_alerts) == {"drift|c|*"}
    assert not first.evidence.ratios.any()


def test_a_new_baseline_keeps_the_open_alert_and_its_beginning():
    stream = Stream(new())
    stream.run(1, missing_from=0)
    heir = new()
    heir.inherit(stream.decider)
    assert heir.onsets == stream.decider.onsets
    again = Stream(heir)
    assert again.run(1, missing_from=0) == []
    assert set(heir.open_alerts) == {"drift|c|*"}


def test_a_version_that_gets_no_more_rows_resolves_its_alerts():
    stream = Stream(new())
    stream.run(1, missing_from=0)
    empty = SeriesStats.empty((ALL,), 3)
    alerts: list[Alert] = []
    for i in range(1, MAX_EMPTY + 1):
        assert alerts == []
        alerts += stream.decider.decide(window(START_US + i * HOUR_US, HOUR_US, empty)).alerts
    assert changes(alerts) == [("c", "resolved", "page")]
    assert "is gone" in alerts[0].title


def test_a_window_that_is_withheld_has_no_verdict():
    decider = new()
    rows = window(START_US, HOUR_US, stats_of(draw(np.random.default_rng(1), 60, 5).bins))
    results = decider.withhold(rows, Reason.PIPELINE).results
    decided = [r for r in results if r.metric == "decision"]
    assert {(r.verdict, r.reason) for r in decided} == {(Verdict.NONE, Reason.PIPELINE)}
    assert len(decided) == 3


def test_an_importance_and_a_size_make_a_severity():
    def of(size, is_gross, importance):
        return severity_of_change(
            Finding(0, "location", False, 0.0, size, size, is_gross), importance
        )

    low, medium, high = Importance.LOW, Importance.MEDIUM, Importance.HIGH
    assert of(0.1, False, high) is Severity.RECORD
    assert of(0.2, False, low) is Severity.TICKET
    assert of(0.6, False, medium) is Severity.TICKET
    assert of(0.6, False, high) is Severity.PAGE
    assert of(0.6, True, medium) is Severity.PAGE
    assert of(0.6, True, low) is Severity.TICKET


def test_averages_of_another_baseline_or_without_a_number_are_refused():
    state = new().export()
    assert state.scale is not None
    broken = np.frombuffer(state.scale.averages, "<f4").copy()
    broken[3] = np.nan
    with pytest.raises(DomainError, match="not numbers"):
        state_of(broken.tobytes(), new().cells.plan)
    state.scale.averages = state.scale.averages[4:]
    with pytest.raises(ShapeError, match="bytes of averages"):
        new(state)
    check_evidence(new())


@pytest.mark.parametrize(
    "broken",
    [
        {"streaks": {0: Streak(1_000, 1, 1, 1.0)}},
        {"streaks": {9: Streak(0, 1, 1, 1.0)}},
        {"streaks": {0: Streak(0, -1, 1, 1.0)}},
        {"peaks": {0: CellFinding(-1, 0.0, 0.0, 0.0)}},
        {"held": HeldTick(0, 1, b"", b"")},
        {"history": [Stretch(5, 5, bytes(4 * 60))]},
    ],
)
def test_a_state_that_names_what_is_not_there_is_refused(broken):
    state = new().export()
    state.scale = msgspec.structs.replace(state.scale, **broken)
    with pytest.raises(DriftlineError):
        new(state)


def test_an_open_alert_of_no_component_is_refused():
    stream = Stream(new())
    stream.run(1, missing_from=0)
    stream.decider.averages.cells[1, OPEN_COMPONENT] = 1_000
    with pytest.raises(DomainError, match="component that there is not"):
        new(stream.decider.export())


def test_every_rule_has_a_decider():
    assert set(DECIDERS) == {1, 2}


def test_a_budget_of_a_fleet_is_divided():
    def threshold(n_models, budget):
        config = ModelConfig.model_validate(SETTINGS | {"decision": {"rule": 2, "budget": budget}})
        decider = ScaleDecider(series(), config, baseline(), n_models=n_models)
        return decider.cells.rule.thresholds

    assert np.array_equal(threshold(30, {"fleet": 3}), threshold(1, 0.1))
    assert (threshold(1, {"fleet": 3}) < threshold(1, 0.1)).all()
