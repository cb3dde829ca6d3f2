"""What a stage writes fits into a message, whatever names events and tables bring."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from monitor.core.drift.cells import bin_labels
from monitor.core.state.result_messages import read_results
from monitor.core.state.writes import result_writes
from monitor.core.unreadable import letter_key
from monitor.decode import Decoder, chunk_of
from monitor.notify.delivery.log import LogEntry, decode_entry, encode_entry
from schemas.alerts import Cause, Delivery, Incident, Notification, NotificationKind, Severity
from schemas.baselines import Kind, VariableBaseline
from schemas.batch import ModelSchema
from schemas.refused import dead_letter
from schemas.results import DetectorResult, Reason, Verdict
from tests.support.alerts import drift

BROKER_TAKES = 1_048_588


@pytest.mark.parametrize("n", [10, 400_000])
@pytest.mark.parametrize("text", ["t", "\U0001f642"])
def test_the_dead_letter_of_an_event_of_any_names_fits(n, text):
    event = {"tenant": text * n, "model": "z" * n, "time_us": 1, "features": {}}
    value = msgspec.json.encode(event)
    decoded = Decoder([ModelSchema("default", "m", ("a",))]).decode(chunk_of([value], "s"))
    for reject in decoded.rejects:
        letter = dead_letter(reject, source="s", partition=0, offset=0)
        assert len(msgspec.msgpack.encode(letter)) + len(letter_key(letter)) < BROKER_TAKES
        assert letter.n_bytes == len(value)
    assert decoded.rejects


def result(where: str) -> DetectorResult:
    return DetectorResult(
        tenant="default", monitor="drift", model="m", model_version="", profile_id="p",
        feature="c", segment="*", metric="decision", window_us=1, start_us=0, end_us=1,
        statistic=None, n=1, verdict=Verdict.NORMAL, reason=Reason.WITHIN_TOLERANCE,
        closed_by="end", effect_where=where,
    )  # fmt: skip


def test_results_with_long_names_go_in_more_messages_and_none_is_lost():
    results = [result(f"{i}=" + "x" * 5_000) for i in range(1_100)]
    writes = result_writes(("default", "m"), results, 0)
    assert max(len(write.value or b"") for write in writes) < BROKER_TAKES
    back = [one for write in writes for one in read_results(write.value or b"")]
    assert back == results


def test_labels_of_long_categories_are_cut():
    long = VariableBaseline("c", Kind.CATEGORICAL, np.empty(0), tuple("x" * n for n in (3, 60_000)))
    assert [len(label) for label in bin_labels(long)[:2]] == [3, 200]


def entry(n_alerts: int) -> LogEntry:
    pictured = {
        "reference_counts": tuple(range(64)),
        "current_counts": tuple(range(64)),
        "bin_labels": ("label" * 20,) * 64,
    }
    alerts = [drift(i, feature=f"f{i}", **pictured) for i in range(n_alerts)]
    incident = Incident(
        incident_id="1", tenant="default", cause=Cause.DATA, severity=Severity.PAGE,
        opened_at_us=0, title="m", owner_alert_id=alerts[3].alert_id, alerts=alerts,
    )  # fmt: skip
    notification = Notification(
        notification_id="n", dedup_key="k", receiver="r", kind=NotificationKind.INCIDENT,
        incident=incident, time_us=5, reason="opened",
    )  # fmt: skip
    return LogEntry(
        notification, Delivery(notification_id="n", receiver="r", state="intent", time_us=5)
    )


@pytest.mark.parametrize(("n", "n_kept"), [(10, 10), (900, 900)])
def test_a_notification_of_many_alerts_fits_with_the_ids_of_all(n, n_kept):
    value = encode_entry(entry(n))
    assert len(value) < BROKER_TAKES
    alerts = decode_entry(value).notification.incident.alerts
    assert {a.alert_id for a in alerts} == {
        a.alert_id for a in entry(n).notification.incident.alerts
    }
    assert sum(bool(a.current_counts) for a in alerts) == (n if n == 10 else 1)
    assert len(alerts) == n_kept


def test_a_notification_of_more_alerts_than_fit_keeps_the_owner_and_the_newest():
    everything = entry(9_000)
    value = encode_entry(everything)
    assert len(value) < BROKER_TAKES
    alerts = decode_entry(value).notification.incident.alerts
    assert alerts[0].alert_id == everything.notification.incident.owner_alert_id
    assert alerts[-1].alert_id == everything.notification.incident.alerts[-1].alert_id
