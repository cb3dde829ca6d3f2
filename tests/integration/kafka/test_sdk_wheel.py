"""The SDK installed from the built wheel, in services that have modules of our packages' names.

An editable install finds our submodules even below a service's package of the same name, so only
a wheel shows a clash.
"""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from monitor.decode import Decoder
from monitor.decode.chunk import chunk_of
from schemas.batch import ModelSchema
from tests.support.kafka.messages import consume_all, create_topic
from tests.support.repository import ROOT

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

SOURCES = ("pyproject.toml", "README.md", "LICENSE", "driftline", "schemas", "detectors", "monitor")
NEEDED = ("kafka-python", "msgspec")
"""The dependencies of Driftline that the SDK imports."""
CLEAN = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
SCHEMA = ModelSchema("default", "loans", ("age",), ("job",), ("region",))

OWN_MODULES = {
    "schemas/ and monitor.py": ("schemas/__init__.py", "monitor.py"),
    "schemas/, monitor.py and detectors.py": (
        *("schemas/__init__.py", "schemas/events.py", "monitor.py", "detectors.py"),
    ),
    "schemas.py, monitor/ and detectors/": (
        *("schemas.py", "monitor/__init__.py", "detectors/__init__.py"),
    ),
}
SERVICE = """
import importlib, pathlib, sys
bootstrap, topic, *own = sys.argv[1:]
here = pathlib.Path(__file__).parent
import driftline
from driftline import Reporter
for name in own:
    assert pathlib.Path(importlib.import_module(name).__file__).is_relative_to(here), name
assert not pathlib.Path(driftline.__file__).is_relative_to(here)
reporter = Reporter(bootstrap, model="loans", predictions_topic=topic)
reporter.predict(
    {"age": 41.5, "job": "clerk"}, score=0.83, id="1", segments={"region": "north"}, time_us=10**15
)
assert reporter.close(60), reporter.counters
print(reporter.counters.n_sent, reporter.counters.last_error)
"""


def run(*command: str | Path, cwd: Path) -> str:
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=CLEAN,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3_000:] + done.stderr[-3_000:]
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """The wheel, built from a copy: a build leaves folders beside the sources."""
    source = tmp_path_factory.mktemp("source")
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(
                ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__")
            )
        else:
            shutil.copy(ROOT / name, source / name)
    pip = (sys.executable, "-m", "pip", "wheel", "--quiet", "--no-index", "--no-deps")
    run(*pip, "--no-build-isolation", "--wheel-dir", "dist", ".", cwd=source)
    (built,) = (source / "dist").glob("driftline-*.whl")
    return built


@pytest.fixture(scope="module")
def python(wheel, tmp_path_factory) -> Path:
    """The interpreter of a new environment that has the wheel and what the SDK needs.

    The two libraries are copied from the running environment, so no network is needed.
    """
    environment = tmp_path_factory.mktemp("environment")
    run(sys.executable, "-m", "venv", "--without-pip", environment, cwd=environment)
    interpreter = environment / "bin" / "python"
    pip = (sys.executable, "-m", "pip", "--quiet", "--python", interpreter, "install")
    run(*pip, "--no-index", "--no-deps", wheel, cwd=environment)
    (site,) = environment.glob("lib/python*/site-packages")
    for name in NEEDED:
        copy_distribution(name, site)
    return interpreter


def copy_distribution(name: str, site: Path) -> None:
    """Copy the files of an installed distribution, but not its commands."""
    for file in importlib.metadata.distribution(name).files:
        if ".." in file.parts or file.suffix == ".pyc":
            continue
        target = site / file
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file.locate(), target)


@pytest.mark.kafka
@pytest.mark.parametrize("own_modules", OWN_MODULES.values(), ids=OWN_MODULES)
def test_one_prediction_is_reported_beside_a_services_own_modules(
    own_modules, python, broker, topic_prefix, tmp_path
):
    for name in own_modules:
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text('"""The service\'s own."""\n')
    (tmp_path / "service.py").write_text(SERVICE)
    topic = f"{topic_prefix}predictions"
    create_topic(broker.bootstrap, topic)
    own = dict.fromkeys(name.split("/")[0].removesuffix(".py") for name in own_modules)
    said = run(python, "service.py", broker.bootstrap, topic, *own, cwd=tmp_path)
    assert said.split() == ["1"]
    decoded = Decoder([SCHEMA]).decode(chunk_of(consume_all(broker.bootstrap, topic, 1), "topic"))
    assert decoded.rejects == ()
    (batch,) = decoded.batches
    np.testing.assert_array_equal(batch.numeric, [[41.5]])
    np.testing.assert_array_equal(batch.score, [0.83])
    assert batch.time_us.tolist() == [10**15]
    assert [column.values[column.codes[0]] for column in (*batch.categorical, *batch.segments)] == [
        *("clerk", "north")
    ]


def test_the_wheel_has_types_and_the_old_name_and_needs_no_codec(python, tmp_path):
    code = """
import pathlib, driftline
from driftline.compression import choose_codec
from monitor.sdk import Reporter
marker = pathlib.Path(driftline.__file__).with_name("py.typed")
print(Reporter is driftline.Reporter, marker.is_file(), choose_codec("auto"))
"""
    assert run(python, "-W", "ignore", "-c", code, cwd=tmp_path) == "True True None\n"
