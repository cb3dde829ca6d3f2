"""The demo finds its three planted faults, without alerts before them."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from monitor.storage.clickhouse import Store
from tests.support.browser import VIEWS, look

pytestmark = [pytest.mark.slow, pytest.mark.integration]


def run_demo(folder, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "monitor.cli.main", "demo", "--output", str(folder)]
    return subprocess.run(
        [*command, *arguments], capture_output=True, text=True, timeout=280, check=False
    )


@pytest.mark.parametrize("seed", [2, 9])
def test_everything_planted_is_found_and_nothing_else_is_said(tmp_path, seed):
    done = run_demo(tmp_path / "out", "--seed", str(seed), "--json")
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()
    summary = json.loads(line)
    assert (summary["planted"], summary["found"], summary["false_alerts"]) == (3, 3, 0)
    assert summary["retrainings"] == 1
    assert summary["right"]
    causes = {alert["planted"]: alert["cause"] for alert in summary["alerts"]}
    assert causes == {"age in months": "data", "new category": "data", "bad replica": "hardware"}


def test_it_leaves_a_store_and_a_report_and_tells_as_it_goes(tmp_path):
    folder = tmp_path / "out"
    done = run_demo(folder)
    assert done.returncode == 0, done.stderr
    assert "3 of 3 found, 0 false alerts" in done.stdout
    assert done.stdout.index(" found ") < done.stdout.index("writing the report")
    with Store.open(folder / "store", is_read_only=True) as store:
        counts = {
            table: store.query(f"SELECT count() AS n FROM {table} FINAL")["n"][0].as_py()
            for table in ("predictions", "results", "alerts", "gpu", "labels")
        }
    assert counts["predictions"] == 69_000
    assert min(counts.values()) > 0
    page = (folder / "report.html").read_text()
    assert "above maximum" in page
    assert "<script" not in page
    assert page.count("<dt>began</dt>") == page.count('<section class="card incident">') == 3
    assert page.count("<summary>in nats</summary>") == 7
    assert "Fairness, as stored" in page
    for view in VIEWS:
        seen = look(folder / "report.html", view, tmp_path / view.name)
        assert (seen.violations, seen.overflow_px, seen.errors) == ([], 0, []), view.name


def test_a_foreign_folder_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    done = run_demo(tmp_path)
    assert done.returncode == 1
    assert "not left by a demo" in done.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]
