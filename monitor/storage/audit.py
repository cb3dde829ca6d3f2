"""Writes to the store what changed the verdicts of a model other than its events."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

import pyarrow as pa

from monitor.storage.clickhouse import Store

AUDIT: Final = "audit"
_SCHEMA: Final = pa.schema(
    [
        ("tenant", pa.string()),
        ("model", pa.string()),
        ("model_version", pa.string()),
        ("time_us", pa.int64()),
        ("action", pa.string()),
        ("actor", pa.string()),
        ("detail", pa.string()),
    ]
)


def write_audit(
    store: Store,
    series: tuple[str, str, str],
    time_us: int,
    action: str,
    actor: str,
    detail: Mapping[str, Any],
) -> None:
    """Add a row to table ``audit``; repeating it changes nothing.

    Parameters
    ----------
    series : tuple of str
        Tenant, model, model version.
    time_us : int
        Event time at which it takes effect.
    action, actor : str
        What was done, and by whom: a stage, or a person.
    detail : mapping
        Facts, stored as JSON.
    """
    tenant, model, version = series
    text = json.dumps(detail, sort_keys=True)
    row = (tenant, model, version, time_us, action, actor, text)
    store.insert(AUDIT, pa.Table.from_pylist([dict(zip(_SCHEMA.names, row, strict=True))], _SCHEMA))
