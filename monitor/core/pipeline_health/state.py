"""What the pipeline rules of one model remember between windows. Pure."""

from __future__ import annotations

import msgspec

from monitor.core.incidents.alerting import CellState, Closed
from schemas.alerts import LATE_EVENTS, NO_VERDICT, REJECTED_EVENTS

RULES = (REJECTED_EVENTS, LATE_EVENTS, NO_VERDICT)
"""Pipeline rules that detect decides window by window: a function of the log alone."""


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
    """Of the last of them."""


class PipelineState(msgspec.Struct):
    """All of it, as the state message carries it."""

    pools: dict[str, SharePool] = {}
    """By rule."""
    run: UnjudgedRun = UnjudgedRun()
    open_alerts: dict[str, CellState] = {}
    """By rule."""
    closed_alerts: dict[str, Closed] = {}
    """Resolved not long ago; by rule."""
