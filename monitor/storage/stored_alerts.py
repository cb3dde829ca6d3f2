"""Reads alerts from the store, and when those of a model were open."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from monitor.core.drift.ticks.rebuilding import OpenSpan
from monitor.storage.clickhouse import Store
from monitor.storage.rows import ALERTS, UNSET_VALUES
from schemas.alerts import Alert
from schemas.monitors import Monitor
from schemas.slice_hints import HintKind

MOST_UNHINTED: Final = 1_000
"""Alerts without a hint that are read at a time, with those whose rows are not stored yet."""

_UNHINTED = (
    "monitor = {monitor:String} AND transition = 'opened' "
    "AND ingest_time > now64(6) - toIntervalHour({hours:UInt32}) AND alert_id NOT IN "
    "(SELECT alert_id FROM slice_hints WHERE kind = {kind:String}) "
    "ORDER BY indexOf(['record', 'ticket', 'page'], toString(severity)) DESC, "
    "time_us DESC, alert_id LIMIT {limit:UInt32}"
)
_OPEN = (
    "monitor = {monitor:String} AND transition = 'opened' AND tenant = {tenant:String} "
    "AND model = {model:String} AND time_us >= {since:Int64} AND time_us < {until:Int64} "
    "AND (model_version, feature, segment, opened_at_us) NOT IN "
    "(SELECT model_version, feature, segment, opened_at_us FROM alerts "
    "WHERE monitor = {monitor:String} AND transition = 'resolved' AND tenant = {tenant:String} "
    "AND model = {model:String} AND time_us < {until:Int64}) ORDER BY time_us, alert_id"
)
_BY_ID = "alert_id IN {ids:Array(String)} ORDER BY time_us, sequence, alert_id"

_SPANS = (
    "SELECT model_version, feature, segment, min(window_start_us) AS start_us, "
    "maxIf(time_us, transition = 'resolved') AS end_us, "
    "countIf(transition = 'resolved') AS n_resolved "
    "FROM alerts FINAL WHERE tenant = {tenant:String} AND model = {model:String} "
    "AND monitor = {monitor:String} AND opened_at_us < {until:Int64} "
    "GROUP BY model_version, feature, segment, opened_at_us "
    "HAVING n_resolved = 0 OR end_us > {since:Int64} "
    "ORDER BY model_version, feature, segment, start_us"
)


def open_spans(
    store: Store, tenant: str, model: str, between_us: tuple[int, int]
) -> list[OpenSpan]:
    """Return when drift alerts of a model were open.

    Parameters
    ----------
    between_us : tuple of int
        Start and end of the range; an alert that is not resolved lasts until its end.

    Returns
    -------
    list of OpenSpan
        From the first positive window of an alert to its resolution.
    """
    since_us, until_us = between_us
    asked = {"tenant": tenant, "model": model, "monitor": Monitor.DRIFT.value}
    rows = store.query(_SPANS, asked | {"since": since_us, "until": until_us}).to_pylist()
    return [
        OpenSpan(
            row["model_version"],
            row["feature"],
            row["segment"],
            row["start_us"],
            row["end_us"] if row["n_resolved"] else until_us,
        )
        for row in rows
    ]


def alerts_without_hint(store: Store, kind: HintKind, hours: int) -> list[Alert]:
    """Return drift alerts that opened and have no hint of a kind yet.

    At most :data:`MOST_UNHINTED`: the most severe first, and of these the newest.

    Parameters
    ----------
    kind : HintKind
        Of searches for alerts.
    hours : int
        How long ago they were stored at most, by the clock of the store.
    """
    asked: dict[str, Any] = {"monitor": Monitor.DRIFT.value, "kind": kind.value, "hours": hours}
    asked["limit"] = MOST_UNHINTED
    return _read(store, _UNHINTED, asked)


def open_alerts(store: Store, name: tuple[str, str], between_us: tuple[int, int]) -> list[Alert]:
    """Return drift alerts of a model that opened in a range and were still open at its end."""
    asked = {"monitor": Monitor.DRIFT.value, "tenant": name[0], "model": name[1]}
    return _read(store, _OPEN, asked | {"since": between_us[0], "until": between_us[1]})


def alerts_by_id(store: Store, ids: Sequence[str]) -> list[Alert]:
    """Return alerts in the order of their events."""
    return _read(store, _BY_ID, {"ids": list(ids)})


def _read(store: Store, condition: str, parameters: Mapping[str, Any]) -> list[Alert]:
    """Return the alerts that meet a condition."""
    names = ", ".join(ALERTS.names)
    table = store.query(f"SELECT {names} FROM alerts FINAL WHERE {condition}", parameters)
    return [_alert_of(row) for row in table.to_pylist()]


def _alert_of(row: Mapping[str, Any]) -> Alert:
    """Return the alert of a row; what has the store's value for it is unset."""
    unset = {name for name, value in UNSET_VALUES.items() if row.get(name, 0) in (value, [])}
    return msgspec.convert({k: v for k, v in row.items() if k not in unset}, Alert)
