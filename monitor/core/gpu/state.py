"""What is remembered of GPUs, and the state machine of one rule."""

from __future__ import annotations

from bisect import bisect_right
from enum import StrEnum

import msgspec

from monitor.core.gpu.clock import HostClock, StreamClock
from monitor.core.gpu.counters import Counter, Recent
from schemas.alerts import Severity
from schemas.time_units import HOUR_US

MAX_GAP_US = HOUR_US
"""A longer time without a prediction is an outage, not how often predictions are made."""
MAX_SIGNS = 10_000
"""Signs of one host that lie ahead of the telemetry: further ones are dropped."""


class RulePhase(StrEnum):
    """Phase of a rule on one GPU. A rule that is OK has no state."""

    OK = "ok"
    PENDING = "pending"
    """The condition holds, not yet for long enough."""
    FIRING = "firing"
    CLEARING = "clearing"
    """Below 80 % of the threshold, not yet for long enough."""


class RuleChange(StrEnum):
    """What one step did to a rule."""

    NONE = "none"
    OPENED = "opened"
    AGAIN = "again"
    """Another event of a rule that fires already."""
    RESOLVED = "resolved"


class RuleState(msgspec.Struct):
    """One rule on one GPU or host, with all that its end needs: no look-ups after a restart."""

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
        """Judge one sample.

        Parameters
        ----------
        time_us : int
            The sample's time, not before the one before it.
        is_over : bool
            The threshold is reached.
        is_below : bool
            Below 80 % of the threshold.
        is_event : bool
            Reaching the threshold is an event of its own each time, not a lasting state.

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
        """Advance time: resolve after CLEARING for long enough."""
        if self.phase is RulePhase.CLEARING and now_us >= self.since_us + self.clear_us:
            self.phase = RulePhase.OK
            return RuleChange.RESOLVED
        return RuleChange.NONE

    def ripen(self, now_us: int, fresh_until_us: int) -> RuleChange:
        """Advance time: fire after PENDING for long enough, if the GPU reported until then."""
        due_us = self.since_us + self.for_us
        if self.phase is RulePhase.PENDING and due_us < now_us and due_us <= fresh_until_us:
            return self._fire(due_us)
        return RuleChange.NONE

    def _rise(self, time_us: int) -> RuleChange:
        """The threshold is reached: start waiting, or fire."""
        if self.phase is RulePhase.OK:
            self.phase, self.since_us = RulePhase.PENDING, time_us
        due_us = self.since_us + self.for_us
        return self._fire(due_us) if due_us <= time_us else RuleChange.NONE

    def _fire(self, time_us: int) -> RuleChange:
        """Fire at the moment the wait was over, whenever that was noticed."""
        self.phase, self.opened_at_us, self.n_events = RulePhase.FIRING, time_us, 1
        return RuleChange.OPENED

    def _fall_back(self) -> RuleChange:
        """The threshold is not reached before the wait was over."""
        self.phase = RulePhase.OK
        return RuleChange.NONE


class XidHistory(msgspec.Struct):
    """Bursts of one XID on one GPU, newest last, as many as recurrence needs."""

    starts_us: list[int] = []
    ends_us: list[int] = []


class GpuState(msgspec.Struct):
    """One GPU, by UUID."""

    uuid: str
    tenant: str
    host: str
    gpu: int | None = None
    driver_version: str = ""
    has_sampled: bool = False
    last_us: int = 0
    """Its newest sample."""
    heard_us: int = -1
    """The stream's time of its last event, independent of its own clock."""
    sent_us: int = -1
    """The time that its last event was stamped with."""
    is_refused: bool = False
    """Whether its last event was refused, as too far ahead of its record."""
    seen_at_last: list[str] = []
    """Fields already read at ``last_us``: an exporter may split one sample."""
    reset_us: int = -1
    fell_us: int = -1
    """When a reload counter was first read below its value; -1 while none is. One more
    such reading makes it a reset, at this time."""
    values: dict[str, float] = {}
    counters: dict[str, Counter] = {}
    recents: dict[str, Recent] = {}
    minutes: dict[str, list[int]] = {}
    """Minutes in which a rule's bit was set."""
    xids: dict[int, XidHistory] = {}
    fatal_us: list[int] = []
    rules: dict[str, RuleState] = {}

    @property
    def known_us(self) -> int:
        """Until when it is known to be alive."""
        return max(self.last_us, self.heard_us)

    @property
    def where(self) -> str:
        """``GPU 7 on node-2``, for people."""
        name = self.uuid if self.gpu is None else str(self.gpu)
        return f"GPU {name} on {self.host}"


class HostState(msgspec.Struct):
    """One host: when it was last active, other than by GPU telemetry."""

    tenant: str
    host: str
    alive_us: int = -1
    signs_us: list[int] = []
    """Host activity ahead of the telemetry, in order."""
    clock: HostClock = msgspec.field(default_factory=HostClock)
    gap_us: int = 0
    """How long the host usually is without a prediction; 0 where it serves none."""
    rules: dict[str, RuleState] = {}

    @property
    def where(self) -> str:
        """``node-2``, for people."""
        return self.host

    def let_pass(self, now_us: int) -> None:
        """Take the host activity up to a time."""
        n = bisect_right(self.signs_us, now_us)
        for time_us in self.signs_us[:n]:
            gap_us = time_us - self.alive_us
            if 0 < gap_us <= MAX_GAP_US:
                self.gap_us = max(gap_us, self.gap_us * 9 // 10)
            self.alive_us = max(self.alive_us, time_us)
        del self.signs_us[:n]


class Fleet(msgspec.Struct):
    """All that GPU rules remember."""

    gpus: dict[str, GpuState] = {}
    hosts: dict[str, HostState] = {}
    replaced_us: dict[str, int] = {}
    clock: StreamClock = msgspec.field(default_factory=StreamClock)
    signs_us: int = -1
    """The newest activity of any host that telemetry has come to."""
    signs_end_us: int | None = None
    """Where the predictions end, if they do: no sign after it says nothing."""
    """UUIDs that left their slot, and when: their late samples change nothing."""

    def host(self, tenant: str, host: str) -> HostState:
        """Return the state of a host, new if it was never seen."""
        return self.hosts.setdefault(f"{tenant}/{host}", HostState(tenant, host))

    def siblings(self, tenant: str, host: str) -> list[GpuState]:
        """List the GPUs of one host that have ever sent a sample."""
        members = self.gpus.values()
        return [g for g in members if g.has_sampled and (g.tenant, g.host) == (tenant, host)]
