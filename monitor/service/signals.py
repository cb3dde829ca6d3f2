"""Signal handling: the first SIGTERM/SIGINT drains, the second exits.

Signals are received in a separate thread: the main thread may be blocked in librdkafka, in a kernel
or in an event loop, and Python runs handlers only between bytecode instructions of the main thread.
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
"""Time-out of a drain."""

CUT_OFF_S = 8.0
"""Time-out of a drain while Kafka does not answer; no data is lost."""

FREEZE_S = 60.0
"""Time-out of a call that holds the GIL; the longest expected one takes milliseconds."""

_ASK_AFTER_S = 3.0
"""Delay before Kafka is probed; most drains end earlier."""
_ASK_EVERY_S = 0.5
_GRACE_S = 5.0
"""Additional time before the process is killed without needing the GIL."""
_N_FRAMES = 3


def hold_signals() -> None:
    """Block SIGTERM and SIGINT for :func:`watch_signals`.

    Notes
    -----
    Must be called before any thread is started (importing numpy starts threads): threads inherit
    the signal mask, and a signal is delivered to any thread that does not block it, where it would
    end the process.
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
    """Drain the stage on the first signal, exit on the second.

    Parameters
    ----------
    lifecycle : Lifecycle
        Drained by the first SIGTERM or SIGINT.
    drain_s : float, optional
        A longer drain ends the process with exit code 1, and prints where the stage was blocked.
    leave : callable, optional
        Exits the process; called by the second signal with 143 or 130.

    Returns
    -------
    Thread
        The running watcher thread. Call :func:`hold_signals` first.
    """
    thread = threading.Thread(target=_watch, args=(lifecycle, drain_s, leave), daemon=True)
    thread.name = "signals"
    thread.start()
    return thread


def _watch(lifecycle: Lifecycle, drain_s: float, leave: Callable[[int], object]) -> None:
    """Wait for the first signal, then for the second one or the time-out."""
    signal.sigwait(STOPPING)
    # First, because after the next line the stage may be in code that holds the GIL.
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
    """Shorten a drain that cannot finish because Kafka does not answer.

    Parameters
    ----------
    is_there : callable
        Returns whether Kafka answers; called in a separate thread during the drain.
    cut_off_s : float, optional
        Time without an answer after which the process ends with exit code 1. Stages drain one after
        the other, and supervisors kill after half a minute or less.

    Returns
    -------
    Thread
        The running watcher thread.
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
    """Wait for the drain, then probe periodically."""
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
        Lifecycle after the loop; not ready.
    seconds : float, optional
        Time-out after which the process ends with exit code 1 and prints the stacks of its threads.
    """
    lifecycle.unready("stopped by an error")
    _arm_backstop(seconds)


_ending, _arming = threading.Event(), threading.Lock()


def bound_freezes(seconds: float = FREEZE_S, *, every_s: float = 15.0) -> threading.Thread:
    """End the process with exit code 1 if C code holds the GIL for too long.

    Parameters
    ----------
    every_s : float, optional
        Interval at which the timer is reset, which needs the GIL.

    Returns
    -------
    Thread
        The running thread that resets the timer, until the process drains or fails, for which there
        are separate time-outs.

    Notes
    -----
    Observed with confluent-kafka 2.16: ``Consumer.close`` after an error during a rebalance. Its
    rebalance callback waits forever, while holding the GIL, for a thread of librdkafka that has
    already ended. The whole process then hangs, including ``/healthz`` and the exit after the
    error.
    """
    thread = threading.Thread(target=_move_bound, args=(seconds, every_s), daemon=True)
    thread.name = "freezes"
    thread.start()
    return thread


def _move_bound(seconds: float, every_s: float) -> None:
    """Reset the timer periodically."""
    while True:
        with _arming:
            if _ending.is_set():
                return
            _end_after(seconds)
        _ending.wait(every_s)


def _arm_backstop(seconds: float) -> None:
    """End the process with exit code 1 even if C code never releases the GIL."""
    with _arming:
        _ending.set()
        _end_after(seconds)


def _end_after(seconds: float) -> None:
    """Set faulthandler's only timer, which does not need the GIL."""
    try:
        faulthandler.dump_traceback_later(seconds, exit=True)
    except (ValueError, OSError, RuntimeError):
        # Standard error is not a file (closed or replaced), so nothing can be printed.
        return


def _what_it_waits_for(lifecycle: Lifecycle) -> str:
    """Return the unready reason and the innermost frames of the stage."""
    frame = sys._current_frames().get(threading.main_thread().ident or 0)
    return f"{lifecycle.why_unready}; {_place(frame) if frame is not None else 'it has ended'}"


def _place(frame: FrameType) -> str:
    """Return the innermost running lines of Driftline's code."""
    lines = traceback.extract_stack(frame)
    ours = [line for line in lines if f"{os.sep}monitor{os.sep}" in line.filename] or lines
    named = [
        f"{'/'.join(Path(line.filename).parts[-2:])}:{line.lineno} {line.name}" for line in ours
    ]
    return "it is in " + " < ".join(reversed(named[-_N_FRAMES:]))
