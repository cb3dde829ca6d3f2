"""The set of rows that an alert names, as a test of raw values."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.core.drift.cells import MAX_LABEL_CHARS, label_of
from monitor.core.incidents.slices import row_set
from monitor.core.incidents.slices.row_set import MEANS, row_test
from schemas.alerts import Alert, Severity, Transition

LONG = "k" * 300


def alert(where: str, feature: str = "x", **fields: object) -> Alert:
    return Alert(
        alert_id="1",
        tenant="t",
        monitor="drift",
        severity=Severity.PAGE,
        transition=Transition.OPENED,
        sequence=0,
        time_us=0,
        opened_at_us=0,
        title="",
        feature=feature,
        effect_where=where,
        **fields,
    )


def texts(*values: str | None) -> np.ndarray:
    found = np.empty(len(values), object)
    found[:] = values
    return found


NUMBERS = np.array([-1.0, 0.0, 1.0, 2.0, 9.0, np.nan])


@pytest.mark.parametrize(
    ("where", "hits"),
    [
        ("missing", [5]),
        ("> 1", [3, 4]),
        ("<= 1", [0, 1, 2]),
        ("0 to 2", [1, 2]),
        ("above maximum", [4]),
        ("below minimum", [0]),
        ("location", [2, 3, 4]),
    ],
)
def test_a_set_of_numbers_has_these_rows(where, hits):
    bins = ("0 to 1", "1 to 2", *[""] * 58, "below minimum", "above maximum", "missing", "unseen")
    test = row_test(alert(where, bin_labels=bins), np.arange(-2.0, 4.0) / 2)
    assert np.flatnonzero(test(NUMBERS)).tolist() == hits


@pytest.mark.parametrize(
    ("where", "hits"),
    [
        ("missing", [2]),
        ("x=a", [0]),
        ("not x=a", [1, 2, 3]),
        ("unseen", [1]),
        (label_of(f"x={LONG}"), [3]),
    ],
)
def test_a_set_of_categories_has_these_rows(where, hits):
    bins = ("a", label_of(LONG), *[""] * 58, "below minimum", "above maximum", "missing", "unseen")
    values = texts("a", "new", None, LONG)
    test = row_test(alert(where, bin_labels=bins), values)
    assert np.flatnonzero(test(values)).tolist() == hits


def test_labels_are_cut_where_alerts_cut_them():
    assert row_set.MAX_LABEL_CHARS == MAX_LABEL_CHARS


@pytest.mark.parametrize("where", ["", "nonsense", "a to b of c", "below minimum"])
def test_a_change_of_no_known_set_has_no_test(where):
    assert row_test(alert(where), NUMBERS) is None


@pytest.mark.parametrize("where", MEANS)
def test_a_mean_of_values_without_any_number_has_no_test(where):
    assert row_test(alert(where), np.array([np.nan])) is None


@given(
    st.lists(st.floats(-1e6, 1e6), min_size=5, max_size=60),
    st.sampled_from(MEANS),
    st.floats(0.001, 1e3),
)
def test_a_monotone_mapping_changes_no_row_of_a_mean(values, where, factor):
    before = np.round(np.array(values), 2)
    plain = row_test(alert(where), before)
    mapped = row_test(alert(where), before * factor)
    assert (plain(before) == mapped(before * factor)).all()
