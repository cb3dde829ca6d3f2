"""Progress: shown only for long work, never to a program."""

from __future__ import annotations

import io
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from monitor.app.row_progress import RowProgress, rows_text
from monitor.cli.terminal.output import print_json, print_table
from monitor.cli.terminal.progress import progress
from monitor.transport.files import open_source
from schemas.config.model import ModelConfig


class ProgressClock:
    """Seconds that a test moves on."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


class FakeTerminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def shown(stream: io.StringIO, seconds: float, *, is_quiet: bool = False) -> str:
    clock = ProgressClock()
    with progress("reading", 10, is_quiet=is_quiet, stream=stream, clock=clock) as advance:
        for _ in range(10):
            clock.now_s += seconds / 10
            advance(1, note="more")
    return stream.getvalue()


def test_short_work_shows_nothing():
    assert shown(io.StringIO(), 1.9) == ""
    assert shown(FakeTerminal(), 1.9) == ""


def test_long_work_prints_a_line_every_two_seconds_at_most():
    lines = shown(io.StringIO(), 10.0).splitlines()
    assert lines[0] == "reading: 20 % more"
    assert lines[-1] == "reading: ended after 10.0 s"
    assert len(lines) == 6


def test_long_work_draws_a_bar_on_a_terminal():
    assert "reading" in shown(FakeTerminal(), 10.0)


def test_a_program_sees_nothing():
    assert shown(io.StringIO(), 10.0, is_quiet=True) == ""
    assert shown(FakeTerminal(), 10.0, is_quiet=True) == ""


def test_the_bar_goes_away_when_the_work_fails():
    stream, clock = FakeTerminal(), ProgressClock()
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


@pytest.mark.parametrize(
    ("n_rows", "total", "time_us", "text"),
    [
        (0, None, -1, "0 rows"),
        (999_999, None, -1, "999,999 rows"),
        (5, 4, -1, "5 of 5 rows"),
        (100_000, 9_400_000, -1, "0.1 of 9.4 M rows"),
        (2_100_000, 9_400_000, 1_710_374_400_000_000, "2.1 of 9.4 M rows, up to 14 March 2024"),
        (1_000, None, 2**63 - 1, "1,000 rows"),
    ],
)
def test_progress_is_shown_in_rows_and_event_time(n_rows, total, time_us, text):
    assert rows_text(n_rows, total, time_us) == text


class RecordedProgress:
    """Progress that keeps what it would show."""

    def __init__(self) -> None:
        self.reached: list[tuple[float, float | None, str]] = []

    def __call__(self, n: float = 1, note: str = "") -> None:
        raise AssertionError("rows are not counted one by one")

    def update(self, done: float, total: float | None, text: str) -> None:
        self.reached.append((done, total, text))


def test_rows_of_several_files_add_up_and_the_rest_is_estimated_by_size(tmp_path):
    for name, n in (("a.jsonl", 1_000), ("b.jsonl", 3_000)):
        (tmp_path / name).write_bytes(b"x" * n)
    shown = RecordedProgress()
    rows = RowProgress(shown, [tmp_path / "a.jsonl", tmp_path / "b.jsonl"])
    rows.of(0)(0.5, 10)
    assert shown.reached[-1] == (10, 80, "10 of 80 rows")
    rows.of(0)(1.0, 20)
    rows.of(1)(0.25, 15)
    rows.update(0)
    assert shown.reached[-1] == (35, 80, "35 of 80 rows, up to 1 January 1970")


def test_rows_of_standard_input_have_no_total():
    shown = RecordedProgress()
    RowProgress(shown, ["-"]).of(0)(None, 7)
    assert shown.reached == [(7, None, "7 rows")]


@pytest.mark.parametrize("suffix", ["parquet", "jsonl"])
def test_every_row_of_a_file_is_reported_while_it_is_read(tmp_path, suffix):
    path, times = tmp_path / f"events.{suffix}", list(range(12_345))
    if suffix == "parquet":
        pq.write_table(pa.table({"time_us": times, "x": [1.0] * len(times)}), path)
    else:
        path.write_text("".join(f'{{"time_us":{t},"features":{{"x":1}}}}\n' for t in times))
    config = ModelConfig.model_validate({"model": "m", "features": {"x": {"kind": "numeric"}}})
    shown = RecordedProgress()
    rows = RowProgress(shown, [path])
    for _ in open_source(path, config, on_progress=rows.of(0)):
        pass
    done, total, _ = shown.reached[-1]
    assert done == len(times)
    assert total == pytest.approx(len(times))
    assert [reached[0] for reached in shown.reached] == sorted(r[0] for r in shown.reached)
