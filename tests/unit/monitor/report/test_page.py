"""The page is whole in itself, well-formed, safe against hostile names, and honest."""

from __future__ import annotations

import re
import sys
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pytest

from monitor.report.content import FindingRow, ReplicaPanel, ReportContent
from monitor.report.evidently_page import MAX_ROWS, write_evidently
from monitor.report.page import render_report, write_report
from schemas.alerts import Cause, Incident, Severity
from schemas.errors import StorageError
from tests.support.alerts import HOUR, START, drift

_VOID = {"meta", "br", "hr", "img", "input", "link"}


class _Balance(HTMLParser):
    """Checks that every tag is closed, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.seen.append(tag)
        if tag not in _VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def _incident(**more) -> Incident:
    owner = drift(38, n=1000, action="Ask the producer.")
    values = {
        "incident_id": "i1", "tenant": "default", "cause": Cause.DATA, "severity": Severity.PAGE,
        "opened_at_us": owner.opened_at_us, "title": "AGEP above maximum",
        "owner_alert_id": owner.alert_id, "alerts": [owner, drift(39, "score")],
    }  # fmt: skip
    return Incident(**(values | more))


def _row(**more) -> FindingRow:
    values = {
        "what": "AGEP in months", "when": "from noon", "found_after": "1.8 windows",
        "evidence": 15.0, "threshold": 13.1, "effect": "above maximum: 0.0% → 13%", "where": "AGEP",
        "cause": "data", "severity": "page", "retraining": "no", "is_found": True,
    }  # fmt: skip
    return FindingRow(**(values | more))


def _content(**more) -> ReportContent:
    values = {
        "title": "Driftline demo", "headline": "All found.", "facts": [("events", "197,000")],
        "start_us": START, "end_us": START + 69 * HOUR, "findings": [_row()],
        "incidents": [_incident()],
    }  # fmt: skip
    return ReportContent(**(values | more))


def _check(page: str) -> list[str]:
    parser = _Balance()
    parser.feed(page)
    assert parser.open == []
    return parser.seen


def test_page_is_well_formed_and_tells_what_it_was_given():
    page = render_report(_content())
    _check(page)
    for words in ("All found.", "197,000", "AGEP in months", "1.8 windows", "Ask the producer."):
        assert words in page
    assert "1 more alert belongs to it" in page


def test_page_needs_nothing_from_outside_and_runs_no_script():
    page = render_report(_content())
    assert "script" not in _check(page)
    assert not re.search(r'(src|href)="https?:', page)
    assert "@import" not in page
    assert "url(" not in page


def test_page_is_readable_on_a_phone_and_in_the_dark():
    page = render_report(_content())
    assert 'name="viewport"' in page
    assert "prefers-color-scheme: dark" in page
    assert "max-width:720px" in page


def test_hostile_names_stay_text():
    evil = '<img src=x onerror="alert(1)">'
    owner = msgspec.structs.replace(
        drift(38, evil), title=evil, effect_where=evil, action=evil, segment=evil,
        reference_counts=(1,) * 64, current_counts=(1,) * 64, bin_labels=(evil,) * 64,
    )  # fmt: skip
    other = msgspec.structs.replace(drift(39, "score"), title=evil)
    incident = _incident(title=evil, alerts=[owner, other], owner_alert_id=owner.alert_id)
    panel = ReplicaPanel(evil, np.ones(20, np.int64), np.ones(20, np.int64), False)
    content = _content(
        title=evil, headline=evil, facts=[(evil, evil)], notes=[evil], incidents=[incident],
        findings=[_row(**dict.fromkeys(("what", "where", "cause", "effect", "severity"), evil))],
        replicas=[panel],
    )  # fmt: skip
    assert "img" not in _check(render_report(content))


def test_missed_fault_is_shown_as_missed():
    page = render_report(_content(findings=[_row(is_found=False, found_after="missed", cause="")]))
    assert '<span class="missed">missed</span>' in page
    assert '<span class="tag none">none</span>' in page


def test_open_incident_says_so():
    assert "still open at the end" in render_report(_content())
    resolved = _incident(resolved_at_us=START + 45 * HOUR)
    assert "still open" not in render_report(_content(incidents=[resolved]))


def test_empty_run_is_a_page_too():
    _check(render_report(_content(findings=[], incidents=[], facts=[])))


def test_writing_replaces_the_old_page_and_leaves_nothing_beside_it(tmp_path):
    path = tmp_path / "report.html"
    path.write_text("old")
    assert write_report(path, _content()) == path
    assert path.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


def test_folder_that_is_not_there_is_one_clear_error(tmp_path):
    path = tmp_path / "nowhere" / "report.html"
    with pytest.raises(StorageError, match=r"report\.html: the report could not be written"):
        write_report(path, _content())


def test_page_that_cannot_be_written_leaves_the_old_one(tmp_path, monkeypatch):
    path = tmp_path / "report.html"
    path.write_text("old")

    def full(self: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(StorageError, match="No space left"):
        write_report(path, _content())
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


def _rows(n: int, age: float) -> pa.Table:
    rng = np.random.default_rng(0)
    sex = pa.array(rng.choice(["1", "2"], n)).dictionary_encode()
    columns = {
        "time_us": np.arange(n), "features.AGEP": rng.normal(age, 10, n),
        "features.SEX": sex, "score": rng.random(n),
    }  # fmt: skip
    return pa.table(columns)


def test_without_evidently_the_page_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "evidently", None)
    content = _content(reference=_rows(100, 40), current=_rows(100, 60))
    page = write_report(tmp_path / "report.html", content).read_text(encoding="utf-8")
    assert "pip install 'driftline[report]'" in page
    assert not (tmp_path / "evidently_report.html").exists()


@pytest.mark.slow
def test_evidently_writes_its_report_on_a_sample_beside_driftlines(tmp_path):
    pytest.importorskip("evidently", exc_type=ImportError)
    content = _content(reference=_rows(2 * MAX_ROWS, 40), current=_rows(3_000, 60))
    page = write_report(tmp_path / "report.html", content).read_text(encoding="utf-8")
    assert 'href="evidently_report.html"' in page
    assert "5,000 reference rows against 3,000" in page
    theirs = (tmp_path / "evidently_report.html").read_text(encoding="utf-8")
    assert "AGEP" in theirs
    assert "time_us" not in theirs


@pytest.mark.slow
def test_evidently_that_fails_does_not_break_driftlines_report(tmp_path):
    pytest.importorskip("evidently", exc_type=ImportError)
    empty = _rows(0, 40)
    words = write_evidently(tmp_path / "evidently_report.html", empty, empty)
    assert words.startswith("<p>Not written: evidently failed: ")
    assert list(tmp_path.iterdir()) == []
