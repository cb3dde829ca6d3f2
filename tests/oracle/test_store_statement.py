"""Our tokens of a statement against the engine's syntax tree of it (parseQueryToJSON)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.storage.clickhouse import Store
from monitor.storage.serve.statement import Statement
from tests.support.store import statements as store_statements

pytestmark = [pytest.mark.integration, pytest.mark.oracle]


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Iterator[Store]:
    with Store.open(tmp_path_factory.mktemp("oracle") / "store") as store:
        yield store


def canonical(store: Store, sql: str) -> str:
    got = store.query("SELECT formatQuerySingleLine({q:String}) AS s", {"q": sql})
    return str(got["s"][0].as_py())


def tree_of(store: Store, sql: str) -> Any:
    got = store.query("SELECT parseQueryToJSON({q:String}) AS s", {"q": sql})
    return json.loads(got["s"][0].as_py())


def nodes(tree: Any) -> Iterator[dict[str, Any]]:
    if isinstance(tree, dict):
        yield tree
        for child in tree.values():
            yield from nodes(child)
    elif isinstance(tree, list):
        for child in tree:
            yield from nodes(child)


def settings_in(tree: Any) -> set[str]:
    sets = (node for node in nodes(tree) if node.get("type") == "SetQuery")
    return {change["name"] for node in sets for change in node.get("changes", ())}


def functions_in(tree: Any) -> set[str]:
    """Names of functions that are written as calls."""
    return {
        node["name"].lower()
        for node in nodes(tree)
        if node.get("type") == "Function"
        and not node.get("is_operator")
        and not node.get("no_empty_args")
        and "kind" not in node
    }


NAMES = st.sampled_from(["max_threads", "dialect", "format_schema", "a.b", "settings"])
VALUES = st.sampled_from(
    ["1", "-1", "1.5", "'x'", "'a, dialect = 1'", "'\\' SETTINGS x = 1'", "DEFAULT", "{'k': 'v'}"]
)
CLAUSES = st.lists(st.tuples(NAMES, VALUES), min_size=1, max_size=3).map(
    lambda pairs: "SETTINGS " + ", ".join(f"{name} = {value}" for name, value in pairs)
)
EXPRESSIONS = st.sampled_from(
    [
        "1", "'SETTINGS a = 1'", "file('x')", "`file`('x')", "settings", "`SETTINGS` = 1",
        "[concat('(', ')'), 'FORMAT JSON']", "(1, format('{}', 1))", "a.settings", "-(-x)",
        "quantile(0.5)(x)", "x -> upper(x)", "CAST(x, 'Decimal(9, 2)')", "x IN (1, 2)",
    ]
)  # fmt: skip
SOURCES = st.sampled_from(["t", "system.settings", "`a b`.`c`", "numbers(3)", "url('x', CSV)"])


def selects(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    sources = SOURCES | inner.map(lambda sql: f"({sql})")
    plain = st.tuples(EXPRESSIONS, sources).map(lambda p: f"SELECT {p[0]} AS c FROM {p[1]}")
    with_clause = st.tuples(plain, CLAUSES).map(" ".join)
    return st.tuples(plain | with_clause, inner).map(lambda p: f"({p[0]}) UNION ALL ({p[1]})") | (
        plain | with_clause
    )


QUERIES = st.tuples(
    st.recursive(st.just("SELECT 1 AS c"), selects, max_leaves=5),
    st.sampled_from(["", " FORMAT JSON", " FORMAT Null", " FORMAT CSV SETTINGS dialect = 'x'"]),
).map("".join)


@settings(max_examples=200, deadline=None)
@given(QUERIES)
def test_no_setting_and_no_call_is_missed(store, sql):
    text = canonical(store, sql)
    statement = Statement(text)
    seen = {name for name, _ in statement.settings}
    tree = tree_of(store, text)
    assert settings_in(tree) <= seen
    assert functions_in(tree) <= {name for name, _ in statement.calls}
    assert statement.format == tree.get("format_ast", {}).get("name")


def test_the_suite_of_statements_is_read_as_the_engine_reads_it(store):
    n_compared = 0
    for sql in (
        *store_statements.READS_OF_FILES,
        *store_statements.READS_BY_FUNCTION,
        *store_statements.TEXTS_THAT_ARE_EVALUATED,
        *store_statements.OTHER_HOSTS,
        *(f"SELECT 1 SETTINGS {setting}" for setting in store_statements.SETTINGS),
    ):
        try:
            text = canonical(store, sql.replace("{t}", "t").replace("{port}", "1"))
            tree = tree_of(store, text)
        except Exception:  # the tree of some statements cannot be written as JSON
            continue
        statement = Statement(text)
        assert settings_in(tree) <= {name for name, _ in statement.settings}, sql
        assert functions_in(tree) <= {name for name, _ in statement.calls}, sql
        n_compared += 1
    assert n_compared > 100
