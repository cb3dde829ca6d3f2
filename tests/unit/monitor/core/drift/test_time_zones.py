"""Traffic that follows a local clock: daylight saving moves nothing."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from zoneinfo import ZoneInfo

import msgspec
import numpy as np
import pyarrow as pa
import pytest

from monitor.app.installation import load_model
from monitor.baseline.build import build_baseline
from monitor.baseline.fit import misfits
from monitor.core.drift.decide import SeriesDecider
from monitor.core.windowing.baseline_codec import decode, encode, with_id
from monitor.decode import Decoder, chunk_of
from schemas.alerts import Transition
from schemas.baselines import Baseline
from schemas.config.model import ModelConfig
from schemas.errors import BaselineError, ConfigError
from schemas.panes import SeriesId, SeriesStats, Window
from schemas.time_units import HOUR_US

ROWS, HALF_US = 300, HOUR_US // 2
SHARE = np.interp(np.arange(24), [0, 6, 11, 15, 20, 24], [0.1, 0.1, 0.6, 0.6, 0.1, 0.1])
CHANGES = [
    ("Europe/Berlin", datetime(2024, 3, 31, tzinfo=UTC)),
    ("Europe/Berlin", datetime(2024, 10, 27, tzinfo=UTC)),
    ("America/New_York", datetime(2024, 3, 10, tzinfo=UTC)),
    ("Australia/Sydney", datetime(2024, 4, 6, 12, tzinfo=UTC)),
    ("Australia/Adelaide", datetime(2024, 10, 5, 12, tzinfo=UTC)),
    ("America/Santiago", datetime(2024, 9, 8, tzinfo=UTC)),
]
WHOLE_HOURS = [change for change in CHANGES if change[0] != "Australia/Adelaide"]


def config(timezone: str | None) -> ModelConfig:
    return ModelConfig.model_validate(
        {
            "model": "calls",
            "features": {"channel": {"kind": "categorical"}},
            "slices": {"host": False, "gpu_uuid": False},
            "timezone": timezone,
        }
    )


def shares_of_hour(start_us: int, zone: str) -> np.ndarray:
    """The share of "app" in both halves of an hour."""
    halves = (datetime.fromtimestamp((start_us + h) / 1e6, ZoneInfo(zone)) for h in (0, HALF_US))
    return SHARE[[half.hour for half in halves]]


@cache
def baseline_of(zone: str, change: datetime, timezone: str | None) -> Baseline:
    """Five weeks that end a week before the clock changes."""
    rng, end_us = np.random.default_rng(1), round(change.timestamp()) * 1_000_000
    starts = end_us - HOUR_US * np.arange(6 * 168, 168, -1)
    shares = np.stack([shares_of_hour(start, zone) for start in starts.tolist()])
    is_app = rng.random((len(starts), 2, ROWS // 2)) < shares[:, :, None]
    moments = starts[:, None, None] + HALF_US * np.arange(2)[:, None] + np.arange(ROWS // 2)
    columns = {
        "time_us": moments.ravel(),
        "channel": np.where(is_app.ravel(), "app", "web"),
    }
    return build_baseline(pa.table(columns), config(timezone))


def fired(
    baseline: Baseline, timezone: str | None, zone: str, change: datetime, lift: float = 0.0
) -> list[int]:
    """Hours after the change of the clock in which an alert opened."""
    decider = SeriesDecider(SeriesId("default", "calls", "1", ""), config(timezone), baseline)
    rng, first_us = np.random.default_rng(2), round(change.timestamp()) * 1_000_000
    names = baseline.variables[0].categories
    found: list[int] = []
    for hour in range(-24, 10 * 24):
        start_us = first_us + hour * HOUR_US
        shares = shares_of_hour(start_us, zone) + lift * (hour >= 72)
        n_app = int(rng.binomial(ROWS // 2, shares).sum())
        stats = SeriesStats.empty(("*",), 2)
        stats.n_rows[0] = ROWS
        stats.counts[0, 0, names.index("app")] = n_app
        stats.counts[0, 0, names.index("web")] = ROWS - n_app
        series = SeriesId("default", "calls", "1", baseline.profile_id)
        none = SeriesStats.empty((), 1)
        window = Window(series, start_us, start_us + HOUR_US, stats, none, 1, "watermark")
        _, alerts = decider.judge(window)
        found += [hour for alert in alerts if alert.transition is Transition.OPENED]
    return found


@pytest.mark.parametrize(("zone", "change"), CHANGES)
def test_daylight_saving_moves_nothing_where_the_zone_is_set(zone, change):
    baseline = baseline_of(zone, change, zone)
    assert baseline.seasonal.is_seasonal[0, 0]
    assert (baseline.seasonal.timezone, baseline.seasonal.unzoned_us) == (zone, None)
    assert fired(baseline, zone, zone, change) == []


@pytest.mark.parametrize(("zone", "change"), WHOLE_HOURS)
def test_daylight_saving_moves_nothing_where_no_zone_is_set(zone, change):
    baseline = baseline_of(zone, change, None)
    assert baseline.seasonal.unzoned_us is not None
    assert fired(baseline, None, zone, change) == []


@pytest.mark.parametrize("timezone", ["Europe/Berlin", None])
def test_a_real_change_after_the_clocks_changed_is_found(timezone):
    zone, change = CHANGES[0]
    found = fired(baseline_of(zone, change, timezone), timezone, zone, change, lift=0.25)
    assert found
    assert 72 <= found[0] <= 72 + 24


def test_a_baseline_of_before_zones_keeps_its_hours_of_utc():
    zone, change = CHANGES[0]
    made = baseline_of(zone, change, None)
    old = with_id(replace(made, seasonal=replace(made.seasonal, unzoned_us=None)))
    again = decode(encode(old))
    assert (again.seasonal.timezone, again.seasonal.unzoned_us) == ("UTC", None)
    assert with_id(again).profile_id == old.profile_id
    assert fired(again, None, zone, change) != []  # as before: an hour off all summer


def test_a_baseline_keeps_its_zone_and_its_id_depends_on_it():
    zone, change = CHANGES[0]
    made = baseline_of(zone, change, zone)
    assert decode(encode(made)).seasonal.timezone == zone
    other = replace(made, seasonal=replace(made.seasonal, timezone="Europe/Paris"))
    assert with_id(other).profile_id != with_id(made).profile_id


def test_a_zone_that_changed_since_the_baseline_is_a_misfit():
    zone, change = CHANGES[0]
    made = baseline_of(zone, change, zone)
    assert misfits(config(zone), made) == []
    assert misfits(config(None), made) == ["timezone was Europe/Berlin, is UTC now"]
    assert misfits(config(None), baseline_of(zone, change, None)) == []


def test_a_baseline_of_an_unknown_zone_is_damaged():
    zone, change = CHANGES[0]
    made = baseline_of(zone, change, zone)
    broken = replace(made, seasonal=replace(made.seasonal, timezone="Mars/Olympus"))
    with pytest.raises(BaselineError, match="damaged"):
        decode(encode(broken))


@pytest.mark.parametrize("name", ["Europe/Berln", "CEST+1", "../UTC", ""])
def test_a_zone_that_does_not_exist_is_named_with_file_and_line(tmp_path, name):
    file = tmp_path / "m.yaml"
    file.write_text(f"model: m\nfeatures:\n  x: {{kind: numeric}}\ntimezone: '{name}'\n")
    with pytest.raises(ConfigError, match="is not a time zone") as error:
        load_model(file)
    assert "m.yaml:4" in str(error.value)
    assert name != "Europe/Berln" or "Europe/Berlin" in str(error.value)


@pytest.mark.parametrize(
    ("timezone", "text", "expected"),
    [
        ("Europe/Berlin", "2024-01-10T23:30:00Z", (0.0, 3.0)),
        ("Europe/Berlin", "2024-07-10T22:30:00Z", (0.0, 3.0)),
        ("Europe/Berlin", "2024-07-10T22:30:00", (22.0, 2.0)),
        ("Asia/Kolkata", "2024-07-10T18:45:00+00:00", (0.0, 3.0)),
        (None, "2024-07-10T22:30:00", (22.0, 2.0)),
        (None, "2024-07-11T00:30:00+02:00", (22.0, 2.0)),
    ],
)
def test_derived_hours_and_weekdays_are_those_of_the_local_clock(timezone, text, expected):
    derived = {
        name: {"kind": "numeric", "of": "ordered", "derive": name} for name in ("hour", "weekday")
    }
    model = ModelConfig.model_validate({"model": "m", "features": derived, "timezone": timezone})
    event = {"model": "m", "time_us": 1, "features": {"ordered": text}}
    decoded = Decoder([model.schema_]).decode(chunk_of([msgspec.json.encode(event)], "f"))
    (batch,) = decoded.batches
    assert tuple(float(column[0]) for column in batch.numeric) == expected
