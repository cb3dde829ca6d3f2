"""Screens readers' access to ``system`` tables: no queries of others, no server paths.

The engine grants SELECT on all of ``system`` to every role (chDB has no switch for it).
So a reader's statement that mentions them is first resolved by the engine's analyser (``EXPLAIN
QUERY TREE``), which expands ``*``, aliases and views.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from monitor.storage.serve.refusal import RefusedRequest
from monitor.storage.serve.statement import Statement

TABLES = frozenset(
    {
        "one", "numbers", "numbers_mt", "zeros", "zeros_mt", "tables", "columns", "databases",
        "functions", "formats", "settings", "data_type_families", "table_engines",
        "table_functions", "aggregate_function_combinators", "time_zones", "keywords",
        "collations", "data_skipping_indices", "contributors", "parts",
    }
)  # fmt: skip
HIDDEN_COLUMNS = frozenset(
    {
        "data_path", "data_paths", "metadata_path", "path", "disk_name", "cache_path",
        "file_path", "local_path", "remote_path",
    }
)  # fmt: skip
_TABLE = re.compile(r"table_name: system\.([^\s,]+)")
_COLUMN = re.compile(r"column_name: (\w+)")
_ROOT = re.compile(r"\s*(QUERY|UNION) id: 0")


def mentions_system(statement: Statement, parameters: Mapping[str, str], database: str) -> bool:
    """Return whether a statement might read a table of ``system``.

    Examples
    --------
    >>> mentions_system(Statement("SELECT * FROM `system`.tables"), {}, "")
    True
    >>> mentions_system(Statement("SELECT 'system'"), {}, "default")
    False
    """
    given = (parameters.get(name, "") for name in statement.identifier_parameters)
    names = (token.name for token in statement.tokens)
    return any("system" in name.lower() for name in (*names, *given, database))


def tree_query(statement: Statement) -> str:
    """Return the statement that shows how the engine resolves a reader's statement.

    Empty for statements that return names and types only.

    Raises
    ------
    RefusedRequest
        If the statement cannot be resolved and is not limited to names.
    """
    if statement.verb in ("SELECT", "WITH"):
        return f"EXPLAIN QUERY TREE passes = 1 {statement.body}"
    if statement.verb in ("SHOW", "EXISTS", "DESCRIBE") and "(" not in statement.text:
        return ""
    raise _refusal("this statement about system tables")


def screen_tree(tree: str) -> None:
    """Raise for tables and columns of ``system`` that readers may not read.

    Parameters
    ----------
    tree : str
        Result of :func:`tree_query`.

    Raises
    ------
    RefusedRequest

    Examples
    --------
    >>> screen_tree("QUERY id: 0\\n  TABLE id: 3, table_name: system.processes")
    Traceback (most recent call last):
    monitor.storage.serve.refusal.RefusedRequest: Code: 497. DB::Exception: Not enough privileges: \
system.processes is not shown to readers. (ACCESS_DENIED)
    """
    if not _ROOT.match(tree):
        raise _refusal("this statement about system tables")
    tables = set(_TABLE.findall(tree))
    for name in sorted(tables - TABLES):
        raise _refusal(f"system.{name[:64]}")
    if tables and (hidden := HIDDEN_COLUMNS & set(_COLUMN.findall(tree))):
        raise _refusal(f"column {min(hidden)}, so name the columns you need;")


def _refusal(what: str) -> RefusedRequest:
    """Return the error."""
    return RefusedRequest(497, f"Not enough privileges: {what} is not shown to readers.")
