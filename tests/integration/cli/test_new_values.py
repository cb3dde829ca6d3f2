"""What is new has a name: through every format, in what is printed, sent and stored."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from schemas.time_units import HOUR_US
from tests.support.installation import START_US, command

MODEL = """model: loans
features:
  income: {kind: numeric}
  age: {kind: numeric}
  channel: {kind: categorical}
  secret: {kind: categorical, name_new_values: false}
window: {length: 1h}
"""
STEP_US = HOUR_US // 500
CHANGED_US = START_US + HOUR_US
HOSTILE = "<b>`x`\n\x1b[31m\u202e"
NEW = ("kiosk", HOSTILE, "7", "long " * 40)
SHARES = (0.2, 0.1, 0.05, 0.05)


def rows(n: int, start_us: int, *, is_new: bool) -> dict[str, list]:
    rng = np.random.default_rng(7)
    names, shares = (
        (("web", "app", *NEW), (0.3, 0.3, *SHARES)) if is_new else (("web", "app"), None)
    )
    return {
        "income": rng.normal(50_000, 10_000, n).tolist(),
        "age": (rng.uniform(20, 60, n) + 50 * (is_new & (rng.random(n) < 0.3))).tolist(),
        "channel": rng.choice(np.array(names, object), n, p=shares).tolist(),
        "secret": rng.choice(["a", "b"], n).tolist(),
        "score": rng.random(n).tolist(),
        "time_us": (start_us + STEP_US * np.arange(n)).tolist(),
    }


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("new-values")
    (folder / "models").mkdir()
    model, reference = folder / "models/loans.yaml", folder / "train.parquet"
    model.write_text(MODEL)
    (folder / "driftline.yaml").write_text("models: [models/*.yaml]\n")
    before = rows(5_000, START_US - 5_000 * STEP_US, is_new=False)
    pq.write_table(pa.table(before), reference)
    built = command("baseline", "build", model, "-r", reference, "-o", folder / "baselines")
    assert built.code == 0, built.err
    return folder


def live() -> dict[str, list]:
    """Four hours; from the second on new values, and incomes without a value."""
    first, rest = rows(500, START_US, is_new=False), rows(1_500, CHANGED_US, is_new=True)
    rest["income"] = [None] * 1_500
    rest["secret"] = ["4111-1111-1111-1111"] * 1_500
    return {name: first[name] + rest[name] for name in first}


def parquet(folder: Path) -> Path:
    pq.write_table(pa.table(live()), folder / "live.parquet")
    return folder / "live.parquet"


def comma_separated(folder: Path) -> Path:
    columns = live()
    with (folder / "live.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
    return folder / "live.csv"


def json_lines(folder: Path) -> Path:
    """Events that leave out what has no value; every other one has shuffled keys."""
    with (folder / "live.jsonl").open("w") as file:
        for i, values in enumerate(zip(*(columns := live()).values(), strict=True)):
            row = dict(zip(columns, values, strict=True))
            event = {"model": "loans", "time_us": row.pop("time_us"), "score": row.pop("score")}
            event["features"] = {name: v for name, v in row.items() if v is not None}
            if i % 2:
                event = dict(reversed(event.items()))
            file.write(json.dumps(event) + "\n")
    return folder / "live.jsonl"


@pytest.mark.parametrize("write", [parquet, comma_separated, json_lines])
def test_new_values_are_named_in_what_is_printed_and_stored(installed, tmp_path, write):
    path, store = write(tmp_path), tmp_path / "store"
    config = installed / "driftline.yaml"
    ended = command("replay", path, "--config", config, "--store", store)
    assert ended.code == 0, ended.err
    lines = ended.out.splitlines()
    (fact,) = [line for line in lines if "channel has" in line and "never seen before" in line]
    assert "`kiosk` in" in fact
    assert r"`<b>'x'\n\x1b[31m\u202e` in" in fact
    assert "`7` in" in fact
    assert "`long long" in fact
    assert "…`" in fact
    assert "4111" not in ended.out
    is_absent = write is json_lines
    kind = "absent" if is_absent else "null"
    assert any(
        "income missing" in line and f"{kind} in 100 % of the rows" in line for line in lines
    )
    query = "SELECT * FROM alerts FINAL WHERE transition = 'opened' ORDER BY feature"
    stored = command("sql", query, "--store", store, "--json")
    by_feature = {a["feature"]: a for a in map(json.loads, stored.out.splitlines())}
    named = by_feature["channel"]["new_values"]
    assert {"kiosk", HOSTILE, "7"} < set(named)
    assert named["kiosk"] == pytest.approx(0.2, abs=0.06)
    assert all(len(text.encode()) <= 64 for text in named)
    assert by_feature["secret"]["new_values"] == {}
    assert by_feature["age"]["seen_range"][1] > by_feature["age"]["baseline_range"][1]
    income = by_feature["income"]
    assert (income["p_absent"], income["p_null"]) == ((1.0, 0.0) if is_absent else (0.0, 1.0))
