"""Searches for the slices that carry the changes of a finished run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from monitor.app.progress import OnNote
from monitor.archive.slice_hints import LATER_US, hint_on_alert, most_severe, write_hints
from monitor.core.incidents.slices.incident_hint import last_hints
from monitor.storage.clickhouse import Store
from monitor.storage.raw_samples import has_rows_from
from schemas.alerts import Alert
from schemas.config.model import ModelConfig
from schemas.errors import DriftlineError
from schemas.monitors import Monitor
from schemas.slice_hints import SliceHint

MOST_ALERTS = 20
"""Alerts of a run whose slices are searched, the most severe; about a second each."""


def search_slices(
    store: Store,
    configs: Mapping[tuple[str, str], ModelConfig],
    alerts: Sequence[Alert],
    on_note: OnNote,
) -> dict[str, SliceHint]:
    """Search for the drift alerts of a run, and store the hints.

    Parameters
    ----------
    configs : mapping of (tenant, model) to ModelConfig
        All models of the alerts.
    on_note : callable
        Called where a search failed, which is no failure of the run.

    Returns
    -------
    dict of str to SliceHint
        By ID of the alert.
    """
    hints: list[SliceHint] = []
    drift = [alert for alert in alerts if alert.monitor == Monitor.DRIFT]
    try:
        for alert in most_severe(drift, MOST_ALERTS):
            schema = configs[alert.tenant, alert.model].schema_
            series = (alert.tenant, alert.model, alert.model_version)
            for kind in LATER_US:
                if has_rows_from(store, series, alert.time_us + LATER_US[kind] - 1):
                    hints.append(hint_on_alert(store, schema, alert, kind))
        write_hints(store, hints)
    except DriftlineError as error:
        on_note(f"slices were not searched: {error}")
    return last_hints(hints)
