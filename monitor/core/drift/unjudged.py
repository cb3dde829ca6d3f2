"""Ends alerts of rule 2 on what rule 1 does not judge: correlations, cells hardly watched. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Final

from msgspec import UNSET

from monitor.core.drift.ticks.state import ScaleSeries
from monitor.core.identity import alert_id
from monitor.core.incidents.alerting import CellState, advance_gone
from schemas.alerts import UNDETECTABLE, Alert
from schemas.monitors import Monitor
from schemas.panes import ALL, SeriesId, Window

_PREFIX: Final = f"{UNDETECTABLE}|"
"""Of the keys of tickets; those of the canary begin with the monitor of both."""


def stored_tickets(scale: ScaleSeries) -> dict[str, CellState]:
    """Return the tickets on cells that are hardly watched, by the key that rule 1 stores."""
    if scale.detectable is UNSET:
        return {}
    return {_PREFIX + key: state for key, state in scale.detectable.open.items()}


def pop_tickets(open_alerts: dict[str, CellState]) -> dict[str, CellState]:
    """Remove the tickets that rule 1 has stored; return them by ``feature|segment``."""
    keys = [key for key in open_alerts if key.startswith(_PREFIX)]
    return {key.removeprefix(_PREFIX): open_alerts.pop(key) for key in keys}


def by_monitor(open_alerts: Mapping[str, CellState]) -> dict[str, CellState]:
    """Return open alerts by keys that begin with the monitor, those of tickets too."""
    return {
        f"{Monitor.PIPELINE}|{key.removeprefix(_PREFIX)}|{UNDETECTABLE}"
        if key.startswith(_PREFIX)
        else key: state
        for key, state in open_alerts.items()
    }


def end_unjudged(
    open_alerts: dict[str, CellState], judged: Set[str], series: SeriesId, window: Window
) -> list[Alert]:
    """Resolve the alerts that no cell judged in a window has: none of them could ever resolve.

    Parameters
    ----------
    open_alerts : dict of CellState
        By key; those that resolve are removed.
    judged : set of str
        Keys of the cells of the window.
    series : SeriesId
        Of the alerts.
    window : Window
        In which they resolve.
    """
    prefixes = (_PREFIX, f"{Monitor.DRIFT}|", f"{Monitor.REPLICA}|")
    keys = sorted(k for k in open_alerts if k.startswith(prefixes) and k not in judged)
    return [_resolution(key, open_alerts.pop(key), series, window) for key in keys]


def _resolution(key: str, before: CellState, series: SeriesId, window: Window) -> Alert:
    """Return the resolution of an alert on a cell that is no longer judged."""
    kind, feature, segment = key.split("|", 2)
    where = "" if segment == ALL else f" for {segment}"
    rule = UNDETECTABLE if kind == UNDETECTABLE else ""
    monitor = Monitor.PIPELINE if rule else Monitor(kind)
    after, change = advance_gone(before)
    cell = [series.tenant, series.model, series.model_version, feature, segment]
    cell += [rule] if rule else []
    is_host, is_gpu = segment.startswith("host="), segment.startswith("gpu_uuid=")
    value, is_replica = segment.partition("=")[2], monitor is Monitor.REPLICA
    return Alert(
        alert_id=alert_id(monitor, tuple(cell), (window.start_us, window.end_us), change.value),
        tenant=series.tenant,
        monitor=monitor,
        transition=change,
        severity=after.severity,
        time_us=window.end_us,
        opened_at_us=after.opened_at_us,
        sequence=after.sequence,
        title=f"{series.model}: {feature}{where} is no longer judged",
        model=series.model,
        model_version=series.model_version,
        feature=feature,
        segment=segment,
        host=value if is_replica and is_host else "",
        gpu_uuid=value if is_replica and is_gpu else "",
        rule=rule,
        window_start_us=after.first_positive_us,
        window_end_us=window.end_us,
        n_windows=after.n_windows,
        profile_id=series.profile_id,
    )
