"""Questions others ask the store, once, with their exact meaning.

All read with FINAL, so that replays and revisions count once.
"""

from __future__ import annotations

import pyarrow as pa

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
)
"""In the order people are shown them."""


def results_of_window(store: Store, *, tenant: str, model: str, end_us: int) -> pa.Table:
    """Return every result of the windows of one model that end at ``end_us``.

    The newest revision of each, ordered by monitor, feature, segment and metric.
    """
    return store.query(
        "SELECT * EXCEPT (ingest_time) FROM results FINAL "
        "WHERE tenant = {tenant:String} AND model = {model:String} AND end_us = {end:Int64} "
        "ORDER BY monitor, model_version, feature, segment, metric",
        {"tenant": tenant, "model": model, "end": end_us},
    )


def alerts_between(store: Store, *, start_us: int, end_us: int) -> pa.Table:
    """Return the alerts with ``start_us <= time_us < end_us``, oldest first."""
    return store.query(
        "SELECT * EXCEPT (ingest_time) FROM alerts FINAL "
        "WHERE time_us >= {start:Int64} AND time_us < {end:Int64} "
        "ORDER BY time_us, alert_id, sequence",
        {"start": start_us, "end": end_us},
    )


def deliveries_of(store: Store, *, incident_id: str) -> pa.Table:
    """Return every step of every delivery about one incident, in order."""
    return store.query(
        "SELECT * EXCEPT (ingest_time) FROM notifications FINAL "
        "WHERE incident_id = {incident:String} ORDER BY time_us, notification_id, state",
        {"incident": incident_id},
    )


def pane_history(
    store: Store, *, tenant: str, model: str, feature: str, segment: str, last: int
) -> pa.Table:
    """Return the last panes of one feature and segment, merged over source partitions.

    Columns: profile_id, model_version, start_us, end_us, n_rows, counts; oldest first.
    Panes of different profiles are never merged.
    """
    return store.query(
        "SELECT * FROM (SELECT profile_id, model_version, start_us, max(end_us) AS end_us, "
        "sum(n_rows) AS n_rows, sumForEach(counts) AS counts FROM panes FINAL "
        "WHERE tenant = {tenant:String} AND model = {model:String} AND NOT is_slice "
        "AND feature = {feature:String} AND segment = {segment:String} "
        "GROUP BY profile_id, model_version, start_us "
        "ORDER BY start_us DESC LIMIT {last:Int64}) ORDER BY start_us",
        {"tenant": tenant, "model": model, "feature": feature, "segment": segment, "last": last},
    )


def row_counts(store: Store) -> dict[str, int]:
    """Return the exact number of rows of each of Driftline's tables that exist."""
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
