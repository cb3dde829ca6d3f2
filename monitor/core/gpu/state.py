"""State of GPUs, and the state machine of one rule."""

from __future__ import annotations

from bisect import bisect_right
from enum import StrEnum

import msgspec

from monitor.core.gpu.clock import HostClock, StreamClock
from monitor.core.gpu.counters import Counter, Recent
from schemas.alerts import Severity
from schemas.time_units import HOUR_US

MAX_GAP_US = HOUR_US
"""A longer gap between predictions is an outage, not the usual interval."""
MAX_SIGNS = 10_000
"""Maximum activity entries of a host ahead of the telemetry; further ones are dropped."""


class RulePhase(StrEnum):
    """Phase of a rule on one GPU. A rule that is OK has no state."""

    OK = "ok"
    PENDING = "pending"
    """The condition is met, but not yet for long enough."""
    FIRING = "firing"
    CLEARING = "clearing"
    """Below 80 % of the threshold, but not yet for long enough."""


class RuleChange(StrEnum):
    """Transition of a rule."""

    NONE = "none"
    OPENED = "opened"
    AGAIN = "again"
    """Another event of a rule that is already firing."""
    RESOLVED = "resolved"


class RuleState(msgspec.Struct):
    """State of one rule on one GPU or host, with everything that its resolution needs."""

    severity: Severity
    what: str
    action: str
    for_us: int
    clear_us: int
    is_latched: bool
    is_ended_by_reset: bool
    phase: RulePhase = RulePhase.OK
    since_us: int = 0
    """Start of PENDING or CLEARING."""
    opened_at_us: int = 0
    sequence: int = 0
    n_events: int = 0

    def step(self, time_us: int, *, is_over: bool, is_below: bool, is_event: bool) -> RuleChange:
        """Evaluate one sample.

        Parameters
        ----------
        time_us : int
            Time of the sample; must not decrease.
        is_over : bool
            Whether the threshold is reached.
        is_below : bool
            Whether the value is below 80 % of the threshold.
        is_event : bool
            Whether each time the threshold is reached is a separate event.

        Returns
        -------
        RuleChange
        """
        if self.phase in (RulePhase.OK, RulePhase.PENDING):
            return self._rise(time_us) if is_over else self._fall_back()
        if is_over:
            self.phase = RulePhase.FIRING
            self.n_events += is_event
            return RuleChange.AGAIN if is_event else RuleChange.NONE
        if self.phase is RulePhase.CLEARING:
            if not is_below:
                self.phase = RulePhase.FIRING
            return self.settle(time_us)
        if is_below and not self.is_latched:
            self.phase, self.since_us = RulePhase.CLEARING, time_us
        return RuleChange.NONE

    def settle(self, now_us: int) -> RuleChange:
        """Advance time: resolve after the CLEARING wait."""
        if self.phase is RulePhase.CLEARING and now_us >= self.since_us + self.clear_us:
            self.phase = RulePhase.OK
            return RuleChange.RESOLVED
        return RuleChange.NONE

    def ripen(self, now_us: int, fresh_until_us: int) -> RuleChange:
        """Advance time: fire after the PENDING wait, if the GPU reported until then."""
        due_us = self.since_us + self.for_us
        if self.phase is RulePhase.PENDING and due_us < now_us and due_us <= fresh_until_us:
            return self._fire(due_us)
        return RuleChange.NONE

    def _rise(self, time_us: int) -> RuleChange:
        """Handle a reached threshold: start waiting, or fire."""
        if self.phase is RulePhase.OK:
            self.phase, self.since_us = RulePhase.PENDING, time_us
        due_us = self.since_us + self.for_us
        return self._fire(due_us) if due_us <= time_us else RuleChange.NONE

    def _fire(self, time_us: int) -> RuleChange:
        """Fire with the time at which the wait ended."""
        self.phase, self.opened_at_us, self.n_events = RulePhase.FIRING, time_us, 1
        return RuleChange.OPENED

    def _fall_back(self) -> RuleChange:
        """Handle a threshold that is no longer reached during the wait."""
        self.phase = RulePhase.OK
        return RuleChange.NONE


class XidHistory(msgspec.Struct):
    """Bursts of one XID on one GPU, newest last, as many as the recurrence rule needs."""

    starts_us: list[int] = []
    ends_us: list[int] = []


class GpuState(msgspec.Struct):
    """State of one GPU."""

    uuid: str
    tenant: str
    host: str
    gpu: int | None = None
    driver_version: str = ""
    has_sampled: bool = False
    last_us: int = 0
    """Time of the newest sample."""
    heard_us: int = -1
    """Stream time of its last event, independent of its clock."""
    sent_us: int = -1
    """Event time of its last event."""
    is_refused: bool = False
    """Whether its last event was rejected as too far ahead of its record time."""
    seen_at_last: list[str] = []
    """Fields read at ``last_us``; an exporter may split one sample."""
    reset_us: int = -1
    fell_us: int = -1
    """Time at which a reload counter was first below its value; -1 if none is.

    Another such reading confirms a reset at this time.
    """
    values: dict[str, float] = {}
    counters: dict[str, Counter] = {}
    recents: dict[str, Recent] = {}
    minutes: dict[str, list[int]] = {}
    """Minutes in which a bit of a rule was set."""
    xids: dict[int, XidHistory] = {}
    fatal_us: list[int] = []
    rules: dict[str, RuleState] = {}

    @property
    def known_us(self) -> int:
        """Time until which it is known to be alive."""
        return max(self.last_us, self.heard_us)

    @property
    def where(self) -> str:
        """Display name, such as ``GPU 7 on node-2``."""
        name = self.uuid if self.gpu is None else str(self.gpu)
        return f"GPU {name} on {self.host}"


class HostState(msgspec.Struct):
    """State of one host: activity other than GPU telemetry."""

    tenant: str
    host: str
    alive_us: int = -1
    signs_us: list[int] = []
    """Activity ahead of the telemetry, in order."""
    clock: HostClock = msgspec.field(default_factory=HostClock)
    gap_us: int = 0
    """Usual gap between predictions of the host; 0 if it serves none."""
    rules: dict[str, RuleState] = {}

    @property
    def where(self) -> str:
        """Display name, such as ``node-2``."""
        return self.host

    def let_pass(self, now_us: int) -> None:
        """Process the activity up to a time."""
        n = bisect_right(self.signs_us, now_us)
        for time_us in self.signs_us[:n]:
            gap_us = time_us - self.alive_us
            if 0 < gap_us <= MAX_GAP_US:
                self.gap_us = max(gap_us, self.gap_us * 9 // 10)
            self.alive_us = max(self.alive_us, time_us)
        del self.signs_us[:n]


class Fleet(msgspec.Struct):
    """State of all GPU rules."""

    gpus: dict[str, GpuState] = {}
    hosts: dict[str, HostState] = {}
    replaced_us: dict[str, int] = {}
    clock: StreamClock = msgspec.field(default_factory=StreamClock)
    signs_us: int = -1
    """Newest activity of any host, up to the time of the telemetry."""
    signs_end_us: int | None = None
    """End of the predictions, if they end; missing activity after it is not evidence."""
    """Replaced UUIDs with the time of replacement; their late samples have no effect."""

    def host(self, tenant: str, host: str) -> HostState:
        """Return the state of a host, which is created if missing."""
        return self.hosts.setdefault(f"{tenant}/{host}", HostState(tenant, host))

    def siblings(self, tenant: str, host: str) -> list[GpuState]:
        """Return the GPUs of a host that have sent a sample."""
        members = self.gpus.values()
        return [g for g in members if g.has_sampled and (g.tenant, g.host) == (tenant, host)]
