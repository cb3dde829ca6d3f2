"""Commands in hints can be copied into the shell that shows them."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from monitor.cli.terminal.command_hints import as_started, own_command

PROGRAM = Path(sys.executable).with_name("driftline")


@pytest.fixture
def program(tmp_path, monkeypatch) -> Path:
    """A program of that name in a folder with a blank, beside the current one."""
    path = tmp_path / "my env" / "bin" / "driftline"
    path.parent.mkdir(parents=True)
    path.write_text("#!/bin/sh\necho started\n")
    path.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    return path


def test_a_program_that_the_path_finds_is_called_by_its_name(program):
    assert own_command([str(program)], str(program.parent)) == "driftline"


def test_a_program_off_the_path_is_called_by_the_path_it_was_started_by(program):
    command = own_command(["my env/bin/driftline"], "/nowhere")
    assert command == "'my env/bin/driftline'"
    assert subprocess.check_output(["/bin/sh", "-c", command], text=True) == "started\n"


def test_a_program_of_the_current_folder_is_called_with_a_dot(program, monkeypatch):
    monkeypatch.chdir(program.parent)
    assert own_command(["./driftline"], "/nowhere") == "./driftline"


def test_another_program_of_the_name_on_the_path_is_not_taken_for_this_one(program, tmp_path):
    other = tmp_path / "driftline"
    other.write_text("")
    other.chmod(0o755)
    assert own_command([str(program)], str(tmp_path)) == "'my env/bin/driftline'"


def test_a_module_is_started_as_one():
    command = own_command(["/lib/monitor/cli/main.py"], "")
    assert command == f"{shlex.quote(sys.executable)} -m monitor.cli.main"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("run `driftline demo` first", "run `bin/driftline demo` first"),
        ("build: driftline baseline build m.yaml", "build: bin/driftline baseline build m.yaml"),
        ("is not a Driftline baseline", "is not a Driftline baseline"),
        ("in driftline.yaml", "in driftline.yaml"),
        ("topic driftline.gpu", "topic driftline.gpu"),
        ("/opt/driftline demo", "/opt/driftline demo"),
    ],
)
def test_only_commands_in_a_hint_are_rewritten(tmp_path, monkeypatch, text, expected):
    program = tmp_path / "bin" / "driftline"
    program.parent.mkdir()
    program.touch(mode=0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(sys, "argv", ["bin/driftline"])
    assert as_started(text) == expected


@pytest.mark.skipif(not PROGRAM.is_file(), reason="driftline is not installed as a program")
def test_an_error_names_a_command_that_works_without_an_activated_environment(tmp_path):
    path = os.pathsep.join(("/usr/bin", "/bin"))
    ended = subprocess.run(
        [PROGRAM, "sql", "SELECT 1", "--store", "nothing-here"],
        cwd=tmp_path,
        env={"PATH": path, "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 5
    hinted = ended.stderr.partition("`")[2].partition(" demo`")[0]
    assert (
        subprocess.run([*shlex.split(hinted), "--version"], cwd=tmp_path, check=False).returncode
        == 0
    )
