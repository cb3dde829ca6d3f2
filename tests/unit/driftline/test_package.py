"""What the package ``driftline`` exports, and its deprecated alias ``monitor.sdk``."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

import driftline
from schemas import errors, events
from tests.support.repository import ROOT

OLD_MODULES = (
    *("arrow", "batches", "buffer", "counters", "courier", "events", "kafka_sender"),
    *("reporter", "rows", "values", "watch"),
)


@pytest.fixture
def _forgotten_alias():
    """Have the alias imported for the first time by the test, and not stay for others."""
    forget_alias()
    yield
    forget_alias()


def forget_alias() -> None:
    for name in [name for name in sys.modules if name.startswith("monitor.sdk")]:
        del sys.modules[name]


def test_the_public_names_are_listed_and_a_mistyped_one_is_refused():
    assert set(driftline.__all__) <= set(dir(driftline))
    for name in driftline.__all__:
        assert getattr(driftline, name).__name__ == name
    with pytest.raises(AttributeError, match="'driftline' has no attribute 'Reprter'"):
        _ = driftline.Reprter


def test_its_types_and_errors_load_without_the_reporter():
    done = subprocess.run(
        [
            *(sys.executable, "-c"),
            "import sys, schemas.events, schemas.errors\n"
            "print(sorted(name for name in sys.modules if name.startswith('driftline')))",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.stdout, done.stderr) == (
        "['driftline', 'driftline.errors', 'driftline.wire']\n",
        "",
    )


def test_there_is_one_exception_tree():
    found = [value for value in vars(errors).values() if isinstance(value, type)]
    assert len(found) >= 15
    assert all(issubclass(error, driftline.DriftlineError) for error in found)
    for name in ("DriftlineError", "DomainError", "TransportError"):
        assert getattr(errors, name) is getattr(driftline, name)


def test_what_the_sdk_sends_is_what_schemas_describes():
    for name in ("PredictionEvent", "LabelEvent", "GpuEvent"):
        assert getattr(events, name) is getattr(driftline, name)


@pytest.mark.usefixtures("_forgotten_alias")
def test_the_old_name_warns_the_importing_file():
    with pytest.warns(DeprecationWarning, match="from driftline import Reporter") as warned:
        from monitor.sdk import Counters, Reporter
    assert [warning.filename for warning in warned] == [__file__]
    assert (Counters, Reporter) == (driftline.Counters, driftline.Reporter)


@pytest.mark.usefixtures("_forgotten_alias")
@pytest.mark.parametrize("name", OLD_MODULES)
def test_a_module_under_its_old_name_is_the_same_module(name):
    with pytest.warns(DeprecationWarning, match=r"monitor\.sdk is deprecated"):
        old = importlib.import_module(f"monitor.sdk.{name}")
    assert old is importlib.import_module(f"driftline.{name}")
    assert getattr(sys.modules["monitor.sdk"], name) is old
