"""The use cases as another front end calls them: values come back, nothing is printed."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from monitor.app.backtest import BacktestRequest, run_backtest
from monitor.app.build_baseline import BuildRequest, TrafficRange, build_baseline
from monitor.app.check import CheckState, check_installation
from monitor.app.compare import CompareRequest, run_compare
from monitor.app.compare_source import TableSide
from monitor.app.progress import NoProgress, PhaseProgress
from monitor.app.replay import ReplayRequest, run_replay
from monitor.storage.clickhouse import Store
from monitor.transport.files import Source
from schemas.errors import ConfigError, StorageError, TransportError
from schemas.time_units import HOUR_US
from tests.support.installation import START_US, install, rows

APP = Path(__file__).parents[2] / "monitor/app"


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """An installation with a baseline, and two hours and a half of events as a table."""
    folder = install(tmp_path_factory.mktemp("use_cases") / "site")
    pq.write_table(rows(9_000, seed=1), folder / "events.parquet")
    return folder


class Front:
    """A front end that records what it is given."""

    def __init__(self) -> None:
        self.phases: list[tuple[str, float | None]] = []
        self.notes: list[str] = []

    @contextmanager
    def start_phase(self, description: str, total: float | None) -> Iterator[PhaseProgress]:
        self.phases.append((description, total))
        yield NoProgress()


@pytest.fixture(autouse=True)
def _is_silent(capfd) -> Iterator[None]:
    yield
    assert capfd.readouterr() == ("", "")


# --- check


def test_check_returns_one_state_for_each_thing(folder):
    report = check_installation(folder / "driftline.yaml")
    assert report.failed == ()
    assert {c.check: c.state for c in report.checks} == {
        "config": CheckState.OK,
        "baseline": CheckState.OK,
        "receiver": CheckState.OK,
        "store": CheckState.OK,
    }
    assert report.as_document()["ok"] is True
    assert not (folder / "driftline-store").exists()


def test_check_reports_a_broken_config_and_raises_nothing(tmp_path):
    (tmp_path / "driftline.yaml").write_text("models: []\n")
    (only,) = check_installation(tmp_path / "driftline.yaml").failed
    assert (only.check, only.fix) == ("config", "list your model files under models, e.g. "
                                      "models/*.yaml")  # fmt: skip


# --- replay


def test_replay_returns_counts_coverage_and_documents(folder):
    front = Front()
    request = ReplayRequest(
        (str(folder / "events.parquet"),), folder / "driftline.yaml", store="none"
    )
    outcome = run_replay(request, start_phase=front.start_phase, on_note=front.notes.append)
    assert (outcome.n_read, outcome.n_accepted, outcome.n_refused) == (9_000, 9_000, 0)
    assert (outcome.n_windows, outcome.store) == (3, None)
    assert outcome.coverage.n_rows_judged == outcome.coverage.n_rows == 9_000
    assert not outcome.is_unjudged
    document = outcome.as_document()
    assert document["coverage"]["events"] == 9_000
    assert document["alerts"] == len(outcome.alerts)
    assert front.phases == [("replaying", None)]
    assert front.notes == []


def test_replay_reports_a_changed_order_of_files_as_a_note(folder):
    front = Front()
    table = rows(9_000, seed=1)
    first, second = folder / "z.parquet", folder / "a.parquet"
    pq.write_table(table.slice(0, 4_000), first)
    pq.write_table(table.slice(4_000), second)
    request = ReplayRequest((str(second), str(first)), folder / "driftline.yaml", store="none")
    outcome = run_replay(request, on_note=front.notes.append)
    assert front.notes == [f"the files are read in the order of their times: {first}, {second}"]
    assert (outcome.n_accepted, outcome.n_late) == (9_000, 0)


def stored(store: Path) -> dict[str, list[str]]:
    """Return digests of all rows that a replay has stored, by table."""
    tables = ("predictions", "panes", "results", "alerts", "notifications", "dead_letters", "late")
    with Store.open(store, is_read_only=True) as opened:
        digest = (
            "SELECT hex(MD5(toString(tuple(* EXCEPT ingest_time)))) AS digest FROM {} ORDER BY 1"
        )
        return {t: opened.query(digest.format(t))["digest"].to_pylist() for t in tables}


def disordered(n_rows: int) -> pa.Table:
    """Return events with a change: one in fifty is an hour late, one in a hundred refused."""
    rng = np.random.default_rng(3)
    table = rows(n_rows, 1)
    income = table["income"].to_numpy() * np.where(np.arange(n_rows) < n_rows // 2, 1.0, 1.5)
    table = table.set_column(0, "income", pa.array(income))
    time_us = START_US + np.arange(n_rows) * (9 * HOUR_US // n_rows)
    time_us = time_us - (rng.random(n_rows) < 0.02) * HOUR_US
    time_us += rng.integers(-30_000_000, 30_000_000, n_rows)
    refused = pa.array(np.where(rng.random(n_rows) < 0.01, -5, time_us))
    return table.set_column(table.column_names.index("time_us"), "time_us", refused)


@pytest.mark.parametrize("is_stored", [False, True])
def test_late_rows_are_judged_alike_however_many_rows_are_decoded_together(
    folder, tmp_path, monkeypatch, is_stored
):
    pq.write_table(disordered(30_000), tmp_path / "events.parquet")
    found = []
    for name in ("together", "alone"):
        if name == "alone":
            monkeypatch.setattr(Source, "together", Source.__iter__)
        store = str(tmp_path / name) if is_stored else "none"
        request = ReplayRequest(
            (str(tmp_path / "events.parquet"),), folder / "driftline.yaml", store=store
        )
        outcome = run_replay(request)
        found.append(
            (
                outcome.as_document() | {"store": None},
                outcome.alerts,
                outcome.incidents,
                outcome.rejected_examples,
                stored(tmp_path / name) if is_stored else {},
            )
        )
    assert outcome.n_late > 100
    assert outcome.n_refused > 100
    assert outcome.alerts
    together, alone = found
    assert together[:-1] == alone[:-1]
    assert [t for t in alone[-1] if together[-1][t] != alone[-1][t]] == []


def test_replay_without_a_verdict_is_unjudged(folder, tmp_path):
    few = tmp_path / "few.parquet"
    pq.write_table(rows(20), few)
    outcome = run_replay(ReplayRequest((str(few),), folder / "driftline.yaml", store="none"))
    assert (outcome.n_read, outcome.coverage.n_rows_judged) == (20, 0)
    assert outcome.is_unjudged


def test_replay_raises_what_is_wrong_with_the_request(folder):
    request = ReplayRequest(("events.jsonl",), folder / "driftline.yaml", model="absent")
    with pytest.raises(ConfigError, match="absent"):
        run_replay(request)


# --- backtest


def test_backtest_returns_a_report_for_each_model_and_writes_its_page(folder, tmp_path):
    front = Front()
    request = BacktestRequest(
        (str(folder / "events.parquet"),),
        folder / "driftline.yaml",
        has_delays=False,
        page=tmp_path / "backtest.html",
    )
    result = run_backtest(request, start_phase=front.start_phase)
    (report,) = result.reports
    assert (report.model, report.today.outcome.n_windows) == ("loans", 3)
    assert (result.counted.n_accepted, result.absent, result.has_events) == (9_000, (), True)
    assert not result.is_unjudged
    assert result.as_document()["models"][0]["model"] == "loans"
    assert (tmp_path / "backtest.html").read_text() == result.as_page()
    assert front.phases == [("reading", None), ("judging", None)]


def test_backtest_refuses_a_page_without_a_folder_before_it_reads(folder, tmp_path):
    request = BacktestRequest(
        ("no such file",), folder / "driftline.yaml", page=tmp_path / "absent/backtest.html"
    )
    with pytest.raises(TransportError, match="the folder does not exist"):
        run_backtest(request)


def test_backtest_compares_a_proposal_with_today(folder, tmp_path):
    proposed = tmp_path / "loans.yaml"
    proposed.write_text((folder / "models/loans.yaml").read_text() + "decision: {eps: 0.4}\n")
    request = BacktestRequest(
        (str(folder / "events.parquet"),),
        folder / "driftline.yaml",
        proposed=proposed,
        has_delays=False,
    )
    (report,) = run_backtest(request).reports
    assert report.proposed is not None
    assert report.proposed.outcome.config.decision.eps == 0.4


# --- compare


@pytest.fixture
def sides(tmp_path) -> tuple[TableSide, TableSide]:
    """Two tables, of which one column has another distribution."""
    tables = rows(2_000, seed=2), rows(2_000, seed=3)
    income = pa.array([value + 20_000 for value in tables[1]["income"].to_pylist()])
    tables = tables[0], tables[1].set_column(0, "income", income)
    names = [str(tmp_path / name) for name in ("before.parquet", "after.parquet")]
    for table, name in zip(tables, names, strict=True):
        pq.write_table(table, name)
    before, after = (TableSide(name, name) for name in names)
    return before, after


def test_compare_returns_what_drifted(sides):
    front = Front()
    result = run_compare(CompareRequest(*sides), start_phase=front.start_phase)
    assert result.has_drifted
    assert result.comparison.drifted == ("income",)
    assert result.as_document()["drifted"] == ["income"]
    assert "income" in result.as_page()
    assert front.phases == [("reading", None), ("comparing", None)]


def test_compare_leaves_columns_out_and_takes_ranges(sides):
    before, after = sides
    ignored = CompareRequest(before, after, ignored=("income",))
    assert not run_compare(ignored).has_drifted
    empty = TableSide("range", before.target, START_US - HOUR_US, START_US)
    with pytest.raises(TransportError, match="holds no rows in that range"):
        run_compare(CompareRequest(empty, after))


# --- baseline build


def test_build_returns_the_baseline_and_where_it_is(folder, tmp_path):
    front = Front()
    request = BuildRequest(folder / "models/loans.yaml", (folder / "train.parquet",), tmp_path)
    result = build_baseline(request, start_phase=front.start_phase)
    assert result.file.parent == tmp_path
    assert result.file.is_file()
    assert (result.baseline.model, result.config.model) == ("loans", "loans")
    assert result.replaced == ()
    assert [description for description, _ in front.phases] == ["reading", "baseline"]
    again = build_baseline(request)
    assert again.baseline.profile_id == result.baseline.profile_id


def test_build_from_traffic_needs_a_store(folder, tmp_path):
    traffic = TrafficRange(str(tmp_path / "absent"), START_US, START_US + HOUR_US, "an hour")
    request = BuildRequest(folder / "models/loans.yaml", traffic, tmp_path)
    with pytest.raises(StorageError):
        build_baseline(request)


# --- all of them


def modules() -> list[Path]:
    """Return every module of the use cases."""
    return sorted(APP.glob("*.py"))


def outside_main(tree: ast.Module) -> Iterator[ast.AST]:
    """Yield every node but those that run only with ``python -m``."""
    for statement in tree.body:
        if not (isinstance(statement, ast.If) and "__name__" in ast.unparse(statement.test)):
            yield from ast.walk(statement)


@pytest.mark.parametrize("file", modules(), ids=lambda file: file.stem)
def test_a_use_case_prints_nothing_and_exits_nothing(file):
    nodes = list(outside_main(ast.parse(file.read_text())))
    called = {ast.unparse(node.func) for node in nodes if isinstance(node, ast.Call)}
    used = {ast.unparse(node) for node in nodes if isinstance(node, ast.Attribute)}
    assert called & {"print", "input", "exit", "sys.exit", "os._exit"} == set()
    assert used & {"sys.stdout", "sys.stderr", "sys.stdin", "sys.argv"} == set()


@pytest.mark.parametrize("name", ["replay", "backtest", "compare", "check", "build_baseline"])
def test_a_use_case_loads_no_command_line(name):
    code = f"import sys, monitor.app.{name}; print('typer' in sys.modules)"
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    assert found.stdout.strip() == "False"
