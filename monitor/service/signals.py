"""Signal handling: the first SIGTERM/SIGINT drains, the second exits.

A thread takes the signals, not the main thread: that one may stand in librdkafka, in a
kernel or in an event loop when it is asked, and Python runs a handler only between two of
its own instructions.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from monitor.clock import elapsed_s
from monitor.service.lifecycle import Lifecycle

STOPPING = (signal.SIGTERM, signal.SIGINT)
DRAIN_S = 30.0
"""Bound of a drain."""

CUT_OFF_S = 8.0
"""Bound of a drain while Kafka does not answer: nothing can be finished, and nothing is lost."""

FREEZE_S = 60.0
"""Bound of a call that keeps the interpreter; the longest one meant takes milliseconds."""

_ASK_AFTER_S = 3.0
"""Most drains are over by then."""
_ASK_EVERY_S = 0.5
_GRACE_S = 5.0
"""After the bound, before the process is ended without the interpreter's help."""
_N_FRAMES = 3


def hold_signals() -> None:
    """Keep SIGTERM and SIGINT for :func:`watch_signals`.

    Notes
    -----
    Before anything starts a thread (numpy does when it is imported): threads inherit what
    is held, and a signal goes to any thread that does not hold it, where it would kill.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)


def release_signals() -> None:
    """Unblock signals in this thread."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)


def watch_signals(
    lifecycle: Lifecycle,
    *,
    drain_s: float = DRAIN_S,
    leave: Callable[[int], object] = os._exit,
) -> threading.Thread:
    """Drain the stage when asked to leave.

    Parameters
    ----------
    lifecycle : Lifecycle
        Drained by the first SIGTERM or SIGINT.
    drain_s : float, optional
        A drain that takes longer ends the process with exit code 1, and says where the
        stage stood.
    leave : callable, optional
        Ends the process at once; the second signal calls it with 143 or 130.

    Returns
    -------
    Thread
        The one that watches, already running. Call :func:`hold_signals` first.
    """
    thread = threading.Thread(target=_watch, args=(lifecycle, drain_s, leave), daemon=True)
    thread.name = "signals"
    thread.start()
    return thread


def _watch(lifecycle: Lifecycle, drain_s: float, leave: Callable[[int], object]) -> None:
    """Take the first signal, then wait for the second one or for the bound."""
    signal.sigwait(STOPPING)
    # First: from its next line on the stage may stand in code that keeps the interpreter.
    _arm_backstop(drain_s + _GRACE_S)
    lifecycle.drain()
    second = signal.sigtimedwait(STOPPING, drain_s)
    if second is not None:
        leave(128 + second.si_signo)
        return
    print(
        f"error: {lifecycle.stage} did not drain within {drain_s:g} s: "
        f"{_what_it_waits_for(lifecycle)}",
        file=sys.stderr,
        flush=True,
    )
    leave(1)


def bound_the_drain(
    lifecycle: Lifecycle,
    is_there: Callable[[], bool],
    *,
    cut_off_s: float = CUT_OFF_S,
    ask_after_s: float = _ASK_AFTER_S,
    leave: Callable[[int], object] = os._exit,
) -> threading.Thread:
    """End a drain soon that cannot come to its end: what it waits for is away.

    Parameters
    ----------
    is_there : callable
        Asked from a thread of its own while the stage drains: whether Kafka answers.
    cut_off_s : float, optional
        After so long without an answer the process ends with exit code 1. Stages drain one
        after the other, and supervisors kill after half a minute or less.

    Returns
    -------
    Thread
        The one that watches, already running.
    """
    args = (lifecycle, is_there, cut_off_s, ask_after_s, leave)
    thread = threading.Thread(target=_watch_drain, args=args, daemon=True, name="drain")
    thread.start()
    return thread


def _watch_drain(
    lifecycle: Lifecycle,
    is_there: Callable[[], bool],
    cut_off_s: float,
    ask_after_s: float,
    leave: Callable[[int], object],
) -> None:
    """Wait for the drain, then ask again and again."""
    while not lifecycle.wait(3_600.0):
        pass
    pause, heard_s = threading.Event(), elapsed_s()
    pause.wait(ask_after_s)
    while elapsed_s() - heard_s < cut_off_s:
        if is_there():
            heard_s = elapsed_s()
        pause.wait(_ASK_EVERY_S)
    print(
        f"error: {lifecycle.stage} did not drain: Kafka has not answered for "
        f"{elapsed_s() - heard_s:.0f} s (no data is lost: work after the last commit is repeated)",
        file=sys.stderr,
        flush=True,
    )
    leave(1)


def bound_the_end(lifecycle: Lifecycle, seconds: float = 2 * _GRACE_S) -> None:
    """Bound the time until the process ends after the stage's loop.

    Parameters
    ----------
    lifecycle : Lifecycle
        Not ready any more.
    seconds : float, optional
        After it the process ends with exit code 1, and shows where its threads stand.
    """
    lifecycle.unready("stopped by an error")
    _arm_backstop(seconds)


_ending, _arming = threading.Event(), threading.Lock()


def bound_freezes(seconds: float = FREEZE_S, *, every_s: float = 15.0) -> threading.Thread:
    """End the process, exit code 1, when C code keeps the interpreter for so long.

    Parameters
    ----------
    every_s : float, optional
        How often the bound is moved on, which takes the interpreter.

    Returns
    -------
    Thread
        The one that moves it, already running; until the process drains or ends by a fault,
        which have bounds of their own.

    Notes
    -----
    Seen: confluent-kafka 2.16, ``Consumer.close`` after a fault while a rebalance was under
    way. Its rebalance callback asks a thread of librdkafka's that has ended already, and
    waits for good with the interpreter in its hands: nothing of the process moves any more,
    neither ``/healthz`` nor the end that the fault was to bring about.
    """
    thread = threading.Thread(target=_move_bound, args=(seconds, every_s), daemon=True)
    thread.name = "freezes"
    thread.start()
    return thread


def _move_bound(seconds: float, every_s: float) -> None:
    """Put the end off again and again."""
    while True:
        with _arming:
            if _ending.is_set():
                return
            _end_after(seconds)
        _ending.wait(every_s)


def _arm_backstop(seconds: float) -> None:
    """End the process even when C code never gives the interpreter back; exit code 1."""
    with _arming:
        _ending.set()
        _end_after(seconds)


def _end_after(seconds: float) -> None:
    """Set the one timer there is, which needs no interpreter."""
    try:
        faulthandler.dump_traceback_later(seconds, exit=True)
    except (ValueError, OSError, RuntimeError):
        # Standard error is no file here (closed, or replaced): there is nowhere to say it.
        return


def _what_it_waits_for(lifecycle: Lifecycle) -> str:
    """Return what the stage waits for: its unready reason, and its innermost frames."""
    frame = sys._current_frames().get(threading.main_thread().ident or 0)
    return f"{lifecycle.why_unready}; {_place(frame) if frame is not None else 'it has ended'}"


def _place(frame: FrameType) -> str:
    """Name the innermost lines of our own code that are running."""
    lines = traceback.extract_stack(frame)
    ours = [line for line in lines if f"{os.sep}monitor{os.sep}" in line.filename] or lines
    named = [
        f"{'/'.join(Path(line.filename).parts[-2:])}:{line.lineno} {line.name}" for line in ours
    ]
    return "it is in " + " < ".join(reversed(named[-_N_FRAMES:]))
