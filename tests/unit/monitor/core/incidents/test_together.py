"""Changes with a known beginning that are found together are one incident."""

from __future__ import annotations

import msgspec
import pytest
from msgspec import UNSET

from monitor.core.incidents.grouping import ChangeKind, ChangeReason, Incidents
from schemas.alerts import Alert, Severity, Transition
from schemas.time_units import HOUR_US, MINUTE_US

FOUND_US = 845 * MINUTE_US


def alert(feature: str, found_us: int, size: float, onset_us: int | None = None) -> Alert:
    begun_us = found_us - 10 * MINUTE_US if onset_us is None else onset_us
    return Alert(
        alert_id=f"{feature}{found_us}",
        tenant="t",
        monitor="drift",
        transition=Transition.OPENED,
        severity=Severity.TICKET,
        time_us=found_us,
        opened_at_us=found_us,
        sequence=0,
        title=f"m: {feature} changed",
        model="m",
        model_version="1",
        feature=feature,
        segment="*",
        window_start_us=begun_us,
        window_end_us=found_us,
        n_windows=1,
        effect_size=size,
        onset_us=begun_us,
        onset_low_us=begun_us - 5 * MINUTE_US,
        onset_high_us=begun_us + 5 * MINUTE_US,
    )


def test_features_found_within_two_hours_are_one_incident_by_size_of_change():
    incidents = Incidents()
    (first,) = incidents.observe(alert("a", FOUND_US, 0.2), FOUND_US)
    assert first.incident.title == "m: a changed"
    later = FOUND_US + 2 * HOUR_US
    (second,) = incidents.observe(alert("b", later, -0.4), later)
    assert (second.kind, second.reason) == (ChangeKind.UPDATED, ChangeReason.SAME_TIME)
    assert second.incident.title.startswith("m: 2 features changed together: b and a, since about")
    (third,) = incidents.observe(alert("score", later + 1, 0.3), later)
    assert third.reason is ChangeReason.SYMPTOM
    assert "2 features" in third.incident.title


@pytest.mark.parametrize(
    ("onset_us", "n_open"), [(FOUND_US - 12 * MINUTE_US, 1), (FOUND_US + 10 * MINUTE_US, 2)]
)
def test_a_change_found_later_belongs_to_it_if_it_began_then(onset_us, n_open):
    incidents = Incidents()
    incidents.observe(alert("a", FOUND_US, 0.2), FOUND_US)
    later = FOUND_US + 9 * HOUR_US
    incidents.observe(alert("b", later, 0.4, onset_us), later)
    assert len(incidents.open) == n_open


@pytest.mark.parametrize(("began_min", "owner"), [(-10, "a"), (-2, "a"), (15, "score")])
def test_a_feature_owns_the_score_that_was_found_before_it(began_min, owner):
    incidents = Incidents()
    score = alert("score", FOUND_US, 0.6)
    later = FOUND_US + 25 * MINUTE_US
    feature = alert("a", later, 0.2, FOUND_US + began_min * MINUTE_US)
    for found in (score, feature):
        incidents.observe(found, found.time_us)
    (incident,) = incidents.open
    assert incident.owner_alert_id == {"a": feature, "score": score}[owner].alert_id
    assert incident.title.startswith("m: a changed")


def test_changes_of_rule_1_stay_incidents_of_their_own():
    incidents = Incidents()
    for feature in "ab":
        plain = msgspec.structs.replace(
            alert(feature, FOUND_US, 0.2), onset_us=UNSET, onset_low_us=UNSET, onset_high_us=UNSET
        )
        incidents.observe(plain, FOUND_US)
    assert len(incidents.open) == 2


def test_a_change_with_a_beginning_joins_no_incident_without_one():
    incidents = Incidents()
    plain = msgspec.structs.replace(
        alert("a", FOUND_US, 0.2), onset_us=UNSET, onset_low_us=UNSET, onset_high_us=UNSET
    )
    incidents.observe(plain, FOUND_US)
    incidents.observe(alert("b", FOUND_US, 0.4), FOUND_US)
    assert len(incidents.open) == 2
