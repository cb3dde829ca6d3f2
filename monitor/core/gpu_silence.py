"""Silence: is it the GPU, the exporter, or the node?"""

from __future__ import annotations

from collections import defaultdict

from monitor.core.gpu_alerts import GpuAlerts, new_state
from monitor.core.gpu_state import Change, Fleet, GpuState, HostState, Phase
from monitor.core.gpu_table import Rule

_HOST_RULES = ("exporter_lost", "node_lost")


def note_sample(fleet: Fleet, gpu: GpuState, time_us: int, lost_us: int) -> None:
    """Let a sample begin the end of silence; a sample after a gap begins it anew.

    Parameters
    ----------
    fleet : Fleet
        All state; changed.
    gpu : GpuState
        Who reports; its ``last_us`` is still the sample before.
    time_us : int
        The new sample.
    lost_us : int
        How long without a sample counts as lost.
    """
    _begin_clearing(gpu, "gpu_lost", time_us, time_us - gpu.last_us >= lost_us)
    host = fleet.host(gpu.tenant, gpu.host)
    if host.rules:
        newest = max((g.last_us for g in fleet.siblings(gpu.tenant, gpu.host)), default=0)
        for name in _HOST_RULES:
            _begin_clearing(host, name, time_us, time_us - newest >= lost_us)


def watch_silence(
    fleet: Fleet,
    rules: dict[str, Rule],
    now_us: int,
    interval_us: int,
    lost_us: int,
    alerts: GpuAlerts,
) -> None:
    """Find who fell silent, and name the smallest thing that explains it.

    Parameters
    ----------
    fleet : Fleet
        All state; changed.
    rules : dict of str to Rule
        ``gpu_lost``, ``exporter_lost``, ``node_lost``; one that is missing is not judged.
    now_us : int
        The GPU stream's watermark.
    interval_us, lost_us : int
        How often a GPU reports, and how long without a sample counts as lost.
    alerts : GpuAlerts
        Takes what is found.

    Notes
    -----
    A GPU is lost alone when a sibling still reported two intervals after its own last
    sample: GPUs of a node that dies stop within one interval of each other.
    Until that is known nobody is named, so all are named within 120 s at 30 s intervals.
    """
    members: dict[tuple[str, str], list[GpuState]] = defaultdict(list)
    for gpu in fleet.gpus.values():
        if gpu.has_sampled:
            members[gpu.tenant, gpu.host].append(gpu)
    for (tenant, name), gpus in members.items():
        newest_us = max(gpu.last_us for gpu in gpus)
        host = fleet.host(tenant, name)
        if now_us - newest_us >= lost_us:
            _name_host(host, rules, gpus, newest_us, interval_us, lost_us, now_us, alerts)
        for gpu in gpus:
            is_silent = now_us - gpu.last_us >= lost_us
            if is_silent and newest_us >= gpu.last_us + 2 * interval_us:
                _open(gpu, "gpu_lost", rules, gpu.last_us + lost_us, alerts)
        for rule in _HOST_RULES:
            state = host.rules.get(rule)
            if state is not None:
                alerts.note(host, rule, state, state.settle(now_us), now_us)


def _name_host(
    host: HostState,
    rules: dict[str, Rule],
    gpus: list[GpuState],
    newest_us: int,
    interval_us: int,
    lost_us: int,
    now_us: int,
    alerts: GpuAlerts,
) -> None:
    """All GPUs are silent: the exporter if the host still lives, else the node."""
    is_alive = host.alive_us > newest_us + interval_us and now_us - host.alive_us < lost_us
    found, other = _HOST_RULES if is_alive else _HOST_RULES[::-1]
    time_us = newest_us + lost_us
    if other in host.rules:
        time_us = max(time_us, host.alive_us + (0 if is_alive else lost_us))
        alerts.resolve(host, other, time_us, f"it is {found.replace('_', ' ')}")
    _open(host, found, rules, time_us, alerts, f"{len(gpus)} GPUs")


def _open(
    place: GpuState | HostState,
    name: str,
    rules: dict[str, Rule],
    time_us: int,
    alerts: GpuAlerts,
    who: str = "",
) -> None:
    """Fire a silence rule, or let one that was clearing fire on."""
    state = place.rules.get(name)
    if state is not None:
        state.phase = Phase.FIRING
    elif name in rules:
        state = place.rules[name] = new_state(rules[name])
        state.what = f"{who} {state.what}".strip() if name == "node_lost" else state.what
        state.phase, state.opened_at_us, state.n_events = Phase.FIRING, time_us, 1
        alerts.note(place, name, state, Change.OPENED, time_us)


def _begin_clearing(place: GpuState | HostState, name: str, time_us: int, is_gap: bool) -> None:
    """Start, or after a gap restart, the wait for the end of a silence."""
    state = place.rules.get(name)
    if state is not None and (state.phase is Phase.FIRING or is_gap):
        state.phase, state.since_us = Phase.CLEARING, time_us
