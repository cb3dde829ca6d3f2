"""A child process that never outlives the one that started it."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path


class GuardedProcess:
    """A process with a log, and a guard that ends it when this process is gone.

    Parameters
    ----------
    command : sequence of str
        Program and arguments.
    folder : Path
        Its working directory.
    log_file : Path
        Output and errors are appended here.

    Notes
    -----
    The guard is a shell reading a pipe that closes with this process however it ends,
    SIGKILL included. The kernel's parent-death signal would also fire when only the
    thread that started the child ends.
    """

    def __init__(self, command: Sequence[str], folder: Path, log_file: Path) -> None:
        with log_file.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # Ctrl-C reaches us, and we stop the child; it must not leave on its own.
                start_new_session=True,
            )
        self._guard = _start_guard(self._process)

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether it is alive."""
        return self._process.poll() is None

    def wait(self, timeout_s: float | None = None) -> int | None:
        """Return its exit status, or None if it still runs after ``timeout_s``."""
        try:
            return self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None

    def stop(self, timeout_s: float) -> None:
        """Terminate it; kill it if it has not ended within the bound, or on Ctrl-C."""
        try:
            if self.is_running:
                self._process.terminate()
                self.wait(timeout_s)
        finally:
            self.kill()

    def kill(self) -> None:
        """End it at once and dismiss the guard; harmless when it has ended."""
        self._process.kill()
        self._process.wait()
        # At once: the number of a process that was waited for may be reused.
        self._guard.kill()
        self._guard.wait()
        if self._guard.stdin is not None:
            self._guard.stdin.close()


def _start_guard(process: subprocess.Popen[bytes]) -> subprocess.Popen[bytes]:
    """Start the shell that waits for our end; without it the child must not run."""
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
