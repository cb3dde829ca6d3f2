"""A backtest in words: what is said of rates, firings, delays and budgets."""

from __future__ import annotations

import json
from dataclasses import replace

import msgspec
import pytest

from monitor.backtest.comparison import Comparison, Plant, compare
from monitor.backtest.counting import Counted
from monitor.cli.backtest_text import (
    MAX_FIRED,
    config_lines,
    headline,
    print_report,
    report_json,
    report_sections,
    solution_text,
    tables_of,
    worst_cells,
)
from schemas.config_file import parse_model
from tests.support.backtest_world import (
    LENGTH_US,
    panes,
    shifted,
    small_profile,
    with_decision,
)
from tests.support.small_world import CONFIG, START_US

PROFILES = {small_profile().profile_id: small_profile()}
MODEL = "model: small\nfeatures: {a: {kind: numeric}, c: {kind: categorical}}\n"


@pytest.fixture(scope="module")
def drifting() -> Comparison:
    """A shift from the sixth window on, today's config beside a blunt one."""
    made = panes(16, 400, shifted(1.0, from_window=6))
    plants = [
        Plant("a", 0.5, None),
        Plant("a", 0.5, START_US + 8 * LENGTH_US),
        Plant("a", 0.001, None),
    ]
    return compare(made, CONFIG, with_decision(eps=0.45), PROFILES, plants=plants)


@pytest.fixture(scope="module")
def solved() -> Comparison:
    """A quiet history, solved for two false alarms a month, with a setting of its own."""
    return compare(panes(10, 200), with_decision(persistence=3), None, PROFILES, budget=2.0)


def rows(found: Comparison, title: str) -> list[tuple[str, ...]]:
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
    many = outcome.told * MAX_FIRED
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
    assert "up to 9,694 a month are possible (95 %)" in words
    assert "1.8 quiet months would show" in words


def test_the_lines_to_paste_keep_what_was_set_before(solved):
    decision = parse_model(MODEL + config_lines(solved.solution), "m.yaml").decision
    assert decision == solved.proposed.outcome.config.decision
    assert decision.persistence == 3


def test_a_history_that_is_not_quiet_has_nothing_to_paste():
    found = compare(panes(16, 400, shifted(30.0)), CONFIG, None, PROFILES, budget=0.1)
    assert "no eps keeps to it" in solution_text(found.solution)
    assert config_lines(found.solution) == ""
    document = report_json([found], Counted({}))
    assert document["models"][0]["budget"]["eps"] is None


def test_windows_without_a_verdict_are_mentioned():
    found = compare(panes(3, 50), CONFIG, None, {})
    assert headline(found).endswith("3 windows have no baseline, or two, and no verdict.")


def test_a_document_is_json_and_what_was_not_asked_for_is_null(drifting):
    (model,) = report_json([drifting], Counted({}, 5, 2, 1))["models"]
    assert json.loads(json.dumps(model)) == model
    assert model["budget"] is None
    assert model["proposed"]["eps"] == 0.45
    alone = compare(panes(3, 50), CONFIG, None, PROFILES)
    assert report_json([alone], Counted({}))["models"][0]["proposed"] is None
