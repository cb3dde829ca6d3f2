"""Validates a model's state beyond its types, so that later processing cannot fail on it."""

from __future__ import annotations

from msgspec import UNSET

from detectors.decision_rule.settings import N_RUNGS
from monitor.core.bounds import (
    MAX_NAME_CHARS,
    MAX_OFFSET,
    check_names,
    check_number,
    check_struct,
    check_text,
    check_time,
)
from monitor.core.drift.decide import SeriesDecider, SeriesState
from monitor.core.drift.state import ModelState
from monitor.core.drift.ticks.detectable_watch import DetectableState
from monitor.core.drift.windows import WindowState
from monitor.core.incidents.alert_checks import check_alerts
from monitor.core.incidents.alerting import CellState
from monitor.core.pipeline_health.state import RULES, PipelineState
from monitor.core.pipeline_health.volume_state import check_volume
from monitor.core.windowing.stats_codec import MAX_VARIABLES
from schemas.errors import DomainError
from schemas.results import Reason

MAX_SERIES = 1_000
"""Maximum number of versions of a model in a state; 64 are kept at a time."""
_MAX_REPLICAS = 10_000
_MAX_KEY_CHARS = 4 * MAX_NAME_CHARS


def check_model_state(state: ModelState, name: tuple[str, str]) -> None:
    """Check the state of one model; evidence is checked when it is restored.

    Parameters
    ----------
    name : (str, str)
        Tenant and model in the key.

    Raises
    ------
    DomainError
        If it belongs to another model, or has an invalid value.
    """
    check_struct(state)
    for windows in (state.windows, *([] if state.ticks is UNSET else [state.ticks])):
        _check_windows(windows, name)
    check_number("series", len(state.series), 0, MAX_SERIES)
    if len({entry.series for entry in state.series}) != len(state.series):
        raise DomainError("two states of one series")
    for entry in state.series:
        _check_name((entry.tenant, entry.model), name)
        check_text("model_version", entry.model_version)
        check_text("profile_id", entry.profile_id)
        _check_series(entry.state)
    if state.pipeline is not None:
        _check_pipeline(state.pipeline)
    check_alerts(state.alerts)
    for alert in state.alerts:
        _check_name((alert.tenant, alert.model), name)


def _check_windows(windows: WindowState, name: tuple[str, str]) -> None:
    """Check where the windows, or the ticks, of a model are."""
    _check_name((windows.tenant, windows.model), name)
    check_names("versions", [v.model_version for v in windows.versions], MAX_SERIES)
    for version in windows.versions:
        check_text("profile_id", version.profile_id)
        check_number("n_variables", version.n_variables, 0, MAX_VARIABLES)


def check_evidence(decider: SeriesDecider) -> None:
    """Check the restored evidence of a decider.

    Raises
    ------
    DomainError
        If a ratio is negative or NaN, or a count of windows is negative.
    """
    evidence = [decider.evidence, *(past.evidence for past in decider.replicas.values())]
    for each in evidence:
        if not (each.ratios >= 0).all() or (each.n_windows < 0).any():
            raise DomainError("evidence that is negative or not a number")


def _check_series(state: SeriesState) -> None:
    """Check the state of one series."""
    for key, cell in state.open_alerts.items():
        _check_cell_key(key)
        _check_cell(cell)
    for key in (*state.closed_alerts, *(() if state.scale is UNSET else state.scale.onsets)):
        _check_cell_key(key)
    if state.rule is not UNSET:
        check_number("rule", state.rule, 2, 2)
    if state.scale is not UNSET and state.scale.detectable is not UNSET:
        _check_detectable(state.scale.detectable)
    for names, _, n_idle in state.replicas.values():
        check_names("replicas", names, _MAX_REPLICAS)
        if len(names) != len(n_idle) or not all(n >= 0 for n in n_idle):
            raise DomainError(f"{len(n_idle)} counts for {len(names)} replicas")
    canary = state.canary
    if canary is not None and (canary.cycle < -1 or len(canary.evidence) > 1 << 20):
        raise DomainError("a canary in no cycle")


def _check_detectable(state: DetectableState) -> None:
    """Check the tickets on cells that are hardly watched."""
    for key, cell in state.open.items():
        _check_cell_key(key)
        _check_cell(cell)
    for key, n_looks in state.n_looks.items():
        _check_cell_key(key)
        check_number("looks", n_looks, 0, MAX_OFFSET)
    check_time("first look", state.first_us)


def _check_pipeline(state: PipelineState) -> None:
    """Check the state of the pipeline rules."""
    for rule in (*state.pools, *state.open_alerts, *state.closed_alerts):
        if rule not in RULES:
            raise DomainError(f"{rule[:80]!r} is not a pipeline rule")
    for cell in state.open_alerts.values():
        _check_cell(cell)
    for pool in state.pools.values():
        check_number("n_events", pool.n_events, 0, MAX_OFFSET)
        check_number("n_hits", pool.n_hits, 0, pool.n_events)
    check_number("n_windows", state.run.n_windows, 0, MAX_OFFSET)
    if state.volume is not UNSET:
        check_volume(state.volume)
    if state.run.reason not in ("", *Reason):
        raise DomainError(f"{state.run.reason[:80]!r} is not a reason")


def _check_cell_key(key: str) -> None:
    """Check ``monitor|feature`` or ``monitor|feature|segment``."""
    if "|" not in check_text("key of a cell", key, _MAX_KEY_CHARS):
        raise DomainError(f"{key[:80]!r} is not the key of a cell")


def _check_cell(cell: CellState) -> None:
    """Check one open alert."""
    check_number("rung", cell.rung, 0, N_RUNGS - 1)


def _check_name(found: tuple[str, str], name: tuple[str, str]) -> None:
    """Check tenant and model."""
    if found != name:
        raise DomainError(f"it is of {found[0][:80]!r}/{found[1][:80]!r}, its key of another model")
