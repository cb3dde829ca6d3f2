"""The build steps of the image, run into a folder: there is no Docker engine here."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.repository import ROOT

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(1_200)]

CLEAN = {
    name: value
    for name, value in os.environ.items()
    if not name.startswith(("DRIFTLINE", "PYTHON", "NUMBA", "VIRTUAL_ENV"))
}


def copied_by_the_dockerfile() -> list[str]:
    text = (ROOT / "deploy/docker/Dockerfile").read_text()
    lines = re.findall(r"^COPY (?!--from)(.+) \S+$", text, re.MULTILINE)
    return [source for line in lines for source in line.split()]


@pytest.fixture(scope="module")
def image(tmp_path_factory) -> Path:
    """What the image has under /opt/driftline, built from what Docker is given."""
    source = tmp_path_factory.mktemp("source")
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for name in copied_by_the_dockerfile():
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, source / name, ignore=ignored)
        else:
            shutil.copy(ROOT / name, source / name)
    target = tmp_path_factory.mktemp("opt") / "driftline"
    done = subprocess.run(
        ["bash", str(source / "deploy/docker/build-steps.sh"), str(source), str(target)],
        env=CLEAN | {"PYTHON": sys.executable},
        cwd=target.parent,
        capture_output=True,
        text=True,
        check=False,
        timeout=1_100,
    )
    assert done.returncode == 0, done.stdout[-3_000:] + done.stderr[-3_000:]
    shutil.rmtree(source)
    return target


def run(image: Path, *command: str) -> str:
    done = subprocess.run(
        [str(image / "venv/bin" / command[0]), *command[1:]],
        env=CLEAN | {"DRIFTLINE_CACHE_DIR": str(image / "cache")},
        cwd=image,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_every_stage_starts_from_what_was_installed(image):
    assert run(image, "driftline", "--version").startswith("driftline ")
    for stage in ("ingest", "detect", "notify", "archive", "topics"):
        assert "Usage: driftline" in run(image, "driftline", stage, "--help")
    where = run(image, "python", "-c", "import monitor; print(monitor.__file__)")
    assert Path(where.strip()).is_relative_to(image)


def test_every_module_of_the_stages_is_there_with_what_it_imports(image):
    run(
        image,
        "python",
        "-W",
        "ignore",
        "-c",
        "import monitor.app.stages, monitor.app.in_process, driftline\n"
        "import faust, confluent_kafka, kafka\n"
        "from schemas.errors import DriftlineError\n"
        "from monitor.storage.migrations import load_migrations\n"
        "assert load_migrations()\n",
    )


def test_nothing_is_installed_that_no_stage_needs(image):
    names = {path.name.split("-")[0].lower() for path in image.glob("venv/lib/*/site-packages/*")}
    assert {"faust_streaming", "confluent_kafka", "driftline"} <= names
    assert not names & {"chdb", "pandas", "evidently", "pytest", "mypy", "river", "whylogs"}


def test_kernels_are_compiled_already(image):
    said = run(
        image,
        "python",
        "-c",
        "import numpy as np\n"
        "from detectors.kernels import jit\n"
        "from monitor.transport.kafka.readers import gather\n"
        "gather.find_errors(np.zeros(1, np.int64), 0, np.zeros(1, np.int64))\n"
        "print(jit.compiled_count())\n",
    )
    assert said.split() == ["0"]
