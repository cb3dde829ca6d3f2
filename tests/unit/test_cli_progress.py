"""Progress: shown only for long work, never to a program."""

from __future__ import annotations

import io
import json

from monitor.cli.output import print_json, print_table
from monitor.cli.progress import progress


class Clock:
    """Seconds that a test moves on."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def shown(stream: io.StringIO, seconds: float, *, is_quiet: bool = False) -> str:
    clock = Clock()
    with progress("reading", 10, is_quiet=is_quiet, stream=stream, clock=clock) as advance:
        for _ in range(10):
            clock.now_s += seconds / 10
            advance(1, note="more")
    return stream.getvalue()


def test_short_work_shows_nothing():
    assert shown(io.StringIO(), 1.9) == ""
    assert shown(Terminal(), 1.9) == ""


def test_long_work_prints_a_line_every_two_seconds_at_most():
    lines = shown(io.StringIO(), 10.0).splitlines()
    assert lines[0] == "reading: 20 % more"
    assert lines[-1] == "reading: ended after 10.0 s"
    assert len(lines) == 6


def test_long_work_draws_a_bar_on_a_terminal():
    assert "reading" in shown(Terminal(), 10.0)


def test_a_program_sees_nothing():
    assert shown(io.StringIO(), 10.0, is_quiet=True) == ""
    assert shown(Terminal(), 10.0, is_quiet=True) == ""


def test_the_bar_goes_away_when_the_work_fails():
    stream, clock = Terminal(), Clock()
    try:
        with progress("reading", None, stream=stream, clock=clock) as advance:
            clock.now_s += 3
            advance()
            raise OSError
    except OSError:
        pass
    assert stream.getvalue().endswith(("\x1b[?25h", "\x1b[2K")) or "\x1b[?25h" in stream.getvalue()


def test_json_holds_no_nan(capsys):
    print_json({"a": float("nan"), "b": [float("inf"), 1.5], "c": "é"})
    assert json.loads(capsys.readouterr().out) == {"a": None, "b": [None, 1.5], "c": "é"}


def test_a_table_keeps_brackets_and_is_never_folded_off_a_terminal():
    stream = io.StringIO()
    print_table(("what", "n"), [("[bold]x[/bold]" + "y" * 300, 3), ("z", None)], file=stream)
    assert "[bold]x[/bold]" + "y" * 300 in stream.getvalue()
