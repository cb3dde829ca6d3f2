"""Rule 2 through the commands: replay and backtest find the same changes, and say since when."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from schemas.time_units import HOUR_US, MINUTE_US
from tests.support.installation import START_US, command

MODEL = """model: loans
features:
  income: {kind: numeric, importance: high}
  job: {kind: categorical}
  age: {kind: numeric}
  rooms: {kind: numeric}
window: {length: 1h}
decision: {rule: 2}
"""
STEP_US = 3_600_000
"""1,000 rows an hour."""
TIED_US = START_US + 2 * HOUR_US + 2 * MINUTE_US
SHIFTED_US = START_US + 6 * HOUR_US + 2 * MINUTE_US
LOST_US = START_US + 10 * HOUR_US + 31 * MINUTE_US


def rows(rng: np.random.Generator, n: int, start_us: int) -> dict[str, np.ndarray]:
    other = rng.spawn(1)[0]
    return {
        "income": rng.normal(50_000, 10_000, n),
        "job": rng.choice(["clerk", "cook", "nurse"], n).astype(object),
        "age": other.normal(40, 10, n),
        "rooms": other.normal(4, 1, n),
        "score": rng.random(n),
        "time_us": start_us + STEP_US * np.arange(n),
    }


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve hours: age and rooms are correlated by .6 from the third on, income shifts by .8 sd in
    the seventh, job goes missing in the eleventh.
    """
    folder, rng = tmp_path_factory.mktemp("rule2"), np.random.default_rng(2)
    (folder / "models").mkdir()
    model, reference = folder / "models/loans.yaml", folder / "train.parquet"
    model.write_text(MODEL)
    (folder / "driftline.yaml").write_text("models: [models/*.yaml]\n")
    n = 20_000
    pq.write_table(pa.table(rows(rng, n, START_US - n * STEP_US)), reference)
    built = command("baseline", "build", model, "-r", reference, "-o", folder / "baselines")
    assert built.code == 0, built.err
    live = rows(rng, 12_000, START_US)
    tied = live["time_us"] >= TIED_US
    live["rooms"][tied] = 4 + 0.8 * (live["rooms"] - 4)[tied] + 0.06 * (live["age"] - 40)[tied]
    live["income"] += np.where(live["time_us"] >= SHIFTED_US, 8_000, 0)
    live["job"][live["time_us"] >= LOST_US] = None
    pq.write_table(pa.table(live), folder / "live.parquet")
    return folder


def run(folder: Path, name: str, *options: str) -> dict:
    ended = command(
        name, folder / "live.parquet", "--config", folder / "driftline.yaml", "--json", *options
    )
    assert ended.code == 0, ended.err
    return json.loads(ended.out)


@pytest.fixture(scope="module")
def replayed(installed: Path) -> dict:
    """What the replay prints, and the alerts it has stored."""
    found = run(installed, "replay", "--store", str(installed / "store"))
    query = "SELECT * FROM alerts FINAL ORDER BY time_us, feature"
    stored = command("sql", query, "--store", installed / "store", "--json")
    assert stored.code == 0, stored.err
    return found | {"stored": [json.loads(line) for line in stored.out.splitlines()]}


def test_replay_opens_alerts_within_ticks_and_states_their_beginning(replayed):
    opened = {a["feature"]: a for a in replayed["stored"] if a["transition"] == "opened"}
    assert set(opened) == {"income", "job", "age x rooms"}
    for feature, began_us in (("income", SHIFTED_US), ("job", LOST_US)):
        alert = opened[feature]
        assert alert["onset_low_us"] <= began_us <= alert["onset_high_us"]
        assert alert["time_us"] <= began_us + 20 * MINUTE_US
        assert "since about" in alert["title"]
    assert opened["job"]["severity"] == "page"
    assert opened["job"]["time_us"] == START_US + 10 * HOUR_US + 40 * MINUTE_US


def test_a_correlation_is_found_within_45_minutes_and_named(replayed):
    alert = next(a for a in replayed["stored"] if a["feature"] == "age x rooms")
    assert alert["time_us"] <= TIED_US + 45 * MINUTE_US
    assert alert["onset_low_us"] <= TIED_US <= alert["onset_high_us"]
    assert "correlation of age and rooms changed from " in alert["title"]
    assert abs(alert["effect_size"] - 0.6) < 0.15
    incident = next(i for i in replayed["incidents"] if i["features"] == ["age x rooms"])
    assert incident["title"] == alert["title"]


def test_incidents_of_a_replay_carry_the_beginning(replayed):
    by_feature = {i["features"][0]: i for i in replayed["incidents"]}
    for feature, began_us in (("income", SHIFTED_US), ("job", LOST_US)):
        incident = by_feature[feature]
        assert incident["onset_low_us"] <= began_us <= incident["onset_high_us"]
        assert "since about" in incident["title"]


def test_a_backtest_finds_what_a_replay_finds(installed, replayed):
    (model,) = run(installed, "backtest")["models"]
    names = ("time_us", "feature", "segment", "transition", "severity", "onset_us", "evidence")
    own = [{n: a[n] for n in names} for a in model["today"]["fired"]]
    stored = [a for a in replayed["stored"] if a["transition"] != "resolved"]
    assert own == [{n: a[n] for n in names} for a in stored]
    assert own


def test_a_backtest_of_rule_1_is_hours_later(installed):
    (model,) = run(installed, "backtest", "--rule", "1", "--no-delays")["models"]
    assert model["today"]["rule"] == 1
    first_us: dict[str, int] = {}
    for alert in model["today"]["fired"]:
        assert alert["onset_us"] is None
        first_us.setdefault(alert["feature"], alert["time_us"])
    assert first_us["income"] >= START_US + 8 * HOUR_US


def test_a_backtest_refuses_to_solve_for_a_setting_of_rule_1(installed):
    ended = command(
        "backtest", installed / "live.parquet", "--config", installed / "driftline.yaml",
        "--budget", "0.1",
    )  # fmt: skip
    assert ended.code == 2
    assert "set decision.budget" in ended.err
    assert "add --rule 1" in ended.err


def test_planted_shifts_are_found_in_ticks_the_sooner_the_larger_they_are(installed):
    options = [o for size in ("2", "0.5", "0.001") for o in ("--plant", f"income={size}sd")]
    (model,) = run(installed, "backtest", *options)["models"]
    small, middle, large = sorted(model["today"]["delays"], key=lambda d: d["shift_sd"])
    assert (small["found"], small["median_us"]) == (0, None)
    assert large["starts"] == large["found"] == 5
    assert large["median_us"] <= middle["median_us"]
    assert large["median_windows"] == large["median_us"] / HOUR_US
    # Quiet for six hours: half of them are left to each.
    assert {d["horizon_windows"] for d in (small, middle, large)} == {3.0}


def test_a_shift_planted_at_a_time_is_found_within_ticks(installed):
    at = "2016-01-01T03:00:00"
    (model,) = run(installed, "backtest", "--plant", f"income=2sd@{at}")["models"]
    (delay,) = model["today"]["delays"]
    assert (delay["at_us"], delay["fires_anyway"]) == (START_US + 3 * HOUR_US, False)
    assert delay["median_us"] == 10 * MINUTE_US
    again = "income=0.1sd@2016-01-01T07:00:00"
    (model,) = run(installed, "backtest", "--plant", again)["models"]
    (delay,) = model["today"]["delays"]
    assert delay["fires_anyway"]


def test_delays_of_ticks_are_printed_as_times(installed):
    ended = command(
        "backtest", installed / "live.parquet", "--config", installed / "driftline.yaml",
        "--plant", "income=2sd@2016-01-01T03:00:00",
    )  # fmt: skip
    assert ended.code == 0, ended.err
    assert "10m (1 of 1 within 9h) from 2016-01-01 03:00" in " ".join(ended.out.split())


def test_check_names_what_replaces_the_settings_of_rule_1(installed, tmp_path):
    (tmp_path / "m.yaml").write_text(
        MODEL.replace("{rule: 2}", "{rule: 2, eps: 0.03, max_false_pages_per_month: 1}")
    )
    (tmp_path / "driftline.yaml").write_text(
        f"models: [m.yaml]\nbaselines: {installed / 'baselines'}\n"
    )
    found = json.loads(command("check", tmp_path / "driftline.yaml", "--json").out)
    own = {c["fix"]: c["state"] for c in found["checks"] if c["check"] == "decision"}
    assert own == {"rename it to budget": "warning", "remove eps": "warning"}


def test_build_and_check_name_what_is_watched_least(installed, tmp_path):
    (tmp_path / "m.yaml").write_text(MODEL)
    (tmp_path / "driftline.yaml").write_text("models: [m.yaml]\n")
    built = command(
        "baseline", "build", tmp_path / "m.yaml", "-r", installed / "train.parquet",
        "-o", tmp_path / "baselines", "--json",
    )  # fmt: skip
    least = json.loads(built.out)["detectable"]
    assert 1 <= len(least) <= 5
    assert all(cell["reason"] for cell in least)
    paired = "of every two of income (high), age (medium), rooms (medium)"
    assert json.loads(built.out)["correlations"] == paired
    found = json.loads(command("check", tmp_path / "driftline.yaml", "--json").out)
    own = [c for c in found["checks"] if c["check"] == "detectable"]
    assert len(own) == len(least)
    assert all("within a day a shift of" in c["detail"] for c in own)
    assert [c["detail"] for c in found["checks"] if c["check"] == "correlations"] == [paired]
