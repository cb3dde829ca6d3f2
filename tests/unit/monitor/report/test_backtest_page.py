"""The backtest's page: both configs' evidence, marks where each fired, nothing from outside."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import numpy as np
import pytest

from monitor.backtest.tables import TextTable
from monitor.report.backtest_page import BacktestSection, render_backtest
from monitor.report.evidence_panel import EvidencePanel, EvidenceTrack, evidence_panel
from schemas.time_units import HOUR_US


def track(name: str, values: list[float], threshold: float, fired: list[int]) -> EvidenceTrack:
    times = HOUR_US * np.arange(1, len(values) + 1)
    return EvidenceTrack(
        name, times, np.array(values), threshold, [HOUR_US * hour for hour in fired]
    )


def panel() -> EvidencePanel:
    today = track("today", [-np.inf, 0.0, 6.0, 12.0, 500.0], 12.0, [4, 5])
    return EvidencePanel("age", [today, track("proposed", [0.0] * 5, 8.0, [3])])


def parsed(svg: str) -> ElementTree.Element:
    return ElementTree.fromstring(svg)


def heights(svg: str, css: str) -> list[float]:
    (found,) = (p for p in parsed(svg).iter("path") if p.get("class") == f"{css} line")
    return [float(y) for y in re.findall(r"[ML][\d.]+ ([\d.]+)", found.get("d"))]


def levels(svg: str) -> list[float]:
    return [float(x.get("y1")) for x in parsed(svg).iter("line") if "threshold" in x.get("class")]


def test_each_firing_is_a_mark_that_names_its_config_and_time():
    svg = evidence_panel(panel(), 0, 5 * HOUR_US)
    titles = [r.findtext("title") for r in parsed(svg).iter("rect")]
    assert titles == [
        "today fires 01 Jan 04:00",
        "today fires 01 Jan 05:00",
        "proposed fires 01 Jan 03:00",
    ]


def test_evidence_at_its_threshold_lies_on_the_threshold():
    svg = evidence_panel(panel(), 0, 5 * HOUR_US)
    own, other = levels(svg)
    assert own < other, "the higher threshold is drawn higher up"
    assert heights(svg, "others")[3] == own


def test_evidence_beyond_the_picture_is_drawn_at_its_edge():
    svg = evidence_panel(panel(), 0, 5 * HOUR_US)
    drawn = heights(svg, "others")
    assert len(drawn) == 5
    assert min(drawn) == drawn[-1] >= 0
    assert max(drawn) == drawn[0] <= 190


def section(**changed: object) -> BacktestSection:
    tables = [TextTable("Rates", "n & m", ("", "today"), [("pages", "<b>0</b>")])]
    values = {
        "tables": tables,
        "panels": [panel()],
        "solution": "0 of 2",
        "config_lines": "decision:\n  eps: 0.05",
    }
    fixed = {"name": "loans", "headline": "5 windows", "start_us": 0, "end_us": 5 * HOUR_US}
    return BacktestSection(**(fixed | values | changed))


def test_the_page_needs_nothing_but_itself():
    page = render_backtest("Backtest", "Judged: a.parquet", [section()])
    assert page.startswith("<!doctype html>")
    assert not re.search(r"<script|<link|src=|url\(|https?://", page)
    body = page[page.index("<main>") : page.index("</main>") + len("</main>")]
    assert ElementTree.fromstring(body).find(".//pre").text == "decision:\n  eps: 0.05"


@pytest.mark.parametrize("text", ["&lt;b&gt;0&lt;/b&gt;", "n &amp; m", "Evidence of the worst"])
def test_what_data_says_is_shown_and_not_obeyed(text):
    assert text in render_backtest("Backtest", "", [section()])


def test_what_there_is_none_of_is_said_so():
    empty = TextTable("What would have fired", "", ("when",), [])
    page = render_backtest("b", "", [section(tables=[empty], panels=[], solution="")])
    assert "<p>None.</p>" in page
    assert "<pre>" not in page
    assert "Evidence of the worst" not in page
