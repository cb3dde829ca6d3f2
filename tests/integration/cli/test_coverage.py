"""What a summary says of events that no verdict includes: nothing is quiet that was not judged."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.support.installation import command

HOUR_US = 3_600_000_000
START_US = 1_709_510_400_000_000
N = 250
"""Events an hour."""

MODEL = """
model: shop
features:
  amount: {kind: numeric, importance: high}
window: {length: 1h}
"""


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    """An installation of one model, with a baseline of 4,000 rows."""
    (tmp_path / "models").mkdir()
    (tmp_path / "models/m.yaml").write_text(MODEL)
    (tmp_path / "driftline.yaml").write_text("models: [models/*.yaml]\n")
    rng = np.random.default_rng(0)
    table = {"time_us": np.arange(4_000) * 60_000_000, "amount": rng.exponential(20, 4_000)}
    pq.write_table(pa.table(table), tmp_path / "ref.parquet")
    monkeypatch.chdir(tmp_path)
    built = command("baseline", "build", "models/m.yaml", "-r", "ref.parquet")
    assert built.code == 0, built.err
    return tmp_path


def hours(n_hours: int, n: int = N, first: int = 0, seed: int = 1) -> list[dict]:
    """Events of so many hours, all as the baseline has them."""
    rng = np.random.default_rng(seed + first)
    amounts = rng.exponential(20, n_hours * n)
    return [
        {
            "id": f"{first}-{i}",
            "model": "shop",
            "time_us": START_US + first * HOUR_US + i * HOUR_US // n,
            "features": {"amount": float(x)},
        }
        for i, x in enumerate(amounts)
    ]


def broken(event: dict) -> dict:
    """The event with a text where a number belongs."""
    return event | {"features": {"amount": "much"}}


def replay(events: list[dict], *options: str):
    """Replay events; return the parsed JSON output."""
    Path("events.jsonl").write_text("".join(json.dumps(e) + "\n" for e in events))
    ended = command("replay", "events.jsonl", "--store", "none", "--json", *options)
    return ended.code, json.loads(ended.out)


def printed(events: list[dict]) -> str:
    """Replay events; return the text output."""
    Path("events.jsonl").write_text("".join(json.dumps(e) + "\n" for e in events))
    return command("replay", "events.jsonl", "--store", "none").out


def test_a_quiet_day_is_called_quiet_and_says_what_was_judged(here):
    out = printed(hours(12))
    assert "Judged: 3,000 of 3,000 events (100 %), 12 of 12 windows" in out
    assert "\nQuiet.\n" in out


def test_everything_rejected_from_an_hour_on_is_one_pipeline_incident(here):
    events = [*hours(8), *map(broken, hours(8, first=8))]
    code, found = replay(events)
    (incident,) = found["incidents"]
    assert (code, incident["cause"], incident["severity"]) == (0, "pipeline", "page")
    assert incident["title"] == "shop: 100 % of events were rejected as mistyped, 250 of 250"
    assert incident["opened_at_us"] == START_US + 9 * HOUR_US
    assert found["coverage"]["events"] == 4_000
    assert found["coverage"]["rows"]["judged"] == 2_000
    assert "Quiet" not in printed(events)


def test_refusing_only_large_amounts_is_no_drift_of_the_inputs(here):
    during = [broken(e) if e["features"]["amount"] > 30 else e for e in hours(6, first=6)]
    code, found = replay([*hours(6), *during, *hours(12, first=12)])
    (incident,) = found["incidents"]
    assert (code, incident["cause"]) == (0, "pipeline")
    assert incident["opened_at_us"] == START_US + 7 * HOUR_US
    assert incident["resolved_at_us"] == START_US + 14 * HOUR_US
    withheld = found["coverage"]["rows"]["not_judged"]["pipeline"]
    assert withheld == sum(e["features"]["amount"] != "much" for e in during) + N


def test_a_drift_is_found_once_the_events_are_accepted_again(here):
    large = [e | {"features": {"amount": 10 * e["features"]["amount"]}} for e in hours(12, first=6)]
    events = [*hours(3), *map(broken, hours(3, first=3)), *large]
    found = replay(events)[1]
    causes = [i["cause"] for i in found["incidents"]]
    assert causes == ["pipeline", "data"]
    assert found["incidents"][1]["opened_at_us"] > found["incidents"][0]["resolved_at_us"]


def test_nearly_everything_late_is_a_pipeline_incident(here):
    # in the order of arrival, which a record time gives: the watermark is at hour 30 at once
    (here / "models/m.yaml").write_text(MODEL + "columns: {record_time: arrived}\n")
    rows = [
        {"id": e["id"], "time_us": e["time_us"], "amount": e["features"]["amount"]}
        for e in [*hours(1, first=30), *hours(20)]
    ]
    table = pa.Table.from_pylist(rows)
    arrived = pa.array(START_US + 31 * HOUR_US + 1_000 * np.arange(len(rows)))
    pq.write_table(table.append_column("arrived", arrived), "late.parquet")
    command_line = ("replay", "late.parquet", "--store", "none")
    found = json.loads(command(*command_line, "--json").out)
    assert found["late"] == 5_000
    assert [i["cause"] for i in found["incidents"]] == ["pipeline"]
    assert "too late to be counted" in found["incidents"][0]["title"]
    out = command(*command_line).out
    assert "Judged: " in out
    assert "Quiet" not in out


RULE_1 = MODEL + "decision: {rule: 1}\n"


def test_too_few_rows_are_not_quiet_and_the_length_is_proposed(here):
    Path("models/m.yaml").write_text(RULE_1)
    code, found = replay(hours(48, n=20))
    assert code == 6
    assert found["coverage"]["windows"] == {
        "judged": 0,
        "not_judged": {"too_few_samples": 48},
        "without_rows": 0,
    }
    assert [i["cause"] for i in found["incidents"]] == ["pipeline"]
    out = printed(hours(12, n=20))
    assert "too few rows: 20 a window, a verdict needs 30; set window.length to 3h" in out
    assert "Nothing was judged" in out


def test_repeated_ids_are_counted_and_said(here):
    events = [e for e in hours(8) for _ in range(2)]
    assert replay(events)[1]["repeated_ids"] == 2_000
    assert "2,000 repeated ids (50 %)" in printed(events)


def test_half_of_the_events_of_no_known_model_is_not_quiet(here):
    foreign = [e | {"model": "cars"} for e in hours(8)]
    events = [e for pair in zip(hours(8), foreign, strict=True) for e in pair]
    out = printed(events)
    assert "Judged: 2,000 of 4,000 events (50 %)" in out
    assert "No drift in the 50 % of the events that were judged" in out
    assert "Quiet" not in out


def test_a_backtest_withholds_verdicts_where_a_replay_does(here):
    during = [broken(e) if e["features"]["amount"] > 30 else e for e in hours(6, first=6)]
    replayed = replay([*hours(6), *during, *hours(12, first=12)])[1]["coverage"]
    ended = command("backtest", "events.jsonl", "--json", "--no-delays")
    ((side,), found) = ([m["today"] for m in json.loads(ended.out)["models"]], ended.err)
    assert (ended.code, found, side["incidents"], side["fired"]) == (0, "", 0, [])
    del replayed["events"]
    assert side["coverage"] == replayed
    opened, resolved = side["pipeline"]
    assert (opened["rule"], opened["time_us"]) == ("rejected_events", START_US + 7 * HOUR_US)
    assert resolved["transition"] == "resolved"
    assert resolved["time_us"] == START_US + 14 * HOUR_US
    text = command("backtest", "events.jsonl", "--no-delays").out
    assert "verdicts withheld 2024-03-04 07:00 to 2024-03-04 14:00: shop: " in text


@pytest.mark.parametrize("segments", [{}, {"region": "mars"}])
def test_segments_that_were_never_judged_are_named_and_not_called_quiet(here, segments):
    Path("models/m.yaml").write_text(MODEL + "segments: [region]\n")
    rng = np.random.default_rng(0)
    regions = rng.choice(["eu", "us"], 4_000)
    table = {"time_us": np.arange(4_000) * 60_000_000, "amount": rng.exponential(20, 4_000)}
    pq.write_table(pa.table(table | {"region": regions}), "ref.parquet")
    assert command("baseline", "build", "models/m.yaml", "-r", "ref.parquet").code == 0
    events = [e | {"segments": segments} for e in hours(8)]
    out = printed(events)
    assert "no verdict in any window for region=eu, region=us: no rows" in out
    assert "Quiet where there was a verdict; region=eu, region=us had none." in out
    code, found = replay(events)
    assert (code, found["incidents"]) == (0, [])
    expected = {"region=eu": "no_data", "region=us": "no_data"}
    assert found["coverage"]["segments_not_judged"] == expected
    (model,) = json.loads(command("backtest", "events.jsonl", "--json", "--no-delays").out)[
        "models"
    ]
    assert model["today"]["coverage"]["segments_not_judged"] == expected


@pytest.mark.parametrize(
    "time", ["2024-03-04T{:02d}:30:00Z", "2024-03-04 {:02d}:30:00+00", "2024-03-04T{:02d}:30:00.5"]
)
def test_rejected_events_count_at_their_time_however_it_is_written(here, time):
    late = (broken(e) | {"time_us": time.format(4 + i // N)} for i, e in enumerate(hours(4)))
    events = [*hours(4), *late]
    code, found = replay(events)
    (incident,) = found["incidents"]
    assert (code, incident["cause"]) == (0, "pipeline")
    assert incident["opened_at_us"] == START_US + 5 * HOUR_US
    assert found["coverage"]["rows"]["judged"] == 1_000


def test_a_single_tick_is_not_quiet_and_names_what_a_verdict_needs(here):
    events = hours(1)[:20]
    code, found = replay(events)
    assert (code, found["coverage"]["rows"]) == (6, {"judged": 0, "not_judged": {FEW: 20}})
    out = printed(events)
    assert "too few ticks with rows; a verdict needs 50 rows a window, or 15 ticks of 5m" in out
    assert "Nothing was judged" in out


def test_thin_traffic_is_judged_once_averages_are_long_enough(here):
    """Without times the reference teaches no averages: 15 ticks, here of 15 minutes, come first."""
    reference = {"amount": np.random.default_rng(0).exponential(20, 4_000)}
    pq.write_table(pa.table(reference), "untimed.parquet")
    built = command("baseline", "build", "models/m.yaml", "-r", "untimed.parquet", "-o", "other")
    assert built.code == 0, built.err
    Path("driftline.yaml").write_text("models: [models/*.yaml]\nbaselines: other\n")
    code, found = replay(hours(24, n=20))
    windows = found["coverage"]["windows"]
    assert (code, found["incidents"]) == (0, [])
    assert 2 <= windows["not_judged"][FEW] <= 4
    assert windows["judged"] == 24 - windows["not_judged"][FEW]


FEW = "too_few_samples"


def test_a_thin_window_at_the_edge_gives_no_advice(here):
    Path("models/m.yaml").write_text(RULE_1)
    out = printed([*hours(8), hours(1, n=1, first=8)[0]])
    assert "1 event in 1 window not judged, too few samples\n" in out
    assert "Quiet." in out


def test_check_names_routes_that_never_match_and_routes_without_receivers(here):
    routes = "routes: [{receivers: [console]}, {cause: [hardware], receivers: []}]\n"
    Path("models/m.yaml").write_text(MODEL + routes)
    checks = json.loads(command("check", "--json").out)["checks"]
    (route,) = [c for c in checks if c["check"] == "route"]
    assert (route["state"], route["name"]) == ("warning", "shop")
    assert "routes[1] never matches" in route["detail"]


@pytest.mark.parametrize(
    ("option", "key", "words"),
    [("--labels", "labels", "labels"), ("--gpu", "gpu_events", "GPU events")],
)
def test_rejected_labels_and_telemetry_are_no_events_and_not_called_quiet(here, option, key, words):
    Path("side.jsonl").write_text('{"nothing": "known"}\n' * 40)
    code, found = replay(hours(8), option, "side.jsonl")
    assert (code, found[key], found[f"{key}_rejected"]) == (0, 0, 40)
    assert found["coverage"]["events"] == found["accepted"] == 2_000
    out = command("replay", "events.jsonl", option, "side.jsonl", "--store", "none").out
    assert "2,000 events accepted, 0 rejected, 0 too late" in out
    assert f"{words[:1].upper()}{words[1:]}: 0 read, 40 rejected." in out
    assert f"Quiet, but 100 % of the {words} were rejected." in out


def test_check_and_baseline_build_name_traffic_too_thin_for_its_windows(here):
    Path("models/m.yaml").write_text(RULE_1)
    rng = np.random.default_rng(0)
    table = {"time_us": START_US + np.arange(4_000) * HOUR_US // 20, "amount": rng.random(4_000)}
    pq.write_table(pa.table(table), "thin.parquet")
    built = command("baseline", "build", "models/m.yaml", "-r", "thin.parquet")
    assert "traffic: 20 rows a window of 1h; a verdict needs 30, so aim at 46" in built.out
    assert "set window.length to 3h" in built.out
    checked = command("check", "--json")
    (thin,) = [c for c in json.loads(checked.out)["checks"] if c["state"] == "warning"]
    assert (checked.code, thin["check"], thin["name"]) == (0, "traffic", "shop")
    assert thin["fix"] == "set window.length to 3h, or lower decision.min_rows"
    assert "4 ok, 1 warning" in command("check").out


def test_baseline_build_states_no_settings_of_rule_1_under_rule_2(here):
    built = command("baseline", "build", "models/m.yaml", "-r", "ref.parquet")
    assert "traffic: 60 rows a window of 1h\n" in built.out
    assert "tolerance" not in built.out
    assert "a verdict needs" not in built.out


def test_check_knows_the_traffic_of_the_store(here):
    Path("models/m.yaml").write_text(RULE_1)
    Path("events.jsonl").write_text("".join(json.dumps(e) + "\n" for e in hours(48, n=20)))
    assert command("replay", "events.jsonl").code == 6
    (thin,) = [c for c in json.loads(command("check", "--json").out)["checks"] if c["fix"]]
    assert thin["detail"].startswith("too few: 20 rows a window of 1h")
    assert thin["detail"].endswith("(in the store)")


def test_check_warns_where_no_receiver_is_configured(here):
    Path("driftline.yaml").write_text("models: [models/*.yaml]\nreceivers: {}\n")
    checked = command("check", "--json")
    (found,) = [c for c in json.loads(checked.out)["checks"] if c["check"] == "receiver"]
    assert (found["state"], checked.code) == ("warning", 0)
