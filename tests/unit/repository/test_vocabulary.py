"""Retired terms do not come back: code, help, logs, metrics, alerts and Markdown use the glossary.

``docs/glossary.md`` names each concept once and marks retired terms with a dagger. It and
this file are the only places where they may be written.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.support.repository import ROOT

GLOSSARY = "docs/glossary.md"
EXEMPT = {GLOSSARY, Path(__file__).resolve().relative_to(ROOT).as_posix()}
SUFFIXES = {".py", ".md", ".yaml", ".yml", ".json", ".toml", ".sql", ".sh", ".example", ".xml"}
MAX_GENERAL = 20

RETIRED = {
    "made again": r"\bmade[ _](?:again|anew)\b",
    "made anew": r"(?<![A-Za-z])anew(?![A-Za-z])",
    "a clock that never goes back": r"clock that (?:never|does not|cannot) (?:goes?|runs?) back",
    "fast road": r"(?i:fast|slow|strict|both)[ _-]?[Rr]oads?\b",
    "crash point": r"(?i:crash)[ _-]?(?i:points?)\b",
    "reach": r"(?<![A-Za-z])_?reach(?=\()|\bReach\b(?! the)|\breach(?= : callable|: Reach|=reach)",
    "Sparingly": r"(?i:\bsparingly\b)|SparingHandler|\bsparing\b",
    "StateShelf": r"StateShelf|state_shelf|(?<![A-Za-z])shelf(?![A-Za-z])|SHELF",
    "Stand": r"(?<=[ \[(,:|])Stand(?=[\]()),:|]|: | or None| =| ->)|\bstand_of\b",
    "SignsOfLife": r"SignsOfLife|(?i:\bsigns?[ _-]of[ _-]life\b)",
    "Life": r"(?<![A-Za-z])Life(?![A-Za-z])",
    "Family": r"\bFamily\b",
    "patience": r"(?i)(?<![a-z])(?:im)?patien(?:ce|t)(?![a-z])",
    "presence": r"(?i)(?<![a-z])presence(?![a-z])",
    "unowned": r"(?i)(?<![a-z])unowned(?![a-z])|UnownedWatch",
    "letter cap": r"(?i)letter[ _-]?cap(?:s|ped)?(?![a-z])",
    "Pulse": r"(?<![A-Za-z])_?[Pp]ulse(?![a-z])",
}
"""By the term as the glossary lists it; a pattern over whole files."""

GENERAL = re.compile(r"(?i)(?<![A-Za-z])(?:told|hears|nobody|somebody|whoever|stands)(?![A-Za-z])")


def texts() -> dict[str, str]:
    """Return every tracked text by its path, but for locks, recorded bytes and the exempt."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split("\0")
    found = {}
    for name in listed:
        path = ROOT / name
        is_text = path.suffix in SUFFIXES or path.name in ("Makefile", "Dockerfile", "run")
        if name in EXEMPT or not is_text or not path.is_file() or "golden" in path.parts:
            continue
        found[name] = path.read_text(encoding="utf-8")
    return found


@pytest.fixture(scope="module")
def tree() -> dict[str, str]:
    found = texts()
    assert len(found) > 300
    return found


def hits(tree: dict[str, str], pattern: str) -> list[str]:
    """Return each match as ``path:line: text``."""
    rx, found = re.compile(pattern), []
    for name, text in tree.items():
        for match in rx.finditer(text):
            line = text.count("\n", 0, match.start()) + 1
            found.append(f"{name}:{line}: {text.splitlines()[line - 1].strip()[:120]}")
    return found


@pytest.mark.parametrize("term", RETIRED)
def test_a_retired_term_is_used_nowhere(tree, term):
    assert hits(tree, RETIRED[term]) == []


def test_general_words_are_rare(tree):
    found = hits(tree, GENERAL.pattern)
    assert len(found) <= MAX_GENERAL, "\n".join(found)


@pytest.mark.parametrize("term", RETIRED)
def test_each_pattern_finds_its_term(term):
    samples = {
        "reach": "reach : callable",
        "Stand": "def f(at: Stand) -> None:",
        "letter cap": "the letter cap of a model",
        "fast road": "the fast road",
    }
    assert re.search(RETIRED[term], samples.get(term, term))


def test_the_glossary_marks_each_retired_term():
    text = (ROOT / GLOSSARY).read_text(encoding="utf-8")
    marked = {term.strip().lower() for term in re.findall(r"([^|†,]+)†", text)}
    assert {term.lower() for term in RETIRED} <= marked
