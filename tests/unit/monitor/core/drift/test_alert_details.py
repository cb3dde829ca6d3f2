"""What an alert on a cell of a window names."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from monitor.core.drift.alert_details import details_of_window
from schemas.alerts import NO_DETAILS, Alert, AlertDetails, Severity, Transition
from schemas.baselines import Kind, VariableBaseline
from schemas.panes import (
    MISSING,
    OVERFLOW,
    UNSEEN,
    CellDetails,
    ClosedBy,
    SeriesId,
    SeriesStats,
    Window,
)

VARIABLES = (
    VariableBaseline("age", Kind.NUMERIC, np.array([0.0, 94.0])),
    VariableBaseline("channel", Kind.CATEGORICAL, np.empty(0), ("web",)),
    VariableBaseline("score", Kind.NUMERIC, np.array([0.0, 1.0])),
)


def window(counts, *, details=None, has_details=True, extremes=(1.0, 412.0)) -> Window:
    stats = SeriesStats.empty(("*", "s=a"), 3)
    for v, counter, n in counts:
        stats.counts[0, v, counter] = n
    stats.minima[0, 0], stats.maxima[0, 0] = extremes
    series = SeriesId("t", "m", "1", "p")
    parts = (stats, SeriesStats.empty((), 1), 1, ClosedBy.WATERMARK)
    return Window(series, 0, 10, *parts, details=details or {}, has_details=has_details)


def details(found: Window, feature: str, segment: str = "*") -> AlertDetails:
    return details_of_window(found, VARIABLES, feature, segment)


def test_new_values_have_shares_of_all_rows_of_the_cell():
    named = {("*", 1): CellDetails(0, (("kiosk", 8), ("booth", 2)))}
    found = window([(1, 0, 90), (1, UNSEEN, 10)], details=named)
    assert details(found, "channel").new_values == (("kiosk", 0.08), ("booth", 0.02))
    assert details(found, "channel", "s=a") == NO_DETAILS


def test_missing_rows_are_absent_as_far_as_counted_and_null_otherwise():
    cells = {("*", 0): CellDetails(n_absent=3), ("*", 1): CellDetails(n_absent=30)}
    found = window([(0, 0, 6), (0, MISSING, 4), (1, MISSING, 10)], details=cells)
    assert (details(found, "age").p_absent, details(found, "age").p_null) == (0.3, 0.1)
    assert (details(found, "channel").p_absent, details(found, "channel").p_null) == (1.0, 0.0)


def test_windows_with_panes_of_earlier_versions_state_neither_absent_nor_null():
    found = details(window([(0, 0, 6), (0, MISSING, 4)], has_details=False), "age")
    assert found == NO_DETAILS


@pytest.mark.parametrize(("counter", "is_named"), [(OVERFLOW, True), (5, False)])
def test_the_range_is_named_where_numbers_lie_outside(counter, is_named):
    found = details(window([(0, 0, 6), (0, counter, 4), (0, MISSING, 1)]), "age")
    assert (found.seen_range == (1.0, 412.0)) == is_named
    assert (found.baseline_range == (0.0, 94.0)) == is_named


@pytest.mark.parametrize(("feature", "segment"), [("age", "s=b"), ("age", "s=a")])
def test_cells_without_rows_have_no_details(feature, segment):
    assert details(window([(0, 0, 6)]), feature, segment) == NO_DETAILS


def test_an_alert_without_details_is_written_as_before():
    alert = Alert(
        alert_id="1",
        tenant="t",
        monitor="drift",
        transition=Transition.OPENED,
        severity=Severity.PAGE,
        time_us=0,
        opened_at_us=0,
        sequence=0,
        title="",
    )
    written = msgspec.json.decode(msgspec.json.encode(alert))
    assert not set(AlertDetails._fields) & set(written)
    assert alert.details == NO_DETAILS
    shares = AlertDetails(new_values=(("kiosk", 0.5),), p_absent=0.0, p_null=1.0)
    named = msgspec.structs.replace(alert, **shares.fields())
    read = msgspec.json.decode(msgspec.json.encode(named), type=Alert)
    assert read.details == shares
