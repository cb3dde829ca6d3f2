"""Reads a reference from stored traffic."""

from __future__ import annotations

import pyarrow as pa

from monitor.storage.clickhouse import Store
from schemas.baselines import Kind
from schemas.config.model import ModelConfig
from schemas.errors import BaselineError
from schemas.names import SCORE


def read_traffic(
    target: str, config: ModelConfig, since_us: int, until_us: int, model_version: str = ""
) -> pa.Table:
    """Read one model's predictions of a time range, in order of time.

    Parameters
    ----------
    target : str
        The store.
    config : ModelConfig
        Features of the model.
    since_us, until_us : int
        Event times, half-open.
    model_version : str
        Model version to read; empty for all.

    Returns
    -------
    pyarrow.Table
        Columns as in an event batch.

    Raises
    ------
    BaselineError
        If the range is empty.
    StorageError
        If the store cannot be read.
    """
    if since_us >= until_us:
        raise BaselineError("the time range is empty", fix="--since must be before --until")
    bounds = {
        "tenant": config.tenant,
        "model": config.model,
        "version": model_version,
        "since": since_us,
        "until": until_us,
    }
    sql, names = _select(config)
    with Store.open(target, is_read_only=True) as store:
        table = store.query(sql, bounds | names)
    if not table.num_rows:
        raise BaselineError(
            f"no predictions of {config.model} in that time",
            where=target,
            fix='driftline sql "SELECT model, count(), min(time), max(time) FROM predictions '
            'GROUP BY model" shows what there is',
        )
    return table.rename_columns(_columns(config))


def _columns(config: ModelConfig) -> list[str]:
    """Return the columns of the query, in order."""
    fixed = ["time_us", "model_version", SCORE, "prediction", "host", "gpu_uuid"]
    features = [f"features.{name}" for name in config.features]
    return fixed + features + [f"segments.{name}" for name in _own_segments(config)]


def _own_segments(config: ModelConfig) -> list[str]:
    """Return the segments that are not features."""
    return [name for name in config.segments if name not in config.features]


def _select(config: ModelConfig) -> tuple[str, dict[str, str]]:
    """Return the query; names are passed as parameters, never inserted into the text."""
    names: dict[str, str] = {}
    picked = []
    for name, feature in config.features.items():
        column = "features" if feature.kind is Kind.NUMERIC else "categories"
        picked.append((column, name))
    picked += [("segments", name) for name in _own_segments(config)]
    parts = []
    for i, (column, name) in enumerate(picked):
        names[f"k{i}"] = name
        parts.append(f"{column}[{{k{i}:String}}] AS c{i}")
    sql = (
        "SELECT time_us, model_version, score, prediction, host, gpu_uuid, "
        f"{', '.join(parts)} FROM predictions FINAL "
        "WHERE tenant = {tenant:String} AND model = {model:String} "
        "AND ({version:String} = '' OR model_version = {version:String}) "
        "AND time_us >= {since:Int64} AND time_us < {until:Int64} ORDER BY time_us, id"
    )
    return sql, names
