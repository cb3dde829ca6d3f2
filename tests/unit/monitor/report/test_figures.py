"""Figures say what the numbers say: heights, labels, order; and they are well-formed."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import msgspec
import numpy as np
import pytest

from monitor.core.drift.cells import bin_labels
from monitor.drawing.bars import MAX_COLUMNS, MAX_ROWS, change_figure
from monitor.drawing.svg import path, text, time_ticks
from monitor.report.content import EvidenceLine, GpuLane, ReplicaPanel, Span
from monitor.report.figures import evidence_figure, gpu_figure, replica_figure
from schemas.alerts import Alert, Cause
from schemas.baselines import Kind, VariableBaseline
from schemas.panes import OVERFLOW, UNSEEN
from tests.support.alerts import HOUR, START, drift

AGE = VariableBaseline("AGEP", Kind.NUMERIC, np.linspace(0, 94, 61))
EMPTY = np.empty(0)


def _counted(
    variable: VariableBaseline, reference: dict[int, int], current: dict[int, int]
) -> Alert:
    """An alert that carries these counters."""
    counts = [tuple(c.get(i, 0) for i in range(64)) for c in (reference, current)]
    return msgspec.structs.replace(
        drift(38, variable.name),
        reference_counts=counts[0], current_counts=counts[1], bin_labels=bin_labels(variable),
    )  # fmt: skip


def _titles(svg: str) -> list[str]:
    return [t.text or "" for t in ElementTree.fromstring(svg).iter("title")]


def _words(svg: str) -> list[str]:
    return [t.text or "" for t in ElementTree.fromstring(svg).iter("text")]


def _heights(svg: str, css: str) -> list[float]:
    bars = (r for r in ElementTree.fromstring(svg).iter("rect") if r.get("class") == css)
    return [float(r.get("height", "nan")) for r in bars]


def test_numeric_bins_are_merged_and_keep_their_sum():
    svg = change_figure(_counted(AGE, dict.fromkeys(range(60), 10), dict.fromkeys(range(60), 5)))
    shares = [float(m) for t in _titles(svg) for m in re.findall(r"current ([\d.]+)%", t)]
    assert len(shares) == MAX_COLUMNS
    assert sum(shares) == pytest.approx(100.0)
    assert _titles(svg)[0].startswith("0 to 4.7:")


def test_what_lies_beyond_the_reference_is_apart_and_named():
    svg = change_figure(_counted(AGE, dict.fromkeys(range(60), 10), {0: 50, OVERFLOW: 50}))
    assert "above maximum: current 50.0%" in _titles(svg)
    assert "above maximum" in _words(svg)
    assert "missing" not in _words(svg)


def test_taller_bar_is_the_larger_share():
    svg = change_figure(_counted(AGE, {0: 1, 30: 3}, {0: 3, 30: 1}))
    reference, current = _heights(svg, "ref fill"), _heights(svg, "cur fill")
    assert reference[10] == pytest.approx(3 * reference[0], rel=0.01)
    assert current[0] == pytest.approx(3 * current[10], rel=0.01)


def test_categories_lie_in_rows_the_largest_first_the_rest_together():
    names = tuple(f"c{i}" for i in range(25))
    school = VariableBaseline("SCHL", Kind.CATEGORICAL, EMPTY, names)
    reference = {i: i + 1 for i in range(25)}
    svg = change_figure(_counted(school, reference, reference | {UNSEEN: 40}))
    words = _words(svg)
    assert words[0] == "c24"
    assert f"{25 - MAX_ROWS} others" in words
    assert "never seen" in words


def test_category_that_looks_like_a_number_is_still_a_category():
    marital = VariableBaseline("MAR", Kind.CATEGORICAL, EMPTY, ("1", "5", "2 to 3 times"))
    words = _words(change_figure(_counted(marital, {0: 5, 1: 9, 2: 1}, {0: 5, 1: 9, 2: 1})))
    assert [w for w in words if not w.endswith("%")] == ["5", "1", "2 to 3 times"]


def test_alert_without_counters_has_no_picture():
    assert change_figure(drift(38)) == ""


def test_alert_without_labels_is_drawn_with_numbered_bins():
    alert = msgspec.structs.replace(_counted(AGE, {0: 5, 9: 5}, {0: 9, 9: 1}), bin_labels=())
    assert "9 to 10: current 10.0%" in _titles(change_figure(alert))


def test_constant_column_is_drawn():
    constant = VariableBaseline("x", Kind.NUMERIC, np.array([3.0, 3.0]))
    assert "3 to 3: current 25.0%" in _titles(
        change_figure(_counted(constant, {0: 9}, {0: 1, 61: 3}))
    )


def _line(values: list[float], cause: Cause | None = None) -> EvidenceLine:
    times = START + HOUR * np.arange(1, len(values) + 1)
    return EvidenceLine("AGEP *", times, np.array(values), cause)


def test_evidence_shows_threshold_spans_and_every_line():
    spans = [Span("age in months", START + HOUR, START + 3 * HOUR, Cause.DATA)]
    lines = [_line([0.0, 15.0, 3.0], Cause.DATA), _line([1.0, -50.0, 2.0])]
    svg = evidence_figure(lines, spans, 13.1, START, START + 3 * HOUR)
    assert "fires: once in 490,000 windows" in _words(svg)
    assert "age in months" in _words(svg)
    paths = [p.get("class") for p in ElementTree.fromstring(svg).iter("path")]
    assert paths == ["ref line", "data line"], "incidents are drawn over the background"


def test_evidence_breaks_where_a_window_had_no_verdict():
    svg = evidence_figure([_line([1.0, float("nan"), 2.0, 3.0])], [], None, START, START + 4 * HOUR)
    drawn = next(ElementTree.fromstring(svg).iter("path")).get("d", "")
    assert drawn.count("M") == 2
    assert "nan" not in svg


def test_evidence_stays_inside_the_picture():
    svg = evidence_figure([_line([-1e9, 400.0])], [], 13.1, START, START + 2 * HOUR)
    drawn = next(ElementTree.fromstring(svg).iter("path")).get("d", "")
    heights = [float(point.split()[1]) for point in re.findall(r"[ML]([\d. -]+)", drawn)]
    assert all(0 <= y <= 300 for y in heights)


def test_evidence_without_any_line_is_still_a_picture():
    ElementTree.fromstring(evidence_figure([], [], None, START, START + HOUR))


def test_replica_bars_are_its_own_shares_and_the_bad_one_is_marked():
    counts = np.zeros(20, np.int64)
    counts[7] = 100
    panel = ReplicaPanel("node-12 GPU 3", counts, np.full(20, 35), is_faulty=True)
    svg = replica_figure(panel)
    assert "score 0.35 to 0.40: 100.0%" in _titles(svg)
    heights = _heights(svg, "hardware fill")
    assert heights[7] == max(heights) > 0
    assert not _heights(svg, "cur fill")


def test_replica_without_rows_is_drawn_empty():
    panel = ReplicaPanel("idle", np.zeros(20, np.int64), np.zeros(20, np.int64), False)
    assert set(_heights(replica_figure(panel), "cur fill")) == {0.0}


def test_gpu_lanes_show_errors_and_xids_on_their_own_lane():
    lanes = [
        GpuLane("node-11 GPU 0", np.zeros(0, np.int64), [], 8280),
        GpuLane("node-11 GPU 1", np.array([START + HOUR]), [(START + HOUR, 48)], 8280),
    ]
    svg = gpu_figure(lanes, [], START, START + 69 * HOUR)
    assert "XID 48" in _words(svg)
    assert [t for t in _titles(svg) if "double-bit" in t] == ["double-bit error 01 Jan 01:00"]


def test_words_are_escaped():
    assert "<b>" not in text(0, 0, "<b>&")
    assert "<b>" not in path([(0, 0)], css="cur", title="<b>")


@pytest.mark.parametrize("hours", [1, 5, 24, 69, 24 * 30, 24 * 365])
def test_time_axis_has_a_few_round_labels_inside(hours):
    ticks = time_ticks(START + 7, START + hours * HOUR)
    assert len(ticks) <= 9
    assert all(START <= t <= START + hours * HOUR for t, _ in ticks)
    assert all(t % HOUR == 0 for t, _ in ticks)
