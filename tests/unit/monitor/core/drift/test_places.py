"""An alert says where: the segment, host or feature that carries the change, or none."""

from __future__ import annotations

import json
from dataclasses import replace

import msgspec
import numpy as np
import pytest

from monitor.core.drift.decide import SeriesDecider
from monitor.core.windowing.accumulators import summarize
from monitor.core.windowing.layout import Layout
from monitor.decode.chunk import chunk_of
from monitor.decode.decoder import Decoder
from monitor.notify.receivers.message import describe
from monitor.storage.rows import alert_rows
from schemas.alerts import Alert, Transition
from schemas.baselines import SeasonalCounts
from schemas.panes import SeriesId, Window
from tests.support.alerts import drift, incident, notification
from tests.support.worlds.small import CONFIG, START_US, build_small_world, event_rows


@pytest.fixture(scope="module")
def baseline():
    (baseline,) = build_small_world().catalog.baselines_for("default", "small", "1")
    return baseline


def opened(baseline, change) -> dict[tuple[str, str], Alert]:
    """Alerts by feature and segment, of six windows whose rows ``change`` has altered."""
    rng, alerts = np.random.default_rng(4), {}
    decider = SeriesDecider(
        SeriesId("default", "small", "1", baseline.profile_id), CONFIG, baseline
    )
    for at in range(6):
        rows = [change(row) for row in event_rows(rng, 800, 0)]
        values = [json.dumps(row | {"time_us": START_US}).encode() for row in rows]
        (batch,) = Decoder([CONFIG.schema_]).decode(chunk_of(values, "t")).batches
        start_us = START_US + at * CONFIG.window.length_us
        counted = summarize(batch, Layout(CONFIG.schema_, baseline))
        end_us = start_us + CONFIG.window.length_us
        window = Window(decider.series, start_us, end_us, *counted, 1, "watermark")
        for alert in decider.decide(window).alerts:
            if alert.transition is Transition.OPENED:
                alerts.setdefault((alert.feature, alert.segment), alert)
    return alerts


def moved(row: dict, by: float) -> dict:
    return row | {"features": row["features"] | {"a": row["features"]["a"] + by}}


def test_a_feature_that_moved_in_one_region_names_it(baseline):
    alerts = opened(baseline, lambda r: moved(r, 1.5 * (r["segments"]["region"] == "us")))
    [(name, part)] = alerts["a", "*"].contributions
    assert name == "region=us"
    assert part > 0.95
    assert alerts["a", "region=us"].contributions == ()


def test_a_feature_that_moved_everywhere_names_no_place(baseline):
    alerts = opened(baseline, lambda r: moved(r, 1.0))
    assert alerts["a", "*"].contributions == ()


def test_a_score_that_one_gpu_spoils_names_it_and_its_host(baseline):
    alerts = opened(baseline, lambda r: r | {"score": 0.999} if r["gpu_uuid"] == "GPU-2" else r)
    parts = dict(alerts["score", "*"].contributions)
    assert parts.keys() == {"gpu_uuid=GPU-2", "host=node-1"}
    assert parts["gpu_uuid=GPU-2"] > 0.9


def test_a_score_that_moved_with_a_feature_names_the_feature(baseline):
    alerts = opened(baseline, lambda r: moved(r, 1.0) | {"score": r["score"] ** 3})
    assert alerts["score", "*"].contributions == (("a", 1.0),)


def seasonal(baseline, *cells: tuple[str, str]):
    """The same baseline, every hour alike, with a season of these features and segments."""
    shape, segments = baseline.reference.counts.shape, baseline.reference.segments
    names = [variable.name for variable in baseline.variables]
    follows = np.zeros(shape[:2], bool)
    for feature, segment in cells:
        follows[segments.index(segment), names.index(feature)] = True
    counts = np.broadcast_to(baseline.reference.counts, (168, *shape)) * 10
    return replace(baseline, seasonal=SeasonalCounts(counts, np.full(168, 4), follows))


def test_of_two_features_the_one_that_moved_more_comes_first_whatever_their_references(baseline):
    def change(row: dict) -> dict:
        features = row["features"]
        shifted = features | {"a": features["a"] + 1.5}
        if features["a"] > 0.3 and features["c"] == "x":
            shifted["c"] = "y"
        return row | {"features": shifted, "score": row["score"] ** 3}

    alike = dict(opened(baseline, change)["score", "*"].contributions)
    other = dict(opened(seasonal(baseline, ("a", "*")), change)["score", "*"].contributions)
    assert alike.keys() == other.keys() == {"a", "c"}
    assert other == pytest.approx(alike, abs=0.02)


def test_segments_that_are_compared_with_other_hours_than_the_whole_are_not_named(baseline):
    def change(row: dict) -> dict:
        return moved(row, 1.5 * (row["segments"]["region"] == "us"))

    for cells in ([("a", "region=us")], [("a", "*")]):
        assert opened(seasonal(baseline, *cells), change)["a", "*"].contributions == ()
    regions = [s for s in baseline.reference.segments if s.startswith("region=")]
    all_alike = seasonal(baseline, *(("a", segment) for segment in ("*", *regions)))
    assert dict(opened(all_alike, change)["a", "*"].contributions).keys() == {"region=us"}


def test_receivers_and_the_store_get_the_places():
    alert = drift(14, contributions=(("region=eu", 0.71), ("host=node-3", 0.64)))
    text = "\n".join(describe(notification(incident(alert))).lines)
    assert "mostly region=eu (71 %), host=node-3 (64 %)" in text
    (row,) = alert_rows([alert]).to_pylist()
    assert row["contributions"] == [("region=eu", 0.71), ("host=node-3", 0.64)]


def test_a_message_from_before_contributions_still_decodes():
    values = msgspec.to_builtins(drift(14))
    del values["contributions"]
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(values), type=Alert) == drift(14)
