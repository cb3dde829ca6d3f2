"""A command's module is imported without garbage collection, which goes on afterwards."""

from __future__ import annotations

import gc
import sys

import pytest

from monitor.cli.terminal.lazy import Entry, load_command


@pytest.fixture
def frozen():
    """Objects that were frozen by the test may be collected again."""
    yield
    gc.unfreeze()


def write_module(folder, text: str) -> str:
    name = f"lazy_command_{folder.name}"
    (folder / f"{name}.py").write_text("import gc\nENABLED = gc.isenabled()\n" + text)
    return name


def test_nothing_is_collected_while_a_command_is_imported(tmp_path, monkeypatch, frozen):
    monkeypatch.syspath_prepend(tmp_path)
    name = write_module(tmp_path, "def run(): ...\n")
    assert load_command("run", Entry(f"{name}:run", "")).name == "run"
    assert sys.modules.pop(name).ENABLED is False
    assert gc.isenabled()
    assert gc.get_freeze_count() > 0


def test_collection_goes_on_after_a_module_that_cannot_be_imported(tmp_path, monkeypatch, frozen):
    monkeypatch.syspath_prepend(tmp_path)
    name = write_module(tmp_path, "raise ImportError('gone')\n")
    with pytest.raises(ImportError, match="gone"):
        load_command("run", Entry(f"{name}:run", ""))
    assert gc.isenabled()
