"""Reads from the store in which slices changes are concentrated."""

from __future__ import annotations

from collections.abc import Sequence

from monitor.core.incidents.slices.incident_hint import last_hints
from monitor.storage.clickhouse import Store
from monitor.storage.rows import SLICE_HINTS, slice_hint_of
from schemas.slice_hints import HintKind, SliceHint

_NIGHT = (
    "SELECT count() AS n FROM slice_hints WHERE tenant = {tenant:String} "
    "AND model = {model:String} AND kind = {kind:String} AND alert_id = '' "
    "AND time_us = {time:Int64}"
)
_OF_ALERTS = (
    f"SELECT {', '.join(SLICE_HINTS.names)} FROM slice_hints FINAL "
    "WHERE alert_id IN {ids:Array(String)} ORDER BY alert_id, time_us, kind"
)


def has_night(store: Store, name: tuple[str, str], day_end_us: int) -> bool:
    """Return whether the slices of a model were searched at the end of a day."""
    asked = {"tenant": name[0], "model": name[1], "kind": HintKind.NIGHTLY.value}
    found = store.query(_NIGHT, asked | {"time": day_end_us})
    return bool(found["n"][0].as_py())


def hints_of_alerts(store: Store, ids: Sequence[str]) -> dict[str, SliceHint]:
    """Return the last hint of each alert that has one; one with slices is preferred."""
    rows = store.query(_OF_ALERTS, {"ids": list(ids)}).to_pylist()
    return last_hints(slice_hint_of(row) for row in rows)
