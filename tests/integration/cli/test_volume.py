"""A model without traffic, and one with a twentieth of it, is an incident under both rules."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from schemas.time_units import DAY_US, HOUR_US
from tests.support.installation import START_US, command

RATE = 200
SILENT_US = START_US + 2 * DAY_US
BACK_US = SILENT_US + 30 * HOUR_US
THIN_US = BACK_US + DAY_US
END_US = THIN_US + DAY_US


def rows(rng: np.random.Generator, start_us: int, end_us: int, rate: float) -> np.ndarray:
    n = rng.poisson(rate * (end_us - start_us) / HOUR_US)
    return np.sort(rng.integers(start_us, end_us, n))


def write(path: Path, rng: np.random.Generator, time_us: np.ndarray) -> None:
    n = len(time_us)
    pq.write_table(
        pa.table({"x": rng.normal(size=n), "score": rng.random(n), "time_us": time_us}), path
    )


@pytest.mark.parametrize("rule", [1, 2])
def test_silence_and_thin_traffic_are_reported_with_their_end(tmp_path, rule):
    rng = np.random.default_rng(5)
    (tmp_path / "models").mkdir()
    model = tmp_path / "models/m.yaml"
    model.write_text(
        "model: m\nfeatures: {x: {kind: numeric}}\nwindow: {length: 1h}\n"
        f"decision: {{rule: {rule}}}\n"
    )
    (tmp_path / "driftline.yaml").write_text("models: [models/*.yaml]\n")
    write(tmp_path / "ref.parquet", rng, rows(rng, START_US - 15 * DAY_US, START_US, RATE))
    built = command(
        "baseline", "build", model, "-r", tmp_path / "ref.parquet", "-o", tmp_path / "baselines"
    )
    assert built.code == 0, built.err
    parts = [
        rows(rng, START_US, SILENT_US, RATE),
        rows(rng, BACK_US, THIN_US, RATE),
        rows(rng, THIN_US, END_US, RATE / 20),
        rows(rng, END_US, END_US + DAY_US, RATE),
    ]
    write(tmp_path / "live.parquet", rng, np.concatenate(parts))
    ended = command(
        "replay", tmp_path / "live.parquet", "--config", tmp_path / "driftline.yaml",
        "--store", "none", "--json",
    )  # fmt: skip
    assert ended.code == 0, ended.err
    found = json.loads(ended.out)["incidents"]
    assert [i["cause"] for i in found] == ["pipeline", "pipeline"], found
    assert "no traffic" in found[0]["title"]
    assert "less traffic" in found[1]["title"]
    spans = [(i["opened_at_us"], i["resolved_at_us"]) for i in found]
    for (opened_us, resolved_us), begin_us, end_us in zip(
        spans, (SILENT_US, THIN_US), (BACK_US, END_US), strict=True
    ):
        assert 0 < opened_us - begin_us <= 2 * HOUR_US
        assert 0 < resolved_us - end_us <= 3 * HOUR_US
