"""Correlations: products are summed by ingest, travel in panes, and are judged by ticks."""

from __future__ import annotations

import dataclasses
from functools import cache

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.kernels.binning import bin_values, make_grid
from detectors.kernels.scale_state import N_PHI
from detectors.multiscale.pairs import paired_values
from detectors.multiscale.products import product_sums
from monitor.baseline.build import build_baseline
from monitor.core.drift.decide import SeriesState
from monitor.core.drift.ticks.decider import ScaleDecider
from monitor.core.windowing.baseline_codec import decode, encode
from schemas.actions import Action, ActionCell, ActionKind, Label
from schemas.alerts import Alert
from schemas.baselines import Baseline
from schemas.config.model import ModelConfig
from schemas.errors import BaselineError, DomainError, DriftlineError
from schemas.panes import ALL, N_COUNTERS, SeriesId, SeriesStats, Window
from schemas.results import Reason, Verdict
from schemas.time_units import HOUR_US
from tests.support.worlds.ticks import START_US, TICK_US

SETTINGS = {
    "model": "paired",
    "features": {
        "a": {"kind": "numeric", "importance": "high"},
        "b": {"kind": "numeric", "importance": "high"},
        "c": {"kind": "numeric"},
    },
    "window": {"pane": "1m", "length": "1h", "lateness": "1m"},
    "decision": {"rule": 2},
}
CONFIG = ModelConfig.model_validate(SETTINGS)


def draw(rng: np.random.Generator, n: int, correlation: float = 0.0, lift: float = 0.0):
    """Rows of a, b, c and the score; a and b are correlated, all features higher by ``lift``."""
    a, c = rng.normal(size=(2, n))
    b = correlation * a + np.sqrt(1 - correlation**2) * rng.normal(size=n)
    return np.stack([a + lift, b + lift, c + lift, rng.random(n)])


@cache
def baseline() -> Baseline:
    values = draw(np.random.default_rng(1), 40_000)
    names = ("features.a", "features.b", "features.c", "score")
    table = pa.table(dict(zip(names, values, strict=True)))
    return build_baseline(table, CONFIG)


def bins_of(rows: np.ndarray) -> np.ndarray:
    grids = [make_grid(v.edges) for v in baseline().variables]
    return np.stack([bin_values(x, grid) for x, grid in zip(rows, grids, strict=True)])


def products_of(bins: np.ndarray) -> np.ndarray:
    own = baseline()
    counts = own.reference.counts[0]
    return product_sums(bins[:3], paired_values(own.variables, counts, own.products.features))


class Stream:
    """Feeds ticks to a decider."""

    def __init__(self, decider: ScaleDecider, seed: int = 0) -> None:
        self.decider, self.rng, self.tick = decider, np.random.default_rng(seed), 0

    def window(self, length_us: int = TICK_US, n: int = 83, *, has_products=True, **law) -> Window:
        bins = bins_of(draw(self.rng, n, **law))
        stats = SeriesStats.empty((ALL,), 4)
        stats.n_rows[0] = n
        for v in range(4):
            stats.counts[0, v] = np.bincount(bins[v], minlength=N_COUNTERS)
        start_us = START_US + self.tick * TICK_US
        series = SeriesId("default", "paired", "1", baseline().profile_id)
        slices = SeriesStats.empty((), 1)
        found = Window(series, start_us, start_us + length_us, stats, slices, 1, "watermark")
        found.products = products_of(bins) if has_products else None
        return found

    def run(self, n_ticks: int, **law) -> list[Alert]:
        alerts: list[Alert] = []
        for _ in range(n_ticks):
            alerts += self.decider.take_tick(self.window(**law))
            self.tick += 1
        return alerts


def new(state: SeriesState | None = None) -> ScaleDecider:
    series = SeriesId("default", "paired", "1", baseline().profile_id)
    return ScaleDecider(series, CONFIG, baseline(), state)


def result_of(stream: Stream, **law):
    """The result on correlations of the hour that ends with the last tick."""
    window = stream.window(HOUR_US, **law)
    window.start_us, window.end_us = window.start_us - HOUR_US, window.start_us
    decided = stream.decider.decide(window)
    return next(r for r in decided.results if r.feature == "correlations")


def test_a_correlation_that_changes_is_found_named_and_closed():
    stream = Stream(new())
    assert stream.run(60) == []
    (alert,) = stream.run(9, correlation=0.6)
    assert (alert.feature, alert.segment, alert.transition) == ("a x b", ALL, "opened")
    assert alert.title.startswith("paired: correlation of a and b changed from ")
    assert abs(alert.effect_size - 0.58) < 0.15
    assert abs(alert.onset_us - START_US - 60 * TICK_US) <= TICK_US
    assert result_of(stream, correlation=0.6).verdict is Verdict.DRIFT
    assert stream.run(12, correlation=0.6) == []
    closed = stream.run(60)
    assert [(a.feature, a.transition) for a in closed] == [("a x b", "resolved")]
    assert stream.decider.open_alerts == {}
    assert stream.decider.onsets == {}


def test_a_shift_of_both_features_is_no_change_of_their_correlation():
    stream = Stream(new())
    stream.run(60)
    alerts = stream.run(36, lift=1.0)
    assert {a.feature for a in alerts} == {"a", "b", "c"}


def close(alert: Alert, label: Label) -> Action:
    cell = ActionCell(alert.model_version, alert.feature, alert.segment, alert.opened_at_us)
    return Action(
        action_id="1", kind=ActionKind.CLOSE, label=label, by="ann", time_us=5, incident_id="i",
        tenant="default", model="paired", cells=(cell,),
    )  # fmt: skip


@pytest.mark.parametrize("label", [Label.NORMAL, Label.FAULT])
def test_a_correlation_that_a_person_closed_is_not_reported_again(label):
    stream = Stream(new())
    stream.run(60)
    (opened,) = stream.run(9, correlation=0.6)
    (closed,) = stream.decider.take_action(close(opened, label))
    assert (closed.feature, closed.transition) == ("a x b", "resolved")
    assert closed.title == f"paired: correlation of a and b was closed as {label} by ann"
    state = msgspec.msgpack.encode(stream.decider.export())
    stream.decider = new(msgspec.msgpack.decode(state, type=SeriesState))
    learned = stream.decider.pair_watch.averages.cells[-1, N_PHI]
    assert stream.run(20, correlation=0.6) == []
    is_learning = stream.decider.pair_watch.averages.cells[-1, N_PHI] > learned
    assert is_learning == (label is Label.NORMAL)


def test_an_undone_close_reports_the_correlation_again():
    stream = Stream(new())
    stream.run(60)
    (opened,) = stream.run(9, correlation=0.6)
    closed = close(opened, Label.FAULT)
    stream.decider.take_action(closed)
    undo = msgspec.structs.replace(closed, kind=ActionKind.UNDO, label=Label.NONE, cells=())
    assert stream.decider.take_action(undo) == []
    (again,) = stream.run(3, correlation=0.6)
    assert (again.feature, again.transition) == ("a x b", "opened")


@pytest.mark.parametrize("at", [5, 63, 66])
def test_a_checkpoint_changes_nothing(at):
    whole, parted = Stream(new(), 3), Stream(new(), 3)
    for tick in range(70):
        law = {"correlation": 0.6 if tick >= 60 else 0.0}
        assert whole.run(1, **law) == parted.run(1, **law)
        if tick == at:
            state = msgspec.msgpack.encode(parted.decider.export())
            parted.decider = new(msgspec.msgpack.decode(state, type=SeriesState))
    assert msgspec.msgpack.encode(whole.decider.export()) == msgspec.msgpack.encode(
        parted.decider.export()
    )


def test_ticks_without_products_are_left_out_and_said_so():
    stream = Stream(new())
    stream.run(12, has_products=False)
    found = result_of(stream, has_products=False)
    assert (found.verdict, found.reason) == (Verdict.NONE, Reason.NO_DATA)
    assert not stream.decider.pair_watch.averages.scales.any()
    stream.run(12)
    young = result_of(stream)
    assert (young.verdict, young.reason) == (Verdict.NONE, Reason.TOO_FEW_SAMPLES)
    stream.run(12)
    assert result_of(stream).verdict is Verdict.NORMAL


def test_a_baseline_without_products_follows_no_pair():
    without = dataclasses.replace(baseline(), products=None)
    series = SeriesId("default", "paired", "1", without.profile_id)
    stream = Stream(ScaleDecider(series, CONFIG, without))
    assert stream.run(30, correlation=0.9) == []
    decided = stream.decider.decide(stream.window(HOUR_US))
    assert "correlations" not in {r.feature for r in decided.results}


def test_the_baseline_has_the_products_of_its_rows_and_its_file_keeps_them():
    rows = draw(np.random.default_rng(1), 40_000)
    own = baseline().products
    assert own.features == ("a", "b", "c")
    assert np.array_equal(own.sums, products_of(bins_of(rows)))
    again = decode(encode(baseline()))
    assert again.products.features == own.features
    assert np.array_equal(again.products.sums, own.sums)


@pytest.mark.parametrize("features", [("a", "x"), ("a", "a"), ("score", "a")])
def test_products_of_what_has_no_location_are_refused(features):
    own = dataclasses.replace(baseline().products, features=features, sums=np.zeros(1, np.int64))
    with pytest.raises(BaselineError):
        decode(encode(dataclasses.replace(baseline(), products=own)))


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_a_broken_state_of_pairs_is_refused_or_read(data):
    state = Stream(new()).decider.export()
    own = state.scale.pairs
    raw = bytearray(own.averages)
    for _ in range(data.draw(st.integers(1, 3))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    n = data.draw(st.integers(0, len(raw)))
    state.scale.pairs = msgspec.structs.replace(own, averages=bytes(raw[:n]))
    try:
        decider = new(state)
    except DriftlineError:
        return
    assert np.isfinite(decider.pair_watch.averages.components).all()


def test_an_open_alert_of_no_pair_is_refused():
    stream = Stream(new())
    stream.decider.pair_watch.averages.cells[-1, 11:13] = 1, 0
    with pytest.raises(DomainError, match="pair that there is not"):
        new(stream.decider.export())
