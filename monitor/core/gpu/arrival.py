"""Processes the arrival of GPU events: liveness of hosts, and clock offsets."""

from __future__ import annotations

import msgspec

from monitor.core.gpu.alerts import GpuAlerts, new_state
from monitor.core.gpu.clock import STEADY_US, lag_of, offset_text
from monitor.core.gpu.state import Fleet, HostState, RuleChange, RulePhase
from monitor.core.gpu.table import GpuRule
from schemas.events import GpuEvent
from schemas.time_units import SECOND_US

_CLEAR_SHARE = 0.8


def note_arrival(
    fleet: Fleet,
    event: GpuEvent,
    record_us: int,
    interval_us: int,
    lost_us: int,
    rule: GpuRule | None,
    alerts: GpuAlerts,
    *,
    is_refused: bool = False,
) -> GpuEvent | None:
    """Record the arrival of an event, and correct its time to the stream's clock.

    Parameters
    ----------
    fleet : Fleet
        State of all GPUs; updated in place.
    event : GpuEvent
        Event as sent, including one that is rejected for its time.
    record_us : int
        Record time; -1 without one.
    interval_us, lost_us : int
        Reporting interval of a GPU, and time without samples after which it is lost.
    rule : GpuRule or None
        Rule ``clock_offset``; None if it is disabled.
    alerts : GpuAlerts
        Collects the alerts.
    is_refused : bool
        Whether it is too far ahead of its record time, and is not evaluated.

    Returns
    -------
    GpuEvent or None
        With its time on the stream's clock: never later than its record time, corrected by the
        host's offset, and the current stream time if it is ahead of that. None if it was rejected
        and its time cannot be corrected.
    """
    host, clock = fleet.host(event.tenant, event.host), fleet.clock
    jump_us = max(interval_us, lost_us - interval_us)
    time_us = event.time_us + host.clock.offset_us
    time_us = min(time_us, record_us) if record_us >= 0 else time_us
    clock.advance(time_us, event.host, len(fleet.hosts), jump_us)
    _hear(fleet, event, time_us, interval_us, is_refused)
    lag_us = lag_of(event.time_us, record_us, clock.now_us)
    if host.clock.note(lag_us, clock.now_us, interval_us // 2) and rule is not None:
        _judge_clock(fleet, host, rule, alerts)
    if is_refused and not host.clock.offset_us:
        return None
    time_us = clock.now_us if time_us > clock.now_us + jump_us else time_us
    return event if time_us == event.time_us else msgspec.structs.replace(event, time_us=time_us)


def _hear(fleet: Fleet, event: GpuEvent, time_us: int, interval_us: int, is_refused: bool) -> None:
    """Record that a GPU sent an event, unless it is a repeat."""
    gpu = fleet.gpus.get(event.gpu_uuid)
    if gpu is None:
        return
    now_us = fleet.clock.now_us
    # A single rejected event may be misattributed; two in a row are the host's.
    is_own = not is_refused or gpu.is_refused
    gpu.is_refused = is_refused
    if event.time_us > gpu.sent_us and is_own:
        is_in_time = now_us - 2 * interval_us <= time_us <= now_us
        gpu.heard_us = max(gpu.heard_us, time_us if is_in_time else now_us)
    gpu.sent_us = event.time_us


def _judge_clock(fleet: Fleet, host: HostState, rule: GpuRule, alerts: GpuAlerts) -> None:
    """Open or resolve the clock rule of a host."""
    clock, now_us, threshold_us = host.clock, fleet.clock.now_us, rule.threshold * SECOND_US
    state, steady_us = host.rules.get(rule.name), clock.steady_us
    if clock.is_right(_CLEAR_SHARE * threshold_us):
        clock.offset_us = 0
        if state is not None:
            alerts.resolve(host, rule.name, now_us, "right again")
    if steady_us is None or abs(steady_us) < threshold_us or _is_common(fleet, host, steady_us):
        return
    clock.offset_us = steady_us
    if state is None:
        state = host.rules[rule.name] = new_state(rule)
        late = ", or its telemetry is late by as much" if steady_us > 0 else ""
        state.what = offset_text(steady_us) + late
        state.phase, state.opened_at_us, state.n_events = RulePhase.FIRING, now_us, 1
        alerts.note(host, rule.name, state, RuleChange.OPENED, now_us)


def _is_common(fleet: Fleet, host: HostState, lag_us: int) -> bool:
    """Return whether most other hosts have the same lag, which is then due to the transport."""
    others = [
        steady_us
        for other in fleet.hosts.values()
        if other is not host and (steady_us := other.clock.steady_us) is not None
    ]
    near = sum(abs(other - lag_us) <= 2 * STEADY_US for other in others)
    return len(others) >= 2 and 2 * near > len(others)
