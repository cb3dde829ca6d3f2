"""XIDs of one GPU: which are new events, and what each makes of its rule."""

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
"""Times remembered per XID; recurrence needs five of a day."""


def observe_xid(gpu: GpuState, event: GpuEvent, alerts: GpuAlerts) -> None:
    """Judge one XID.

    Parameters
    ----------
    gpu : GpuState
        The GPU's memory; changed.
    event : GpuEvent
        Its ``xid`` is not None.
    alerts : GpuAlerts
        Takes what the XID makes.

    Notes
    -----
    An XID from before the GPU's last reset is recorded and nothing more: what it asks
    for has been done.
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
    """Judge open XIDs again after the GPU named its recovery action."""
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
    """Return whether this is a new event, and remember it.

    A burst counts as one however long it lasts: an event within 5 s of its start, its
    end or anything between belongs to it.
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
    """Return what the GPU last asked for, if it ever did."""
    value = gpu.values.get("gpu_recovery_action")
    return None if value is None else int(value)


def _sibling(gpu: GpuState, code: int, time_us: int) -> int | None:
    """Find the XID that came shortly before XID 45 on the same GPU."""
    if find_xid(code).tier is not Tier.FOLLOWS:
        return None
    near = [
        (history.ends_us[-1], other)
        for other, history in gpu.xids.items()
        if other != code and history.ends_us and 0 <= time_us - history.ends_us[-1] <= SIBLING_US
    ]
    return max(near)[1] if near else None


def _first_state(what: str, time_us: int) -> RuleState:
    """Start an XID's state: quiet for long enough ends it, unless it latches."""
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
    """Raise severity and latch; neither ever falls while the alert is open."""
    state.severity = max(state.severity, severity)
    if is_latched:
        state.is_latched, state.phase = True, RulePhase.FIRING
