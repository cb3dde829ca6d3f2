"""``.ci/run`` installs the programs that tests start, and the README lists them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.programs import PACKAGES
from tests.support.repository import ROOT

PROGRAMS = ("java", "mvn", "curl", "openssl", "promtool", "prometheus-alertmanager", "chromium")


def run_ci(folder: Path, present: tuple[str, ...]) -> tuple[list[str], str]:
    """Run it where only some programs exist; return what was installed, and standard error."""
    stubs = {
        "id": "echo 0",
        "apt-get": f'echo "$@" >>{folder}/installed',
        "make": f"echo make >>{folder}/installed",
        **dict.fromkeys(present, "true"),
    }
    for name, line in stubs.items():
        (folder / name).write_text(f"#!/bin/sh\n{line}\n")
        (folder / name).chmod(0o755)
    for name in ("bash", "dirname", "sh"):
        (folder / name).symlink_to(str(shutil.which(name)))
    done = subprocess.run(
        [str(folder / "bash"), str(ROOT / ".ci/run")],
        env={"PATH": str(folder)}, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    return (folder / "installed").read_text().splitlines(), done.stderr


def test_with_every_program_present_nothing_is_installed(tmp_path):
    assert run_ci(tmp_path, PROGRAMS) == (["make"], "")


@pytest.mark.parametrize("missing", PROGRAMS)
def test_a_missing_program_is_installed_and_named_if_it_stays_missing(tmp_path, missing):
    package = {"java": "openjdk-17-jre-headless", "mvn": "maven", **PACKAGES}[missing]
    calls, errors = run_ci(tmp_path, tuple(name for name in PROGRAMS if name != missing))
    assert calls[0].startswith("update")
    assert any(package in call.split() for call in calls[1:-1])
    assert calls[-1] == "make"
    assert errors == f"{missing} could not be installed: the tests with it will fail\n"


def test_the_readme_lists_every_package():
    readme = (ROOT / "README.md").read_text()
    for package in {"openjdk-17-jre-headless", "maven", *PACKAGES.values()}:
        assert package in readme
