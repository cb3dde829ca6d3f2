"""Which replica alerts are of one replica, and which GPU alerts explain them."""

from __future__ import annotations

import pytest

from monitor.core.incidents.evidence import gpu_evidence, is_gpu_cascade, is_same_replica
from schemas.alerts import Severity, Transition
from tests.support.alerts import HOUR, drift, gpu, replica

GPU_7, NODE_2 = "gpu_uuid=GPU-7", "host=node-2"


def is_same(one, other, *hosts: str) -> bool:
    return is_same_replica(one, other, lambda uuid: hosts, span_us=2 * HOUR)


@pytest.mark.parametrize("segment", [GPU_7, NODE_2])
def test_the_same_gpu_or_host_is_the_same_replica_at_any_time(segment):
    one = replica(1, segment)
    assert is_same(one, replica(90, segment))
    assert not is_same(one, replica(1, f"{segment}1"))
    assert not is_same(drift(1, segment=segment), one)


def test_a_gpu_and_a_host_are_the_same_replica_where_they_alert_together():
    for one, other in ((GPU_7, NODE_2), (NODE_2, GPU_7)):
        assert is_same(replica(1, one), replica(3, other))
        assert is_same(replica(3, one), replica(1, other))
        assert not is_same(replica(1, one), replica(4, other))


def test_a_gpu_whose_hosts_are_known_is_on_no_other_host():
    one, other = replica(1, GPU_7), replica(1, NODE_2)
    assert is_same(one, other, "node-1", "node-2")
    assert not is_same(one, other, "node-1")


def found(alert, *candidates, firing=()) -> list[str]:
    evidence = gpu_evidence(alert, candidates, firing, span_us=2 * HOUR)
    return [candidate.rule for candidate in evidence]


def test_gpu_alerts_around_the_windows_of_a_replica_explain_it():
    alert = replica(10)
    assert alert.window_start_us == alert.time_us - 2 * HOUR
    assert found(alert, gpu(6.99)) == []
    for window in (7, 8, 11, 13):
        assert found(alert, gpu(window)) == ["xid_79"]
    assert found(alert, gpu(13.01)) == []


def test_a_gpu_alert_that_still_fires_explains_whenever_it_began():
    old = gpu(1)
    assert found(replica(10), old) == []
    assert found(replica(10), old, firing={old.alert_id}) == ["xid_79"]


@pytest.mark.parametrize(
    ("segment", "candidate", "is_evidence"),
    [
        (GPU_7, gpu(10), True),
        (GPU_7, gpu(10, uuid="GPU-6"), False),
        (GPU_7, gpu(10, uuid="GPU-8"), False),
        (NODE_2, gpu(10, uuid="GPU-6"), True),
        (NODE_2, gpu(10, host="node-3"), False),
        (NODE_2, gpu(10, "node_lost", uuid=""), True),
        (GPU_7, gpu(10, "node_lost", uuid=""), False),
        (GPU_7, gpu(10, transition=Transition.RESOLVED), False),
        (GPU_7, gpu(10, "exporter_lost"), False),
        (GPU_7, gpu(10, "xid_43", severity=Severity.RECORD), False),
        (GPU_7, gpu(10, "xid_63", severity=Severity.RECORD), True),
        (GPU_7, drift(10, segment=GPU_7), False),
    ],
)
def test_hardware_alerts_of_the_gpu_or_its_host_are_evidence(segment, candidate, is_evidence):
    assert bool(found(replica(10, segment), candidate)) == is_evidence


@pytest.mark.parametrize(
    ("candidate", "is_one"),
    [
        (gpu(9, "xid_13"), True),
        (gpu(5.25, uuid="GPU-8"), True),
        (gpu(5.26, uuid="GPU-8"), False),
        (gpu(5, "xid_48", uuid="GPU-8"), False),
        (gpu(5, "node_lost", uuid=""), True),
        (gpu(5, uuid="GPU-8", host="node-3"), False),
        (gpu(5, uuid="GPU-8", tenant="other"), False),
    ],
)
def test_the_same_fault_on_a_host_within_a_quarter_hour_is_one(candidate, is_one):
    first = gpu(5)
    assert is_gpu_cascade([first], first.time_us, candidate, HOUR // 4) == is_one


def test_links_fail_on_all_their_gpus_at_once():
    first = gpu(5, "xid_74")
    for rule in ("xid_136", "xid_144", "xid_150", "xid_155"):
        assert is_gpu_cascade([first], first.time_us, gpu(5, rule, uuid="GPU-8"), HOUR)
    for rule in ("xid_143", "xid_151", "xid_154", "xid_156"):
        assert not is_gpu_cascade([first], first.time_us, gpu(5, rule, uuid="GPU-8"), HOUR)
