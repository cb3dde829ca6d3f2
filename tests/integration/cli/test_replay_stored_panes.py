"""Events that are replayed again into one store are counted there once."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.support.installation import START_US, command

MODEL = """model: loans
features:
  income: {kind: numeric}
window: {length: 1h, pane: 5m}
decision: {rule: 1, min_rows: 100}
"""
N = 2_000
PANES = (
    "SELECT sum(n_rows) AS n, max(end_us - start_us) AS longest FROM panes FINAL "
    "WHERE feature = 'score' AND segment = '*' AND NOT is_slice"
)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two hours of events, stored in panes of 30 minutes."""
    folder, rng = tmp_path_factory.mktemp("again"), np.random.default_rng(2)
    (folder / "driftline.yaml").write_text("models: [loans.yaml]\n")
    (folder / "loans.yaml").write_text(MODEL)
    for name, n, start_us in (
        ("train", 5_000, START_US - 5_000 * 3_600_000),
        ("live", N, START_US),
    ):
        times = start_us + 3_600_000 * np.arange(n)
        columns = {"income": rng.normal(size=n), "score": rng.random(n), "time_us": times}
        pq.write_table(pa.table(columns), folder / f"{name}.parquet")
    train, out = folder / "train.parquet", folder / "baselines"
    built = command("baseline", "build", folder / "loans.yaml", "-r", train, "-o", out)
    assert built.code == 0, built.err
    assert replay(folder, "--pane", "30m") == (0, "")
    assert stored(folder) == {"n": N, "longest": 30 * 60_000_000}
    return folder


def replay(folder: Path, *options: str, store: str = "store") -> tuple[int, str]:
    where = "none" if store == "none" else str(folder / store)
    config = folder / "driftline.yaml"
    asked = ("--config", config, "--store", where, "--json", *options)
    ended = command("replay", folder / "live.parquet", *asked)
    return ended.code, ended.err


def stored(folder: Path) -> dict[str, int]:
    found = command("sql", PANES, "--store", folder / "store", "--json")
    return json.loads(found.out.splitlines()[-1])


def test_without_a_length_the_stored_one_is_used_again(installed: Path) -> None:
    assert replay(installed)[0] == 0
    assert stored(installed) == {"n": N, "longest": 30 * 60_000_000}


def test_another_length_is_refused_with_the_one_that_is_stored(installed: Path) -> None:
    code, error = replay(installed, "--pane", "1h")
    assert code == 2
    assert "--pane 30m" in error
    assert stored(installed)["n"] == N


def test_other_settings_replace_the_panes_and_add_none(installed: Path) -> None:
    model = installed / "loans.yaml"
    model.write_text(MODEL.replace("min_rows: 100", "min_rows: 200"))
    assert replay(installed)[0] == 0
    assert stored(installed) == {"n": N, "longest": 30 * 60_000_000}
    model.write_text(MODEL)


def test_windows_that_stored_panes_do_not_make_are_refused(installed: Path) -> None:
    model = installed / "loans.yaml"
    model.write_text(MODEL.replace("1h", "15m"))
    code, error = replay(installed)
    assert code == 2
    assert "another store" in error
    model.write_text(MODEL)


def test_a_length_without_a_store_is_an_error_of_usage(installed: Path) -> None:
    code, error = replay(installed, "--pane", "30m", store="none")
    assert code == 2
    assert "--pane" in error
    assert "--store" in error
