"""Folders stay small enough to be read, and unit tests mirror the packages."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.repository import ROOT

PACKAGES = ("driftline", "schemas", "detectors", "monitor")
MAX_MODULES = 25
ONE_FILE_A_MEMBER = {"detectors/statistics", "benchmarks"}
"""One file for each statistic or question, and what they share."""


def folders(*names: str) -> list[Path]:
    """Return the folders below ``names`` that hold modules."""
    found = {file.parent for name in names for file in (ROOT / name).rglob("*.py")}
    return sorted(found)


def path_of(folder: Path) -> str:
    return folder.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("folder", folders(*PACKAGES, "benchmarks", "tests"), ids=path_of)
def test_a_folder_holds_at_most_25_modules(folder):
    modules = [file.name for file in folder.glob("*.py") if file.name != "__init__.py"]
    is_exception = path_of(folder) in ONE_FILE_A_MEMBER
    assert is_exception or len(modules) <= MAX_MODULES


@pytest.mark.parametrize("folder", folders(*PACKAGES), ids=path_of)
def test_a_package_folder_says_what_it_holds(folder):
    first = (folder / "__init__.py").read_text().lstrip()
    assert first.startswith('"""')


def test_unit_tests_lie_in_a_folder_named_after_their_package():
    tests = {file.parent for file in (ROOT / "tests/unit").rglob("test_*.py")}
    mirrored = {folder.relative_to(ROOT / "tests/unit").as_posix() for folder in tests}
    assert mirrored - {"repository", *map(path_of, folders(*PACKAGES, "benchmarks"))} == set()
