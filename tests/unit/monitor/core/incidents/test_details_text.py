"""Texts that name new values, ranges and kinds of missing values."""

from __future__ import annotations

import pytest

from monitor.core.incidents.alert_checks import check_alert
from monitor.core.incidents.details_text import details_text, new_names, value_text
from schemas.alerts import Alert, AlertDetails, Severity, Transition
from schemas.errors import DomainError
from schemas.panes import MISSING, N_COUNTERS, OVERFLOW, UNSEEN


def alert(where="unseen", counts=None, **details):
    found = [0] * N_COUNTERS
    for counter, n in (counts or {0: 92, UNSEEN: 8}).items():
        found[counter] = n
    return Alert(
        alert_id="1",
        tenant="t",
        monitor="drift",
        transition=Transition.OPENED,
        severity=Severity.PAGE,
        time_us=0,
        opened_at_us=0,
        sequence=0,
        title="",
        feature="channel",
        effect_where=where,
        current_counts=tuple(found),
        **details,
    )


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("kiosk", "`kiosk`"),
        ("a\nb\x1b[31m", r"`a\nb\x1b[31m`"),
        ("\u202egnp.exe", r"`\u202egnp.exe`"),
        ("`rm -rf`", "`'rm -rf'`"),
        ("<script>*_~", "`<script>*_~`"),
        ("", "``"),
    ],
)
def test_a_hostile_value_is_shown_on_one_line_in_quotes(value, shown):
    assert value_text(value) == shown


def test_several_new_values_are_named_with_their_shares_and_the_rest():
    found = details_text(alert(new_values=(("kiosk", 0.05), ("booth", 0.01))))
    assert found == (
        "`kiosk` in 5 %, `booth` in 1 % and others in 2 % of the rows, never seen before"
    )


def test_a_title_names_three_new_values_and_counts_the_others():
    values = tuple((f"v{i}", 0.01) for i in range(5))
    assert new_names(AlertDetails(new_values=values)) == "`v0`, `v1`, `v2` and 2 more"


def test_unseen_rows_without_names_have_no_text():
    assert details_text(alert()) == ""


def test_few_new_values_are_left_out_where_the_alert_is_about_others():
    few = {0: 9_999, UNSEEN: 1}
    assert details_text(alert("> 94", few, new_values=(("kiosk", 0.0001),))) == ""
    assert details_text(alert("unseen", few, new_values=(("kiosk", 0.0001),))) != ""


def test_missing_values_of_old_panes_are_neither_null_nor_absent():
    assert details_text(alert("missing", {MISSING: 10})) == ""
    assert details_text(alert("missing", {MISSING: 10}, p_absent=1.0, p_null=0.0)) == (
        "absent in 100 % of the rows"
    )


def test_a_range_names_both_ends_and_the_baseline():
    found = alert(
        "above maximum", {0: 90, OVERFLOW: 10}, seen_range=(1.0, 1e9), baseline_range=(0.0, 94.5)
    )
    assert details_text(found) == "up to 1e+09 in 10 % of the rows, the baseline has 0 to 94.5"


@pytest.mark.parametrize(
    "details",
    [
        {"new_values": tuple((f"v{i}", 0.1) for i in range(9))},
        {"new_values": (("x" * 65, 0.1),)},
        {"new_values": (("x", 1.5),)},
        {"p_null": -0.5},
        {"seen_range": (0.0, float("inf"))},
    ],
)
def test_details_beyond_their_limits_are_refused(details):
    with pytest.raises(DomainError):
        check_alert(alert(**details))
