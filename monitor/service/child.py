"""One child process: its lines, its address, its health."""

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
"""The folder that holds our packages."""
_ASK_S = 1.0
_STARTING = "starting"
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""Loopback is never asked through a proxy."""


class Child:
    """A ``driftline`` command that runs as our child; started as often as need be.

    Parameters
    ----------
    name : str
        As its lines are marked.
    arguments : sequence of str
        After ``driftline``.
    on_line : callable
        Given its name and each line it prints, from a thread.
    environment : mapping of str to str
        Added to this process's environment.

    Notes
    -----
    Start it in the main thread: the kernel ends it together with the thread that started it.
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
        """Address of its HTTP server, once it has printed it; empty before."""

    def start(self) -> None:
        """Start it; returns at once."""
        self.url = ""
        self._process = subprocess.Popen(
            [*_program(), *self.arguments],
            env={**os.environ, **self._environment, VARIABLE: str(os.getpid())},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            # Ctrl-C reaches us alone, and we drain the children one after the other.
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, args=(self._process,), daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """Its process id; 0 before its first start."""
        return 0 if self._process is None else self._process.pid

    def ended(self) -> int | None:
        """Return its exit code, negative for a signal; None while it runs."""
        return None if self._process is None else self._process.poll()

    def why_unready(self) -> str:
        """Ask whether it is ready; empty if so."""
        if not self.url:
            return _STARTING
        try:
            return self._why_not("/readyz")
        except OSError as error:
            return f"does not answer: {error}"

    def why_silent(self) -> str | None:
        """Ask whether its loop goes round; empty if so, None if it does not answer."""
        try:
            return self._why_not("/healthz") if self.url else None
        except OSError:
            return None

    def metrics_text(self) -> str | None:
        """Return what ``/metrics`` says; None if it does not answer."""
        if not self.url:
            return None
        try:
            with _DIRECT.open(f"{self.url}/metrics", timeout=_ASK_S) as answer:
                text: str = answer.read().decode(errors="replace")
                return text
        except OSError:
            return None

    def terminate(self) -> None:
        """Ask it to drain."""
        if self._process is not None:
            self._process.terminate()

    def kill(self) -> None:
        """End it at once."""
        if self._process is not None:
            self._process.kill()

    def wait(self, timeout_s: float) -> int | None:
        """Return its exit code and its last lines; None if it still runs then."""
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
        """Ask for a sign; empty if it is given, else what it says instead."""
        try:
            with _DIRECT.open(f"{self.url}{path}", timeout=_ASK_S):
                return ""
        except urllib.error.HTTPError as error:
            with error:
                return error.read(200).decode(errors="replace").strip()

    def _read(self, process: subprocess.Popen[str]) -> None:
        """Hand on its lines; the first one that names an address names its own."""
        assert process.stdout is not None
        with process.stdout as lines:
            for line in lines:
                words = line.split()
                if not self.url and words[:1] in (["driftline"], ["serving"]):
                    self.url = words[-1] if words[-1].startswith("http://") else ""
                self._on_line(self.name, line.rstrip("\n"))


def _program() -> list[str]:
    """Return the command line of ``driftline`` without its arguments."""
    # -P: modules of the working folder, such as schemas/, must not hide our packages.
    flags = [] if Path.cwd() == _ROOT else ["-P"]
    return [sys.executable, *flags, "-m", "monitor.cli.main"]
