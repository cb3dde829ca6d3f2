"""Folders stay small enough to be read: at most 25 modules in each."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.repository import ROOT

MAX_MODULES = 25
ONE_FILE_A_MEMBER = {"detectors/statistics"}
"""One file for each statistic, and what they share."""


def folders() -> list[Path]:
    """Return every folder of a product package that holds modules."""
    packages = ("driftline", "schemas", "detectors", "monitor")
    found = {file.parent for name in packages for file in (ROOT / name).rglob("*.py")}
    return sorted(found)


@pytest.mark.parametrize("folder", folders(), ids=lambda f: f.relative_to(ROOT).as_posix())
def test_a_package_folder_holds_at_most_25_modules(folder):
    modules = [file.name for file in folder.glob("*.py") if file.name != "__init__.py"]
    is_exception = folder.relative_to(ROOT).as_posix() in ONE_FILE_A_MEMBER
    assert is_exception or len(modules) <= MAX_MODULES


@pytest.mark.parametrize("folder", folders(), ids=lambda f: f.relative_to(ROOT).as_posix())
def test_a_package_folder_says_what_it_holds(folder):
    first = (folder / "__init__.py").read_text().lstrip()
    assert first.startswith('"""')
