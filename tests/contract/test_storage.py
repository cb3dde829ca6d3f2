"""What every store keeps: the embedded engine, and ClickHouse's HTTP interface."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from monitor.storage.clickhouse import Store
from monitor.storage.event_columns import prediction_rows
from monitor.storage.migrations import TableOptions, load_migrations, statements
from monitor.storage.pane_columns import pane_rows
from monitor.storage.queries import TABLES, row_counts
from monitor.storage.rows import alert_rows, result_rows
from schemas.batch import ModelSchema, StringColumn
from schemas.errors import QueryError, RowsRefusedError
from tests.support.store.clickhouse_http import fresh_database
from tests.support.store.stored import (
    SCHEMA,
    alert_of,
    batch_of,
    chunk_of,
    pane_of,
    result_of,
    strings,
)

pytestmark = pytest.mark.integration


@pytest.fixture(params=["embedded", "http"])
def store(request, tmp_path) -> Iterator[Store]:
    if request.param == "embedded":
        with Store.open(tmp_path / "store") as store:
            store.migrate()
            yield store
        return
    server = request.getfixturevalue("clickhouse")
    with fresh_database(server) as url, Store.open(url) as store:
        store.migrate()
        yield store


def test_migrating_twice_changes_nothing(store):
    before = store.query(
        "SELECT version, applied_at FROM schema_migrations ORDER BY version"
    ).to_pydict()
    assert store.migrate() == []
    assert (
        store.query(
            "SELECT version, applied_at FROM schema_migrations ORDER BY version"
        ).to_pydict()
        == before
    )
    assert row_counts(store) == dict.fromkeys(TABLES, 0)


@pytest.fixture
def store_of_version_6(store, monkeypatch) -> Store:
    """A store whose results have one row, from before their rung had its name."""
    for table in (*TABLES, "schema_migrations"):
        store.command(f"DROP TABLE {table}")

    def first_six():
        return load_migrations()[:6]

    with monkeypatch.context() as before:
        before.setattr("monitor.storage.clickhouse.load_migrations", first_six)
        assert store.migrate() == [1, 2, 3, 4, 5, 6]
    rows = result_rows([result_of(3_600_000_000, rung=".08")]).rename_columns({"rung": "severity"})
    known = set(store.query("DESCRIBE TABLE results")["name"].to_pylist())
    own = [name for name in rows.column_names if name in known]
    store.insert("results", rows.select(own), token="old")
    return store


def rungs_of(store: Store) -> list[tuple[str, str]]:
    """Return the rung under both of its names."""
    rows = store.query("SELECT rung, severity FROM results FINAL ORDER BY end_us").to_pylist()
    return [(row["rung"], row["severity"]) for row in rows]


def test_the_rung_of_stored_and_of_new_results_has_both_names(store_of_version_6):
    store = store_of_version_6
    assert store.migrate()[0] == 7
    store.insert("results", result_rows([result_of(7_200_000_000, rung=".125")]), token="new")
    assert rungs_of(store) == [(".08", ".08"), (".125", ".125")]
    result = store.query("SELECT * FROM results FINAL WHERE end_us = 7200000000")
    assert "severity" not in result.column_names
    assert result["rung"].to_pylist() == [".125"]


@pytest.mark.parametrize("n_statements", [1, 2])
def test_a_migration_that_was_interrupted_is_completed(store_of_version_6, n_statements):
    store = store_of_version_6
    for text in statements(load_migrations()[6].sql, TableOptions().values())[:n_statements]:
        store.command(text)
    assert store.migrate()[0] == 7
    assert rungs_of(store) == [(".08", ".08")]


def test_an_archive_of_the_version_before_waits_and_drops_no_results(store):
    rows = result_rows([result_of(3_600_000_000, rung=".08")])
    with pytest.raises(QueryError, match="severity") as refused:
        store.insert("results", rows.rename_columns({"rung": "severity"}))
    assert not isinstance(refused.value, RowsRefusedError)


def test_predictions_come_back_as_they_went_in(store):
    store.insert("predictions", prediction_rows(batch_of(["a", None, "ü"]), chunk_of(3, first=40)))
    rows = store.query("SELECT * FROM predictions ORDER BY time_us").to_pylist()
    assert [row["id"] for row in rows] == ["a", "topic-1:3:41:0", "ü"]
    assert [dict(row["features"]) for row in rows] == [
        {"income": 0.0},
        {"age": 1.5, "income": 10.0},
        {"age": 3.0, "income": 20.0},
    ]
    assert [dict(row["categories"]) for row in rows] == [
        {"job": "käse"},
        {"job": "clerk"},
        {"job": "käse"},
    ]
    assert [dict(row["segments"]) for row in rows] == [{}, {"region": "north"}, {}]
    assert [row["score"] for row in rows] == [0.25, None, 0.25]
    assert {(row["host"], row["gpu_uuid"], row["prediction"]) for row in rows} == {
        ("h1", None, None)
    }


def test_two_columns_may_hold_the_same_word(store):
    schema = ModelSchema("acme", "loans", (), ("a", "b"), ("c", "d"))
    same, other = strings("x", None, "y"), strings("y", "x", None)
    missing = StringColumn(np.full(3, -1, np.int32), [])
    batch = replace(
        batch_of(["1", "2", "3"]),
        schema=schema,
        numeric=(),
        categorical=(same, other),
        segments=(same, missing),
    )
    store.insert("predictions", prediction_rows(batch, chunk_of(3)))
    rows = store.query("SELECT categories, segments FROM predictions ORDER BY id").to_pylist()
    assert [dict(row["categories"]) for row in rows] == [
        {"a": "x", "b": "y"},
        {"b": "x"},
        {"a": "y"},
    ]
    assert [dict(row["segments"]) for row in rows] == [{"c": "x"}, {}, {"c": "y"}]


def test_batches_with_other_dictionaries_can_be_inserted_as_one(store):
    few = prediction_rows(batch_of(["a", "b"]), chunk_of(2))
    more = batch_of(["c", "d"], first=2)
    more = replace(more, categorical=(strings("judge", "clerk"),), host=strings("h1", "h2"))
    both = pa.concat_tables([few, prediction_rows(more, chunk_of(2, first=2))])
    store.insert("predictions", both, token="t:0:0:4")
    rows = store.query("SELECT categories['job'] AS j, host FROM predictions ORDER BY id")
    assert rows.to_pydict() == {
        "j": ["käse", "clerk", "judge", "clerk"],
        "host": ["h1", "h1", "h1", "h2"],
    }


def test_a_missing_feature_reads_as_null_and_not_as_zero(store):
    store.insert("predictions", prediction_rows(batch_of(["a", "b", "c"]), chunk_of(3)))
    row = store.query(
        "SELECT avg(features['age']) AS age, avg(features['nope']) AS nope FROM predictions"
    ).to_pylist()[0]
    assert row == {"age": 2.25, "nope": None}


def test_the_same_token_adds_nothing_even_after_many_other_inserts(store):
    rows = prediction_rows(batch_of(["a", "b"]), chunk_of(2))
    store.insert("predictions", rows, token="t:0:0:2")
    for i in range(30):
        other = prediction_rows(batch_of([f"x{i}"], first=100 + i), chunk_of(1, first=100 + i))
        store.insert("predictions", other, token=f"t:0:{100 + i}:{101 + i}")
    store.insert("predictions", rows, token="t:0:0:2")
    assert store.query("SELECT count() AS n FROM predictions")["n"][0].as_py() == 32


def test_a_table_of_several_chunks_is_one_block_under_its_token(store):
    rows = prediction_rows(batch_of([str(i) for i in range(100)]), chunk_of(100))
    pieces = pa.concat_tables([rows.slice(0, 40), rows.slice(40)])
    for _ in range(2):
        store.insert("predictions", pieces, token="t:0:0:100")
    assert store.query("SELECT count() AS n FROM predictions")["n"][0].as_py() == 100


def test_an_insert_over_more_than_a_hundred_days_is_taken_and_repeats_safely(store):
    day_us = 86_400_000_000
    times = np.arange(150) * day_us
    rows = pa.table({"id": [str(i) for i in range(150)], "time_us": times})
    for _ in range(2):
        store.insert("predictions", rows, token="t:0:0:150")
    assert store.query("SELECT count() AS n FROM predictions")["n"][0].as_py() == 150


def test_a_revised_result_replaces_the_first(store):
    store.insert("results", result_rows([result_of(7_200_000_000, statistic=0.1)]))
    revised = result_of(7_200_000_000, statistic=0.3, revised=True, result_version=1)
    store.insert("results", result_rows([revised]))
    rows = store.query("SELECT statistic, revised FROM results FINAL").to_pylist()
    assert rows == [{"statistic": 0.3, "revised": True}]


def test_a_nan_statistic_is_null(store):
    store.insert("results", result_rows([result_of(7_200_000_000, statistic=float("nan"))]))
    assert store.query("SELECT statistic FROM results")["statistic"].to_pylist() == [None]


def test_the_highest_pane_version_counts_and_partitions_add(store):
    store.insert("panes", pane_rows([(pane_of(version=9, n_rows=5), SCHEMA.variables)]))
    store.insert("panes", pane_rows([(pane_of(version=4, n_rows=3), SCHEMA.variables)]))
    other = pane_of(version=1, n_rows=2)
    other.partition = 4
    store.insert("panes", pane_rows([(other, SCHEMA.variables)]))
    merged = store.query(
        "SELECT sum(n_rows) AS n_rows, sumForEach(counts) AS counts FROM panes FINAL "
        "WHERE NOT is_slice AND feature = 'age' AND segment = '*'"
    ).to_pylist()
    assert [(row["n_rows"], row["counts"][0], len(row["counts"])) for row in merged] == [(7, 7, 64)]


def test_per_segment_numbers_count_once_over_features(store):
    store.insert("panes", pane_rows([(pane_of(n_rows=4), SCHEMA.variables)]))
    row = store.query(
        "SELECT sum(n_predicted) AS n, sum(arraySum(calibration_counts)) AS c "
        "FROM panes FINAL WHERE segment = '*'"
    ).to_pylist()
    assert row == [{"n": 4, "c": 4}]


def test_a_slice_named_like_a_segment_does_not_replace_it(store):
    store.insert("panes", pane_rows([(pane_of(n_rows=4), SCHEMA.variables)]))
    rows = store.query(
        "SELECT is_slice, n_rows FROM panes FINAL "
        "WHERE feature = 'score' AND segment = 'region=north' ORDER BY is_slice"
    ).to_pylist()
    assert rows == [{"is_slice": False, "n_rows": 4}, {"is_slice": True, "n_rows": 1}]


def test_alerts_keep_their_pictures(store):
    store.insert("alerts", alert_rows([alert_of(0), alert_of(1)]))
    rows = store.query("SELECT * FROM alerts FINAL ORDER BY sequence").to_pylist()
    assert [(row["sequence"], row["reference_counts"]) for row in rows] == [
        (0, [1, 2]),
        (1, [1, 2]),
    ]


def test_parameters_are_values_never_text(store):
    evil = "x' OR 1 = 1 --"
    assert store.query("SELECT {v:String} AS v", {"v": evil})["v"][0].as_py() == evil


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("SELECT nope FROM results", "nope"),
        ("SELEKT 1", "Syntax error"),
        ("SELECT * FROM nowhere", "nowhere"),
    ],
)
def test_a_bad_query_gets_clickhouses_own_words_on_one_short_line(store, sql, words):
    with pytest.raises(QueryError, match=words) as caught:
        store.query(sql)
    line = str(caught.value)
    assert "\n" not in line
    assert "DB::Exception" not in line
    assert len(line) < 500


def test_an_insert_into_a_missing_table_names_it(store):
    with pytest.raises(QueryError, match="nowhere"):
        store.insert("nowhere", pa.table({"a": [1]}))


def test_closing_twice_is_harmless(store):
    store.close()
    store.close()


def test_a_ttl_counts_from_ingestion_so_that_an_old_backfill_stays(tmp_path):
    with Store.open(tmp_path / "ttl") as store:
        store.migrate(TableOptions(predictions_days=30, gpu_days=14))
        ddl = store.query("SHOW CREATE TABLE predictions")["statement"][0].as_py()
        assert "TTL toDateTime(ingest_time) + toIntervalDay(30)" in ddl
        old = prediction_rows(batch_of(["a"], first=1_451_606_400), chunk_of(1))
        store.insert("predictions", old)
        store.command("OPTIMIZE TABLE predictions FINAL")
        assert store.query("SELECT toYear(time) AS y FROM predictions")["y"].to_pylist() == [2016]


DAILY = {"predictions", "gpu", "panes"}


def partition_keys(store: Store) -> dict[str, str]:
    """Return the function that cuts each table of events and panes into partitions."""
    found = store.query(
        "SELECT name, partition_key FROM system.tables WHERE database = currentDatabase()"
    ).to_pylist()
    return {
        row["name"]: row["partition_key"].partition("(")[0] for row in found if row["name"] in DAILY
    }


def test_new_embedded_stores_are_cut_by_month_and_servers_by_day(store):
    is_server = ":" in store.where
    expected = "toYYYYMMDD" if is_server else "toYYYYMM"
    assert partition_keys(store) == dict.fromkeys(DAILY, expected)


def test_an_embedded_store_of_daily_partitions_stays_as_it_is(tmp_path):
    rows = prediction_rows(batch_of(["a", "b"], first=1_451_606_400), chunk_of(2))
    folder = tmp_path / "store"
    with Store.open(folder) as store:
        store.migrate(TableOptions())
        store.insert("predictions", rows, token="f:0:0:2")
    with Store.open(folder) as store:
        assert store.migrate() == []
        assert partition_keys(store) == dict.fromkeys(DAILY, "toYYYYMMDD")
        store.insert("predictions", rows, token="f:0:0:2")
        assert row_counts(store)["predictions"] == 2


def test_rows_with_a_ttl_are_dropped_day_by_day(tmp_path):
    with Store.open(tmp_path / "ttl") as store:
        store.migrate(TableOptions(predictions_days=30))
        assert partition_keys(store)["predictions"] == "toYYYYMMDD"
        day = 86_400
        expired, kept = (
            prediction_rows(batch_of([name], first=1_451_606_400 + i * day), chunk_of(1))
            for i, name in enumerate("ab")
        )
        expired = expired.append_column(
            "ingest_time", pa.array([1_451_606_400 * 10**6], pa.timestamp("us", "UTC"))
        )
        store.insert("predictions", expired)
        store.insert("predictions", kept)
        store.command("OPTIMIZE TABLE predictions FINAL")
        assert store.query("SELECT id FROM predictions")["id"].to_pylist() == ["b"]
