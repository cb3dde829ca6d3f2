"""Detects missing telemetry, and attributes it to GPU, exporter or node."""

from __future__ import annotations

from collections import defaultdict

from monitor.core.gpu.alerts import GpuAlerts, new_state
from monitor.core.gpu.state import Fleet, GpuState, HostState, RuleChange, RulePhase
from monitor.core.gpu.table import GpuRule
from schemas.time_units import MINUTE_US

_HOST_RULES = ("exporter_lost", "node_lost")
_MAX_QUIET_US, _MAX_GRACE_US = 30 * MINUTE_US, 10 * MINUTE_US
"""Bounds of the time without predictions after which a host counts as inactive.

Within them the time depends on how often the host usually serves predictions.
"""


def note_sample(fleet: Fleet, gpu: GpuState, time_us: int, lost_us: int) -> None:
    """Count a sample towards the end of a silence; a gap restarts the count.

    Parameters
    ----------
    fleet : Fleet
        State of all GPUs; updated in place.
    gpu : GpuState
        GPU of the sample; its ``last_us`` is still that of the previous sample.
    time_us : int
        Time of the sample.
    lost_us : int
        Time without samples after which a GPU is lost.
    """
    _begin_clearing(gpu, "gpu_lost", time_us, time_us - gpu.last_us >= lost_us)
    host = fleet.host(gpu.tenant, gpu.host)
    if host.rules:
        newest = max((g.last_us for g in fleet.siblings(gpu.tenant, gpu.host)), default=0)
        for name in _HOST_RULES:
            _begin_clearing(host, name, time_us, time_us - newest >= lost_us)


def watch_silence(
    fleet: Fleet,
    rules: dict[str, GpuRule],
    now_us: int,
    interval_us: int,
    lost_us: int,
    alerts: GpuAlerts,
) -> None:
    """Detect silent GPUs, and fire the most specific rule that explains them.

    Parameters
    ----------
    fleet : Fleet
        State of all GPUs; updated in place.
    rules : dict of str to GpuRule
        ``gpu_lost``, ``exporter_lost``, ``node_lost``; missing rules are not evaluated.
    now_us : int
        The GPU stream's watermark.
    interval_us, lost_us : int
        Reporting interval of a GPU, and time without samples after which it is lost.
    alerts : GpuAlerts
        Collects the alerts.

    Notes
    -----
    A single GPU is lost if a sibling still reported two intervals after its last sample: GPUs of a
    failing node stop within one interval of each other. No rule fires before that is known, so all
    fire within 120 s at 30 s intervals.
    """
    members: dict[tuple[str, str], list[GpuState]] = defaultdict(list)
    for gpu in fleet.gpus.values():
        if gpu.has_sampled:
            members[gpu.tenant, gpu.host].append(gpu)
    for host in fleet.hosts.values():
        host.let_pass(now_us)
    fleet.signs_us = max((host.alive_us for host in fleet.hosts.values()), default=-1)
    for (tenant, name), gpus in members.items():
        newest_us = max(gpu.known_us for gpu in gpus)
        host = fleet.host(tenant, name)
        if now_us - newest_us >= lost_us:
            found = _name_host(fleet, host, newest_us, interval_us, lost_us, now_us)
            if found:
                _open_host(host, found, rules, newest_us + lost_us, lost_us, alerts, len(gpus))
        for gpu in gpus:
            is_silent = now_us - gpu.known_us >= lost_us
            if is_silent and newest_us >= gpu.known_us + 2 * interval_us:
                _open(gpu, "gpu_lost", rules, gpu.known_us + lost_us, alerts)
        for rule in _HOST_RULES:
            state = host.rules.get(rule)
            if state is not None:
                alerts.note(host, rule, state, state.settle(now_us), now_us)


def _name_host(
    fleet: Fleet, host: HostState, newest_us: int, interval_us: int, lost_us: int, now_us: int
) -> str:
    """Return the rule of a host whose GPUs are all silent; empty while undecided.

    The exporter is lost if the host still serves predictions at its usual rate; otherwise the node.
    Predictions have another transport and may be delayed: a host with predictions gets one more
    interval, or twice its usual gap.
    """
    known_us = now_us if fleet.signs_end_us is None else min(now_us, fleet.signs_end_us)
    quiet_us = min(max(lost_us, 3 * host.gap_us), _MAX_QUIET_US)
    if host.alive_us > newest_us + interval_us and known_us - host.alive_us < quiet_us:
        return "exporter_lost"
    is_behind = fleet.signs_us <= newest_us + interval_us
    grace_us = max(lost_us + interval_us * is_behind, 2 * host.gap_us)
    if host.gap_us and now_us - newest_us < min(grace_us, _MAX_GRACE_US):
        return ""
    return "node_lost"


def _open_host(
    host: HostState,
    found: str,
    rules: dict[str, GpuRule],
    time_us: int,
    lost_us: int,
    alerts: GpuAlerts,
    n_gpus: int,
) -> None:
    """Fire a rule of a host, and resolve the other one."""
    other = next(rule for rule in _HOST_RULES if rule != found)
    if other in host.rules:
        is_alive = found == "exporter_lost"
        time_us = max(time_us, host.alive_us + (0 if is_alive else lost_us))
        alerts.resolve(host, other, time_us, f"it is {found.replace('_', ' ')}")
    _open(host, found, rules, time_us, alerts, f"{n_gpus} GPUs")


def _open(
    place: GpuState | HostState,
    name: str,
    rules: dict[str, GpuRule],
    time_us: int,
    alerts: GpuAlerts,
    who: str = "",
) -> None:
    """Fire a silence rule, or return a clearing one to firing."""
    state = place.rules.get(name)
    if state is not None:
        state.phase = RulePhase.FIRING
    elif name in rules:
        state = place.rules[name] = new_state(rules[name])
        state.what = f"{who} {state.what}".strip() if name == "node_lost" else state.what
        state.phase, state.opened_at_us, state.n_events = RulePhase.FIRING, time_us, 1
        alerts.note(place, name, state, RuleChange.OPENED, time_us)


def _begin_clearing(place: GpuState | HostState, name: str, time_us: int, is_gap: bool) -> None:
    """Start the wait for the end of a silence, or restart it after a gap."""
    state = place.rules.get(name)
    if state is not None and (state.phase is RulePhase.FIRING or is_gap):
        state.phase, state.since_us = RulePhase.CLEARING, time_us
