"""Series that a rule takes the increase of exist before anything is counted."""

from __future__ import annotations

import pytest
from prometheus_client import REGISTRY

from monitor.detect.gauges import DetectGauges
from monitor.ingest.tally import Tally
from schemas.events import RejectReason


@pytest.fixture(scope="module", autouse=True)
def started():
    Tally("some.topic", "bulk")
    DetectGauges()


@pytest.mark.parametrize(
    ("stage", "topic"), [("ingest", "some.topic"), ("detect", "driftline.gpu")]
)
@pytest.mark.parametrize("reason", [reason.value for reason in RejectReason])
def test_rejected_events_have_a_series_for_each_reason_from_the_start(stage, topic, reason):
    labels = {"stage": stage, "topic": topic, "reason": reason}
    assert REGISTRY.get_sample_value("driftline_rejected_total", labels) is not None


def test_gaps_late_and_accepted_events_have_a_series_from_the_start():
    for name in ("driftline_gaps_total", "driftline_events_total"):
        labels = {"stage": "ingest", "topic": "some.topic"}
        assert REGISTRY.get_sample_value(name, labels) == 0
    assert REGISTRY.get_sample_value("driftline_late_total", {"topic": "some.topic"}) == 0
