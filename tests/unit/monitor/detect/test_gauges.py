"""What detect counts becomes metrics, once."""

from __future__ import annotations

from prometheus_client import REGISTRY

from monitor.core.drift.coverage import Coverage
from monitor.core.drift.partition import DriftPartition
from monitor.core.state.snapshot_store import SnapshotStore
from monitor.detect.gauges import DetectGauges
from monitor.detect.gpu_partition import GpuPartition
from monitor.detect.stage import PanesRules
from monitor.detect.warm import warm_decision
from monitor.transport.types import Message
from schemas.config.monitor import GpuConfig
from schemas.intake import Intake
from tests.support.kafka.detect import published, small_world


def value(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def test_counters_are_raised_by_what_was_counted_since_the_last_look():
    rules = PanesRules(small_world().catalog, 0, "o", "", lambda: 0.0)
    rules.restore(SnapshotStore())
    gpu = GpuPartition(GpuConfig(), 0, "o")
    gpu.restore(SnapshotStore())
    names = {
        "windows": ("driftline_windows_total", {"closed_by": "watermark"}),
        "drift": ("driftline_results_total", {"verdict": "drift"}),
        "opened": ("driftline_alerts_total", {"monitor": "drift", "transition": "opened"}),
        "kept": ("driftline_panes_total", {"stage": "detect", "outcome": "kept"}),
        "gpu": ("driftline_events_total", {"stage": "detect", "topic": "driftline.gpu"}),
    }
    before = {key: value(name, **labels) for key, (name, labels) in names.items()}
    gauges, panes = DetectGauges(), published()
    gauges.show([(0, rules)], [(0, gpu)])
    for i, message in enumerate(panes):
        for _ in rules.hear(Message(i, message.key, message.value, -1)):
            pass
        if i in (len(panes) // 2, len(panes) - 1):
            gauges.show([(0, rules)], [(0, gpu)])
            gauges.show([(0, rules)], [(0, gpu)])
    for i, (event, _) in enumerate(small_world().gpu):
        gpu.hear(Message(i, b"", event, -1))
    gauges.show([(0, rules)], [(0, gpu)])
    raised = {k: value(name, **labels) - before[k] for k, (name, labels) in names.items()}
    assert raised["kept"] == rules.counters["panes_kept"] > 0
    assert raised["windows"] == rules.counters["windows_watermark"] > 0
    assert raised["drift"] == rules.counters["results_drift"] > 0
    assert raised["opened"] == rules.counters["alerts_drift_opened"] > 0
    assert raised["gpu"] == len(small_world().gpu)
    still_open = sum(rules.drift.open_alerts().values())
    shown = sum(
        value("driftline_alerts_open", monitor=m, severity=s) for m, s in rules.drift.open_alerts()
    )
    assert shown == still_open > 0


def test_kernels_are_warmed_where_there_is_a_baseline():
    assert warm_decision(small_world().catalog)
    assert not warm_decision(type(small_world().catalog)({}))


def test_planted_shifts_are_counted_by_outcome_and_their_delays_kept():
    rules = PanesRules(small_world().catalog, 0, "o", "", lambda: 0.0)
    rules.restore(SnapshotStore())
    found, missed = {"outcome": "found"}, {"outcome": "missed"}
    total, name = "driftline_canary_delay_windows_sum", "driftline_canaries_total"
    before = value(name, **found), value(name, **missed), value(total)
    gauges = DetectGauges()
    rules.drift.counters.update({"canary_found_3": 2, "canary_found_5": 1, "canary_missed": 1})
    gauges.show([(0, rules)], [])
    after = value(name, **found), value(name, **missed), value(total)
    assert [b - a for a, b in zip(before, after, strict=True)] == [3, 1, 11]


def test_events_of_each_model_are_counted_by_outcome_once():
    drift = DriftPartition(small_world().catalog, 0, "o")
    rules = PanesRules(small_world().catalog, 0, "o", "", lambda: 0.0)
    rules.drift = drift
    gauges = DetectGauges([("t", "counted")])
    names = ("judged", "not_judged", "rejected", "late")

    def events() -> dict[str, float]:
        labels = {"tenant": "t", "model": "counted"}
        return {o: value("driftline_model_events_total", outcome=o, **labels) for o in names}

    assert events() == dict.fromkeys(names, 0.0)
    coverage = drift.coverage["t", "counted"] = Coverage()
    coverage.note_intake(Intake(n_late=5, rejected={"mistyped": 3, "future": 1}))
    coverage.note(20, "too_few_samples")
    gauges.show([(0, rules)], [])
    coverage.note(30, "no_data")
    coverage.note(200, "")
    before = value("driftline_coverage_total", unit="windows", outcome="judged")
    gauges.show([(0, rules)], [])
    gauges.show([(0, rules)], [])
    assert events() == {"judged": 200, "not_judged": 50, "rejected": 4, "late": 5}
    assert value("driftline_coverage_total", unit="windows", outcome="judged") == before + 1
