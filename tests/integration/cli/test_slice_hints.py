"""A change in one undeclared slice is named: in what is printed, and in the store."""

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
  country: {kind: categorical}
  device: {kind: categorical}
  secret: {kind: categorical, name_new_values: false}
window: {length: 1h}
decision: {rule: 2}
"""
STEP_US = 3_600_000
CHANGED_US = START_US + 5 * HOUR_US


def rows(rng: np.random.Generator, n: int, start_us: int) -> dict[str, np.ndarray]:
    return {
        "income": rng.normal(50_000, 10_000, n),
        "country": rng.choice(["DE", "FR", "US"], n, p=[0.4, 0.3, 0.3]).astype(object),
        "device": rng.choice(["tv", "web", "ios"], n, p=[0.2, 0.5, 0.3]).astype(object),
        "secret": rng.choice(["x1", "x2"], n).astype(object),
        "score": rng.random(n),
        "time_us": start_us + STEP_US * np.arange(n),
    }


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight hours; from the sixth on incomes of German televisions are missing."""
    folder, rng = tmp_path_factory.mktemp("slices"), np.random.default_rng(5)
    (folder / "models").mkdir()
    model, reference = folder / "models/loans.yaml", folder / "train.parquet"
    model.write_text(MODEL)
    (folder / "driftline.yaml").write_text("models: [models/*.yaml]\n")
    pq.write_table(pa.table(rows(rng, 10_000, START_US - 10_000 * STEP_US)), reference)
    built = command("baseline", "build", model, "-r", reference, "-o", folder / "baselines")
    assert built.code == 0, built.err
    live = rows(rng, 8_000, START_US)
    is_hit = (live["country"] == "DE") & (live["device"] == "tv") & (live["secret"] != "x3")
    live["income"] = np.where((live["time_us"] >= CHANGED_US) & is_hit, np.nan, live["income"])
    pq.write_table(pa.table(live), folder / "live.parquet")
    return folder


@pytest.fixture(scope="module")
def replayed(installed: Path) -> dict:
    store = installed / "store"
    asked = ("replay", installed / "live.parquet", "--config", installed / "driftline.yaml")
    ended = command(*asked, "--store", store)
    assert ended.code == 0, ended.err
    again = command(*asked, "--store", store, "--json")
    assert again.code == 0, again.err
    query = "SELECT * EXCEPT ingest_time FROM slice_hints FINAL ORDER BY feature, alert_id"
    stored = command("sql", query, "--store", store, "--json")
    assert stored.code == 0, stored.err
    return {
        "printed": ended.out.splitlines(),
        "incidents": json.loads(again.out)["incidents"],
        "stored": [json.loads(line) for line in stored.out.splitlines()],
    }


def test_a_replay_names_the_slice_in_which_a_change_is_concentrated(replayed):
    (hint,) = [line for line in replayed["printed"] if line.startswith("hint: ")]
    assert "loans: income missing" in hint
    assert "the change is concentrated in country=DE and device=tv: 100 % of the change" in hint


def test_the_incident_of_a_replay_carries_its_slices(replayed):
    (incident,) = replayed["incidents"]
    (found,) = incident["slices"]
    assert found["name"] == "country=DE and device=tv"
    assert found["p_before"] == 0
    assert found["p_since"] > 0.9
    assert found["row_share"] == pytest.approx(0.08, abs=0.04)
    assert incident["hint"].startswith("the change is concentrated in country=DE and device=tv")


def test_a_search_that_is_repeated_is_one_row_with_its_samples(replayed):
    rows = {row["kind"]: row for row in replayed["stored"]}
    assert len(rows) == len(replayed["stored"]) == 2
    for row in rows.values():
        assert row["slices"] == ["country=DE and device=tv"]
        assert row["reason"] == ""
        assert row["n_before"] > 4_000
        assert row["phi"] >= 1
        assert row["since_us"] <= CHANGED_US + 10 * MINUTE_US
        assert "x1" not in json.dumps(row)
    assert 100 <= rows["alert"]["n_since"] < rows["hour"]["n_since"] - 900


def test_the_stored_incident_is_shown_with_its_hint(installed, replayed):
    store = ("--store", installed / "store")
    listed = command("incident", "list", *store)
    assert listed.code == 0, listed.err
    (line,) = [line for line in listed.out.splitlines() if "income missing" in line]
    shown = command("incident", "show", line.split()[0], *store)
    assert shown.code == 0, shown.err
    assert "Hint: the change is concentrated in country=DE and device=tv: 100 %" in shown.out
    as_json = json.loads(command("incident", "show", line.split()[0], *store, "--json").out)
    assert as_json["slices"] == replayed["incidents"][0]["slices"]
    assert as_json["incident_id"] == replayed["incidents"][0]["incident_id"]


def test_an_incident_that_the_store_lacks_is_named(installed, replayed):
    ended = command("incident", "show", "ffffffff", "--store", installed / "store")
    assert ended.code == 2
    assert "the store has no incident ffffffff" in ended.err
