"""Rebuilds averages from the store's panes where a model changes to rule 2."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from monitor.core.drift.partition import DriftPartition
from monitor.core.drift.ticks.rebuilding import RebuildRequest
from schemas.config.values import format_duration
from schemas.errors import DriftlineError, StoreLockedError
from schemas.panes import Pane
from schemas.time_units import DAY_US

if TYPE_CHECKING:
    from monitor.storage.clickhouse import Store

REBUILT: Final = "rule_2_rebuilt"
"""Action in table ``audit``."""
LOG: Final = logging.getLogger("driftline.detect")


def rebuild_from_store(drift: DriftPartition, target: str) -> None:
    """Rebuild the models that a restored partition asks for; nothing without a reachable store.

    Parameters
    ----------
    drift : DriftPartition
        Restored; its ``rebuilds`` are served and cleared.
    target : str
        URL of the store, or the folder of an embedded one, which is locked while it is read.
        Where another process holds it, such as the archive, models begin with empty averages.
    """
    if not drift.rebuilds:
        return
    names = ", ".join(f"{request.tenant}/{request.model}" for request in drift.rebuilds)
    from monitor.storage.clickhouse import Store
    from monitor.storage.lock import is_store_folder

    if "://" not in target and not is_store_folder(Path(target)):
        LOG.warning("rule 2 begins with empty averages, as there is no store to read: %s", names)
        drift.rebuilds.clear()
        return
    try:
        with Store.open(target) as store:
            rebuild_models(drift, store)
    except StoreLockedError as error:
        text = "rule 2 begins with empty averages: %s: %s; to rebuild them, stop it until detect "
        LOG.warning(text + "has started", names, error)
    except DriftlineError as error:
        LOG.warning("rule 2 begins with empty averages: %s: panes cannot be read: %s", names, error)
    drift.rebuilds.clear()


def rebuild_models(drift: DriftPartition, store: Store) -> None:
    """Rebuild from an open store, and record each series in its table ``audit``.

    Panes are read day by day: 14 days of 88 cells would take 180 MB.
    """
    from monitor.storage.audit import write_audit
    from monitor.storage.stored_alerts import open_spans
    from monitor.storage.stored_panes import longest_pane_us

    for request in drift.rebuilds:
        name, between_us = (request.tenant, request.model), (request.since_us, request.until_us)
        pane_us = longest_pane_us(store, *name, between_us)
        if pane_us and request.tick_us % pane_us:
            text = (
                "rule 2 begins with empty averages: a tick of %s/%s is no multiple of its panes: %s"
            )
            LOG.warning(text, *name, format_duration(pane_us))
            continue
        spans = open_spans(store, *name, between_us)
        for rebuilt in drift.rebuild(request, _days(drift, store, request), spans):
            facts = rebuilt.as_document() | {"since_us": request.since_us}
            version = rebuilt.series.model_version
            write_audit(store, (*name, version), request.until_us, REBUILT, "detect", facts)
            LOG.info("%s/%s %s: averages of rule 2 rebuilt: %s", *name, version, facts)


def _days(drift: DriftPartition, store: Store, request: RebuildRequest) -> Iterator[list[Pane]]:
    """Yield the panes of each day, merged to ticks."""
    from monitor.storage.stored_panes import read_panes

    name = (request.tenant, request.model)
    variables = drift.variables_of(*name)
    for since_us in range(request.since_us, request.until_us, DAY_US):
        between_us = (since_us, min(since_us + DAY_US, request.until_us))
        yield read_panes(store, *name, variables, request.tick_us, between_us)
