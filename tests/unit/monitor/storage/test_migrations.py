"""Migrations are applied once, in order, and never changed afterwards."""

from __future__ import annotations

import re

import msgspec
import pytest

from monitor.storage.failures import is_disk_full, shorten, translate
from monitor.storage.migrations import (
    Migration,
    TableOptions,
    load_migrations,
    pending,
    renamed_column,
    statements,
)
from monitor.storage.rows import ALERTS, DEAD_LETTERS, DETECTABLE, LATE, RESULTS
from schemas.alerts import Alert
from schemas.detectable import DetectableRow
from schemas.errors import QueryError, StorageError, StoreFullError
from schemas.refused import DeadLetter, LateEvent
from schemas.results import DetectorResult
from tests.support.store.stored import result_of

ONE, TWO = Migration(1, "a", "CREATE TABLE a"), Migration(2, "b", "CREATE TABLE b")


def test_only_what_has_not_run_is_pending():
    assert pending([ONE, TWO], {1: ONE.checksum}, "store") == [TWO]


def test_a_store_newer_than_the_code_is_refused():
    with pytest.raises(StorageError, match=r"schema version 3, this Driftline knows 2"):
        pending([ONE, TWO], {1: ONE.checksum, 2: TWO.checksum, 3: "x"}, "store")


def test_a_migration_that_changed_after_it_ran_is_refused():
    with pytest.raises(StorageError, match="0001_a changed after it ran"):
        pending([ONE], {1: "0" * 64}, "store")


def test_every_shipped_statement_can_be_repeated_and_every_template_value_is_known():
    for migration in load_migrations():
        for text in statements(migration.sql, TableOptions().values()):
            assert re.match(
                r"CREATE TABLE IF NOT EXISTS|"
                r"ALTER TABLE \w+ (MODIFY SETTING|(ADD COLUMN IF NOT|RENAME COLUMN IF) EXISTS)\s",
                text,
            )
            assert "$" not in text


def test_every_table_remembers_tokens_and_no_ttl_counts_from_event_time():
    options = TableOptions(predictions_days=1, panes_days=2, gpu_days=3, dead_letters_days=4)
    every = [t for m in load_migrations() for t in statements(m.sql, options.values())]
    texts = [text for text in every if text.startswith("CREATE TABLE")]
    assert len(texts) == 13
    for text in texts:
        assert "non_replicated_deduplication_window = 10000" in text
        for ttl in re.findall(r"\nTTL (.*)", text):
            assert ttl.startswith("toDateTime(ingest_time)")
    assert sum("\nTTL " in text for text in texts) == 4


@pytest.mark.parametrize(
    ("struct", "schema", "table"),
    [
        (DetectorResult, RESULTS, "results"),
        (Alert, ALERTS, "alerts"),
        (DeadLetter, DEAD_LETTERS, "dead_letters"),
        (LateEvent, LATE, "late"),
        (DetectableRow, DETECTABLE, "detectable"),
    ],
)
def test_columns_have_the_names_of_the_fields_and_none_is_forgotten(struct, schema, table):
    fields = {field.name for field in msgspec.structs.fields(struct)}
    assert set(schema.names) == fields
    texts = [t for m in load_migrations() for t in statements(m.sql, TableOptions().values())]
    [text] = [t for t in texts if f"EXISTS {table}\n" in t]
    added = [t for t in texts if t.startswith(f"ALTER TABLE {table} ADD COLUMN")]
    columns = set(re.findall(r"^    (\w+) ", "\n".join([text, *added]), flags=re.MULTILINE))
    renamed = [found for text in texts if (found := renamed_column(text))]
    columns |= {name for of_table, name in renamed if of_table == table}
    assert fields <= columns


def test_a_result_has_the_same_bytes_as_before_its_rung_was_named():
    message = msgspec.msgpack.encode(result_of(1, rung=".08"))
    assert msgspec.msgpack.decode(message)["severity"] == ".08"
    assert msgspec.msgpack.decode(message, type=DetectorResult).rung == ".08"


def test_clickhouses_words_are_kept_and_its_wrapping_is_not():
    nested = (
        "Code: 62. DB::Exception: Code: 62. DB::Exception: Syntax error. (SYNTAX) (version 1.2)"
    )
    assert shorten(nested) == "Syntax error. (SYNTAX)"
    assert len(shorten("x" * 5000)) == 300


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (OSError(28, "No space left on device"), StoreFullError),
        (Exception("Code: 243. DB::Exception: No room. (NOT_ENOUGH_SPACE)"), StoreFullError),
        (Exception("Code: 75. DB::Exception: Cannot write, errno: 28"), StoreFullError),
        (Exception("Code: 47. DB::Exception: Unknown x. (UNKNOWN_IDENTIFIER)"), QueryError),
        (Exception("HTTPConnectionPool(host='h'): Max retries exceeded"), StorageError),
        (PermissionError(13, "Permission denied"), StorageError),
    ],
)  # fmt: skip
def test_an_engines_error_becomes_the_one_that_says_the_same(error, kind):
    assert type(translate(error, "store")) is kind
    assert is_disk_full(error) is (kind is StoreFullError)
