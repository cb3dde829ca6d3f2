"""Kills each stage at one step after the other, while input arrives."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping, Sequence

from monitor.clock import elapsed_s
from tests.support.repository import ROOT
from tests.support.scenario.fault_run import FaultRun

STEPS = {
    "ingest": ("pane", "intake", "watermark", "late", "dead_letter", "flush", "acked", "commit"),
    "detect": ("results", "state", "alert", "sweep", "ack", "restored"),
    "gpu": ("state", "alert", "sweep", "ack"),
    "notify": ("intent", "sent", "done", "commit", "restored"),
    "archive": ("intent", "rows", "commit"),
}
"""Every step of a cycle, after which a stage is killed."""
RARE = {
    "ingest": ("alert",),
    "detect": ("dead_letter",),
    "gpu": ("dead_letter",),
    "notify": ("dead_letter", "suppressed", "failed"),
}
"""Steps that need a flood, an unreadable message, or a receiver that refuses."""
MOVING = {"ingest": ("revoke",), "archive": ("revoke",)}
"""Steps that need partitions to move."""
ELSEWHERE = {
    "ingest:archive": "in one process only: on Kafka the archive reads the topic itself",
    "archive:refused": "in one process only: on Kafka letters go in with the rows of their range",
    "detect:commit": "in memory only: on Kafka Faust commits, see detect:ack",
    "gpu:commit": "in memory only: on Kafka Faust commits, see gpu:ack",
}
_NOTED = {f"notify:{state}" for state in ("intent", "done", "failed", "suppressed")}
"""Named after what is noted: the code puts these together."""
_NAMED = re.compile(r'"((?:ingest|detect|gpu|notify|archive):[a-z_]+)"')
_SOURCES = ROOT / "monitor"


def steps_in_the_code() -> set[str]:
    """Return every failpoint that the stages' code names."""
    found = set(_NOTED)
    for folder in ("ingest", "detect", "notify", "archive", "core"):
        for file in (_SOURCES / folder).rglob("*.py"):
            found |= set(_NAMED.findall(file.read_text()))
    return found


class KillSequence(threading.Thread):
    """Keeps one stage alive from death to death, along a schedule of failpoints.

    Parameters
    ----------
    schedule : sequence of str
        ``step:n`` of each life; the life after the last one is left alone.
    retry_s : float, optional
        A life that does not reach its step is killed then: a death all the same.
    """

    def __init__(
        self,
        run: FaultRun,
        stage: str,
        name: str,
        schedule: Sequence[str],
        timeout_s: float = 20.0,
    ) -> None:
        super().__init__(name=name, daemon=True)
        self._run, self._stage, self._name = run, stage, name
        self._schedule, self._timeout_s = schedule, timeout_s
        self.died_at: list[str] = []
        self.unreached: list[str] = []
        self.lives_s: list[float] = []
        self.failure: str = ""

    def run(self) -> None:
        """Run the stage, and restart it after each kill."""
        try:
            for crash_at in self._schedule:
                self._live(crash_at)
            self._run.start(self._stage, self._name)
        except BaseException as error:
            self.failure = repr(error)

    def _live(self, crash_at: str) -> None:
        began_s = elapsed_s()
        child = self._run.start(self._stage, self._name, crash_at=crash_at)
        deadline, pause = elapsed_s() + self._timeout_s, threading.Event()
        while child.is_running and elapsed_s() < deadline:
            pause.wait(0.01)
        step = crash_at.rpartition(":")[0]
        if child.is_running:
            self.unreached.append(step)
            child.kill()
        else:
            assert child.code == -9, f"{child.name} ended with {child.code}\n{child.tail()}"
            self.died_at.append(step)
        self._run.n_kills[self._stage] += 1
        self.lives_s.append(elapsed_s() - began_s)


def names_of(*tables: Mapping[str, Sequence[str]]) -> set[str]:
    """Return the failpoints of such tables by their full names."""
    return {f"{kind}:{step}" for table in tables for kind, of in table.items() for step in of}


def schedule_of(kinds: Sequence[str], n_lives: int) -> list[str]:
    """Return failpoints for a number of runs: each step in turn, at varying hit counts."""
    steps = [f"{kind}:{step}" for kind in kinds for step in STEPS[kind]]
    lives = [(steps[i % len(steps)], 1 + i // len(steps) % 3) for i in range(n_lives)]
    # A life is restored once.
    return [f"{step}:{1 if step.endswith(':restored') else n}" for step, n in lives]


def reap(
    run: FaultRun,
    reapers: Sequence[KillSequence],
    *,
    trickle_s: float = 1.5,
    feed: Callable[[], None] | None = None,
) -> None:
    """Write windows, or call ``feed``, until every schedule is finished.

    Every second death brings a window more, and so does time: with too many the lives would
    only catch up, with too few they would not come to the step they are to die at.
    """
    for reaper in reapers:
        reaper.start()
    pause, due_s = threading.Event(), 0.0
    while any(reaper.is_alive() for reaper in reapers):
        is_short = run.world.n_windows < 6 + sum(run.n_kills.values()) // 2
        if is_short or elapsed_s() > due_s:
            feed() if feed is not None else run.feed(1)
            due_s = elapsed_s() + trickle_s
        pause.wait(0.1)
    for reaper in reapers:
        reaper.join()
        assert not reaper.failure, reaper.failure
