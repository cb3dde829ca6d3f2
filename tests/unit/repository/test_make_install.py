"""``make`` installs with uv where it works and with pip where not, always with hashes."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.repository import ROOT

LOCKED = "--require-hashes --no-deps -r requirements/demo.lock"
PYPI = "https://pypi.org/simple"
PYTHON = """#!/bin/sh
case "$*" in
  *"config get"*) test -n "$PIP_CONFIGURED" && echo "$PIP_CONFIGURED";;
  *uv.lock*) exit 1;;
  *"pip install"*) echo "pip $*" >>"$CALLS";;
esac
"""
UV = """#!/bin/sh
echo "uv $UV_DEFAULT_INDEX $*" >>"$CALLS"
exit "$UV_EXIT"
"""


def installed(folder: Path, uv: str | None, **environment: str) -> list[str]:
    """Run the rule of ``make demo`` with programs that only note how they were called."""
    (folder / "bin").mkdir()
    (folder / "venv/bin").mkdir(parents=True)
    programs = {"venv/bin/python": PYTHON} | ({} if uv is None else {"bin/uv": UV})
    for name, text in programs.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    for name in ("sh", "make", "touch", "expr", "getconf", "cat"):
        (folder / "bin" / name).symlink_to(str(shutil.which(name)))
    calls = folder / "calls"
    stamp = f"{folder}/venv/demo.stamp"
    environment |= {"PATH": f"{folder}/bin", "CALLS": str(calls), "UV_EXIT": uv or ""}
    subprocess.run(
        [str(folder / "bin/make"), f"VENV={folder}/venv", "PYTHON=python3", stamp],
        cwd=ROOT, env=environment, capture_output=True, timeout=60, check=True,
    )  # fmt: skip
    return calls.read_text().splitlines()


@pytest.mark.parametrize(("uv", "names"), [(None, ["pip"]), ("0", ["uv"]), ("2", ["uv", "pip"])])
def test_locked_files_are_installed_with_hashes_by_uv_or_by_pip(tmp_path, uv, names):
    *locked, own = installed(tmp_path, uv)
    assert [call.split()[0] for call in locked] == names
    assert all(LOCKED in call for call in locked)
    assert own.endswith("--no-deps --no-build-isolation -e .")


@pytest.mark.parametrize(
    ("environment", "index"),
    [
        ({}, PYPI),
        ({"PIP_CONFIGURED": "https://a"}, "https://a"),
        ({"PIP_CONFIGURED": "https://a", "PIP_INDEX_URL": "https://b"}, "https://b"),
        ({"PIP_INDEX_URL": "https://b", "UV_DEFAULT_INDEX": "https://c"}, "https://c"),
    ],
)
def test_uv_reads_the_index_that_pip_would_read(tmp_path, environment, index):
    assert installed(tmp_path, "0", **environment)[0].split()[1] == index
