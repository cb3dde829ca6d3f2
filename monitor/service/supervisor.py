"""Starts, watches, restarts and drains child processes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from monitor.clock import elapsed_s
from monitor.service.child import Child
from monitor.service.lifecycle import Lifecycle
from monitor.service.restarts import FOR_GOOD, Restarts

Tell = Callable[..., None]
"""``tell(event, **facts)``."""


class Observe(Protocol):
    """Callback that reads a child's metrics."""

    def __call__(self, child: Child, *, is_last: bool = False) -> None:
        """Read one child."""


def _ignore(child: Child, *, is_last: bool = False) -> None:
    """Do nothing."""


LOOK_S = 0.25
ASK_S = 1.0
STATUS_S = 60.0
"""Interval at which an unchanged status is printed."""
DRAIN_S = 45.0
"""Time-out of one child; a stage's own time-out is 30 s."""
N_SILENT = 3
"""Consecutive failed liveness probes after which a child is killed."""


@dataclass(slots=True)
class _Member:
    """A child with its state."""

    child: Child
    has_probes: bool
    """Whether it serves ``/readyz`` and ``/healthz``; otherwise it only prints its address."""
    restarts: Restarts = field(default_factory=Restarts)
    started_s: float = 0.0
    due_s: float | None = None
    """Time of its restart; None while it runs or has failed for good."""
    failed: int | None = None
    """Exit code of a permanent failure."""
    was_ready: bool = False
    n_silent: int = 0
    """Consecutive failed liveness probes."""
    ending_s: float | None = None
    """Time at which it was last killed for that."""
    why: str = "starting"


class Supervisor:
    """Keeps child processes running until it is drained.

    Parameters
    ----------
    tell : callable
        Called with the name of each event and its facts.
    observe : callable, optional
        Called about once a second for each child with health probes, and with ``is_last`` before
        its drain.

    Notes
    -----
    The main thread starts and watches all children. A child that exits is restarted after a pause,
    and so is one that fails its liveness probe, because a hung main thread does not change
    readiness. A child that was never ready, and whose exit code means that a restart cannot help,
    is not restarted, and all children are drained: a partial installation is worse than none. After
    it was ready once, such a code may be temporary: a port in use, a config being saved.
    """

    def __init__(self, lifecycle: Lifecycle, tell: Tell, observe: Observe = _ignore) -> None:
        self._lifecycle, self._tell, self._observe = lifecycle, tell, observe
        self._members: list[_Member] = []
        self._asked_s = self._printed_s = -STATUS_S
        self._state = ""

    def add(self, child: Child, *, has_probes: bool = True) -> None:
        """Start a child and keep it running.

        Parameters
        ----------
        has_probes : bool, optional
            Whether it serves ``/readyz`` and ``/healthz``; otherwise it is ready once it has
            printed its address.
        """
        member = _Member(child, has_probes)
        self._members.append(member)
        self._start(member)

    @property
    def exit_code(self) -> int:
        """0, or that of the first child that failed for good."""
        return next((m.failed for m in self._members if m.failed is not None), 0)

    def kill(self) -> None:
        """Kill all children."""
        for member in self._members:
            member.child.kill()

    def await_address(self, child: Child, timeout_s: float) -> str:
        """Wait until a child has printed its address; return an empty string on a time-out."""
        deadline = elapsed_s() + timeout_s
        while not child.url and elapsed_s() < deadline and not self._lifecycle.wait(LOOK_S):
            self._look()
        return child.url

    def run(self) -> None:
        """Watch and restart until drained."""
        while not self._lifecycle.is_draining:
            self._look()
            self._ask()
            self._lifecycle.beat()
            self._lifecycle.wait(LOOK_S)

    def drain(self, order: Sequence[str]) -> int:
        """Drain children, one after the other.

        Parameters
        ----------
        order : sequence of str
            Names, in order of the data flow: producers of input first.

        Returns
        -------
        int
            Exit code: 1 if a child was killed or failed during the drain.
        """
        code = self.exit_code
        place = {name: i for i, name in enumerate(order)}
        for member in sorted(self._members, key=lambda m: place[m.child.name]):
            if member.child.ended() is None and member.child.pid:
                if member.has_probes:
                    self._observe(member.child, is_last=True)
                code = max(code, self._drain(member.child))
        return code

    def _drain(self, child: Child) -> int:
        """Drain one child."""
        self._tell("draining", child=child.name)
        child.terminate()
        code = child.wait(DRAIN_S)
        if code is None:
            child.kill()
            child.wait(DRAIN_S)
            self._tell_killed(child)
            return 1
        self._tell("drained", child=child.name, code=code)
        return 1 if code else 0

    def _tell_killed(self, child: Child) -> None:
        """Print why a child was killed."""
        self._tell("killed", child=child.name, detail=f"did not drain within {DRAIN_S:g} s")

    def _start(self, member: _Member) -> None:
        """Start or restart a child."""
        member.due_s, member.started_s, member.why = None, elapsed_s(), "starting"
        member.n_silent, member.ending_s = 0, None
        member.child.start()
        facts: dict[str, Any] = {"child": member.child.name, "pid": member.child.pid}
        self._tell("started", **facts, restarts=member.restarts.n_restarts)

    def _look(self) -> None:
        """Record exited children, and start those that are due."""
        now_s = elapsed_s()
        for member in self._members:
            if member.due_s is not None and now_s >= member.due_s:
                self._start(member)
            elif member.due_s is None and member.failed is None:
                code = member.child.ended()
                if code is not None:
                    self._record_end(member, code, now_s)
                elif member.ending_s is not None and now_s - member.ending_s >= DRAIN_S:
                    member.ending_s = now_s
                    member.child.kill()
                    self._tell_killed(member.child)

    def _record_end(self, member: _Member, code: int, now_s: float) -> None:
        """Schedule the restart of an exited child, or stop all if a restart cannot help."""
        name, member.why = member.child.name, f"ended ({code})"
        member.child.wait(ASK_S)
        if code in FOR_GOOD and not member.was_ready:
            member.failed = code
            self._tell("failed", child=name, code=code, detail="it is not restarted")
            self._lifecycle.drain()
            return
        pause = member.restarts.pause_s(started_s=member.started_s, ended_s=now_s)
        member.due_s = now_s + pause
        self._tell("ended", child=name, code=code, detail=f"restarts in {pause:g} s")

    def _ask(self) -> None:
        """Probe every child, and print the status if it has changed."""
        now_s = elapsed_s()
        if now_s - self._asked_s < ASK_S:
            return
        self._asked_s = now_s
        for member in self._members:
            if member.due_s is None and member.failed is None:
                member.why = self._why_unready(member)
                member.was_ready = member.was_ready or not member.why
                self._see_silence(member, now_s)
                if member.has_probes:
                    self._observe(member.child)
        states = {m.child.name: m.why or "ready" for m in self._members}
        state = ", ".join(f"{name} {why}" for name, why in states.items())
        if state == self._state and now_s - self._printed_s < STATUS_S:
            return
        self._state, self._printed_s = state, now_s
        unready = [f"{name}: {why}" for name, why in states.items() if why != "ready"]
        if unready:
            self._lifecycle.unready("; ".join(unready))
        else:
            self._lifecycle.ready()
        self._tell("status", ready=not unready, children=states)

    def _see_silence(self, member: _Member, now_s: float) -> None:
        """Probe the liveness of one child, and kill it after repeated failures."""
        if not member.has_probes or member.ending_s is not None:
            return
        why = member.child.why_silent()
        if why is None:  # no answer: it is starting, or the machine is busy
            return
        member.n_silent = member.n_silent + 1 if why else 0
        if member.n_silent >= N_SILENT:
            member.ending_s = now_s
            self._tell("draining", child=member.child.name, detail=f"{why}; it is restarted")
            member.child.terminate()

    def _why_unready(self, member: _Member) -> str:
        """Return why one child is not ready, or ""."""
        if member.has_probes:
            return member.child.why_unready()
        return "" if member.child.url else "starting"
