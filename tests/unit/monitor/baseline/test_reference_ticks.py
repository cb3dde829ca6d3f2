"""Movement and season of a reference's own ticks are part of its baseline under rule 2."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import msgspec
import numpy as np
import pyarrow as pa
import pytest

from detectors.kernels.scale_state import MEAN_ROWS, SAMPLES
from detectors.multiscale.rule import judge
from detectors.multiscale.state import ScaleState
from monitor.baseline.build import build_baseline
from monitor.baseline.fit import misfits
from monitor.core.drift.decide import SeriesState
from monitor.core.drift.ticks.cells import ScaleCells
from monitor.core.drift.ticks.decider import ScaleDecider
from monitor.core.drift.ticks.least_found import least_found
from monitor.core.drift.ticks.slots import slot_at
from monitor.core.windowing.baseline_codec import decode, encode
from monitor.core.windowing.baseline_content import content_of
from schemas.alerts import Alert
from schemas.baselines import Baseline
from schemas.config.model import ModelConfig
from schemas.errors import BaselineError
from schemas.panes import N_COUNTERS, SeriesId, SeriesStats, Window
from schemas.time_units import DAY_US, HOUR_US, MINUTE_US

MONDAY_US = 19_674 * DAY_US
TICK_US = 5 * MINUTE_US
SETTINGS = {
    "model": "m",
    "features": {"a": {"kind": "numeric"}, "c": {"kind": "categorical"}},
    "segments": ["c"],
    "decision": {"rule": 2},
}
CONFIG = ModelConfig.model_validate(SETTINGS)
RULE_1 = ModelConfig.model_validate(SETTINGS | {"decision": {"rule": 1}})
RATE = 120
"""Rows an hour."""


def rows(n_hours: int, seed: int, *, cycle: float = 0.0, shift: float = 0.0) -> pa.Table:
    """Rows of some hours from a Monday on; their mean follows the hour of the day."""
    rng = np.random.default_rng(seed)
    n = n_hours * RATE
    time_us = MONDAY_US + np.sort(rng.integers(0, n_hours * HOUR_US, n))
    wave = cycle * np.sin(2 * np.pi * (time_us % DAY_US) / DAY_US)
    return pa.table(
        {
            "time_us": time_us,
            "features.a": rng.normal(size=n) + wave + shift,
            "features.c": rng.choice(["x", "y"], n, p=[0.7, 0.3]),
            "score": rng.random(n),
        }
    )


@cache
def table() -> pa.Table:
    return rows(36, 1)


@cache
def baseline() -> Baseline:
    return build_baseline(table(), CONFIG)


def counts_of(own: Baseline, part: pa.Table) -> np.ndarray:
    """Count rows by segment, without the product's binning: shape (S, V, 64)."""
    a, c, score = own.variables
    bins = np.stack(
        [
            np.searchsorted(a.edges[1:-1], part["features.a"].to_numpy()),
            np.array([c.categories.index(text) for text in part["features.c"].to_pylist()]),
            np.searchsorted(score.edges[1:-1], part["score"].to_numpy()),
        ]
    )
    texts = np.array(part["features.c"].to_pylist())
    return np.stack(
        [
            [
                np.bincount(one[np.isin(texts, name[2:] if "=" in name else ["x", "y"])],
                            minlength=N_COUNTERS)
                for one in bins
            ]
            for name in own.reference.segments
        ]
    )  # fmt: skip


def ticks_of(part: pa.Table) -> list[tuple[int, pa.Table]]:
    """Split rows by tick."""
    tick = part["time_us"].to_numpy() // TICK_US
    return [(int(t) * TICK_US, part.filter(tick == t)) for t in np.unique(tick)]


def test_what_is_learned_is_what_the_rule_learns_from_the_ticks():
    own, ticks = baseline(), baseline().ticks
    cells = ScaleCells.of(CONFIG, replace(own, ticks=None))
    state = ScaleState.start(cells.plan)
    places = [cell.place for cell in cells.cells]
    found = ticks_of(table())
    assert all(len(part) >= 5 for _, part in found) is False
    assert ticks.n_ticks < len(found)  # thin ticks are merged with the next
    decider = ScaleDecider(SeriesId("default", "m", "1", own.profile_id), CONFIG, own)
    assert decider.averages.cells[0, MEAN_ROWS] == pytest.approx(RATE / 12, rel=0.3)
    # without thin ticks: the same rows, an hour at a time
    hourly = build_baseline(table(), with_tick("1h")).ticks
    rule = ScaleCells.of(with_tick("1h"), replace(own, ticks=None)).rule
    for start_us in range(MONDAY_US, MONDAY_US + 36 * HOUR_US, HOUR_US):
        time_us = table()["time_us"].to_numpy()
        part = table().filter((time_us >= start_us) & (time_us < start_us + HOUR_US))
        sums, n = cells.layout.add_up(counts_of(own, part).reshape(-1, N_COUNTERS)[places])
        judge(cells.plan, rule, state, sums, n, slot_at(start_us, CONFIG), is_firing=False)
    state.restart()
    for name in ("components", "scales", "cells"):
        np.testing.assert_array_equal(getattr(hourly, name), getattr(state, name))
    assert hourly.n_ticks == 36


def with_tick(tick: str) -> ModelConfig:
    return ModelConfig.model_validate(SETTINGS | {"decision": {"rule": 2, "tick": tick}})


def test_a_baseline_with_ticks_is_read_as_it_was_written():
    read = decode(encode(baseline()))
    assert read.profile_id == baseline().profile_id
    for name in type(read.ticks).__dataclass_fields__:
        np.testing.assert_array_equal(getattr(read.ticks, name), getattr(baseline().ticks, name))


@pytest.mark.parametrize("name", ["components", "scales", "cells", "is_seasonal", "season_factor"])
def test_ticks_of_other_cells_are_refused(name):
    ticks = replace(baseline().ticks, **{name: getattr(baseline().ticks, name)[1:]})
    with pytest.raises(BaselineError, match="damaged"):
        decode(encode(replace(baseline(), ticks=ticks)))


@pytest.mark.parametrize(
    ("name", "value"),
    [("components", np.nan), ("scales", -1.0), ("cells", np.inf), ("season_factor", 0.5)],
)
def test_ticks_with_a_value_that_none_has_are_refused(name, value):
    array = getattr(baseline().ticks, name).copy()
    array[0] = value
    with pytest.raises(BaselineError, match="damaged"):
        decode(encode(replace(baseline(), ticks=replace(baseline().ticks, **{name: array}))))


def test_under_rule_1_or_without_times_a_baseline_has_no_ticks():
    plain = build_baseline(table(), RULE_1)
    assert plain.ticks is None
    assert "ticks" not in content_of(plain)
    assert build_baseline(table().drop_columns("time_us"), CONFIG).ticks is None
    assert build_baseline(rows(2, 2), with_tick("10m")).ticks is None


def test_a_baseline_of_rule_1_is_judged_by_its_counts():
    cells = ScaleCells.of(CONFIG, build_baseline(table(), RULE_1))
    assert cells.learned is None
    assert not cells.start().scales.any()


def test_ticks_of_another_length_are_not_used():
    assert ScaleCells.of(with_tick("10m"), baseline()).learned is None


def test_each_series_starts_from_its_own_copy():
    cells = ScaleCells.of(CONFIG, baseline())
    cells.start().scales[:] = 7
    assert cells.start().scales[:, :, SAMPLES].max() > 7 > cells.start().scales.min()


def test_two_weeks_give_a_season_of_the_local_clock():
    berlin = ModelConfig.model_validate(SETTINGS | {"timezone": "Europe/Berlin"})
    own = build_baseline(rows(14 * 24, 3, cycle=0.8), berlin)
    location = ScaleCells.of(berlin, own).names.index("location")
    season = own.ticks.season[:24, location]
    assert own.ticks.is_seasonal[location]
    assert abs(int(season.argmax()) - 7) <= 1  # 06:00 UTC in winter
    assert misfits(CONFIG, own) == ["timezone was Europe/Berlin, is UTC now"]
    assert misfits(berlin, own) == []


def judged(own: Baseline, part: pa.Table) -> list[Alert]:
    """Judge a stream."""
    decider = ScaleDecider(SeriesId("default", "m", "1", own.profile_id), CONFIG, own)
    alerts = []
    for start_us, tick in ticks_of(part):
        stats = SeriesStats.empty(own.reference.segments, 3)
        stats.counts[:] = counts_of(own, tick)
        stats.n_rows[:] = stats.counts[:, 0].sum(axis=1)
        window = Window(
            SeriesId("default", "m", "1", own.profile_id), start_us, start_us + TICK_US, stats,
            SeriesStats.empty((), 1), 1, "watermark",
        )  # fmt: skip
        alerts += decider.take_tick(window)
    return alerts


def test_a_reference_with_ticks_has_no_first_day():
    shifted = rows(6, 4, shift=0.8)
    alerts = judged(baseline(), shifted)
    opened = [a for a in alerts if a.transition == "opened" and a.feature == "a"]
    assert opened[0].time_us <= MONDAY_US + 2 * HOUR_US
    late = judged(replace(baseline(), ticks=None), shifted)
    without = [a.time_us for a in late if a.transition == "opened" and a.feature == "a"]
    assert not without or without[0] > opened[0].time_us + HOUR_US
    assert judged(baseline(), rows(24, 5)) == []


BURST_HOURS = 2


def with_bursts(n_days: int, seed: int, days: list[int], sd: float = 1.5, hours=BURST_HOURS):
    """Rows of some days; on some of them ``a`` is off for hours."""
    table = rows(24 * n_days, seed)
    rng = np.random.default_rng(seed)
    hour = (table["time_us"].to_numpy() - MONDAY_US) // HOUR_US
    a = table["features.a"].to_numpy().copy()
    for day in days:
        first = 24 * day + rng.integers(2, 18)
        a[(hour >= first) & (hour < first + hours)] += sd
    return table.set_column(table.column_names.index("features.a"), "features.a", pa.array(a))


@cache
def bursting() -> Baseline:
    """Three weeks with a burst on every other day."""
    return build_baseline(with_bursts(21, 7, list(range(1, 21, 2))), CONFIG)


def test_excursions_that_a_reference_contains_are_stored_and_read():
    own = bursting()
    (kind, *_) = ScaleCells.of(CONFIG, own).kinds
    assert kind.n_known >= 5
    assert decode(encode(own)).ticks.excursions == own.ticks.excursions
    assert baseline().ticks.excursions == b""
    broken = replace(own, ticks=replace(own.ticks, excursions=own.ticks.excursions[:-1]))
    with pytest.raises(BaselineError, match="damaged"):
        decode(encode(broken))


def test_one_more_of_a_known_excursion_is_not_reported():
    stream = with_bursts(4, 8, [1, 3])
    assert [a for a in judged(bursting(), stream) if a.feature == "a"] == []
    unknown = replace(bursting(), ticks=replace(bursting().ticks, excursions=b""))
    assert [a for a in judged(unknown, stream) if a.feature == "a"]


def test_one_that_lasts_longer_than_those_known_is_reported():
    found = judged(bursting(), with_bursts(3, 9, [1], hours=30))
    assert [a.transition for a in found if a.feature == "a" and a.segment == "*"][:1] == ["opened"]


def test_a_restart_within_a_known_excursion_changes_nothing():
    own, stream = bursting(), ticks_of(with_bursts(3, 10, [1]))
    series = SeriesId("default", "m", "1", own.profile_id)
    whole, parted = ScaleDecider(series, CONFIG, own), ScaleDecider(series, CONFIG, own)
    n_held = 0
    for k, (start_us, part) in enumerate(stream):
        stats = SeriesStats.empty(own.reference.segments, 3)
        stats.counts[:] = counts_of(own, part)
        stats.n_rows[:] = stats.counts[:, 0].sum(axis=1)
        place, none = (start_us, start_us + TICK_US), SeriesStats.empty((), 1)
        window = Window(series, *place, stats, none, 1, "watermark")
        assert whole.take_tick(window) == parted.take_tick(window)
        n_held += parted.watch.held is not None
        if k % 7 == 0 or parted.watch.held is not None:
            state = msgspec.msgpack.encode(parted.export())
            parted = ScaleDecider(
                series, CONFIG, own, msgspec.msgpack.decode(state, type=SeriesState)
            )
    assert n_held > 3
    assert msgspec.msgpack.encode(whole.export()) == msgspec.msgpack.encode(parted.export())


def test_the_least_detectable_cells_are_named_with_the_reason():
    own = build_baseline(rows(10 * 24, 11), CONFIG)
    found = least_found(ScaleCells.of(CONFIG, own))
    assert {cell.feature for cell in found} == {"a", "score"}
    sizes = [cell.shift_sd for cell in found]
    assert sizes == sorted(sizes, reverse=True)
    # Three in ten rows are of the rarer category: its shifts are found last.
    assert found[0].segment == "c=y"
    assert 0.05 <= sizes[-1] < sizes[0] < 1
    assert "too few rows" in found[0].text()
    assert least_found(ScaleCells.of(CONFIG, replace(own, ticks=None))) == []


def test_a_feature_whose_days_differ_is_the_least_detectable():
    own = rows(14 * 24, 12)
    day = (own["time_us"].to_numpy() - MONDAY_US) // DAY_US
    moved = own["features.a"].to_numpy() + np.random.default_rng(1).normal(0, 0.4, 14)[day]
    at = own.column_names.index("features.a")
    wandering = build_baseline(own.set_column(at, "features.a", pa.array(moved)), CONFIG)
    found = least_found(ScaleCells.of(CONFIG, wandering))
    assert found[0].feature == "a"
    assert "by themselves" in found[0].reason
