"""What would be found in each cell as a stream goes on: rows each hour, tickets, their state."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np
import pytest

from monitor.core.drift.decide import SeriesState
from monitor.core.drift.ticks.decider import ScaleDecider
from monitor.core.drift.ticks.detectable_watch import MIN_US, N_LOOKS, TICKET_US, DetectableState
from monitor.core.drift.windows import MAX_EMPTY
from monitor.core.state.detectable_messages import (
    DETECTABLE_PREFIX,
    DetectableDecoder,
    encode_detectable,
)
from schemas.alerts import UNDETECTABLE, Alert, Severity
from schemas.detectable import DetectableRow
from schemas.errors import TransportError
from schemas.monitors import Monitor
from schemas.panes import ALL, SeriesStats, Window
from schemas.time_units import HOUR_US
from tests.support.worlds.ticks import CONFIG, START_US, TICK_US, baseline, draw, series, stats_of

NO_ROWS = stats_of(np.zeros((0, 3), int))


def window(start_us: int, length_us: int, stats: SeriesStats) -> Window:
    end_us = start_us + length_us
    return Window(series(), start_us, end_us, stats, SeriesStats.empty((), 1), 1, "watermark")


class Stream:
    """A decider fed with random rows, so many an hour."""

    def __init__(self, decider: ScaleDecider | None = None, *, has_rows: bool = True) -> None:
        self.decider = decider or new(has_rows=has_rows)
        self.rng, self.hour = np.random.default_rng(0), 0
        self.rows: list[list[DetectableRow]] = []

    def run(self, n_hours: int, n_rows: int) -> list[Alert]:
        """Judge so many hours; return the tickets on cells that are hardly watched."""
        found = []
        for _ in range(n_hours):
            drawn = draw(self.rng, 60, 20)
            kept = np.sort(self.rng.permutation(len(drawn.minute))[:n_rows])
            rows, start_us = drawn.at(kept), START_US + self.hour * HOUR_US
            for i in range(HOUR_US // TICK_US):
                stats = stats_of(rows.bins[rows.minute // 5 == i])
                self.decider.take_tick(window(start_us + i * TICK_US, TICK_US, stats))
            decided = self.decider.decide(window(start_us, HOUR_US, stats_of(rows.bins)))
            found += [alert for alert in decided.alerts if alert.rule == UNDETECTABLE]
            self.rows.append(decided.detectable)
            self.hour += 1
        return found


def new(state: SeriesState | None = None, *, has_rows: bool = True) -> ScaleDecider:
    return ScaleDecider(series(), CONFIG, baseline(), state, has_statistics=has_rows)


def changes_of(alerts: Sequence[Alert]) -> list[tuple[str, str]]:
    return [(alert.feature, alert.transition.value) for alert in alerts]


def test_each_hour_has_one_row_for_each_cell_and_horizon():
    stream = Stream()
    stream.run(30, 1_000)
    last = stream.rows[-1]
    assert len(last) == 3 * 4
    assert {row.time_us for row in last} == {START_US + 30 * HOUR_US}
    by_place = {(row.feature, row.horizon_s): row for row in last}
    hour, day = by_place["a", 3_600], by_place["a", 86_400]
    assert 0.02 < day.shift_sd < hour.shift_sd < 1
    assert day.missing < hour.missing < 0.2
    assert day.category is None
    assert by_place["c", 86_400].shift_sd is None
    assert 0 < by_place["c", 86_400].category < 0.2
    assert day.average_s >= hour.average_s > 0


def test_a_window_that_ends_within_an_hour_is_no_look():
    stream = Stream()
    stream.run(2, 1_000)
    inside = window(START_US + 2 * HOUR_US, TICK_US, stats_of(draw(stream.rng, 5, 20).bins))
    assert stream.decider.decide(inside).detectable == []


def test_a_cell_with_few_rows_is_a_ticket_until_it_has_more():
    stream = Stream()
    opened = sorted(stream.run(40, 2), key=lambda alert: alert.feature)
    assert changes_of(opened) == [("a", "opened"), ("score", "opened")]
    first = opened[0]
    assert first.severity is Severity.TICKET
    assert first.monitor is Monitor.PIPELINE
    first_look_us = START_US + HOUR_US + MIN_US
    earliest_us = -(-first_look_us // TICKET_US) * TICKET_US
    assert first.opened_at_us == earliest_us + (N_LOOKS - 1) * TICKET_US
    assert "would be found" in first.title
    assert first.title.endswith("`a` has too few rows")
    assert stream.run(6, 2) == []
    resolved = sorted(stream.run(40, 1_000), key=lambda alert: alert.feature)
    assert changes_of(resolved) == [("a", "resolved"), ("score", "resolved")]
    assert "would be found within a day again" in resolved[0].title
    assert resolved[0].opened_at_us == first.opened_at_us
    assert stream.decider.detectable.state.open == {}


def test_a_well_watched_stream_has_no_ticket():
    stream = Stream()
    assert stream.run(40, 1_000) == []
    exported = stream.decider.export()
    assert exported.scale.detectable == DetectableState(first_us=START_US + HOUR_US)


def test_tickets_are_the_same_without_rows_for_a_store():
    assert Stream(has_rows=False).run(40, 2) == Stream().run(40, 2)
    bare = Stream(has_rows=False)
    bare.run(2, 1_000)
    assert bare.rows == [[], []]


@pytest.mark.parametrize("n_before", [10, 27, 33])
def test_a_restart_between_looks_changes_nothing(n_before):
    whole, broken = Stream(), Stream()
    expected = whole.run(60, 2)
    found = broken.run(n_before, 2)
    stored = msgspec.msgpack.decode(
        msgspec.msgpack.encode(broken.decider.export()), type=SeriesState
    )
    broken.decider = new(stored)
    assert found + broken.run(60 - n_before, 2) == expected
    assert broken.decider.detectable.state == whole.decider.detectable.state


def test_the_tickets_of_a_version_without_rows_resolve():
    stream = Stream()
    stream.run(40, 2)
    assert len(stream.decider.alert_states) == 2
    ended = []
    for i in range(MAX_EMPTY):
        empty = window(START_US + (40 + i) * HOUR_US, HOUR_US, NO_ROWS)
        ended += stream.decider.decide(empty).alerts
    assert changes_of(a for a in ended if a.rule == UNDETECTABLE) == [
        ("a", "resolved"),
        ("score", "resolved"),
    ]
    assert stream.decider.alert_states == {}


def row(**values) -> DetectableRow:
    names = {"tenant": "t", "model": "m", "model_version": "1", "profile_id": "p", "feature": "x"}
    return DetectableRow(**(names | {"segment": ALL, "time_us": 5, "horizon_s": 900} | values))


def test_many_rows_are_several_messages_in_order():
    rows = [row(time_us=i, shift_sd=i / 7) for i in range(2_500)]
    values = encode_detectable(rows)
    assert len(values) == 3
    assert [one for value in values for one in DetectableDecoder().decode(value)] == rows


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"\x90",
        DETECTABLE_PREFIX,
        DETECTABLE_PREFIX + b"\x91\x90",
        encode_detectable([row()])[0][:-1],
        encode_detectable([row(horizon_s=0)])[0],
        encode_detectable([row(missing=float("nan"))])[0],
        encode_detectable([row(shift_sd=-1.0)])[0],
        encode_detectable([row(model="x" * 5_000)])[0],
    ],
)
def test_a_message_that_is_none_is_refused(value):
    with pytest.raises(TransportError):
        DetectableDecoder().decode(value)
