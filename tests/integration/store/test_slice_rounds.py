"""The archive's searches of slices on the real engine: when they are due, and what they store."""

from __future__ import annotations

import threading

import numpy as np
import pyarrow as pa
import pytest

from monitor.archive import slice_hints, slice_watch
from monitor.archive.slice_hints import hint_on_alert, hints_at_night, write_hints
from monitor.archive.slice_watch import (
    MAX_FAILURES,
    NIGHT_US,
    ROWS_WAIT_US,
    SliceRounds,
    SliceWatch,
)
from monitor.metrics import SLICE_SEARCH_FAILURES
from monitor.storage.clickhouse import Store
from monitor.storage.raw_samples import SampledCell, rows_before, rows_of_range, rows_since
from monitor.storage.rows import alert_rows
from monitor.storage.stored_alerts import alerts_without_hint
from monitor.storage.stored_hints import hints_of_alerts
from schemas.alerts import Alert, Severity, Transition
from schemas.config.model import ModelConfig
from schemas.errors import QueryError
from schemas.slice_hints import HintKind, HintReason
from schemas.time_units import DAY_US, HOUR_US, MINUTE_US
from tests.support.waiting import wait_until

pytestmark = pytest.mark.integration

CONFIG = ModelConfig.model_validate(
    {
        "model": "loans",
        "tenant": "acme",
        "features": {
            "income": {"kind": "numeric"},
            "country": {"kind": "categorical"},
            "device": {"kind": "categorical"},
        },
        "segments": ["region"],
    }
)
SERIES = ("acme", "loans", "1")
DAY_START_US = 20_000 * DAY_US
ONSET_US = DAY_START_US + 12 * HOUR_US
STEP_US = HOUR_US // 500


def predictions(rng: np.random.Generator, start_us: int, n: int, *, is_lost: bool) -> pa.Table:
    country = rng.choice(["DE", "FR", "US"], n)
    device = rng.choice(["tv", "web"], n, p=[0.3, 0.7])
    hit = is_lost & (country == "DE") & (device == "tv")
    income = np.where(rng.random(n) < 0.01, np.nan, rng.normal(size=n))
    features = [
        [] if h or np.isnan(x) else [("income", x)] for h, x in zip(hit, income, strict=True)
    ]
    categories = [[("country", c), ("device", d)] for c, d in zip(country, device, strict=True)]
    time_us = start_us + STEP_US * np.arange(n)
    return pa.table(
        {
            "tenant": ["acme"] * n,
            "model": ["loans"] * n,
            "model_version": ["1"] * n,
            "time_us": time_us,
            "id": [f"e{t}" for t in time_us],
            "score": rng.random(n),
            "features": pa.array(features, pa.map_(pa.string(), pa.float64())),
            "categories": pa.array(categories, pa.map_(pa.string(), pa.string())),
            "segments": pa.array(
                [[("region", "eu" if i % 2 else "us")] for i in range(n)],
                pa.map_(pa.string(), pa.string()),
            ),
        }
    )


def alert(alert_id: str = "a1", **changes: object) -> Alert:
    fields: dict = {
        "alert_id": alert_id,
        "tenant": "acme",
        "monitor": "drift",
        "transition": Transition.OPENED,
        "severity": Severity.PAGE,
        "time_us": ONSET_US + 20 * MINUTE_US,
        "opened_at_us": ONSET_US + 20 * MINUTE_US,
        "sequence": 0,
        "title": "income missing",
        "model": "loans",
        "model_version": "1",
        "feature": "income",
        "segment": "*",
        "effect_where": "missing",
        "window_start_us": ONSET_US,
        "window_end_us": ONSET_US + 20 * MINUTE_US,
        "onset_us": ONSET_US,
        "onset_low_us": ONSET_US - 10 * MINUTE_US,
        "onset_high_us": ONSET_US + 5 * MINUTE_US,
    }
    return Alert(**fields | changes)


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """Two days of rows; from noon of the second on incomes of German televisions are missing."""
    rng = np.random.default_rng(0)
    with Store.open(tmp_path_factory.mktemp("slices") / "store") as store:
        store.migrate()
        before = predictions(rng, DAY_START_US - DAY_US, 18_000, is_lost=False)
        store.insert("predictions", before)
        store.insert("predictions", predictions(rng, ONSET_US, 6_000, is_lost=True))
        yield store


@pytest.fixture
def store(filled):
    """The rows, without alerts and hints."""
    for table in ("alerts", "slice_hints"):
        filled.command(f"TRUNCATE TABLE {table}")
    return filled


def stored(store: Store) -> list[dict]:
    sql = "SELECT * EXCEPT ingest_time FROM slice_hints FINAL ORDER BY ALL"
    return store.query(sql).to_pylist()


def rounds_of(store: Store) -> SliceRounds:
    return SliceRounds(store, {("acme", "loans"): CONFIG})


NOON_US = ONSET_US + 2 * HOUR_US


def test_an_alert_that_fired_has_a_hint_and_another_an_hour_later(store):
    store.insert("alerts", alert_rows([alert()]))
    rounds_of(store).run(NOON_US)
    hints = {row["kind"]: row for row in stored(store) if row["alert_id"]}
    assert hints.keys() == {"alert", "hour"}
    for row in hints.values():
        assert row["slices"] == ["country=DE and device=tv"]
        assert row["n_before"] > 17_000
        assert row["change_shares"][0] > 0.8
    assert hints["alert"]["n_since"] == 166 + 1
    assert hints["hour"]["n_since"] == 666 + 1
    assert hints_of_alerts(store, ["a1"])["a1"].kind is HintKind.HOUR


def test_a_search_after_a_crash_stores_the_same_rows_once(store):
    store.insert("alerts", alert_rows([alert()]))
    rounds_of(store).run(NOON_US)
    first = stored(store)
    write_hints(store, [hint_on_alert(store, CONFIG.schema_, alert(), HintKind.ALERT)])
    rounds_of(store).run(NOON_US)
    assert stored(store) == first


def test_rows_that_the_archive_has_not_stored_yet_are_waited_for(store):
    late = alert(time_us=ONSET_US + DAY_US)
    store.insert("alerts", alert_rows([late]))
    rounds = rounds_of(store)
    rounds.run(NOON_US)
    assert not [row for row in stored(store) if row["alert_id"]]
    rounds.run(NOON_US + ROWS_WAIT_US)
    assert [row["kind"] for row in stored(store) if row["alert_id"]] == ["alert"]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"model_version": "2"}, HintReason.NO_ROWS),
        ({"effect_where": "nonsense"}, HintReason.UNKNOWN_CHANGE),
        ({"time_us": ONSET_US + 5 * MINUTE_US}, HintReason.FEW_ROWS),
        ({"feature": "country", "effect_where": "country=DE"}, HintReason.NO_SLICE),
    ],
)
def test_a_search_without_a_slice_stores_its_reason(store, changes, reason):
    hint = hint_on_alert(store, CONFIG.schema_, alert(**changes), HintKind.ALERT)
    assert (hint.reason, hint.slices) == (reason, ())


def test_values_that_must_not_be_named_are_no_slices(store):
    features = {
        name: {"kind": "categorical", "name_new_values": False} for name in ("country", "device")
    }
    private = CONFIG.model_dump(by_alias=True) | {
        "features": {"income": {"kind": "numeric"}} | features,
        "segments": [],
    }
    schema = ModelConfig.model_validate(private).schema_
    hint = hint_on_alert(store, schema, alert(), HintKind.HOUR)
    assert (hint.reason, hint.slices) == (HintReason.PRIVATE, ())


def test_the_rows_of_a_segment_are_those_of_the_segment(store):
    hint = hint_on_alert(store, CONFIG.schema_, alert(segment="region=eu"), HintKind.HOUR)
    assert hint.n_since == 333
    assert [one.name for one in hint.slices] == ["country=DE and device=tv"]


def test_samples_are_bounded_ordered_and_without_repeated_inserts(store, monkeypatch):
    cell = SampledCell(SERIES, CONFIG.schema_, "income")
    whole = rows_since(store, cell, (ONSET_US, ONSET_US + HOUR_US))
    rng = np.random.default_rng(0)
    predictions(rng, DAY_START_US - DAY_US, 18_000, is_lost=False)
    store.insert("predictions", predictions(rng, ONSET_US, 6_000, is_lost=True))
    again = rows_since(store, cell, (ONSET_US, ONSET_US + HOUR_US))
    np.testing.assert_array_equal(again.values, whole.values)
    monkeypatch.setattr("monitor.storage.raw_samples.SAMPLE_ROWS", 100)
    assert len(rows_before(store, cell, ONSET_US)) == 100
    spread = rows_of_range(store, cell, (DAY_START_US - DAY_US, DAY_START_US))
    assert 70 <= len(spread) <= 100
    np.testing.assert_array_equal(
        rows_before(store, cell, ONSET_US).values[-3:],
        rows_since(store, cell, (ONSET_US - 3 * STEP_US, ONSET_US)).values,
    )


def test_each_model_is_searched_once_a_night_and_open_alerts_again(store, monkeypatch):
    store.insert("alerts", alert_rows([alert()]))
    rounds, night_us = rounds_of(store), DAY_START_US + DAY_US + NIGHT_US
    rounds.run(night_us)
    found = [row for row in stored(store) if row["kind"] == "nightly"]
    assert {row["time_us"] for row in found} == {DAY_START_US + DAY_US}
    (again,) = [row for row in found if row["alert_id"]]
    assert again["n_since"] == 6_000
    by_set = {(row["feature"], row["effect_where"]): row for row in found if not row["alert_id"]}
    assert by_set["income", "missing"]["slices"] == ["country=DE and device=tv"]
    assert by_set["score", "location"]["reason"] == "no_slice"
    monkeypatch.setattr(slice_watch, "hints_at_night", lambda *args: pytest.fail("searched again"))
    rounds_of(store).run(night_us + HOUR_US)
    assert [row for row in stored(store) if row["kind"] == "nightly"] == found


def test_a_resolved_alert_is_not_searched_at_night(store):
    resolved = alert("a2", transition=Transition.RESOLVED, sequence=1, time_us=NOON_US)
    store.insert("alerts", alert_rows([alert(), resolved]))
    rounds_of(store).run(DAY_START_US + DAY_US + NIGHT_US)
    assert not [r for r in stored(store) if r["kind"] == "nightly" and r["alert_id"]]


def test_a_search_that_fails_is_counted_and_left_after_some_tries(store, monkeypatch):
    store.insert("alerts", alert_rows([alert("a1"), alert("a2", feature="score")]))
    whole = slice_watch.hint_on_alert

    def fail(store, schema, one, kind):
        if one.alert_id == "a1":
            raise QueryError("memory limit exceeded")
        return whole(store, schema, one, kind)

    monkeypatch.setattr(slice_watch, "hint_on_alert", fail)
    rounds, n_before = rounds_of(store), SLICE_SEARCH_FAILURES._value.get()
    for _ in range(MAX_FAILURES + 2):
        rounds.run(NOON_US)
    assert SLICE_SEARCH_FAILURES._value.get() - n_before == 2 * MAX_FAILURES
    assert {row["alert_id"] for row in stored(store)} == {"", "a2"}


def test_a_night_that_failed_too_often_leaves_the_next_night(store, monkeypatch):
    def fail(*args):
        raise QueryError("memory limit exceeded")

    night_us, rounds = DAY_START_US + NIGHT_US, rounds_of(store)
    with monkeypatch.context() as patch:
        patch.setattr(slice_watch, "hints_at_night", fail)
        for _ in range(MAX_FAILURES):
            rounds.run(night_us)
    rounds.run(night_us)
    assert not stored(store)
    rounds.run(night_us + DAY_US)
    assert {row["kind"] for row in stored(store)} == {"nightly"}


def test_long_texts_of_a_sample_are_cut_in_the_store(store):
    rows = predictions(np.random.default_rng(0), ONSET_US, 200, is_lost=False)
    long = [[("country", "é" * 5_000), ("device", "d" * 5_000)]] * 200
    long = pa.array(long, pa.map_(pa.string(), pa.string()))
    rows = rows.set_column(rows.column_names.index("categories"), "categories", long)
    rows = rows.set_column(2, "model_version", pa.array(["long"] * 200))
    store.insert("predictions", rows)
    cell = SampledCell(("acme", "loans", "long"), CONFIG.schema_, "country")
    sample = rows_since(store, cell, (ONSET_US, ONSET_US + HOUR_US))
    assert set(sample.values) == {"é" * 201}
    assert set(sample.attributes["device"]) == {"d" * 65}
    assert len({id(text) for text in sample.attributes["device"]}) == 1


def test_a_night_reads_a_bounded_number_of_variables(store, monkeypatch):
    read, whole = [], slice_hints.rows_of_range
    names = {f"f{i}": {"kind": "categorical"} for i in range(40)}
    config = ModelConfig.model_validate({"model": "loans", "tenant": "acme", "features": names})

    def counted(store, cell, between_us):
        read.append(cell.variable)
        return whole(store, cell, between_us)

    monkeypatch.setattr(slice_hints, "MOST_VARIABLES", 3)
    monkeypatch.setattr(slice_hints, "rows_of_range", counted)
    list(hints_at_night(store, config, DAY_START_US + DAY_US))
    assert set(read) == {"score", "f0", "f1"}


def test_a_night_that_is_stopped_ends_and_is_repeated(store):
    rounds, calls, night_us = rounds_of(store), [], DAY_START_US + DAY_US + NIGHT_US
    rounds.run(night_us, lambda busy_s: calls.append(busy_s) or True)
    assert len(calls) == 2
    assert not stored(store)
    rounds.run(night_us)
    assert stored(store)


def test_severe_then_new_alerts_are_first_and_a_storm_leaves_the_night(store, monkeypatch):
    monkeypatch.setattr(slice_watch, "MOST_DUE", 1)
    record = alert("a0", severity=Severity.RECORD, time_us=ONSET_US + 30 * MINUTE_US)
    newest = alert("a9", time_us=ONSET_US + 25 * MINUTE_US)
    store.insert("alerts", alert_rows([record, alert("a1"), newest]))
    found = alerts_without_hint(store, HintKind.ALERT, 48)
    assert [one.alert_id for one in found] == ["a9", "a1", "a0"]
    rounds_of(store).run(DAY_START_US + DAY_US + NIGHT_US)
    rows = stored(store)
    assert {row["alert_id"] for row in rows if row["kind"] != "nightly"} == {"a9"}
    assert any(row["kind"] == "nightly" for row in rows)


def test_the_thread_searches_what_is_ours_and_ends(store, monkeypatch):
    monkeypatch.setattr(slice_watch, "POLL_S", 0.02)
    store.insert("alerts", alert_rows([alert()]))
    is_ours = threading.Event()
    watch = SliceWatch(store.where, [CONFIG], is_ours.is_set)
    try:
        is_ours.set()
        wait_until(lambda: len([r for r in stored(store) if r["alert_id"]]) == 2, 30)
    finally:
        watch.stop(10)
    assert not watch.is_alive


def test_a_store_that_cannot_be_opened_does_not_end_the_thread(tmp_path, monkeypatch):
    monkeypatch.setattr(slice_watch, "POLL_S", 0.02)
    (tmp_path / "file").write_text("")
    n_before = SLICE_SEARCH_FAILURES._value.get()
    watch = SliceWatch(str(tmp_path / "file"), [CONFIG], lambda: True)
    try:
        wait_until(lambda: SLICE_SEARCH_FAILURES._value.get() >= n_before + 2, 30)
        assert watch.is_alive
    finally:
        watch.stop(10)
