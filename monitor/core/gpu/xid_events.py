"""XIDs of one GPU: detection of new events, and their effect on rules."""

from __future__ import annotations

from bisect import bisect

from monitor.core.gpu.alerts import GpuAlerts, is_worth_telling
from monitor.core.gpu.state import GpuState, RuleChange, RulePhase, RuleState, XidHistory
from monitor.core.gpu.table import QUIET_US
from monitor.core.gpu.xid import SAME_EVENT_US, SIBLING_US, Tier, find_xid, judge_xid
from schemas.alerts import Severity
from schemas.events import GpuEvent
from schemas.time_units import DAY_US

_KEPT = 64
"""Bursts kept per XID; the recurrence rule needs five per day."""


def observe_xid(gpu: GpuState, event: GpuEvent, alerts: GpuAlerts) -> None:
    """Process one XID.

    Parameters
    ----------
    gpu : GpuState
        State of the GPU; updated in place.
    event : GpuEvent
        Event with an ``xid``.
    alerts : GpuAlerts
        Collects the alerts.

    Notes
    -----
    An XID from before the GPU's last reset is only recorded, because its action has been taken.
    """
    code, time_us = event.xid or 0, event.time_us
    history = gpu.xids.setdefault(code, XidHistory())
    if not _is_new(history, time_us):
        return
    n_in_day = sum(time_us - DAY_US < t <= time_us for t in history.starts_us)
    verdict = judge_xid(code, n_in_day, _recovery_action(gpu), _sibling(gpu, code, time_us))
    if verdict.severity is Severity.PAGE and find_xid(code).tier is Tier.FATAL:
        gpu.fatal_us.append(time_us)
    is_stale = time_us < gpu.reset_us
    severity = Severity.RECORD if is_stale else verdict.severity
    name = f"xid_{code}"
    state = gpu.rules.get(name)
    is_first = state is None
    if state is None:
        state = gpu.rules[name] = _first_state(f"XID {code}, {verdict.name}", time_us)
        state.severity = severity
    state.n_events += 1
    state.action = verdict.action
    _grade(state, severity, verdict.is_latched and not is_stale)
    if state.phase is RulePhase.CLEARING:
        state.since_us = max(state.since_us, time_us)
    change = RuleChange.OPENED if is_first else RuleChange.AGAIN
    if is_first or is_worth_telling(state.n_events):
        alerts.note(gpu, name, state, change, time_us)


def remap_recovery(gpu: GpuState, time_us: int, alerts: GpuAlerts) -> None:
    """Re-evaluate open XIDs after the GPU has reported its recovery action."""
    for name, state in list(gpu.rules.items()):
        if not name.startswith("xid_"):
            continue
        code = int(name.removeprefix("xid_"))
        if find_xid(code).tier is not Tier.MAPPED and not find_xid(code).is_page_when_repeated:
            continue
        verdict = judge_xid(code, 1, _recovery_action(gpu))
        if verdict.severity > state.severity:
            state.action = verdict.action
            _grade(state, verdict.severity, verdict.is_latched)
            alerts.escalate(gpu, name, state, time_us)


def _is_new(history: XidHistory, time_us: int) -> bool:
    """Return whether this is a new event, and record it.

    A burst of any length counts as one event: an XID within 5 s of the burst's time range belongs
    to it.
    """
    starts, ends = history.starts_us, history.ends_us
    if len(starts) >= _KEPT and time_us < starts[0]:
        return False
    for i, (start, end) in enumerate(zip(starts, ends, strict=True)):
        if start - SAME_EVENT_US <= time_us <= end + SAME_EVENT_US:
            starts[i], ends[i] = min(start, time_us), max(end, time_us)
            return False
    place = bisect(starts, time_us)
    starts.insert(place, time_us)
    ends.insert(place, time_us)
    del starts[:-_KEPT], ends[:-_KEPT]
    return True


def _recovery_action(gpu: GpuState) -> int | None:
    """Return the last reported recovery action, or None."""
    value = gpu.values.get("gpu_recovery_action")
    return None if value is None else int(value)


def _sibling(gpu: GpuState, code: int, time_us: int) -> int | None:
    """Return the XID shortly before XID 45 on the same GPU, or None."""
    if find_xid(code).tier is not Tier.FOLLOWS:
        return None
    near = [
        (history.ends_us[-1], other)
        for other, history in gpu.xids.items()
        if other != code and history.ends_us and 0 <= time_us - history.ends_us[-1] <= SIBLING_US
    ]
    return max(near)[1] if near else None


def _first_state(what: str, time_us: int) -> RuleState:
    """Return the state of a new XID, which resolves after a quiet time unless it latches."""
    return RuleState(
        severity=Severity.RECORD,
        what=what,
        action="",
        for_us=0,
        clear_us=QUIET_US,
        is_latched=False,
        is_ended_by_reset=False,
        phase=RulePhase.CLEARING,
        since_us=time_us,
        opened_at_us=time_us,
    )


def _grade(state: RuleState, severity: Severity, is_latched: bool) -> None:
    """Update severity and latch, neither of which decreases while the alert is open."""
    state.severity = max(state.severity, severity)
    if is_latched:
        state.is_latched, state.phase = True, RulePhase.FIRING
