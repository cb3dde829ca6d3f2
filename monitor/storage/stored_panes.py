"""Reads panes from the store, merged over source partitions, in slots of any length."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from monitor.core.windowing.details.block import NOT_COUNTED
from monitor.storage.clickhouse import Store
from schemas.panes import N_COUNTERS, Pane, SeriesId, SeriesStats

STORE = "store"
NO_BOUND_US = (-(1 << 62), 1 << 62)

_SELECT = (
    "SELECT model_version, profile_id, intDiv(start_us, {slot:Int64}) * {slot:Int64} AS slot_us, "
    "is_slice, segment, feature, sum(n_rows) AS n_rows, sumForEach(counts) AS counts "
    "FROM panes FINAL WHERE tenant = {tenant:String} AND model = {model:String} "
    "AND profile_id != '' AND start_us >= {since:Int64} AND start_us < {until:Int64} "
    "GROUP BY model_version, profile_id, slot_us, is_slice, segment, feature "
    "ORDER BY model_version, profile_id, slot_us, is_slice, segment != '*', segment"
)
_LENGTH = (
    "SELECT max(end_us - start_us) AS pane_us FROM panes FINAL "
    "WHERE tenant = {tenant:String} AND model = {model:String} AND profile_id != '' "
    "AND start_us >= {since:Int64} AND start_us < {until:Int64}"
)


_REPLAYED = (
    "SELECT max(end_us - start_us) AS pane_us, count() AS n FROM panes "
    "WHERE source = {source:String} AND (tenant, model) IN {names:Array(Tuple(String, String))}"
)


def replayed_panes_us(store: Store, source: str, names: Sequence[tuple[str, str]]) -> int | None:
    """Return the length of the longest stored pane of a source; None if it has none.

    Parameters
    ----------
    names : sequence of (tenant, model)
        Models to look at.
    """
    found = store.query(_REPLAYED, {"source": source, "names": list(names)}).to_pylist()[0]
    return int(found["pane_us"]) if found["n"] else None


def longest_pane_us(
    store: Store, tenant: str, model: str, between_us: tuple[int, int] = NO_BOUND_US
) -> int:
    """Return the length of a model's longest stored pane; 0 without panes."""
    found = store.query(_LENGTH, _parameters(tenant, model, between_us))
    return int(found["pane_us"][0].as_py() or 0)


def read_panes(
    store: Store,
    tenant: str,
    model: str,
    variables: Sequence[str],
    slot_us: int,
    between_us: tuple[int, int] = NO_BOUND_US,
) -> list[Pane]:
    """Read one model's panes, summed over source partitions and slots.

    Parameters
    ----------
    variables : sequence of str
        ``ModelSchema.variables``; series with other variables are omitted.
    slot_us : int
        Length of the returned panes; a multiple of the stored length.
    between_us : tuple of int, optional
        Range of their starts, end exclusive.

    Returns
    -------
    list of Pane
        Sorted by series and start. They have row counts and counters, which suffice for the
        decision rule; sums, extremes and calibration are empty.

    Notes
    -----
    The sums are computed by the store; 512 bytes per cell and slot are transferred.
    """
    parameters = _parameters(tenant, model, between_us) | {"slot": slot_us}
    table = store.query(_SELECT, parameters)
    panes: list[Pane] = []
    for (version, profile_id, start_us), rows in _groups(table):
        segments = _stats(rows, list(variables), is_slice=False)
        slices = _stats(rows, [variables[-1]], is_slice=True)
        if segments is not None and slices is not None:
            series = SeriesId(tenant, model, version, profile_id)
            place = (start_us, start_us + slot_us, STORE, 0, STORE, 0)
            panes.append(Pane(series, *place, segments, slices, NOT_COUNTED))
    return panes


def _parameters(tenant: str, model: str, between_us: tuple[int, int]) -> dict[str, object]:
    """Return the parameters of a query."""
    return {"tenant": tenant, "model": model, "since": between_us[0], "until": between_us[1]}


def _groups(table: pa.Table) -> list[tuple[tuple[str, str, int], pa.Table]]:
    """Split sorted rows where the series or the slot changes."""
    keys = list(
        zip(
            table["model_version"].to_pylist(),
            table["profile_id"].to_pylist(),
            table["slot_us"].to_pylist(),
            strict=True,
        )
    )
    cuts = [i for i in range(len(keys)) if i == 0 or keys[i] != keys[i - 1]] + [len(keys)]
    return [(keys[start], table.slice(start, end - start)) for start, end in pairwise(cuts)]


def _stats(rows: pa.Table, variables: list[str], *, is_slice: bool) -> SeriesStats | None:
    """Return the statistics of one slot; None if its variables differ."""
    chosen = rows.filter(pc.equal(rows["is_slice"], is_slice))
    names = chosen["segment"].to_pylist()
    at = {segment: s for s, segment in enumerate(dict.fromkeys(names))}
    stats = SeriesStats.empty(tuple(at), len(variables))
    features = chosen["feature"].to_pylist()
    if not set(features) <= set(variables):
        return None
    v = np.array([variables.index(name) for name in features], np.int64)
    s = np.array([at[name] for name in names], np.int64)
    counts = chosen["counts"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
    stats.counts[s, v] = counts.reshape(-1, N_COUNTERS)
    stats.n_rows[s] = chosen["n_rows"].to_numpy()
    return stats
