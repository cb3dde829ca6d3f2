"""One series, window after window: alerts that open and have to end."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from detectors.decision_rule.replicas import FORGET_AFTER
from monitor.core.drift.decide import SeriesDecider, _specificity
from monitor.core.drift.windows import MAX_EMPTY
from monitor.core.windowing.accumulators import summarize
from monitor.core.windowing.layout import Layout
from monitor.decode.chunk import chunk_of
from monitor.decode.decoder import Decoder
from schemas.alerts import Transition
from schemas.monitors import Monitor
from schemas.names import SCORE
from schemas.panes import ALL, SeriesId, SeriesStats, Window
from tests.support.worlds.small import CONFIG, START_US, build_small_world, event_rows


@pytest.fixture
def decider() -> SeriesDecider:
    catalog = build_small_world().catalog
    (baseline,) = catalog.baselines_for("default", "small", "1")
    return SeriesDecider(SeriesId("default", "small", "1", baseline.profile_id), CONFIG, baseline)


def window_of(decider: SeriesDecider, rows: list[dict], at: int) -> Window:
    values = [json.dumps(row | {"time_us": START_US}).encode() for row in rows]
    (batch,) = Decoder([CONFIG.schema_]).decode(chunk_of(values, "t")).batches
    segments, slices = summarize(batch, Layout(CONFIG.schema_, decider.baseline))
    length_us = CONFIG.window.length_us
    start_us = START_US + at * length_us
    return Window(decider.series, start_us, start_us + length_us, segments, slices, 1, "watermark")


def test_the_alert_of_a_replica_that_was_taken_out_ends_when_it_is_forgotten(decider):
    rng, changes = np.random.default_rng(1), []
    rows = event_rows(rng, 400, 0)
    broken = [r | {"score": 0.5} if r["gpu_uuid"] == "GPU-2" else r for r in rows]
    healthy = [r for r in rows if r["gpu_uuid"] != "GPU-2"]
    windows = [window_of(decider, part, 0) for part in (broken, healthy)]
    for at in range(4 + FORGET_AFTER + 3):
        decided = decider.decide(windows[at >= 4])
        changes += [(at, a) for a in decided.alerts if a.segment == "gpu_uuid=GPU-2"]
    (_, opened), (at, ended) = changes
    assert (opened.transition.value, ended.transition.value) == ("opened", "resolved")
    assert at == 4 + FORGET_AFTER - 1
    assert "is gone" in ended.title
    assert not any("GPU-2" in key for key in decider.open_alerts)


def test_alerts_of_a_version_that_was_retired_end_with_its_last_window(decider):
    rng = np.random.default_rng(2)
    broken = window_of(decider, event_rows(rng, 400, 9), 0)
    opened = [a for _ in range(4) for a in decider.decide(broken).alerts]
    assert opened
    empty = SeriesStats.empty((ALL,), len(decider.baseline.variables))
    length_us, ended = CONFIG.window.length_us, []
    for at in range(1, MAX_EMPTY + 1):
        start_us = START_US + at * length_us
        none = SeriesStats.empty((), 1)
        gap = Window(decider.series, start_us, start_us + length_us, empty, none, 0, "watermark")
        ended += [(at, a.transition) for a in decider.decide(gap).alerts]
    assert decider.open_alerts == {}
    assert decider.is_retired
    assert set(ended) == {(MAX_EMPTY, Transition.RESOLVED)}


def test_a_steady_drift_just_over_its_tolerance_alerts_a_few_times_then_stays_open(decider):
    rng, alerts = np.random.default_rng(3), []
    for at in range(365):
        rows = [r | {"features": {"a": r["features"]["a"] + 0.16}} for r in event_rows(rng, 700, 0)]
        decided = decider.decide(window_of(decider, rows, at))
        alerts += [a for a in decided.alerts if (a.feature, a.segment) == ("a", "*")]
    opened = [a for a in alerts if a.transition is Transition.OPENED]
    assert 1 <= len(opened) <= 6, [(a.transition.value, a.time_us) for a in alerts]


def test_a_window_names_replicas_first_then_features_then_the_score(decider):
    rng, orders = np.random.default_rng(5), []
    for at in range(3):
        rows = [
            r
            | {"features": r["features"] | {"a": r["features"]["a"] + 3}, "score": r["score"] / 2}
            | ({"score": 0.999} if r["gpu_uuid"] == "GPU-2" else {})
            for r in event_rows(rng, 2_000, 0)
        ]
        alerts = decider.decide(window_of(decider, rows, at)).alerts
        orders.append([a.segment.partition("=")[0] + f" {a.feature}" for a in alerts])
    kinds = ["gpu_uuid score", "host score", "* a", "region a", "* score", "region score"]
    (opened,) = [order for order in orders if order]
    assert list(dict.fromkeys(opened)) == kinds


def test_every_host_and_gpu_of_a_first_window_is_judged(decider):
    window = window_of(decider, event_rows(np.random.default_rng(1), 40, 0), 0)
    named = {name for group in decider._replica_groups(window) for name in group.segments}
    assert named == set(window.slices.segments)
    assert {name.partition("=")[0] for name in named} == {"host", "gpu_uuid"}


def test_alerts_of_one_window_begin_with_what_explains_the_others():
    def view(monitor: Monitor, segment: str, name: str) -> SimpleNamespace:
        return SimpleNamespace(
            monitor=monitor, segment=segment, variable=SimpleNamespace(name=name)
        )

    ranked = [
        view(Monitor.REPLICA, "gpu_uuid=GPU-7", SCORE),
        view(Monitor.REPLICA, "host=n12", SCORE),
        view(Monitor.DRIFT, "*", "age"),
        view(Monitor.DRIFT, "*", SCORE),
    ]
    assert [_specificity(v) for v in ranked] == [0, 1, 2, 3]
