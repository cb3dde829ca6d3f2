"""Mean number of rows per window, from the archived panes."""

from __future__ import annotations

from pathlib import Path

from monitor.storage.clickhouse import Store
from schemas.errors import StorageError
from schemas.time_units import DAY_US

_RECENT_US = 14 * DAY_US
_ROWS = (
    "SELECT sum(n_rows) AS n, uniqExact(intDiv(start_us, {length:Int64})) AS windows "
    "FROM panes FINAL WHERE tenant = {tenant:String} AND model = {model:String} "
    "AND feature = 'score' AND segment = '*' AND NOT is_slice AND start_us >= "
    "(SELECT max(start_us) FROM panes WHERE tenant = {tenant:String} AND model = {model:String}) "
    "- {recent:Int64}"
)


def mean_rows_of(
    target: str, lengths_us: dict[tuple[str, str], int]
) -> dict[tuple[str, str], float]:
    """Return the mean rows of non-empty windows over the last two weeks of each model.

    Parameters
    ----------
    target : str
        The store; a missing store, or one without panes, gives an empty result.
    lengths_us : dict of (tenant, model) to int
        Length of the windows of each model.

    Returns
    -------
    dict of (tenant, model) to float
        Without models that have no panes.
    """
    if "://" not in target and not Path(target).exists():
        return {}
    found: dict[tuple[str, str], float] = {}
    try:
        with Store.open(target, is_read_only=True) as store:
            for (tenant, model), length_us in lengths_us.items():
                asked = {"tenant": tenant, "model": model, "length": length_us}
                rows = store.query(_ROWS, asked | {"recent": _RECENT_US}).to_pylist()[0]
                if rows["windows"]:
                    found[tenant, model] = rows["n"] / rows["windows"]
    except StorageError:
        return {}
    return found
