"""Builds the alerts of GPU rules."""

from __future__ import annotations

from monitor.core.gpu.state import GpuState, HostState, RuleChange, RulePhase, RuleState
from monitor.core.gpu.table import GpuRule
from monitor.core.identity import alert_id
from schemas.alerts import Alert, Transition
from schemas.monitors import Monitor

_ALWAYS_REPORTED = 5


def new_state(rule: GpuRule) -> RuleState:
    """Return the initial state of one rule.

    Examples
    --------
    >>> from monitor.core.gpu.table import RULES
    >>> new_state(RULES[0]).phase.value
    'ok'
    """
    return RuleState(
        severity=rule.severity,
        what=rule.what,
        action=rule.action,
        for_us=rule.for_us,
        clear_us=rule.quiet_us,
        is_latched=rule.is_latched,
        is_ended_by_reset=rule.is_ended_by_reset,
    )


def is_worth_telling(n_events: int) -> bool:
    """Return whether the n-th event of an open alert is reported: the first five, then doublings.

    One GPU can cause 99 % of a fleet's XID 95s; the text has the count of all of them.

    Examples
    --------
    >>> [n for n in range(1, 50) if is_worth_telling(n)]
    [1, 2, 3, 4, 5, 10, 20, 40]
    """
    if n_events <= _ALWAYS_REPORTED:
        return True
    ratio, rest = divmod(n_events, _ALWAYS_REPORTED)
    return rest == 0 and ratio & (ratio - 1) == 0


class GpuAlerts:
    """Collects the alerts of one event or tick.

    Parameters
    ----------
    disabled : frozenset of str
        Rules without alerts; their state is kept nevertheless.
    """

    def __init__(self, disabled: frozenset[str] = frozenset()) -> None:
        self._disabled = disabled
        self.made: list[Alert] = []

    def note(
        self,
        place: GpuState | HostState,
        rule: str,
        state: RuleState,
        change: RuleChange,
        time_us: int,
    ) -> None:
        """Add the alert of a change, and drop the state of a resolved rule."""
        if change is RuleChange.OPENED:
            self._make(place, rule, state, Transition.OPENED, state.opened_at_us)
        elif change is RuleChange.AGAIN and is_worth_telling(state.n_events):
            state.sequence += 1
            self._make(place, rule, state, Transition.ESCALATED, time_us)
        elif change is RuleChange.RESOLVED:
            self.resolve(place, rule, state.since_us + state.clear_us, "quiet again")
        if not state.n_events and state.phase is RulePhase.OK:
            place.rules.pop(rule, None)

    def escalate(
        self, place: GpuState | HostState, rule: str, state: RuleState, time_us: int
    ) -> None:
        """Add the alert of a rule whose severity increased."""
        state.sequence += 1
        self._make(place, rule, state, Transition.ESCALATED, time_us)

    def resolve(self, place: GpuState | HostState, rule: str, time_us: int, why: str) -> None:
        """Resolve a rule; a pending rule ends without an alert."""
        state = place.rules.pop(rule)
        if state.n_events:
            state.sequence += 1
            self._make(place, rule, state, Transition.RESOLVED, time_us, why)

    def _make(
        self,
        place: GpuState | HostState,
        rule: str,
        state: RuleState,
        transition: Transition,
        time_us: int,
        why: str = "",
    ) -> None:
        """Add one alert."""
        if rule in self._disabled:
            return
        uuid = place.uuid if isinstance(place, GpuState) else ""
        cell = (place.tenant, uuid or place.host, rule)
        times = f", {state.n_events} times" if state.n_events > 1 else ""
        title = f"{place.where}: {state.what}{times}"
        self.made.append(
            Alert(
                alert_id=alert_id(Monitor.GPU, cell, (state.opened_at_us, time_us), transition),
                tenant=place.tenant,
                monitor=Monitor.GPU,
                transition=transition,
                severity=state.severity,
                time_us=time_us,
                opened_at_us=state.opened_at_us,
                sequence=state.sequence,
                title=f"{title}; {why}" if why else title,
                host=place.host,
                gpu_uuid=uuid,
                rule=rule,
                action=state.action,
            )
        )
