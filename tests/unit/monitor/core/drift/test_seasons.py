"""A reference by hour of the week: built, kept, and used window by window."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import numpy as np
import pyarrow as pa
import pytest

from monitor.baseline.build import build_baseline
from monitor.baseline.description import describe_variables
from monitor.core.drift.decide import SeriesDecider
from monitor.core.windowing.baseline_codec import decode, encode, with_id
from monitor.core.windowing.catalog import check_fit
from schemas.alerts import Transition
from schemas.baselines import Baseline
from schemas.errors import BaselineError
from schemas.panes import SeriesId
from schemas.results import Reason
from schemas.time_units import HOUR_US
from tests.support.worlds.seasonal import CONFIG, MONDAY_US, ROWS, table, window_of


@pytest.fixture(scope="module")
def baseline() -> Baseline:
    return build_baseline(table(28 * 24), CONFIG)


def test_four_weeks_of_a_daily_cycle_are_counted_by_hour(baseline):
    seasonal = baseline.seasonal
    assert seasonal.is_seasonal.tolist() == [[True, False, False]]
    assert seasonal.n_weeks.tolist() == [4] * 168
    np.testing.assert_array_equal(seasonal.counts.sum(axis=0), baseline.reference.counts)
    np.testing.assert_array_equal(seasonal.counts.sum(axis=(2, 3))[:, 0], 3 * 4 * ROWS)
    morning, night = seasonal.counts[[6, 18], 0, 0]
    assert morning[30:60].sum() > 1.5 * night[30:60].sum()


@pytest.mark.parametrize("n_hours", [20 * 24, 22 * 24, 28 * 24])
def test_without_a_cycle_or_with_three_weeks_there_is_no_season(n_hours):
    reference = table(n_hours)
    if n_hours == 28 * 24:
        reference = reference.set_column(1, "x", reference["y"])
    assert build_baseline(reference, CONFIG).seasonal is None


@pytest.mark.parametrize("n_weeks", [4, 5, 5.4, 7])
def test_a_trend_is_no_season_over_any_number_of_weeks(n_weeks):
    rows = 80
    reference = table(int(n_weeks * 168), rows)
    trend = 0.6 * np.arange(reference.num_rows) / (168 * rows)
    reference = reference.set_column(1, "x", pa.array(reference["y"].to_numpy() + trend))
    assert build_baseline(reference, CONFIG).seasonal is None


def test_a_cycle_is_counted_in_all_weeks_though_looked_for_in_an_even_number():
    made = build_baseline(table(5 * 168 + 24, 100), CONFIG)
    assert made.seasonal.is_seasonal.tolist() == [[True, False, False]]
    assert made.seasonal.n_weeks.tolist() == [6] * 24 + [5] * 144
    np.testing.assert_array_equal(made.seasonal.counts.sum(axis=0), made.reference.counts)


def closed_at_night(n_hours: int, nightly: int) -> pa.Table:
    """The cycle of 1,000 rows an hour, but at 3 o'clock as many as are asked for."""
    reference = table(n_hours, 1_000)
    hour = (reference["time_us"].to_numpy() - MONDAY_US) // HOUR_US
    place = np.arange(reference.num_rows) % 1_000
    return reference.filter(pa.array((hour % 24 != 3) | (place < nightly)))


def test_a_season_with_hours_too_small_for_a_baseline_is_learned_and_judged_at_the_others():
    made = build_baseline(closed_at_night(28 * 24, 20), CONFIG)
    decider = SeriesDecider(SeriesId("default", "m", "1", ""), CONFIG, made)
    rng, n_reference = np.random.default_rng(0), {}
    for at in range(5):
        views, _ = decider.judge(window_of(made, at, rng))
        n_reference[at] = int(views[0].reference_counts.sum())
        expected = Reason.NO_BASELINE if at == 3 else Reason.WITHIN_TOLERANCE
        assert views[0].decision.reason_of(0) is expected
    assert n_reference == {0: 4_000, 1: 4_000, 2: 4_000, 3: 0, 4: 4_000}


def test_a_season_survives_its_file_and_changes_the_id(baseline):
    again = decode(encode(baseline))
    for name in ("counts", "n_weeks", "is_seasonal"):
        mine, theirs = getattr(baseline.seasonal, name), getattr(again.seasonal, name)
        np.testing.assert_array_equal(mine, theirs)
        assert mine.dtype == theirs.dtype
    assert again.seasonal.timezone == "UTC"
    assert again.seasonal.unzoned_us == baseline.seasonal.unzoned_us
    assert with_id(again).profile_id == baseline.profile_id
    assert with_id(replace(baseline, seasonal=None)).profile_id != baseline.profile_id


def test_a_baseline_from_before_seasons_still_loads_under_its_id(baseline):
    old = with_id(replace(baseline, seasonal=None))
    header, _, packed = encode(old).partition(b"\n")
    content = pa.Codec("zstd").decompress(packed, int(header.split()[2]), asbytes=True)
    assert "seasonal" not in msgspec.msgpack.decode(content)  # as it was written before
    again = decode(encode(old))
    assert again.seasonal is None
    assert with_id(again).profile_id == old.profile_id


def test_seasons_of_another_layout_are_refused(baseline):
    check_fit(CONFIG.schema_, baseline)
    broken = replace(baseline.seasonal, counts=baseline.seasonal.counts[:24])
    with pytest.raises(BaselineError, match=r"seasons of shape \(24, 1, 3, 64\)"):
        check_fit(CONFIG.schema_, replace(baseline, seasonal=broken))


def opened(baseline: Baseline, n_quiet: int, n_shifted: int) -> list[tuple[int, str]]:
    """Hours at which alerts opened, and of what."""
    decider = SeriesDecider(SeriesId("default", "m", "1", ""), CONFIG, baseline)
    rng, found = np.random.default_rng(7), []
    for at in range(n_quiet + n_shifted):
        window = window_of(baseline, at, rng, shift=0.6 * (at >= n_quiet))
        _, alerts = decider.judge(window)
        found += [(at, a.feature) for a in alerts if a.transition is Transition.OPENED]
    return found


def test_the_cycle_is_silent_with_its_season_and_a_shift_in_it_is_found(baseline):
    found = opened(baseline, 500, 24)
    assert [feature for _, feature in found] == ["x"]
    assert 500 <= found[0][0] < 508


def test_the_same_cycle_pages_without_its_season(baseline):
    assert len(opened(replace(baseline, seasonal=None), 200, 0)) >= 1


def test_an_alert_shows_the_reference_it_was_judged_by(baseline):
    decider = SeriesDecider(SeriesId("default", "m", "1", ""), CONFIG, baseline)
    rng = np.random.default_rng(3)
    alerts = [a for at in range(12) for a in decider.judge(window_of(baseline, at, rng, 1.5))[1]]
    alert = next(a for a in alerts if a.feature == "x")
    slot = alert.window_end_us // HOUR_US - MONDAY_US // HOUR_US - 1
    assert alert.reference_counts == tuple(baseline.seasonal.counts[slot, 0, 0].tolist())
    assert alert.n_reference == 4 * ROWS


def test_a_baseline_says_which_variables_follow_the_hours(baseline):
    notes = {variable.name: variable.note for variable in describe_variables(baseline)}
    assert "follows the hour of the week (UTC: no timezone is set)" in notes["x"]
    assert "hour" not in notes["y"]


def test_hours_without_a_baseline_neither_end_an_alert_nor_miss_a_canary():
    reference = table(28 * 24, 600)
    hours = np.arange(reference.num_rows) // 600 % 24
    place = np.arange(reference.num_rows) % 600
    thin = reference.filter(pa.array((hours >= 8) | (place < 10)))
    made = build_baseline(thin, CONFIG)
    decider = SeriesDecider(SeriesId("default", "m", "1", ""), CONFIG, made)
    rng, changes = np.random.default_rng(0), []
    for at in range(20, 60):
        views, alerts = decider.judge(window_of(made, at, rng, 1.0))
        (x,) = [v for v in views if v.variable.name == "x"]
        assert (x.decision.reason_of(x.index) is Reason.NO_BASELINE) == (at % 24 < 8)
        changes += [(a.feature, a.transition) for a in alerts if a.feature == "x"]
    assert changes == [("x", Transition.OPENED)]


def test_a_canary_does_not_count_hours_without_a_baseline(baseline):
    config = CONFIG.model_validate({**CONFIG.model_dump(), "canary": {"feature": "x"}})
    nights = replace(
        baseline,
        seasonal=replace(baseline.seasonal, counts=np.zeros_like(baseline.seasonal.counts)),
    )
    decider = SeriesDecider(SeriesId("default", "m", "1", ""), config, nights)
    rng = np.random.default_rng(0)
    found = [r for at in range(25) for r in decider.decide(window_of(nights, at, rng)).rows()]
    (canary,) = [r for r in found if r.monitor == "canary"]
    assert (canary.reason, canary.statistic) == (Reason.TOO_FEW_SAMPLES, None)
