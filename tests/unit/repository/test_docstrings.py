"""Docstrings of the product: an entry of a `Parameters` section says something."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.repository import ROOT

PACKAGES = [
    name for name in ("driftline", "schemas", "detectors", "monitor") if (ROOT / name).exists()
]
PARAMETERS = re.compile(r"^( *)(?:Other )?Parameters\n\1-+\n", re.MULTILINE)
UNDERLINE = re.compile(r" *-+$")


def section_lines(text: str) -> Iterator[str]:
    """Lines up to the title of the next section."""
    lines = text.splitlines()
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        if line.strip() and UNDERLINE.match(following):
            return
        yield line


def entries_without_description(docstring: str) -> list[str]:
    """Entries of `Parameters` sections behind which no indented line follows."""
    found = []
    text = inspect.cleandoc(docstring)
    for title in PARAMETERS.finditer(text):
        indent = len(title[1])
        lines = list(section_lines(text[title.end() :]))
        depths = [len(line) - len(line.lstrip()) if line.strip() else -1 for line in lines]
        end = next((i for i, depth in enumerate(depths) if 0 <= depth < indent), len(depths))
        inside = depths[:end]
        for depth, below, line in zip(inside, [*inside[1:], -1], lines, strict=False):
            if depth == indent and below <= indent:
                found.append(line.strip())
    return found


def documented(path: Path) -> Iterator[tuple[str, str]]:
    """Names and docstrings of a module, its classes and its functions."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            docstring = ast.get_docstring(node)
            if docstring:
                yield getattr(node, "name", path.stem), docstring


@pytest.mark.parametrize("package", PACKAGES)
def test_every_parameter_entry_has_a_description(package):
    missing = [
        f"{path.relative_to(ROOT)} {name}: {entry}"
        for path in sorted((ROOT / package).rglob("*.py"))
        for name, docstring in documented(path)
        for entry in entries_without_description(docstring)
    ]
    assert not missing, "describe these parameters, or leave them out:\n" + "\n".join(missing)


SECTION = """Do it.

Parameters
----------
first : int
    Rows.
second : str
third, fourth : float

    Behind a blank line.
fifth : int

Returns
-------
int

Other Parameters
----------------
sixth : str
"""


def test_entries_without_a_description_are_found():
    expected = ["second : str", "third, fourth : float", "fifth : int", "sixth : str"]
    assert entries_without_description(SECTION) == expected
