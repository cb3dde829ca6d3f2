"""A child process: its output, address and health."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from monitor.service.parent import VARIABLE

_ROOT = Path(__file__).resolve().parents[2]
"""Parent folder of the packages."""
_ASK_S = 1.0
_STARTING = "starting"
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""Requests to loopback bypass proxies."""


class Child:
    """A ``driftline`` command that runs as a child process; can be restarted.

    Parameters
    ----------
    name : str
        Name that marks its lines.
    arguments : sequence of str
        Arguments after ``driftline``.
    on_line : callable
        Called with its name and each line of its output, in a thread.
    environment : mapping of str to str
        Variables added to this process's environment.

    Notes
    -----
    Start it in the main thread: the kernel kills it together with the thread that started it.
    """

    def __init__(
        self,
        name: str,
        arguments: Sequence[str],
        on_line: Callable[[str, str], None],
        environment: Mapping[str, str],
    ) -> None:
        self.name, self.arguments, self._on_line = name, list(arguments), on_line
        self._environment = dict(environment)
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None
        self.url = ""
        """Address of its HTTP server; empty until it has printed it."""

    def start(self) -> None:
        """Start the process without waiting."""
        self.url = ""
        self._process = subprocess.Popen(
            [*_program(), *self.arguments],
            env={**os.environ, **self._environment, VARIABLE: str(os.getpid())},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            # Ctrl-C must reach this process only, which drains the children in order.
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, args=(self._process,), daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """Process ID; 0 before the first start."""
        return 0 if self._process is None else self._process.pid

    def ended(self) -> int | None:
        """Return the exit code, negative for a signal; None while it runs."""
        return None if self._process is None else self._process.poll()

    def why_unready(self) -> str:
        """Probe readiness; return the reason why not, or ""."""
        if not self.url:
            return _STARTING
        try:
            return self._why_not("/readyz")
        except OSError as error:
            return f"does not answer: {error}"

    def why_silent(self) -> str | None:
        """Probe liveness; return "" if live, the reason if not, None without an answer."""
        try:
            return self._why_not("/healthz") if self.url else None
        except OSError:
            return None

    def metrics_text(self) -> str | None:
        """Return the text of ``/metrics``; None if it does not answer."""
        if not self.url:
            return None
        try:
            with _DIRECT.open(f"{self.url}/metrics", timeout=_ASK_S) as answer:
                text: str = answer.read().decode(errors="replace")
                return text
        except OSError:
            return None

    def terminate(self) -> None:
        """Send SIGTERM, which drains the process."""
        if self._process is not None:
            self._process.terminate()

    def kill(self) -> None:
        """Kill the process."""
        if self._process is not None:
            self._process.kill()

    def wait(self, timeout_s: float) -> int | None:
        """Wait for the exit code, after reading its last lines; None on time-out."""
        if self._process is None:
            return 0
        try:
            code = self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None
        if self._reader is not None:
            self._reader.join(_ASK_S)
        return code

    def _why_not(self, path: str) -> str:
        """Request a probe; return "" if it succeeds, else the response text."""
        try:
            with _DIRECT.open(f"{self.url}{path}", timeout=_ASK_S):
                return ""
        except urllib.error.HTTPError as error:
            with error:
                return error.read(200).decode(errors="replace").strip()

    def _read(self, process: subprocess.Popen[str]) -> None:
        """Pass on its lines; its address is the first one in them."""
        assert process.stdout is not None
        with process.stdout as lines:
            for line in lines:
                words = line.split()
                if not self.url and words[:1] in (["driftline"], ["serving"]):
                    self.url = words[-1] if words[-1].startswith("http://") else ""
                self._on_line(self.name, line.rstrip("\n"))


def _program() -> list[str]:
    """Return the command line of ``driftline`` without its arguments."""
    # -P: modules in the working directory, such as schemas/, must not shadow the packages.
    flags = [] if Path.cwd() == _ROOT else ["-P"]
    return [sys.executable, *flags, "-m", "monitor.cli.main"]
