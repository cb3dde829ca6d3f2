"""A child that does not outlive ``driftline up``, however that ends."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
from collections.abc import MutableMapping

VARIABLE = "DRIFTLINE_PARENT"
"""Process id of who started this process and wants it to end with itself."""

_PR_SET_PDEATHSIG = 1
_LOOK_S = 1.0


def die_with_parent(environment: MutableMapping[str, str]) -> None:
    """Tie this process to the one named in the environment, if any is.

    Parameters
    ----------
    environment : mutable mapping of str to str
        The variable is taken out of it: grandchildren are no matter of that parent.

    Notes
    -----
    The kernel kills (Linux), so that it also holds for a stage that is stopped or blocked in
    C code. At once rather than by a drain: who starts ``up`` again needs ports and store.
    The kernel's "parent" is the thread that started us; ``up`` does so in its main thread.
    """
    parent = environment.pop(VARIABLE, "")
    if not parent.isdigit():
        return
    # The parent takes its signals in a thread and holds them elsewhere; that is inherited.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGTERM, signal.SIGINT))
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    else:
        _start_watch(int(parent))
    # It may have gone before the kernel knew of our wish.
    if os.getppid() != int(parent):
        os._exit(1)


def _start_watch(parent: int) -> None:
    """Watch the parent where the kernel does not."""
    pause = threading.Event()

    def watch() -> None:
        """Exit when another process has become the parent."""
        while os.getppid() == parent:
            pause.wait(_LOOK_S)
        os._exit(1)

    threading.Thread(target=watch, name="parent", daemon=True).start()
