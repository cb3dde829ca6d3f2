"""Old paths of moved modules work for one release, and say where the module is now."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module

import pytest

from schemas.moved import moved_modules
from tests.support.repository import ROOT


@pytest.mark.parametrize("old", sorted(moved_modules()))
def test_an_old_path_names_a_module_that_exists(old):
    new, _ = moved_modules()[old]
    assert (ROOT / f"{new.replace('.', '/')}.py").is_file()
    assert not (ROOT / f"{old.replace('.', '/')}.py").exists()


@pytest.mark.parametrize(
    ("old", "name"),
    [
        ("detectors.psi", "psi"),
        ("schemas.config_file", "parse_model"),
        ("monitor.core.pane_codec", "encode"),
        ("monitor.core.profile_codec", "decode"),
    ],
)
def test_an_old_path_imports_the_module_itself_and_warns(old, name):
    new, names = moved_modules()[old]
    sys.modules.pop(old, None)
    with pytest.warns(DeprecationWarning, match=f"{old} is now {new}"):
        module = import_module(old)
    assert module is import_module(new)
    assert module.__spec__.name == new
    assert getattr(module, name) is getattr(import_module(new), names.get(name, name))


@pytest.mark.parametrize("old", sorted(o for o, (_, names) in moved_modules().items() if names))
def test_a_renamed_class_has_its_old_name_at_the_old_path(old):
    new, names = moved_modules()[old]
    sys.modules.pop(old, None)
    with pytest.warns(DeprecationWarning, match=f"{old} is now {new}"):
        module = import_module(old)
    for before, now in names.items():
        assert getattr(module, before) is getattr(import_module(new), now)


def test_an_import_from_the_old_folder_finds_the_module():
    code = "from monitor.core import pane_codec; print(pane_codec.__name__)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert run.stdout == "monitor.core.windowing.codec\n", run.stderr


def test_the_old_name_of_build_baseline_still_works():
    build = import_module("monitor.baseline.build")
    assert build.build_profile is build.build_baseline


def test_a_module_that_never_was_is_still_missing():
    with pytest.raises(ModuleNotFoundError):
        import_module("monitor.core.no_such_module")
