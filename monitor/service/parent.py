"""Ends a child process when its ``driftline up`` ends for any reason."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
from collections.abc import MutableMapping

VARIABLE = "DRIFTLINE_PARENT"
"""Variable with the process ID of the parent whose end must end this process."""

_PR_SET_PDEATHSIG = 1
_LOOK_S = 1.0


def die_with_parent(environment: MutableMapping[str, str]) -> None:
    """End this process when the parent named in the environment ends.

    Parameters
    ----------
    environment : mutable mapping of str to str
        The variable is removed from it, so that grandchildren are not affected.

    Notes
    -----
    The kernel sends SIGKILL (Linux), which also ends a stage that is stopped or blocked in C code.
    It does not drain, because a restarted ``up`` needs the ports and the store. For the kernel, the
    parent is the thread that started this process; ``up`` uses its main thread.
    """
    parent = environment.pop(VARIABLE, "")
    if not parent.isdigit():
        return
    # The parent blocks signals in all threads but one, and children inherit the mask.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGTERM, signal.SIGINT))
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    else:
        _start_watch(int(parent))
    # The parent may have ended before the call.
    if os.getppid() != int(parent):
        os._exit(1)


def _start_watch(parent: int) -> None:
    """Start a thread that watches the parent, if the kernel does not support it."""
    pause = threading.Event()

    def watch() -> None:
        """Exit when the parent process changes."""
        while os.getppid() == parent:
            pause.wait(_LOOK_S)
        os._exit(1)

    threading.Thread(target=watch, name="parent", daemon=True).start()
