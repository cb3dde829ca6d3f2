"""A backtest in words: what is said of rates, firings, delays and budgets."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import msgspec
import pytest

from monitor.backtest.comparison import ConfigComparison, Plant, compare
from monitor.backtest.counting import Counted
from monitor.backtest.document import backtest_document
from monitor.backtest.tables import tables_of
from monitor.backtest.text import config_lines, headline, solution_text
from monitor.cli.backtest_text import MAX_FIRED, print_report
from monitor.report.backtest_sections import report_sections, worst_cells
from schemas.config.parse import parse_model
from tests.support.worlds.backtest import (
    LENGTH_US,
    panes,
    shifted,
    small_baseline,
    with_decision,
    with_length,
)
from tests.support.worlds.small import CONFIG, START_US

BASELINES = {small_baseline().profile_id: small_baseline()}
MODEL = "model: small\nfeatures: {a: {kind: numeric}, c: {kind: categorical}}\n"


@pytest.fixture(scope="module")
def drifting() -> ConfigComparison:
    """A shift from the sixth window on, today's config beside a blunt one."""
    made = panes(16, 400, shifted(1.0, from_window=6))
    plants = [
        Plant("a", 0.5, None),
        Plant("a", 0.5, START_US + 8 * LENGTH_US),
        Plant("a", 0.001, None),
    ]
    return compare(made, CONFIG, with_decision(eps=0.45), BASELINES, plants=plants)


@pytest.fixture(scope="module")
def solved() -> ConfigComparison:
    """A quiet history, solved for two false alarms a month, with a setting of its own."""
    return compare(panes(10, 200), with_decision(persistence=3), None, BASELINES, budget=2.0)


def rows(found: ConfigComparison, title: str) -> list[tuple[str, ...]]:
    (table,) = (t for t in tables_of(found) if t.title == title)
    return [tuple(row) for row in table.rows]


def test_rates_stand_beside_the_number_behind_them(drifting):
    table = {row[0]: row[1:] for row in rows(drifting, "How often")}
    today, proposed = (side.outcome for side in drifting.sides.values())
    assert table["pages a week"] == (
        f"{today.n_pages * 604_800 / 1600:.3g} ({today.n_pages})",
        f"{proposed.n_pages * 604_800 / 1600:.3g} ({proposed.n_pages})",
    )
    assert table["eps"] == ("0.02", "0.45")
    assert table["first alert"][0] == "2023-11-14 22:26"


def test_one_cell_in_one_window_is_one_line_for_both_configs(drifting):
    fired = rows(drifting, "What would have fired")
    assert len({row[:3] for row in fired}) == len(fired)
    (first,) = [row for row in fired if row[:3] == ("2023-11-14 22:26", "a", "*")]
    assert first[5:] == ("400", "page", "")
    assert [row[0] for row in fired] == sorted(row[0] for row in fired)


def test_delays_are_said_with_where_and_how_often_they_were_found(drifting):
    today = {row[1]: row[2] for row in rows(drifting, "Planted shifts")}
    found, at = today["+0.5 sd"].split(", ", 1)
    assert found == "2 (4 of 4 within 3)"
    assert at == "2 from 2023-11-14 22:26, and fires without it"
    assert today["+0.001 sd"] == "not found (0 of 4 within 3)"


def test_a_page_shows_what_fired_first_before_what_came_near(drifting):
    fired = [
        any(cell in s.outcome.traces and s.outcome.traces[cell].fired_us for s in sides)
        for cell in worst_cells(drifting)
        if (sides := drifting.sides.values())
    ]
    assert fired[0]
    assert fired == sorted(fired, reverse=True)
    (section,) = report_sections([drifting])
    assert [t.name for t in section.panels[0].tracks] == ["today", "proposed"]
    assert section.panels[0].label.startswith("a")


def test_a_long_list_is_cut_and_says_so(drifting, capsys):
    outcome = drifting.today.outcome
    many = outcome.notified * MAX_FIRED
    assert len(many) > MAX_FIRED
    alerts = tuple(msgspec.structs.replace(a, feature=f"f{i}") for i, a in enumerate(many))
    side = replace(drifting.today, outcome=replace(outcome, alerts=alerts))
    longer = replace(drifting, today=side, proposed=None)
    print_report([longer], Counted({}), has_events=False)
    out = capsys.readouterr().out
    assert f"... and {len(many) - MAX_FIRED:,} more: --json has all." in out
    assert sum(" ticket" in line or " page" in line for line in out.splitlines()) >= MAX_FIRED


def test_a_short_history_proves_little_and_that_is_said(solved):
    words = solution_text(solved.solution)
    assert words.startswith("A budget of 2 a month allows 0 false alarms in 0.00038 months.")
    # A smaller one may do as well: not all were tried.
    assert "An eps that keeps to it is" in words
    assert "smallest" not in words
    assert "up to 9,694 a month are possible (95 %)" in words
    assert "1.8 quiet months would show" in words


def test_the_lines_to_paste_keep_what_was_set_before(solved):
    decision = parse_model(MODEL + config_lines(solved.solution), "m.yaml").decision
    assert decision == solved.proposed.outcome.config.decision
    assert decision.persistence == 3


def test_a_history_that_is_not_quiet_has_nothing_to_paste():
    found = compare(panes(16, 400, shifted(30.0)), CONFIG, None, BASELINES, budget=0.1)
    assert "no eps was found that keeps to it" in solution_text(found.solution)
    assert config_lines(found.solution) == ""
    document = backtest_document([found], Counted({}))
    assert document["models"][0]["budget"]["eps"] is None


def test_windows_without_a_verdict_are_mentioned():
    found = compare(panes(3, 50), CONFIG, None, {})
    assert "Judged: 0 of 150 events (0 %), 0 of 3 windows" in headline(found)
    assert "150 events in 3 windows not judged, no baseline; build one" in headline(found)
    assert "(0 weeks judged)" in headline(found)
    table = {row[0]: row[1:] for row in rows(found, "How often")}
    for name in ("pages a week", "tickets a week", "fires at"):
        assert table[name] == ("no verdict",)


def test_a_budget_for_what_was_never_judged_recommends_nothing():
    found = compare(panes(5, 50), CONFIG, None, {}, budget=0.1)
    assert solution_text(found.solution).startswith("No window got a verdict")
    assert config_lines(found.solution) == ""
    (model,) = backtest_document([found], Counted({}))["models"]
    assert (model["budget"]["eps"], model["budget"]["months"]) == (None, 0.0)
    assert (model["today"]["weeks"], model["today"]["pages_per_week"]) == (0.0, None)


def test_an_incident_that_is_in_both_rows_is_said_to_be(drifting):
    outcome = replace(drifting.today.outcome, n_incidents=3, n_pages=2, n_tickets=2)
    found = replace(drifting, today=replace(drifting.today, outcome=outcome), proposed=None)
    table = {row[0]: row[1:] for row in rows(found, "How often")}
    assert table["in both: became a page"] == ("1",)
    (note,) = (t.note for t in tables_of(found) if t.title == "How often")
    assert "a budget counts it once" in note
    assert backtest_document([found], Counted({}))["models"][0]["today"]["incidents"] == 3


def test_delays_in_windows_of_two_lengths_are_said_in_time_too(drifting):
    made = panes(24, 400)
    other = with_length(2)
    found = compare(made, CONFIG, other, BASELINES, plants=[Plant("a", 0.5, None)])
    (table,) = (t for t in tables_of(found) if t.title == "Planted shifts")
    ((_, _, today, proposed),) = table.rows
    assert today == "2 = 3m 20s (5 of 5 within 12 = 20m)"
    assert re.fullmatch(r"2 = 6m 40s \(\d of \d within 6 = 20m\)", proposed)
    assert "differ in length" in table.note
    assert " = " not in rows(drifting, "Planted shifts")[0][2]


def test_a_model_without_history_is_named(capsys):
    print_report([], Counted({}), ["loans", "fraud"], has_events=True)
    out = capsys.readouterr().out
    assert "loans: no rows in this history, nothing to judge." in out
    assert "fraud: no rows in this history, nothing to judge." in out
    assert backtest_document([], Counted({}), ["loans"])["without_history"] == ["loans"]


def test_a_document_is_json_and_what_was_not_asked_for_is_null(drifting):
    (model,) = backtest_document([drifting], Counted({}, 5, 2, 1))["models"]
    assert json.loads(json.dumps(model)) == model
    assert model["budget"] is None
    assert model["proposed"]["eps"] == 0.45
    alone = compare(panes(3, 50), CONFIG, None, BASELINES)
    assert backtest_document([alone], Counted({}))["models"][0]["proposed"] is None
