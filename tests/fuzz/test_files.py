"""Damaged and odd files: a command ends well, or with one line that names the file's fault.

A few hundred inputs; `make fuzz` sets DRIFTLINE_FUZZ_INPUTS to many more, and
DRIFTLINE_FUZZ_SEED begins elsewhere.
"""

from __future__ import annotations

import os
import random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from monitor.baseline.source import read_rows
from monitor.decode import Decoder
from monitor.transport.files import open_source
from schemas.config.model import ModelConfig
from schemas.errors import DriftlineError
from tests.fuzz.file_samples import N_ROWS, START_US, broken, odd_table, samples, write_odd
from tests.fuzz.mutation import flip
from tests.support.installation import command

N_INPUTS = int(os.environ.get("DRIFTLINE_FUZZ_INPUTS", "200"))
SEED = int(os.environ.get("DRIFTLINE_FUZZ_SEED", "1"))
FEATURES = {"x": {"kind": "numeric"}, "c": {"kind": "categorical"}}
CONFIG = ModelConfig(model="m", features=FEATURES)
SAMPLES = samples()
MODEL = "model: m\nfeatures: {x: {kind: %s}, c: {kind: %s}}\ncolumns: {%s}\n"


def n_accepted(path) -> int:
    decoder = Decoder([CONFIG.schema_])
    chunks = open_source(path, CONFIG)
    return sum(len(b.time_us) for chunk in chunks for b in decoder.decode(chunk).batches)


def refusal(read, path) -> str:
    """Read a file; return why it was refused, nothing where it was read."""
    try:
        read(path)
    except DriftlineError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("name", SAMPLES)
def test_a_sound_file_of_each_format_is_read_by_every_command(tmp_path, name):
    (tmp_path / name).write_bytes(SAMPLES[name])
    assert n_accepted(tmp_path / name) == N_ROWS
    assert read_rows(tmp_path / name).num_rows == N_ROWS


@pytest.mark.parametrize("name", SAMPLES)
def test_a_damaged_file_is_read_or_refused_in_one_line(tmp_path, name):
    path = tmp_path / name
    for i in range(max(20, N_INPUTS // 4)):
        rng = random.Random(f"{SEED}/{name}/{i}")
        damage = broken if rng.random() < 0.5 else flip
        path.write_bytes(damage(rng, SAMPLES[name]))
        for read in (n_accepted, read_rows):
            said = refusal(read, path)
            assert "\n" not in said, (SEED, name, i)
            assert len(said) < 1_500, (SEED, name, i)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An installation whose model's kinds can be rewritten."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DRIFTLINE_TRACEBACK", raising=False)
    (tmp_path / "models").mkdir()
    (tmp_path / "driftline.yaml").write_text("models: [models/*.yaml]\n")
    rng = random.Random(0)
    n = 1_000
    good = pa.table(
        {
            "x": [rng.random() for _ in range(n)],
            "c": [rng.choice("ab") for _ in range(n)],
            "t": [START_US + 60_000_000 * i for i in range(n)],
            "p": [rng.random() for _ in range(n)],
        }
    )
    pq.write_table(good, tmp_path / "good.parquet")
    return tmp_path


def test_no_file_reaches_a_fault_of_driftline(here):
    for i in range(max(6, N_INPUTS // 12)):
        rng = random.Random(f"{SEED}/{i}")
        a, b = (write_odd(rng, odd_table(rng), stem) for stem in "ab")
        kinds = ("numeric", "categorical") if rng.random() < 0.7 else ("categorical", "numeric")
        columns = rng.choice(("time: t", "time: t, score: p", "time: t, id: p", "record_time: t"))
        (here / "models/m.yaml").write_text(MODEL % (*kinds, columns))
        build = ("baseline", "build", "models/m.yaml", "-r")
        for arguments in (
            ("compare", a, b),
            ("compare", "good.parquet", a, "--model", "models/m.yaml"),
            ("compare", f"{a}@2000-01-01..2030-01-01", b, "--time", "t"),
            (*build, a),
            (*build, "good.parquet"),
            ("replay", b, "--store", "none"),
            ("replay", a, "--rows-per-window", "100", "--store", "none"),
        ):
            ended = command(*arguments)
            assert "bug in Driftline" not in ended.err, (SEED, i, arguments, ended.err)
            assert len(ended.err) < 4_000, (SEED, i, arguments)
