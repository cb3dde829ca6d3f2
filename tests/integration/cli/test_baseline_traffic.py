"""A baseline out of the traffic that an embedded store holds."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pytest

from monitor.baseline.build import build_baseline
from monitor.baseline.traffic import read_traffic
from monitor.cli.main import main
from monitor.storage.clickhouse import Store
from schemas.config.model import ModelConfig
from schemas.errors import BaselineError
from schemas.panes import MISSING

pytestmark = pytest.mark.integration

N = 1_000
SECOND_US = 1_000_000
CONFIG = {
    "model": "m",
    "features": {"age": {"kind": "numeric"}, "land's": {"kind": "categorical"}},
    "segments": ["sex"],
    "positive": "1",
}


@pytest.fixture(scope="module")
def target(tmp_path_factory) -> str:
    """A store with a thousand predictions of each of two versions, and another model's."""
    folder = str(tmp_path_factory.mktemp("traffic") / "store")
    rng = np.random.default_rng(0)
    with Store.open(folder) as store:
        store.migrate()
        for model, version in (("m", "1"), ("m", "2"), ("other", "1")):
            store.insert("predictions", _predictions(rng, model, version))
    return folder


def _predictions(rng: np.random.Generator, model: str, version: str) -> pa.Table:
    """A second apart; every tenth age and every fifth land is missing."""
    number, text = pa.map_(pa.string(), pa.float64()), pa.map_(pa.string(), pa.string())
    ages = [[] if i % 10 == 0 else [("age", float(rng.normal()))] for i in range(N)]
    lands = [[] if i % 5 == 0 else [("land's", rng.choice(["a", "b"]))] for i in range(N)]
    return pa.table(
        {
            "tenant": ["default"] * N,
            "model": [model] * N,
            "model_version": [version] * N,
            "time_us": pa.array(np.arange(N) * SECOND_US),
            "id": [f"{version}-{i}" for i in range(N)],
            "score": rng.random(N),
            "prediction": [str(i % 2) for i in range(N)],
            "features": pa.array(ages, number),
            "categories": pa.array(lands, text),
            "segments": pa.array([[("sex", "f" if i % 4 else "m")] for i in range(N)], text),
        }
    )


def test_a_time_range_of_one_version_becomes_a_baseline(target):
    config = ModelConfig.model_validate(CONFIG)
    table = read_traffic(target, config, 100 * SECOND_US, 900 * SECOND_US, "2")
    baseline = build_baseline(table, config, model_version="2")
    stats = baseline.reference
    assert int(stats.n_rows[0]) == 800
    assert stats.counts[0, :, MISSING].tolist() == [80, 160, 0]
    assert dict(zip(stats.segments, stats.n_rows.tolist(), strict=True)) == {
        "*": 800,
        "sex=f": 600,
        "sex=m": 200,
    }
    assert int(stats.n_positive[0]) == 400


def test_all_versions_together_are_read_in_the_order_of_time(target):
    config = ModelConfig.model_validate(CONFIG)
    table = read_traffic(target, config, 0, N * SECOND_US)
    times = table["time_us"].to_numpy()
    assert (len(times), bool((np.diff(times) >= 0).all())) == (2 * N, True)


def test_an_empty_range_says_how_to_see_what_there_is(target):
    config = ModelConfig.model_validate(CONFIG | {"model": "unknown"})
    with pytest.raises(BaselineError, match=r"no predictions of unknown .*driftline sql"):
        read_traffic(target, config, 0, SECOND_US)
    with pytest.raises(BaselineError, match="--since must be before --until"):
        read_traffic(target, config, SECOND_US, SECOND_US)


def test_the_command_builds_from_a_store(target, tmp_path, capsys):
    (tmp_path / "m.yaml").write_text(json.dumps(CONFIG))
    arguments = ["baseline", "build", str(tmp_path / "m.yaml"), "--store", target]
    arguments += ["--since", "1970-01-01", "--until", "1970-01-01T00:10:00"]
    with pytest.raises(SystemExit) as ended:
        main([*arguments, "--out", str(tmp_path / "out"), "--json"])
    assert not ended.value.code
    found = json.loads(capsys.readouterr().out)
    assert found["n_rows"] == 1_200
    assert found["created_from"] == "traffic 1970-01-01 to 1970-01-01T00:10:00"
