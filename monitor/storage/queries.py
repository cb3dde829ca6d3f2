"""The tables shown to users, and their row counts."""

from __future__ import annotations

from monitor.storage.clickhouse import Store

TABLES = (
    "predictions",
    "labels",
    "gpu",
    "panes",
    "results",
    "alerts",
    "notifications",
    "dead_letters",
    "late",
    "audit",
    "detectable",
    "actions",
    "slice_hints",
)
"""Tables in display order."""


def row_counts(store: Store) -> dict[str, int]:
    """Return the exact number of rows of each of Driftline's tables that exist.

    Repeated inserts and revisions count once: every table is read with FINAL.
    """
    there = set(
        store.query("SELECT name FROM system.tables WHERE database = currentDatabase()")[
            "name"
        ].to_pylist()
    )
    return {
        table: store.query(f"SELECT count() AS n FROM {table} FINAL")["n"][0].as_py()
        for table in TABLES
        if table in there
    }
