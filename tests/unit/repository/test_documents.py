"""Markdown pages: the paths, links, commands, config keys and failpoints they name exist."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args, get_origin
from urllib.parse import unquote

import pytest
from pydantic import BaseModel

from monitor.cli.main import COMMANDS
from monitor.notify.config_types import model_type, monitor_type
from monitor.transport.kafka.topics.specs import topic_specs
from schemas.events import RejectReason
from tests.support.repository import ROOT
from tests.support.scenario.kill_sequence import ELSEWHERE, steps_in_the_code

PAGES = sorted(
    path
    for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]
    if path.name != "CHANGELOG.md"  # names modules as they were
)
ADRS = sorted((ROOT / "docs/adr").glob("[0-9]*.md"))

_FENCE = re.compile(r"^ *```.*?^ *```", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_PARTICIPANT = re.compile(r" +participant (\w+) as [^:;#]+$")
_ARROW = re.compile(r" +(?:(\w+)--?>>(\w+)|Note over (\w+)): [^;#]+$")
_MODULE = re.compile(r"-m ((?:schemas|benchmarks|monitor|tests)\.[a-z_.]+[a-z_])")


def path_pattern() -> re.Pattern[str]:
    """Return what matches a path below one of the repository's folders, or a file at its top."""
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.splitlines()
    tops = {line.split("/")[0] for line in tracked} or {path.name for path in ROOT.iterdir()}
    folders = sorted(name for name in tops if (ROOT / name).is_dir() and name != ".ci")
    files = sorted(name for name in tops if "." in name.lstrip(".") and (ROOT / name).is_file())
    names = [*(rf"{re.escape(name)}/[\w./*-]*" for name in folders), *map(re.escape, files)]
    return re.compile(rf"(?<![\w./-])(?:{'|'.join(names)})")


PATH = path_pattern()


def missing_paths(text: str) -> list[str]:
    """Return the paths of the repository that a page names and that do not exist."""
    found = (name.rstrip(".") for name in PATH.findall(text))
    return [name for name in found if not (ROOT / name).exists() and not list(ROOT.glob(name))]


def anchors(page: Path) -> set[str]:
    """Return the fragments of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", _FENCE.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken_links(page: Path, text: str) -> list[str]:
    """Return the relative links of a page that lead nowhere."""
    broken = []
    for link in _LINK.findall(_FENCE.sub("", text)):
        name, _, fragment = unquote(link).partition("#")
        target = page.parent / name if name else page
        if "://" in link:
            continue
        is_page = target.suffix == ".md" and target.is_file()
        if not target.exists() or (fragment and is_page and fragment not in anchors(target)):
            broken.append(link)
    return broken


def models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """Yield the config models within a type, such as those of a union or a container."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from models_in(part)


def keys_of(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Yield the names of settings as the page writes them.

    Those of a section are dotted; those of the entries of a list or a map have a table of their
    own, without a prefix.
    """
    for attribute, field in model.model_fields.items():
        name = field.alias or attribute
        sections = list(models_in(field.annotation))
        is_container = get_origin(field.annotation) in (dict, Mapping, tuple, list)
        if is_container or not sections:
            yield prefix + name
        for section in sections:
            yield from keys_of(section, "" if is_container else f"{prefix}{name}.")


def command_names() -> Iterator[str]:
    """Yield every command as it is typed, with those of groups."""
    from monitor.cli.terminal.lazy import load_command

    for name, entry in COMMANDS.items():
        command = load_command(name, entry)
        subcommands = getattr(command, "commands", None)
        yield from (f"{name} {sub}" for sub in subcommands) if subcommands else [name]


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_paths_and_links_of_a_page_exist(page):
    text = page.read_text()
    assert missing_paths(text) == []
    assert broken_links(page, text) == []
    for module in _MODULE.findall(text):
        place = ROOT / module.replace(".", "/")
        assert place.is_dir() or place.with_suffix(".py").is_file() or module.endswith("NAME")


def test_a_path_or_link_that_does_not_exist_is_found():
    text = "`monitor/core/no_such.py`, detectors/nowhere/, `monitor/core/windowing/aggregate.py`."
    assert missing_paths(text) == ["monitor/core/no_such.py", "detectors/nowhere/"]
    assert missing_paths("`tests/unit/none_*.py` and `tests/unit/repository/test_*.py`") == [
        "tests/unit/none_*.py"
    ]
    links = "[a](docs/adr/9999-none.md) [b](README.md#no-such-heading) [c](README.md#try-it)"
    assert broken_links(ROOT / "CONTRIBUTING.md", links) == [
        "docs/adr/9999-none.md",
        "README.md#no-such-heading",
    ]


def test_every_command_has_a_row_in_the_page_of_commands():
    rows = set(re.findall(r"^\| `driftline ([a-z ]+)` \|", page("commands"), re.MULTILINE))
    assert rows == set(command_names())


def test_every_key_of_the_config_is_in_its_page():
    text = page("configuration")
    named = set(re.findall(r"`([a-z_.]+)`", text))
    assert {*keys_of(model_type()), *keys_of(monitor_type())} - named == set()


def test_every_topic_and_reason_is_in_its_page():
    operations, bad_input = page("operations"), page("bad-input")
    assert [spec.name for spec in topic_specs() if f"| `{spec.name}` |" not in operations] == []
    assert [reason for reason in RejectReason if f"| `{reason.value}` |" not in bad_input] == []


def test_the_diagrams_name_every_failpoint_of_the_stages_on_kafka():
    text = (ROOT / "ARCHITECTURE.md").read_text()
    named = set(re.findall(r"\b(?:ingest|detect|gpu|notify|archive):[a-z_]+", text))
    assert steps_in_the_code() - named <= ELSEWHERE.keys()
    assert named - steps_in_the_code() == set()


def test_every_package_folder_is_in_the_table_of_folders():
    section = (ROOT / "ARCHITECTURE.md").read_text().partition("## Folders")[2].partition("## ")[0]
    packages = ("driftline", "schemas", "detectors", "monitor")
    modules = [file for name in packages for file in (ROOT / name).rglob("__init__.py")]
    folders = {file.parent.relative_to(ROOT).as_posix() for file in modules} - {"monitor"}
    assert folders - set(re.findall(r"`([\w/]+)`", section)) == set()


def test_every_line_of_a_diagram_is_an_arrow_or_a_note_between_its_participants():
    text = (ROOT / "ARCHITECTURE.md").read_text()
    diagrams = re.findall(r"```mermaid\n(.*?)```", text, re.DOTALL)
    assert len(diagrams) == 4
    for first, *lines in (diagram.strip().splitlines() for diagram in diagrams):
        assert first == "sequenceDiagram"
        declared = {m[1] for line in lines if (m := _PARTICIPANT.match(line))}
        for line in lines:
            found = _PARTICIPANT.match(line) or _ARROW.match(line)
            assert found, line
            assert {name for name in found.groups() if name} <= declared, line


def test_every_decision_has_its_number_its_parts_and_a_line_in_the_index():
    index = (ROOT / "docs/adr/README.md").read_text()
    for number, path in enumerate(ADRS, 1):
        text = path.read_text()
        title = text.partition("\n")[0]
        assert path.name.startswith(f"{number:04d}-")
        assert title.startswith(f"# {number}. ")
        headings = re.findall(r"^## (\w+)$", text, re.MULTILINE)
        assert headings[:4] == ["Context", "Decision", "Alternatives", "Evidence"]
        assert f"| [{number}]({path.name}) | {title.partition('. ')[2]} |" in index


def page(name: str) -> str:
    return (ROOT / "docs" / f"{name}.md").read_text()
