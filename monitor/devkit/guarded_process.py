"""Child process that never outlives its parent."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path


class GuardedProcess:
    """A process with a log file, and a guard that kills it when this process ends.

    Parameters
    ----------
    command : sequence of str
        Program and arguments.
    folder : Path
        Its working directory.
    log_file : Path
        File to which standard output and error are appended.

    Notes
    -----
    The guard is a shell that reads from a pipe, which is closed when this process ends, even by
    SIGKILL. The kernel's parent-death signal would also be sent when only the thread that started
    the child ends.
    """

    def __init__(self, command: Sequence[str], folder: Path, log_file: Path) -> None:
        with log_file.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # Ctrl-C must reach this process only, which stops the child.
                start_new_session=True,
            )
        self._guard = _start_guard(self._process)

    @property
    def pid(self) -> int:
        """Process ID."""
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether it runs."""
        return self._process.poll() is None

    def wait(self, timeout_s: float | None = None) -> int | None:
        """Return the exit status, or None if it still runs after ``timeout_s``."""
        try:
            return self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None

    def stop(self, timeout_s: float) -> None:
        """Terminate it; kill it after the time-out, or on Ctrl-C."""
        try:
            if self.is_running:
                self._process.terminate()
                self.wait(timeout_s)
        finally:
            self.kill()

    def kill(self) -> None:
        """Kill it and end the guard; no effect if it has ended."""
        self._process.kill()
        self._process.wait()
        # Immediately: the ID of a process that was waited for may be reused.
        self._guard.kill()
        self._guard.wait()
        if self._guard.stdin is not None:
            self._guard.stdin.close()


def _start_guard(process: subprocess.Popen[bytes]) -> subprocess.Popen[bytes]:
    """Start the guard; the child must not run without it."""
    try:
        return subprocess.Popen(
            ["/bin/sh", "-c", 'read -r _; kill -9 "$0"', str(process.pid)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except BaseException:
        process.kill()
        process.wait()
        raise
