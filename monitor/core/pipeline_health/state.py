"""State of the pipeline rules of one model. Pure."""

from __future__ import annotations

import msgspec

from monitor.core.incidents.alerting import CellState, Closed
from monitor.core.pipeline_health.volume_state import VolumeMemory
from schemas.alerts import LATE_EVENTS, NO_VERDICT, REJECTED_EVENTS, VOLUME

RULES = (REJECTED_EVENTS, LATE_EVENTS, NO_VERDICT, VOLUME)
"""Pipeline rules that detect evaluates per window, as a function of the log."""


class SharePool(msgspec.Struct, array_like=True, frozen=True):
    """Events of consecutive windows whose pooled share is above the limit."""

    n_hits: int = 0
    n_events: int = 0
    n_windows: int = 0
    start_us: int = 0
    """Start of the first of these windows."""


class UnjudgedRun(msgspec.Struct, array_like=True, frozen=True):
    """Consecutive windows with rows and without any verdict."""

    n_windows: int = 0
    n_rows: int = 0
    start_us: int = 0
    reason: str = ""
    """End of the last of these windows."""


class PipelineState(msgspec.Struct):
    """State of all pipeline rules, as stored in the state message."""

    pools: dict[str, SharePool] = {}
    """By rule."""
    run: UnjudgedRun = UnjudgedRun()
    open_alerts: dict[str, CellState] = {}
    """By rule."""
    closed_alerts: dict[str, Closed] = {}
    """Recently resolved alerts, by rule."""
    volume: VolumeMemory | msgspec.UnsetType = msgspec.UNSET
    """Of the volume rule; absent before the first tick, and in states of earlier versions."""
