"""Which libraries a command imports: each costs time at every start."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.support.repository import ROOT

pytestmark = pytest.mark.integration

MODEL = """model: loans
features:
  age: {kind: numeric}
  job: {kind: categorical}
segments: [job]
window: {length: 1h}
columns: {time: time_us}
"""
CODE = """
import json, sys
from importlib.metadata import packages_distributions
before = set(sys.modules)
from monitor.cli.main import main
code = 0
try:
    main(sys.argv[1:])
except SystemExit as ended:
    code = ended.code or 0
loaded = {name for name in sys.modules if sys.modules[name] is not None} - before
installed = packages_distributions()
roots = {name for name in loaded if "." not in name and name in installed}
slow = {"scipy.special", "scipy.stats", "scipy.linalg", "scipy.optimize", "numpy.f2py"}
parts = loaded & slow
print(json.dumps([code, sorted(roots | parts)]), file=sys.stderr)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """An installation with a baseline, training data and an hour of events."""
    folder = tmp_path_factory.mktemp("installation")
    (folder / "model.yaml").write_text(MODEL)
    (folder / "driftline.yaml").write_text("models: [model.yaml]\n")
    rng = np.random.default_rng(5)
    columns = {
        "time_us": 1_451_606_400_000_000 + np.arange(5_000) * 3_600_000,
        "age": rng.normal(40, 10, 5_000),
        "job": rng.choice(["clerk", "cook"], 5_000),
        "score": rng.random(5_000),
    }
    pq.write_table(pa.table(columns), folder / "train.parquet")
    events = [
        {"model": "loans", "features": {name: row.pop(name) for name in ("age", "job")}, **row}
        for row in pa.table(columns).slice(0, 2_000).to_pylist()
    ]
    (folder / "events.jsonl").write_text("".join(json.dumps(e) + "\n" for e in events))
    imported(folder, "baseline", "build", "model.yaml", "-r", "train.parquet")
    return folder


def imported(folder: Path, *command: str) -> set[str]:
    """Run a command and return the installed packages that it imported."""
    done = subprocess.run(
        [sys.executable, "-c", CODE, *command],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    code, names = json.loads(done.stderr.splitlines()[-1])
    assert code == 0, done.stderr + done.stdout
    return set(names)


COMMON = {
    *("annotated_doc", "annotated_types", "cloudpickle", "llvmlite", "msgspec", "numba", "numpy"),
    *("pyarrow", "pydantic", "pydantic_core", "scipy", "shellingham", "typer"),
    *("typing_extensions", "typing_inspection", "yaml", "dateutil"),
}
"""What Arrow, Numba, pydantic and typer are, and what they import."""
PIPELINE = COMMON | {"markupsafe", "prometheus_client"}
FFI = {"_cffi_backend", "cffi", "pycparser"}
"""Imported by Numba to load a kernel from its cache or to compile it."""
EMBEDDED = {
    *("backports", "certifi", "chdb", "clickhouse_connect", "lz4", "ujson", "urllib3", "pytz"),
    *("zstandard", "tzlocal", "orjson"),
}
"""The embedded store and its client."""
STATISTICS = {"scipy.special", "numpy.f2py"}
"""For p-values and effects of descriptive statistics."""
REPLAY = ("replay", "--json", "--config", "driftline.yaml")
COMMANDS = {
    "check": (("check",), PIPELINE | {"rich"}),
    "replay of JSON": ((*REPLAY, "--store", "none", "events.jsonl"), PIPELINE | FFI),
    "replay of a table": ((*REPLAY, "--store", "none", "train.parquet"), PIPELINE | FFI),
    "replay into a store": (
        (*REPLAY, "--store", "store", "events.jsonl"),
        PIPELINE | FFI | EMBEDDED | STATISTICS,
    ),
    "baseline build": (
        ("baseline", "build", "model.yaml", "-r", "train.parquet"),
        PIPELINE | FFI | {"rich"},
    ),
    "compare": (
        ("compare", "train.parquet", "train.parquet"),
        PIPELINE | FFI | STATISTICS | {"scipy.linalg", "scipy.optimize"},  # a classifier is fitted
    ),
}


@pytest.mark.parametrize(("command", "allowed"), COMMANDS.values(), ids=COMMANDS)
def test_a_command_imports_no_more_than_it_needs(folder, command, allowed):
    assert imported(folder, *command) - {"driftline", "monitor", "schemas", "detectors"} <= allowed
