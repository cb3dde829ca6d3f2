"""Which alerts are one incident, and what its cause is called."""

from __future__ import annotations

import pytest

from monitor.core.incidents.grouping import ChangeKind, ChangeReason, IncidentChange, Incidents
from schemas.alerts import VOLUME, Alert, Cause, Severity, Transition
from tests.support.alerts import START, drift, gpu, replica


def feed(incidents: Incidents, *alerts: Alert) -> list[IncidentChange]:
    return [c for alert in alerts for c in incidents.observe(alert, alert.time_us)]


@pytest.fixture
def incidents() -> Incidents:
    return Incidents()


def test_two_data_faults_in_different_features_are_two_incidents(incidents: Incidents) -> None:
    feed(incidents, drift(14), drift(15, "SCHL", effect_where="unseen"))
    assert [i.cause for i in incidents.open] == [Cause.DATA, Cause.DATA]
    assert [i.title for i in incidents.open] == [
        "employment: AGEP above the baseline's range, 11 % of rows (baseline 0 %), since 13:00 UTC",
        "employment: SCHL has a category the baseline never saw, 11 % of rows (baseline 0 %), "
        "since 14:00 UTC",
    ]


def test_a_score_that_follows_a_feature_is_its_symptom(incidents: Incidents) -> None:
    changes = feed(incidents, drift(14), drift(14, "score"), drift(20, "score", "sex=1"))
    assert [c.reason for c in changes[1:]] == [ChangeReason.SYMPTOM] * 2
    assert len(incidents.open) == 1


@pytest.mark.parametrize(("later", "n_incidents"), [(0, 1), (2, 1), (3, 2)])
def test_a_feature_explains_a_score_that_moved_shortly_before(
    incidents: Incidents, later: int, n_incidents: int
) -> None:
    feed(incidents, drift(14, "score"), drift(14 + later))
    assert len(incidents.open) == n_incidents
    assert incidents.open[-1].title.startswith("employment: AGEP")


def test_the_feature_owns_what_a_score_of_the_same_window_opened(incidents: Incidents) -> None:
    score, feature = drift(14, "score"), drift(14)
    changes = feed(incidents, score, feature)
    assert changes[0].incident.owner_alert_id == score.alert_id
    assert changes[1].incident.owner_alert_id == feature.alert_id
    assert changes[0].incident.incident_id == changes[1].incident.incident_id


def test_a_score_attaches_to_the_newest_cause(incidents: Incidents) -> None:
    feed(incidents, drift(10), gpu(19.5), replica(20))
    changes = feed(incidents, drift(26, "score"))
    assert changes[0].incident.cause is Cause.HARDWARE


def test_a_score_of_another_model_is_nobodys_symptom(incidents: Incidents) -> None:
    feed(incidents, drift(14), drift(14, "score", model="car_loan"))
    assert len(incidents.open) == 2


@pytest.mark.parametrize(
    ("segments", "owner"), [(("sex=1", "*"), 1), (("*", "sex=1"), 0), (("sex=1", "sex=2"), 0)]
)
def test_of_one_feature_in_one_window_the_global_cell_owns(
    incidents: Incidents, segments: tuple[str, str], owner: int
) -> None:
    alerts = [drift(14, segment=s) for s in segments]
    feed(incidents, *alerts)
    assert [i.owner_alert_id for i in incidents.open] == [alerts[owner].alert_id]


def test_a_segment_that_fired_earlier_keeps_owning(incidents: Incidents) -> None:
    segment, everyone = drift(14, segment="sex=1"), drift(16)
    feed(incidents, segment, everyone)
    assert [i.owner_alert_id for i in incidents.open] == [segment.alert_id]


@pytest.mark.parametrize(
    "alerts",
    [
        (gpu(14.2, "double_bit_ecc"), gpu(14.3), replica(15)),
        (replica(15), gpu(14.2, "double_bit_ecc"), gpu(14.3)),
        (gpu(14.2, "double_bit_ecc"), replica(15), gpu(14.3)),
        (gpu(14.2, "double_bit_ecc"), gpu(14.3), replica(15, "host=node-2")),
        (gpu(14.2, "double_bit_ecc"), gpu(14.3), drift(15, "score"), replica(15)),
        (gpu(14.2, "double_bit_ecc"), gpu(14.3), replica(15), drift(25, "score")),
        (drift(14, "score"), gpu(14.2, "double_bit_ecc"), gpu(14.3), replica(15)),
        (drift(14, "score"), replica(15), gpu(14.2, "double_bit_ecc"), gpu(14.3)),
        (gpu(14.2, "double_bit_ecc"), gpu(14.3), replica(15), replica(15, "host=node-2")),
    ],
)
def test_a_broken_gpu_and_its_wrong_scores_are_one_hardware_incident(
    incidents: Incidents, alerts: tuple[Alert, ...]
) -> None:
    feed(incidents, *alerts)
    assert [(i.cause, i.title) for i in incidents.open] == [
        (
            Cause.HARDWARE,
            "GPU 7 on node-2: double-bit ECC and XID 79; its scores are wrong (employment)",
        )
    ]
    assert {a.alert_id for a in incidents.open[0].alerts} == {a.alert_id for a in alerts}


def test_a_score_that_is_taken_over_is_notified_where_it_went(incidents: Incidents) -> None:
    changes = feed(incidents, drift(14, "score"), gpu(14.3), replica(15))
    merged = [c for c in changes if c.reason is ChangeReason.MERGED]
    assert [(c.kind, c.merged_into) for c in merged] == [
        (ChangeKind.RESOLVED, incidents.open[0].incident_id)
    ]


def test_a_replica_alone_is_the_models_until_gpu_evidence_comes(incidents: Incidents) -> None:
    changes = feed(incidents, replica(15), gpu(16.5, "xid_48"))
    assert [c.incident.cause for c in changes] == [Cause.MODEL, Cause.HARDWARE]
    assert "no GPU evidence" in changes[0].incident.title
    assert [c.is_cause_changed for c in changes] == [False, True]


def test_a_score_first_called_data_becomes_hardware(incidents: Incidents) -> None:
    changes = feed(incidents, drift(15, "score"), replica(16), gpu(16.5))
    assert [c.incident.cause for c in changes] == [Cause.DATA, Cause.MODEL, Cause.HARDWARE]


def test_evidence_joins_a_gpu_incident_that_was_only_a_record(incidents: Incidents) -> None:
    record = gpu(14.2, "xid_43", severity=Severity.RECORD)
    changes = feed(incidents, record, replica(15), gpu(16.5, "xid_48"))
    assert [c.kind for c in changes] == ["opened", "opened", "resolved", "escalated"]
    assert [i.cause for i in incidents.open] == [Cause.HARDWARE]
    assert "its scores are wrong" in incidents.open[0].title


@pytest.mark.parametrize(
    "other",
    [
        gpu(18.5),
        gpu(14.3, uuid="GPU-3"),
        gpu(14.3, uuid="GPU-3", host="node-9"),
        gpu(14.3, "xid_43", severity=Severity.RECORD),
        gpu(14.3, "exporter_lost", uuid="", severity=Severity.TICKET),
    ],
)
def test_what_is_too_late_elsewhere_or_no_fault_is_no_evidence(
    incidents: Incidents, other: Alert
) -> None:
    feed(incidents, *sorted([replica(15), other], key=lambda a: a.time_us))
    own = Cause.PIPELINE if other.rule == "exporter_lost" else Cause.HARDWARE
    assert {i.cause for i in incidents.open} == {Cause.MODEL, own}


@pytest.mark.parametrize(("hours", "cause"), [(2, Cause.HARDWARE), (9, Cause.MODEL)])
def test_evidence_that_is_over_counts_for_two_windows(
    incidents: Incidents, hours: int, cause: Cause
) -> None:
    over = gpu(15 - hours + 0.2, "xid_31", transition=Transition.RESOLVED)
    feed(incidents, gpu(15 - hours, "xid_31"), over, replica(15))
    assert [i.cause for i in incidents.open] == [cause]


def test_evidence_that_still_fires_counts_however_old(incidents: Incidents) -> None:
    feed(incidents, gpu(2), replica(40))
    assert [i.cause for i in incidents.open] == [Cause.HARDWARE]


def test_two_replicas_that_go_wrong_are_two_incidents(incidents: Incidents) -> None:
    feed(incidents, replica(15), replica(15, "gpu_uuid=GPU-3"))
    assert len(incidents.open) == 2


def test_an_input_is_never_blamed_on_a_gpu(incidents: Incidents) -> None:
    feed(incidents, gpu(14.2), replica(15), drift(15))
    assert [i.cause for i in incidents.open] == [Cause.HARDWARE, Cause.DATA]


def test_a_cascade_on_one_gpu_is_one_incident(incidents: Incidents) -> None:
    steps = [gpu(1 + i / 100, rule) for i, rule in enumerate(("xid_122", "xid_31", "xid_45"))]
    feed(incidents, *steps)
    assert len(incidents.open) == 1
    assert len(incidents.open[0].alerts) == 3


@pytest.mark.parametrize("rules", [("xid_74",) * 8, ("xid_74", "xid_145") * 4])
def test_a_switch_fault_on_eight_gpus_is_one_incident(
    incidents: Incidents, rules: tuple[str, ...]
) -> None:
    faults = [gpu(1 + i / 1000, rule, uuid=f"GPU-{i}") for i, rule in enumerate(rules)]
    aftermath = [gpu(1.02 + i / 1000, "xid_45", uuid=f"GPU-{i}") for i in range(8)]
    feed(incidents, *faults, *aftermath)
    assert len(incidents.open) == 1
    assert incidents.open[0].title.startswith("8 GPUs on node-2: XID 74")


@pytest.mark.parametrize(
    "other",
    [
        gpu(1.01, "thermal_slowdown", uuid="GPU-3"),
        gpu(1.5, uuid="GPU-3"),
        gpu(1.01, uuid="GPU-3", host="node-9"),
    ],
)
def test_other_faults_on_other_gpus_are_other_incidents(incidents: Incidents, other: Alert) -> None:
    feed(incidents, gpu(1), other)
    assert len(incidents.open) == 2


def test_a_host_that_dies_takes_its_gpus_along(incidents: Incidents) -> None:
    feed(incidents, gpu(1, "gpu_lost"), gpu(1.02, "node_lost", uuid=""))
    assert len(incidents.open) == 1


def test_an_incident_ends_with_its_last_alert(incidents: Incidents) -> None:
    feed(incidents, drift(14), drift(14, "score"))
    first = feed(incidents, drift(20, transition=Transition.RESOLVED))
    last = feed(incidents, drift(22, "score", transition=Transition.RESOLVED))
    again = feed(incidents, drift(30))
    assert first == []
    assert [(c.kind, c.incident.resolved_at_us) for c in last] == [
        (ChangeKind.RESOLVED, START + 23 * 3_600_000_000)
    ]
    assert [c.kind for c in again] == [ChangeKind.OPENED]
    assert again[0].incident.incident_id != last[0].incident.incident_id


def test_severity_rises_and_never_falls(incidents: Incidents) -> None:
    worse = drift(15, severity=Severity.PAGE, transition=Transition.ESCALATED)
    changes = feed(incidents, drift(14), worse, drift(15, "score"))
    assert [c.kind for c in changes] == ["opened", "escalated", "updated"]
    assert [c.incident.severity for c in changes] == ["ticket", "page", "page"]


def test_an_alert_sent_again_changes_nothing(incidents: Incidents) -> None:
    alerts = [drift(14), gpu(14.3), replica(15)]
    feed(incidents, *alerts)
    assert feed(incidents, *alerts) == []


def test_the_resolution_of_an_unknown_alert_changes_nothing(incidents: Incidents) -> None:
    assert feed(incidents, drift(14, transition=Transition.RESOLVED)) == []


def test_a_change_is_a_copy_as_it_stood(incidents: Incidents) -> None:
    changes = feed(incidents, drift(14), drift(14, "score"))
    assert [len(c.incident.alerts) for c in changes] == [1, 2]


def test_a_pipeline_fault_is_called_so_and_takes_no_symptoms(incidents: Incidents) -> None:
    stalled = {"monitor": "pipeline", "feature": "", "rule": "pipeline_stalled"}
    feed(incidents, drift(14, **stalled), drift(14, "score"), drift(15, **stalled))
    assert [i.cause for i in incidents.open] == [Cause.PIPELINE, Cause.DATA]


def test_a_storm_keeps_its_owner_and_stays_small(incidents: Incidents) -> None:
    storm = [gpu(1 + i / 100, transition=Transition.ESCALATED) for i in range(1000)]
    feed(incidents, gpu(0.5), *storm)
    alerts = incidents.open[0].alerts
    assert len(alerts) <= 257
    assert alerts[0].alert_id == gpu(0.5).alert_id


def test_a_storm_does_not_bury_the_model_that_suffers(incidents: Incidents) -> None:
    storm = [gpu(16 + i / 100, transition=Transition.ESCALATED) for i in range(1000)]
    changes = feed(incidents, gpu(14.3), replica(15), *storm)
    assert incidents.open[0].title.endswith("its scores are wrong (employment)")
    assert [c.is_model_added for c in changes].count(True) == 1


def test_evidence_and_alert_ids_of_a_week_ago_are_forgotten(incidents: Incidents) -> None:
    started, over = gpu(15), gpu(15.2, transition=Transition.RESOLVED)
    feed(incidents, started, over)
    incidents.forget_old(START + 100 * 3_600_000_000)
    assert feed(incidents, started, over) == []
    incidents.forget_old(START + 400 * 3_600_000_000)
    (opened,) = feed(incidents, replica(15))
    assert (opened.incident.cause, len(opened.incident.alerts)) == (Cause.MODEL, 1)
    assert feed(incidents, started)


def volume(window: int, transition: Transition = Transition.OPENED) -> Alert:
    """The alert on the traffic of the model."""
    return drift(
        window, feature="", monitor="pipeline", rule=VOLUME, transition=transition, title="3 times"
    )


def test_drift_within_two_hours_of_a_change_of_traffic_belongs_to_it():
    incidents = Incidents()
    first = incidents.observe(drift(9, "ANC"), 0)
    opened = incidents.observe(volume(10), 0)
    assert [c.kind.value for c in opened] == ["opened", "resolved"]
    assert opened[1].merged_into == opened[0].incident.incident_id
    assert opened[1].incident.incident_id == first[0].incident.incident_id
    joined = incidents.observe(drift(12, "AGEP"), 0) + incidents.observe(drift(12, "score"), 0)
    assert [c.reason.value for c in joined] == ["volume", "volume"]
    assert [i.cause.value for i in incidents.open] == ["pipeline"]
    assert incidents.open[0].title == "3 times"


def test_drift_long_after_a_change_of_traffic_is_an_incident_of_its_own():
    incidents = Incidents()
    incidents.observe(drift(2, "ANC"), 0)
    incidents.observe(volume(10), 0)
    assert incidents.observe(drift(13, "AGEP"), 0)[0].reason.value == "first_alert"
    assert len(incidents.open) == 3


def test_drift_after_traffic_is_back_is_an_incident_of_its_own():
    incidents = Incidents()
    incidents.observe(volume(10), 0)
    incidents.observe(volume(11, Transition.RESOLVED), 0)
    assert incidents.observe(drift(11, "AGEP"), 0)[0].reason.value == "first_alert"
