"""``driftline sql`` against a real store, and what it refuses before it opens one."""

from __future__ import annotations

import json
from typing import NamedTuple

import pyarrow as pa
import pytest

from monitor.cli.main import main
from monitor.cli.sql import MAX_SHOWN_ROWS, checked
from monitor.storage.clickhouse import Store
from monitor.storage.rows import dead_letter_rows, result_rows
from schemas.errors import QueryError
from schemas.refused import DeadLetter
from tests.support.store.stored import result_of


class SqlAnswer(NamedTuple):
    exit_code: int
    stdout: str
    stderr: str


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("sql") / "store"
    with Store.open(path) as store:
        store.migrate()
        hours = range(1, MAX_SHOWN_ROWS + 8)
        store.insert("results", result_rows([result_of(h * 3_600_000_000) for h in hours]))
        letter = DeadLetter(
            source="t",
            partition=0,
            offset=1,
            row=0,
            record_time_us=-1,
            reason="malformed",
            detail="line\nbreak",
            payload=b"\xff{",
            n_bytes=2,
            sha256="00",
        )
        store.insert("dead_letters", dead_letter_rows([letter]))
    return str(path)


@pytest.fixture
def ask(folder, capsys):
    def asked(*arguments: str, store: str = folder) -> SqlAnswer:
        with pytest.raises(SystemExit) as left:
            main(["sql", "--store", store, *arguments])
        out = capsys.readouterr()
        return SqlAnswer(left.value.code or 0, out.out, out.err)

    return asked


def test_a_result_is_shown_as_a_table_with_null_and_short_floats(ask):
    out = ask("SELECT feature, p_value, statistic / 3 AS third, n FROM results LIMIT 1")
    assert out.exit_code == 0
    assert [line.split() for line in out.stdout.splitlines()][2] == [
        "age", "│", "NULL", "│", "0.0333333", "│", "1000",
    ]  # fmt: skip
    assert out.stdout.splitlines()[-1] == "1 row"


def test_a_long_result_is_cut_and_says_how_much_more_there_is(ask):
    out = ask("SELECT end_us FROM results")
    assert f"... 7 more rows of {MAX_SHOWN_ROWS + 7};" in out.stdout
    assert len(out.stdout.splitlines()) == MAX_SHOWN_ROWS + 3


def test_json_and_csv_give_every_row(ask):
    rows = ask("SELECT feature, p_value FROM results", "--json").stdout.splitlines()
    assert len(rows) == MAX_SHOWN_ROWS + 7
    assert json.loads(rows[0]) == {"feature": "age", "p_value": None}
    lines = ask("SELECT feature, p_value, [1, 2] AS l FROM results", "--csv").stdout
    assert lines.splitlines()[:2] == ["feature,p_value,l", 'age,,"[1, 2]"']
    assert len(lines.splitlines()) == MAX_SHOWN_ROWS + 8


def test_bytes_that_are_no_text_and_line_breaks_can_be_shown(ask):
    out = ask("SELECT payload, detail FROM dead_letters")
    assert out.exit_code == 0
    assert "\\xff{" in out.stdout
    assert "line\\nbreak" in out.stdout


def test_nan_and_infinity_are_null_in_json(ask):
    out = ask("SELECT nan AS a, inf AS b, 1.5 AS c", "--json")
    assert json.loads(out.stdout) == {"a": None, "b": None, "c": 1.5}


def test_without_a_query_the_tables_and_their_rows_are_listed(ask):
    rows = [json.loads(line) for line in ask("--json").stdout.splitlines()]
    assert {row["table"]: row["rows"] for row in rows}["results"] == MAX_SHOWN_ROWS + 7
    assert len(rows) == 13


def test_markup_in_data_is_shown_and_not_obeyed(ask):
    assert "[bold]x[/bold]" in ask("SELECT '[bold]x[/bold]' AS v").stdout


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("SELECT nope FROM results", "nope"),
        ("DROP TABLE results", "DROP is not a read-only statement"),
        ("INSERT INTO late (source) VALUES ('a')", "INSERT is not a read-only statement"),
        ("SELECT 1; DROP TABLE results", "more than one statement"),
        ("SELECT 1 INTO OUTFILE '/tmp/x'", "INTO OUTFILE"),
        ("", "empty"),
        ("/* nothing */", "empty"),
        ("SELECT 1 SETTINGS readonly = 0", "readonly"),
    ],
)
def test_a_refused_query_is_one_line_and_the_exit_code_of_a_store(ask, query, words):
    out = ask(query)
    assert out.exit_code == 5
    assert words in out.stderr
    assert len(out.stderr.splitlines()) == 1
    assert out.stdout == ""


@pytest.mark.parametrize(
    "query",
    [
        "SELECT ';' AS a",
        "SELECT 'INTO OUTFILE'",
        "WITH 1 AS x SELECT x;",
        "/* why; */ SELECT 1 -- DROP TABLE x;",
        "(SELECT 1)",
        "SHOW TABLES",
        "DESCRIBE results",
    ],
)
def test_what_only_looks_like_writing_is_asked(ask, query):
    assert ask(query).exit_code == 0


def test_a_missing_store_says_what_to_do_and_makes_none(ask, tmp_path):
    out = ask("SELECT 1", store=str(tmp_path / "none"))
    assert out.exit_code == 5
    assert "there is no store here" in out.stderr
    assert "driftline demo" in out.stderr
    assert not (tmp_path / "none").exists()


def test_reading_leaves_the_store_writable_for_others(ask, folder):
    assert ask("SELECT 1").exit_code == 0
    with Store.open(folder) as store:
        store.insert("late", pa.table({"source": ["x"], "time_us": [1]}))
        store.command("TRUNCATE TABLE late")


def test_a_format_clause_is_refused():
    with pytest.raises(QueryError, match="--json"):
        checked("SELECT 1 FORMAT JSON")
