"""Reads from the store when alerts of a model were open."""

from __future__ import annotations

from monitor.core.drift.ticks.rebuilding import OpenSpan
from monitor.storage.clickhouse import Store
from schemas.monitors import Monitor

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
