"""Children of ``driftline up``: which are started again, which are ended, which end all."""

from __future__ import annotations

from typing import Any

import pytest

from monitor.service import supervisor as under_test
from monitor.service.address import Address
from monitor.service.child import Child
from monitor.service.health_server import HealthServer
from monitor.service.lifecycle import Lifecycle
from monitor.service.supervisor import DRAIN_S, N_SILENT, Supervisor


class SupervisorClock:
    """A clock that is set by hand."""

    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


class FakeChild:
    """A scripted child that records what is done to it."""

    url, pid = "http://127.0.0.1:1", 7

    def __init__(self, name: str = "detect") -> None:
        self.name = name
        self.code: int | None = None
        self.unready, self.silent = "starting", None
        self.n_asked = 0
        self.done: list[str] = []

    def start(self) -> None:
        self.code = None
        self.done.append("start")

    def ended(self) -> int | None:
        return self.code

    def wait(self, _: float) -> int | None:
        return self.code

    def why_unready(self) -> str:
        return self.unready

    def why_silent(self) -> str | None:
        self.n_asked += 1
        return self.silent

    def terminate(self) -> None:
        self.done.append("terminate")

    def kill(self) -> None:
        self.done.append("kill")


class Home:
    """A family whose rounds are gone by hand, a second each."""

    def __init__(self, clock: SupervisorClock, child: FakeChild, **options: bool) -> None:
        self.clock, self.child, self.lifecycle = clock, child, Lifecycle("up", clock_s=clock)
        self.printed: list[tuple[str, dict[str, Any]]] = []
        self.supervisor = Supervisor(
            self.lifecycle, lambda event, **facts: self.printed.append((event, facts))
        )
        self.supervisor.add(child, **options)  # type: ignore[arg-type]

    def rounds(self, n: int = 1, silent: str | None = "") -> None:
        self.child.silent = silent
        for _ in range(n):
            self.clock.now_s += 1.0
            self.supervisor._look()
            self.supervisor._ask()

    def of(self, event: str) -> list[dict[str, Any]]:
        return [facts for name, facts in self.printed if name == event]


@pytest.fixture
def clock(monkeypatch) -> SupervisorClock:
    made = SupervisorClock()
    monkeypatch.setattr(under_test, "elapsed_s", made)
    return made


@pytest.fixture
def home(clock) -> Home:
    return Home(clock, FakeChild())


def test_a_child_whose_loop_hangs_is_ended_and_started_again(home):
    home.child.unready = ""
    home.rounds(N_SILENT - 1, silent="no heartbeat for 61 s")
    assert home.child.done == ["start"]
    home.rounds(silent="no heartbeat for 63 s")
    assert home.child.done == ["start", "terminate"]
    (said,) = home.of("draining")
    assert said == {"child": "detect", "detail": "no heartbeat for 63 s; it is restarted"}
    home.rounds(5, silent="no heartbeat for 68 s")
    assert home.child.done == ["start", "terminate"]
    home.child.code = 1
    home.rounds(3)
    assert home.child.done == ["start", "terminate", "start"]
    assert (len(home.of("ended")), home.of("killed"), home.lifecycle.is_draining) == (1, [], False)
    # The new one has its own three.
    home.rounds(N_SILENT - 1, silent="no heartbeat for 61 s")
    assert home.child.done[3:] == []


def test_one_that_does_not_end_is_killed(home):
    home.rounds(N_SILENT, silent="no heartbeat for 300 s")
    home.rounds(round(DRAIN_S) - 1)
    assert home.child.done == ["start", "terminate"]
    home.rounds()
    assert home.child.done == ["start", "terminate", "kill"]
    (said,) = home.of("killed")
    assert said["detail"] == "did not drain within 45 s"
    home.child.code = -9
    home.rounds(3)
    assert home.child.done[3:] == ["start"]


def test_only_three_in_a_row_count_and_no_answer_is_no_news(home):
    for answer in ("no heartbeat", "no heartbeat", "", "no heartbeat", None, "no heartbeat", ""):
        home.rounds(silent=answer)
    home.rounds(50, silent=None)
    assert home.child.done == ["start"]
    home.rounds(silent="no heartbeat")
    home.rounds(9, silent=None)
    home.rounds(2, silent="no heartbeat")
    assert home.child.done == ["start", "terminate"]


def test_one_without_signs_is_not_asked_for_them(clock):
    home = Home(clock, FakeChild("store"), has_probes=False)
    home.rounds(9, silent="no such path")
    assert (home.child.n_asked, home.child.done) == (0, ["start"])


def test_a_wrong_config_at_the_first_start_ends_all(home):
    home.rounds()
    home.child.code = 2
    home.rounds(60)
    assert home.child.done == ["start"]
    assert (len(home.of("failed")), home.supervisor.exit_code) == (1, 2)
    assert home.lifecycle.is_draining


def test_a_wrong_config_later_on_may_pass_and_is_tried_again_with_pauses(home):
    home.child.unready = ""
    home.rounds(5)
    home.child.unready, n_tries = "starting", 3
    for _ in range(n_tries):
        home.child.code = 2
        home.rounds(10)
    assert home.child.done == ["start"] * (1 + n_tries)
    assert [facts["detail"] for facts in home.of("ended")] == [
        f"restarts in {s} s" for s in (1, 2, 4)
    ]
    assert (home.of("failed"), home.supervisor.exit_code, home.lifecycle.is_draining) == (
        [],
        0,
        False,
    )


def test_children_with_signs_are_observed_each_round_and_last_before_they_drain(clock):
    seen: list[tuple[str, bool]] = []
    supervisor = Supervisor(
        Lifecycle("up", clock_s=clock),
        lambda *_, **__: None,
        lambda child, *, is_last=False: seen.append((child.name, is_last)),
    )
    children = [FakeChild("ingest"), FakeChild("store")]
    for child in children:
        supervisor.add(child, has_probes=child.name != "store")  # type: ignore[arg-type]
    for _ in range(2):
        clock.now_s += 1.0
        supervisor._ask()
    assert seen == [("ingest", False)] * 2
    supervisor.drain(["ingest", "store"])
    assert seen[2:] == [("ingest", True)]
    assert all(child.done[-1] in ("terminate", "kill") for child in children)


def test_a_child_starts_beside_modules_named_like_our_packages(tmp_path, monkeypatch):
    for name in ("schemas", "driftline", "detectors"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").touch()
    (tmp_path / "monitor.py").touch()
    monkeypatch.chdir(tmp_path)
    lines: list[str] = []
    child = Child("check", ["--version"], lambda _, line: lines.append(line), {})
    child.start()
    assert child.wait(60) == 0, lines
    assert lines[0].startswith("driftline ")


@pytest.mark.integration
def test_a_child_is_asked_whether_its_loop_goes_round():
    clock = SupervisorClock()
    lifecycle = Lifecycle("detect", silence_s=30, clock_s=clock)
    child = Child("detect", [], lambda *_: None, {})
    assert child.why_silent() is None
    with HealthServer(lifecycle, Address("127.0.0.1", 0)) as signs:
        child.url = signs.url
        lifecycle.ready()
        assert (child.why_unready(), child.why_silent()) == ("", "")
        clock.now_s = 31
        assert (child.why_unready(), child.why_silent()) == ("", "no heartbeat for 31 s")
    assert child.why_silent() is None
    assert child.why_unready().startswith("does not answer")
