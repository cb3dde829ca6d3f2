"""Evidence in words, and the one moment at which an incident began."""

from __future__ import annotations

import math
import re

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.core.incidents.evidence_text import rarity_text, rarity_ticks
from monitor.core.incidents.text import began_us, name_incident
from monitor.notify.receivers.message import describe
from monitor.report.content import FindingRow, ReportContent
from monitor.report.incident_cards import incident_cards
from monitor.report.page import render_report
from schemas.alerts import Alert, Cause, Incident, Notification, NotificationKind, Severity
from schemas.time_text import short_text
from tests.support.alerts import HOUR, START, drift

SCALES = {"million": 1e6, "billion": 1e9, "trillion": 1e12}


def value_of(text: str) -> float:
    """Read a number of windows back."""
    number, _, scale = text.partition(" ")
    return float(number.replace(",", "")) * SCALES.get(scale, 1.0)


@given(st.floats(0.0, math.log(9e14)))
def test_a_rarity_is_within_a_twentieth_of_its_number(log_m):
    assert value_of(rarity_text(log_m)) == pytest.approx(math.exp(log_m), rel=0.051)


@given(st.floats(allow_nan=False))
def test_a_rarity_is_short_whatever_the_evidence(log_m):
    text = rarity_text(log_m)
    assert len(text) <= 13
    assert value_of(text) >= 1


@given(st.floats(0.5, 90.0))
def test_axis_ticks_are_few_ascending_powers_of_ten(highest):
    ticks = rarity_ticks(-4.0, highest)
    assert 1 <= len(ticks) <= 7
    positions = [position for position, _ in ticks]
    assert positions == sorted(set(positions))
    for position, label in ticks:
        number, _, scale = label.partition(" ")
        size = {"": 1, "k": 1e3, "M": 1e6, "bn": 1e9, "tn": 1e12}[scale]
        assert float(number) * size == pytest.approx(math.exp(position))


def finding(evidence: float | None, threshold: float | None) -> str:
    """Render the table's cell of evidence."""
    row = FindingRow("", "", "", evidence, threshold, *[""] * 5, is_found=True)
    page = render_report(ReportContent("", "", (), 0, 1, findings=[row]))
    [cell] = re.findall('<td data-name="evidence"><div>(.*?)</div></td>', page, re.DOTALL)
    return cell


def test_nats_are_behind_a_detail():
    shown, _, hidden = finding(14.3, 13.1).partition("<details")
    assert "1.6 million windows" in shown
    assert "490,000" in shown
    assert "14.3" not in shown
    assert "log M 14.3, fires at 13.1" in hidden


def test_a_finding_without_evidence_has_an_empty_cell():
    # What is empty is left out on a narrow screen; white space would keep it.
    assert finding(None, 13.1) == finding(14.3, None) == ""


# --- when an incident began


def incident(*alerts: Alert, cause: Cause = Cause.DATA) -> Incident:
    return Incident(
        incident_id="i", tenant="default", cause=cause, severity=Severity.PAGE, title="",
        opened_at_us=alerts[0].time_us, owner_alert_id=alerts[0].alert_id, alerts=list(alerts),
    )  # fmt: skip


def window(alert: Alert, first: int, last: int) -> Alert:
    """Let an alert be about the hours from ``first`` to ``last``."""
    return msgspec.structs.replace(
        alert,
        window_start_us=START + first * HOUR,
        window_end_us=START + last * HOUR,
        n_windows=last - first,
        p_reference=0.0,
        p_current=0.15,
    )


def gpu(time_us: int) -> Alert:
    return msgspec.structs.replace(
        drift(1, ""), monitor="gpu", title="GPU 0 on n: XID 48", time_us=time_us, host="n",
        opened_at_us=time_us, window_start_us=0, window_end_us=0, n_windows=0, gpu_uuid="g",
    )  # fmt: skip


def test_an_incident_began_with_the_first_window_that_showed_any_of_it():
    found = incident(window(drift(40), 38, 40), window(drift(41, "score"), 37, 41))
    assert began_us(found) == START + 37 * HOUR


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        # Inside the first window, inside a later one, after all of them.
        (38.4, 38.4),
        (39.5, 38.0),
        (45.0, 38.0),
    ],
)
def test_a_gpu_event_inside_the_first_window_is_the_exact_time(at, expected):
    event = gpu(START + int(at * HOUR))
    found = incident(event, window(drift(40, "score"), 38, 40), cause=Cause.HARDWARE)
    assert began_us(found) == START + int(expected * HOUR)


def test_every_text_about_an_incident_names_the_same_beginning():
    found = incident(window(drift(40), 38, 40), window(drift(41, "score"), 37, 41))
    found.title = name_incident(found, found.alerts[0])
    began = began_us(found)
    assert found.title.endswith("since 13:00 UTC")
    assert short_text(began) == "02 Jan 13:00"
    page = incident_cards([found])
    assert f"<dt>began</dt><dd>{short_text(began)}</dd>" in page
    opening = Notification(
        notification_id="n", dedup_key="k", receiver="r", time_us=found.opened_at_us,
        kind=NotificationKind.INCIDENT, incident=found, reason="opened",
    )  # fmt: skip
    assert describe(opening).lines[-1] == "Since Sat 02 Jan 2016 13:00 UTC"
    resolution = msgspec.structs.replace(
        opening,
        kind=NotificationKind.RESOLVED,
        reason="resolved",
        incident=msgspec.structs.replace(found, resolved_at_us=began + 5 * HOUR),
    )
    assert describe(resolution).lines == ("Resolved Sat 02 Jan 2016 18:00 UTC, after 5 h 0 min",)
