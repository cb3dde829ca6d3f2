"""A small installation on disk, and the command line run against it as a user would."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tests.support.repository import ROOT

START_US = 1_451_606_400_000_000
MODEL = """model: loans
features:
  income: {kind: numeric, importance: high}
  job: {kind: categorical}
segments: [region]
window: {length: 1h}
"""


class Ended(NamedTuple):
    """Result of a command."""

    code: int
    out: str
    err: str


def rows(n: int, seed: int = 0) -> pa.Table:
    """Return rows of the model, one per second."""
    rng = np.random.default_rng(seed)
    return pa.table(
        {
            "income": rng.normal(50_000, 10_000, n),
            "job": rng.choice(["clerk", "cook", "none"], n),
            "region": rng.choice(["eu", "us"], n),
            "score": rng.random(n),
            "time_us": START_US + 1_000_000 * np.arange(n),
        }
    )


def event(i: int, **changed: Any) -> bytes:
    """Return one JSON event; ``changed`` replaces its fields."""
    fields = {
        "id": f"e{i}",
        "model": "loans",
        "time_us": START_US + i * 1_000_000,
        "features": {"income": 50_000.0 + i, "job": "cook"},
        "segments": {"region": "eu"},
        "score": 0.5,
    }
    return json.dumps(fields | changed).encode()


def write_lines(path: Path, lines: Iterable[bytes]) -> Path:
    """Write JSONL."""
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    return path


def install(folder: Path) -> Path:
    """Write config, model, reference, events and the baseline of an installation."""
    (folder / "models").mkdir(parents=True)
    (folder / "models/loans.yaml").write_text(MODEL)
    (folder / "driftline.yaml").write_text("models: [models/*.yaml]\n")
    pq.write_table(rows(4_000), folder / "train.parquet")
    write_lines(folder / "events.jsonl", (event(i) for i in range(200)))
    model, reference = folder / "models/loans.yaml", folder / "train.parquet"
    built = command("baseline", "build", model, "-r", reference, "-o", folder / "baselines")
    assert built.code == 0, built.err
    return folder


def command(*arguments: object) -> Ended:
    """Run ``driftline`` in this process, in its current folder."""
    from monitor.cli.main import main

    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main([str(a) for a in arguments])
        except SystemExit as ended:
            return Ended(int(ended.code or 0), out.getvalue(), err.getvalue())
    raise AssertionError("the command line ended without an exit code")


def start(*arguments: object, folder: Path, **environment: str) -> subprocess.Popen[bytes]:
    """Start ``driftline`` in a separate process."""
    return subprocess.Popen(
        [sys.executable, "-m", "monitor.cli.main", *map(str, arguments)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def contents(folder: Path) -> dict[str, bytes]:
    """Return every file below a folder, and folders as well, to be compared later."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else b"/"
        for path in sorted(folder.rglob("*"))
    }
