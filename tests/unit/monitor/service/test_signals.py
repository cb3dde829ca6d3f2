"""SIGTERM in every phase of a stage: each in a process of its own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.repository import ROOT
from tests.support.waiting import wait_until

STAGE = """
import ctypes, sys, threading, time
from monitor.service.signals import bound_freezes, bound_the_drain, bound_the_end
from monitor.service.signals import hold_signals, watch_signals
hold_signals()
import numpy  # starts threads of its own
from monitor.service.lifecycle import Lifecycle
lifecycle = Lifecycle("ingest")
watch_signals(lifecycle, drain_s={drain_s})

def in_order():
    while not lifecycle.wait(0.1):
        lifecycle.beat()

def in_c_code():
    '''Blocks for good outside of Python, as poll() with a long bound does.'''
    ctypes.CDLL(None).pause()

def with_the_interpreter():
    '''C code that never gives the interpreter back.'''
    in_order()
    ctypes.PyDLL(None).sleep(600)

def in_a_loop():
    import asyncio
    async def run():
        while not lifecycle.is_draining:
            await asyncio.sleep(0.05)
    asyncio.run(run())

def in_a_stuck_loop():
    import asyncio
    asyncio.run(asyncio.sleep(600))

def forever():
    lifecycle.unready("the store is down")
    threading.Event().wait()

def with_a_thread_left():
    in_order()
    threading.Thread(target=threading.Event().wait).start()

def frozen():
    '''It got no signal, and could handle none.'''
    bound_freezes(2.0, every_s=0.1)
    threading.Event().wait(0.5)
    ctypes.PyDLL(None).sleep(600)

def not_frozen():
    bound_freezes(2.0, every_s=0.1)
    threading.Event().wait(3.0)

def without_kafka():
    bound_the_drain(lifecycle, lambda: False, cut_off_s=0.3, ask_after_s=0.1)
    threading.Event().wait()

def with_kafka_back_in_time():
    asked = []
    def is_there():
        asked.append(1)
        return len(asked) > 1
    bound_the_drain(lifecycle, is_there, cut_off_s=1.5, ask_after_s=0.1)
    in_order()
    while len(asked) < 8:  # 3.5 s
        time.sleep(0.05)

def by_a_fault():
    threading.Thread(target=threading.Event().wait).start()
    bound_the_end(lifecycle, 1)
    raise SystemExit(4)

print("started", flush=True)
{how}()
print("left in order", flush=True)
"""


class SignalledStage:
    """A trivial stage in a process of its own."""

    def __init__(self, how: str, drain_s: float = 60.0) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", STAGE.format(how=how, drain_s=drain_s)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        assert self.process.stdout.readline() == "started\n"

    def ask(self, number: int = signal.SIGTERM) -> None:
        self.process.send_signal(number)

    def end(self) -> tuple[int, str, str]:
        out, err = self.process.communicate(timeout=60)
        return self.process.returncode, out, err


@pytest.fixture
def start():
    """Start stages; none outlives the test."""
    stages = []

    def run(how: str, **options) -> SignalledStage:
        stages.append(SignalledStage(how, **options))
        return stages[-1]

    yield run
    for stage in stages:
        stage.process.kill()
        stage.process.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("how", ["in_order", "in_a_loop"])
def test_the_first_signal_drains(start, how, number):
    stage = start(how)
    stage.ask(number)
    assert stage.end() == (0, "left in order\n", "")


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)], ids=["TERM", "INT"]
)
@pytest.mark.parametrize("how", ["in_c_code", "in_a_stuck_loop", "forever"])
def test_the_second_signal_exits_at_once_in_every_phase(start, how, number, code):
    stage = start(how)
    stage.ask(signal.SIGTERM)
    wait_until(lambda: not is_pending(stage, signal.SIGTERM), what="the first signal was taken")
    stage.ask(number)
    assert stage.end() == (code, "", "")


def is_pending(stage: SignalledStage, number: int) -> bool:
    """Whether a signal still waits to be taken, as the kernel says."""
    status = Path(f"/proc/{stage.process.pid}/status").read_text()
    (pending,) = re.findall(r"^ShdPnd:\s*([0-9a-f]+)$", status, re.MULTILINE)
    return bool(int(pending, 16) >> (number - 1) & 1)


def test_a_drain_without_end_ends_with_1_and_says_what_it_waited_for(start):
    stage = start("forever", drain_s=0.3)
    stage.ask()
    code, out, err = stage.end()
    assert (code, out) == (1, "")
    assert "ingest did not drain within 0.3 s: draining; the store is down; it is in" in err
    assert "forever" in err


@pytest.mark.slow
def test_a_process_whose_interpreter_is_kept_ends_with_1_and_shows_where(start):
    code, out, err = start("frozen").end()
    assert (code, out) == (1, "")
    assert "in frozen" in err


@pytest.mark.slow
def test_a_process_that_moves_goes_on_beyond_the_bound(start):
    assert start("not_frozen").end() == (0, "left in order\n", "")


def test_a_drain_that_kafka_does_not_answer_is_cut_off_in_one_line(start):
    stage = start("without_kafka")
    stage.ask()
    code, out, err = stage.end()
    assert (code, out) == (1, "")
    assert err.startswith("error: ingest did not drain: Kafka has not answered for ")
    assert err.count("\n") == 1


@pytest.mark.slow
def test_a_drain_goes_on_when_kafka_is_back_in_time(start):
    stage = start("with_kafka_back_in_time")
    stage.ask()
    assert stage.end() == (0, "left in order\n", "")


@pytest.mark.slow
def test_a_drain_ends_even_when_c_code_keeps_the_interpreter(start):
    stage = start("with_the_interpreter", drain_s=0.1)
    stage.ask()
    code, out, err = stage.end()
    assert (code, out) == (1, "")
    assert "with_the_interpreter" in err


def test_a_thread_that_does_not_end_does_not_block_the_exit(start):
    stage = start("with_a_thread_left", drain_s=0.5)
    stage.ask()
    code, out, err = stage.end()
    assert (code, out) == (1, "left in order\n")
    assert "did not drain" in err


def test_after_a_fault_a_left_thread_has_a_bound(start):
    code, _, err = start("by_a_fault").end()
    assert code == 1
    assert "Timeout" in err
