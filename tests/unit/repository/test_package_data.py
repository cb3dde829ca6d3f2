"""Files that are not Python reach the wheel: each matches a pattern of the package data."""

from __future__ import annotations

import tomllib
from fnmatch import fnmatch

import pytest

from tests.support.repository import ROOT

PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PATTERNS = PYPROJECT["tool"]["setuptools"]["package-data"]["*"]
PACKAGES = [
    ROOT / name.rstrip("*")
    for name in PYPROJECT["tool"]["setuptools"]["packages"]["find"]["include"]
]


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: path.name)
def test_every_file_of_a_package_is_in_the_wheel(package):
    files = [
        path
        for path in package.glob("**/*")
        if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".py"
    ]
    left_out = [
        str(path.relative_to(ROOT))
        for path in files
        if not any(fnmatch(path.name, pattern) for pattern in PATTERNS)
    ]
    assert left_out == []


def test_templates_styles_and_fonts_are_among_them():
    suffixes = {path.suffix for path in (ROOT / "monitor").glob("**/*") if path.is_file()}
    assert {".html", ".css", ".ttf"} <= suffixes
