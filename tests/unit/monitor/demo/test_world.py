"""The demo's world: seeded, real, silent before its faults, broken as planned during them."""

from __future__ import annotations

import json
from functools import cache
from itertools import pairwise

import msgspec
import numpy as np
import pytest

from monitor.core.gpu.rules import GpuRules
from monitor.demo.extract import ATTRIBUTES, CATEGORICAL
from monitor.demo.faults import BAD_REPLICA, NEW_CATEGORY, UNKNOWN_CODES, UPSTREAM_BUG
from monitor.demo.model import EmploymentModel, area_under_curve, fit_model
from monitor.demo.survey import Survey, load_survey
from monitor.demo.world import World, build_world, monitor_config
from schemas.alerts import Cause
from schemas.events import GpuEvent, LabelEvent, PredictionEvent
from schemas.time_units import HOUR_US


@cache
def world(seed: int) -> World:
    return build_world(seed)


@cache
def predictions(seed: int) -> list[PredictionEvent]:
    decoder = msgspec.json.Decoder(PredictionEvent)
    return [decoder.decode(m) for m in world(seed).predictions.messages]


@cache
def survey(year: int) -> Survey:
    return load_survey(year)


@cache
def model() -> EmploymentModel:
    return fit_model(survey(2015))


def _fault(seed: int, name: str):
    return next(p for p in world(seed).planted if p.name == name)


def _during(seed: int, fault) -> np.ndarray:
    times = world(seed).served.time_us
    return (times >= fault.start_us) & (times < fault.end_us)


def test_same_seed_gives_the_same_bytes():
    again = build_world(3)
    assert again.planted == world(3).planted
    for one, other in ((again.predictions, world(3).predictions), (again.gpu, world(3).gpu)):
        assert one.messages == other.messages
        assert np.array_equal(one.record_time_us, other.record_time_us)
    assert again.labels.messages == world(3).labels.messages
    assert again.reference.equals(world(3).reference)


def test_another_seed_changes_everything_random():
    one, other = world(3), world(4)
    assert [p.start_us for p in one.planted] != [p.start_us for p in other.planted]
    assert one.gpus != other.gpus
    assert not np.array_equal(one.served.replica, other.served.replica)
    assert not np.array_equal(one.served.columns["ESP"], other.served.columns["ESP"])
    assert one.labels.messages[0] != other.labels.messages[0]


def test_model_ranks_the_year_after_well_and_deterministically():
    year = survey(2016)
    assert area_under_curve(model().score(year.columns), year.employed) >= 0.88
    assert np.array_equal(model().weights, fit_model(survey(2015)).weights)
    assert world(3).auc >= 0.88


def test_model_answers_age_in_months_otherwise():
    year = survey(2016)
    months = dict(year.columns) | {"AGEP": year.columns["AGEP"] * 12}
    grown = year.columns["AGEP"] >= 18
    assert np.median(np.abs(model().score(months) - model().score(year.columns))[grown]) > 0.3


def test_unknown_category_scores_without_any_weight_for_it():
    year = survey(2016)
    one = model().score(dict(year.columns) | {"MAR": np.full(len(year), 7.0)})
    other = model().score(dict(year.columns) | {"MAR": np.full(len(year), 123.0)})
    assert np.array_equal(one, other)
    assert not np.array_equal(one, model().score(year.columns))


def test_scores_of_2016_are_distributed_as_those_of_2015():
    year, training = survey(2016), survey(2015)
    now, then = model().score(year.columns), model().score(training.columns)
    edges = np.quantile(then, np.arange(0.05, 1, 0.05))
    shift = [abs((now <= e).mean() - (then <= e).mean()) for e in edges]
    assert max(shift) < 0.02, "beyond the tolerance the demo could not be silent"


def test_every_window_holds_a_thousand_rows():
    windows = (world(3).served.time_us - world(3).start_us) // HOUR_US
    assert np.array_equal(np.bincount(windows), np.full(69, 1_000))


def test_events_carry_exactly_what_was_served():
    served, gpus = world(3).served, world(3).gpus
    for message in world(3).predictions.messages[::997]:
        event = json.loads(message)
        row = int(event["id"].removeprefix("p-"))
        assert event["score"] == served.scores[row]
        assert event["prediction"] == str(int(served.scores[row] >= 0.5))
        assert event["time_us"] == served.time_us[row]
        assert event["gpu_uuid"] == gpus[served.replica[row]].gpu_uuid
        assert event["host"] == gpus[served.replica[row]].host
        features = {name: str(int(served.columns[name][row])) for name in CATEGORICAL}
        assert event["features"] == {"AGEP": served.columns["AGEP"][row], **features}


def test_every_event_decodes_strictly_and_once():
    events = predictions(3)
    assert len({e.id for e in events}) == len(events) == 69_000
    config = world(3).config
    assert all(set(e.features) == set(config.features) for e in events[::501])
    assert {e.model for e in events} == {config.model}


def test_messages_arrive_in_order_and_never_before_their_time():
    stream = world(3).predictions
    assert np.all(np.diff(stream.record_time_us) >= 0)
    times = np.array([e.time_us for e in predictions(3)])
    assert np.all(stream.record_time_us >= times)
    late = np.maximum.accumulate(times) - times
    assert 0 < late.max() < world(3).config.window.bound_us


def test_chunks_together_are_the_stream():
    stream = world(3).labels
    chunks = list(stream.chunks("labels", 10_000))
    assert b"".join(c.buffer.tobytes() for c in chunks) == b"".join(stream.messages)
    assert sum(len(c) for c in chunks) == len(stream)
    assert np.array_equal(np.concatenate([c.log_offset for c in chunks]), np.arange(len(stream)))
    assert stream.position(int(stream.record_time_us[7])) <= 7


def test_labels_are_true_and_come_after_their_predictions():
    decoder = msgspec.json.Decoder(LabelEvent)
    events = {e.id: e for e in predictions(3)}
    labels = [decoder.decode(m) for m in world(3).labels.messages]
    assert len(labels) > 50_000
    assert all(label.time_us >= events[label.id].time_us + HOUR_US for label in labels)
    assert all(label.time_us < world(3).end_us for label in labels)
    sound = [x for x in labels if events[x.id].time_us < world(3).planted[0].start_us]
    scores = np.array([events[x.id].score for x in sound])
    assert area_under_curve(scores, np.array([int(x.label) for x in sound])) >= 0.88


@pytest.mark.parametrize("seed", [3, 4])
def test_faults_lie_in_the_second_half_and_apart(seed):
    planted, w = world(seed).planted, world(seed)
    assert [p.name for p in sorted(planted, key=lambda p: p.name)] == [
        UPSTREAM_BUG,
        BAD_REPLICA,
        NEW_CATEGORY,
    ]
    assert planted[0].start_us >= w.start_us + (w.end_us - w.start_us) // 2
    assert all(b.start_us - a.end_us >= 3 * HOUR_US for a, b in pairwise(planted))
    assert planted[-1].end_us <= w.end_us
    assert [p.cause is Cause.HARDWARE for p in planted] == [p.name == BAD_REPLICA for p in planted]


@pytest.mark.parametrize("seed", [3, 4])
def test_age_is_in_months_in_the_planted_share_of_rows_and_nowhere_else(seed):
    fault, served = _fault(seed, UPSTREAM_BUG), world(seed).served
    is_broken = served.columns["AGEP"] > 100
    during = _during(seed, fault)
    assert not is_broken[~during].any()
    # Children under nine stay below 100 even in months.
    assert 0.8 * fault.share < is_broken[during].mean() <= 1.1 * fault.share
    assert served.columns["AGEP"].max() < 12 * 100
    assert 0.10 <= fault.share <= 0.20


@pytest.mark.parametrize("seed", [3, 4])
def test_new_category_appears_in_the_planted_share_of_rows_and_nowhere_else(seed):
    fault, served = _fault(seed, NEW_CATEGORY), world(seed).served
    is_new = served.columns[fault.feature] == UNKNOWN_CODES[fault.feature]
    during = _during(seed, fault)
    assert not is_new[~during].any()
    assert abs(is_new[during].mean() - fault.share) < 0.015
    assert 0.05 <= fault.share <= 0.10
    known = world(seed).reference[f"features.{fault.feature}"].unique().to_pylist()
    assert str(UNKNOWN_CODES[fault.feature]) not in known


@pytest.mark.parametrize("seed", [3, 4])
def test_only_the_failing_replica_answers_wrongly_and_only_while_it_fails(seed):
    w, fault = world(seed), _fault(seed, BAD_REPLICA)
    truth = model().score(w.served.columns)
    bad = [g.gpu_uuid for g in w.gpus].index(fault.gpu_uuid)
    is_hit = _during(seed, fault) & (w.served.replica == bad)
    # The demo fits the same rows in another order: sums differ in the last digits.
    assert np.allclose(w.served.scores[~is_hit], truth[~is_hit], rtol=1e-6, atol=1e-9)
    wrong = 1.0 - truth if fault.is_flipped else np.full(len(truth), fault.constant)
    assert np.allclose(w.served.scores[is_hit], wrong[is_hit], rtol=1e-6, atol=1e-9)
    assert is_hit.sum() > 500


@pytest.mark.parametrize("seed", [3, 4])
def test_telemetry_is_healthy_but_for_the_failing_gpu(seed):
    w, fault = world(seed), _fault(seed, BAD_REPLICA)
    rules, decoder = GpuRules(monitor_config("s", "b").gpu), msgspec.json.Decoder(GpuEvent)
    alerts, next_us = [], 0
    for message in w.gpu.messages:
        event = decoder.decode(message)
        alerts += rules.observe(event)
        if event.time_us >= next_us:
            alerts += rules.tick(event.time_us - 1_000_000)
            next_us = event.time_us + 30_000_000
    assert {a.gpu_uuid for a in alerts} == {fault.gpu_uuid}
    assert {a.rule for a in alerts} == {"double_bit_ecc", f"xid_{fault.xid}"}
    opened = [a.time_us for a in alerts if a.transition == "opened"]
    assert fault.start_us <= min(opened)
    assert max(opened) <= fault.start_us + 600_000_000


def test_telemetry_samples_every_gpu_each_interval():
    w, decoder = world(3), msgspec.json.Decoder(GpuEvent)
    times: dict[str, list[int]] = {g.gpu_uuid: [] for g in w.gpus}
    for message in w.gpu.messages:
        event = decoder.decode(message)
        if event.xid is None:
            times[event.gpu_uuid].append(event.time_us)
    for seen in times.values():
        assert len(seen) == (w.end_us - w.start_us) // 30_000_000
        assert np.diff(seen).max() < 31_000_000


def test_reference_and_served_tables_have_the_columns_of_events():
    w = world(3)
    names = {"time_us", "score", "prediction", *(f"features.{name}" for name in ATTRIBUTES)}
    assert set(w.reference.column_names) == names
    table = w.served_table(w.start_us, w.start_us + HOUR_US)
    assert table.num_rows == 1_000
    assert set(table.column_names) == names
    assert set(table["prediction"].to_pylist()) == {"0", "1"} == {w.config.positive, "0"}


def test_policy_asks_for_retraining_for_categories_and_not_for_the_unit_of_age():
    policy = world(3).config.retraining
    assert "AGEP" not in policy.features
    assert all(p.has_retraining == (p.feature in policy.features) for p in world(3).planted)
