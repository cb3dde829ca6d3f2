"""Stage commands as processes of their own: started, watched, killed, restarted, drained.

::

    with Stages(config, broker.bootstrap) as stages:
        ingest = stages.start("ingest", member="i1", crash_at="ingest:pane:3")
        ingest.wait_ready()
        ingest.kill()                          # SIGKILL, as a crash
        ingest.restart()                       # same member, another process
        assert ingest.stop() == 0              # SIGTERM, drains

Everything still running is killed when the block ends, or when the test's process dies.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple, Self

from prometheus_client.parser import text_string_to_metric_families

from monitor.clock import elapsed_s
from tests.support.repository import ROOT

START_S = 120.0
"""Bound for a start: two cores, several stages importing at once, a cold cache."""
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class HttpAnswer(NamedTuple):
    """Response of a stage's HTTP server."""

    status: int
    body: str


class StageProcess:
    """One stage command, which can be killed and restarted under the same name.

    Parameters
    ----------
    command : list of str
        Arguments after ``driftline``.
    environment : mapping of str to str
        Whole.
    folder : Path
        Where it runs.
    name : str
        For messages.
    started : callable, optional
        Given the process id of each start.
    """

    def __init__(
        self,
        command: list[str],
        environment: Mapping[str, str],
        folder: Path,
        name: str,
        started: Callable[[int], None] = lambda pid: None,
    ) -> None:
        self.name, self.command = name, command
        self._environment, self._folder, self._started = dict(environment), folder, started
        self.lines: list[str] = []
        """Standard output of all lives."""
        self.errors: list[str] = []
        """Standard error of all lives: logs and error messages."""
        self.n_starts = 0
        self._process: subprocess.Popen[str] | None = None
        self._readers: list[threading.Thread] = []

    # -- starting -----------------------------------------------------------------

    def start(self, *, crash_at: str | None = None, **environment: str) -> Self:
        """Start the process without waiting. ``crash_at`` is its ``DRIFTLINE_CRASH_AT``."""
        assert not self.is_running, f"{self.name} runs already"
        self._reap()
        given = {**self._environment, **environment}
        if crash_at is not None:
            given["DRIFTLINE_CRASH_AT"] = crash_at
        self._first_line = ""
        self._has_line = threading.Event()
        self.n_starts += 1
        self._process = subprocess.Popen(
            [sys.executable, "-m", "monitor.cli.main", *self.command],
            cwd=self._folder,
            env=given,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        self._started(self._process.pid)
        self._readers = [
            threading.Thread(target=read, args=(self._process,), daemon=True)
            for read in (self._read_output, self._read_errors)
        ]
        for reader in self._readers:
            reader.start()
        return self

    def restart(self, *, crash_at: str | None = None, **environment: str) -> Self:
        """Start it again; it must have ended, or is killed."""
        self.kill()
        return self.start(crash_at=crash_at, **environment)

    # -- health -------------------------------------------------------------------

    @property
    def pid(self) -> int:
        """Process ID of the current run."""
        assert self._process is not None
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether the process runs."""
        return self._process is not None and self._process.poll() is None

    @property
    def url(self) -> str:
        """Address of its HTTP server; waits for the first line."""
        self._wait(self._has_line.is_set, START_S, "its first line")
        assert " on http://" in self._first_line, self._story(f"first line {self._first_line!r}")
        return self._first_line.split()[-1]

    def get(self, path: str) -> HttpAnswer:
        """Send a request to its HTTP server; status 0 without an answer."""
        try:
            with DIRECT.open(self.url + path, timeout=10) as answer:
                return HttpAnswer(answer.status, answer.read().decode())
        except urllib.error.HTTPError as error:
            with error:
                return HttpAnswer(error.code, error.read().decode())
        except OSError as error:
            return HttpAnswer(0, str(error))

    @property
    def is_ready(self) -> bool:
        """Whether ``/readyz`` reports ready."""
        return self.is_running and self.get("/readyz").status == 200

    def wait_ready(self, timeout_s: float = START_S) -> Self:
        """Return when it is ready; fails with its log if it ends or the bound is reached."""
        self._wait(lambda: self.get("/readyz").status == 200, timeout_s, "ready")
        return self

    def metrics(self) -> dict[str, dict[frozenset[tuple[str, str]], float]]:
        """Read ``/metrics``: sample name -> labels -> value."""
        found: dict[str, dict[frozenset[tuple[str, str]], float]] = {}
        answer = self.get("/metrics")
        assert answer.status == 200, self._story(f"no metrics: {answer.body}")
        for family in text_string_to_metric_families(answer.body):
            for sample in family.samples:
                found.setdefault(sample.name, {})[frozenset(sample.labels.items())] = sample.value
        return found

    def metric(self, name: str, **labels: str) -> float:
        """Return the sum of a metric over all label sets that include ``labels``; 0 without any."""
        wanted = set(labels.items())
        return sum(v for have, v in self.metrics().get(name, {}).items() if wanted <= have)

    @property
    def log(self) -> str:
        """Its complete standard error, over all runs."""
        return "".join(self.errors)

    # -- ending -------------------------------------------------------------------

    def signal(self, number: int) -> None:
        """Send it a signal (SIGSTOP and SIGCONT make a zombie of it)."""
        if self.is_running:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """End it at once, as a crash would; harmless when it has ended."""
        self.signal(signal.SIGKILL)
        self._reap()

    def terminate(self) -> None:
        """Send SIGTERM without waiting."""
        self.signal(signal.SIGTERM)

    def wait(self, timeout_s: float = 60.0) -> int:
        """Wait for its end; return the exit code (-9: killed, also by a failpoint)."""
        assert self._process is not None
        try:
            code = self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(self._story(f"does not end within {timeout_s:g} s")) from None
        self._reap()
        return code

    def stop(self, timeout_s: float = 60.0) -> int:
        """Drain the process; return its exit code."""
        self.terminate()
        return self.wait(timeout_s)

    # -- inside -------------------------------------------------------------------

    def _reap(self) -> None:
        """Wait for an ended process and its last output."""
        if self._process is None:
            return
        self._process.wait()
        for reader in self._readers:
            reader.join()
        for stream in (self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()

    def _read_output(self, process: subprocess.Popen[str]) -> None:
        """Keep standard output; the first line contains the address."""
        assert process.stdout is not None
        for line in process.stdout:
            self.lines.append(line)
            if not self._has_line.is_set():
                self._first_line = line.strip()
                self._has_line.set()

    def _read_errors(self, process: subprocess.Popen[str]) -> None:
        """Keep standard error."""
        assert process.stderr is not None
        for line in process.stderr:
            self.errors.append(line)

    def _wait(self, is_so: Callable[[], bool], timeout_s: float, what: str) -> None:
        """Wait for a condition; an early exit is a failure, reported with the log."""
        deadline, pause = elapsed_s() + timeout_s, threading.Event()
        while not is_so():
            assert self.is_running, self._story(f"ended ({self.wait()}) before {what}")
            assert elapsed_s() < deadline, self._story(f"not {what} within {timeout_s:g} s")
            pause.wait(0.05)

    def _story(self, what: str) -> str:
        """Return an error message with the end of its log."""
        is_up = self.is_running and self._has_line.is_set() and " on http" in self._first_line
        answer = self.get("/readyz") if is_up else ""
        return f"{self.name}: {what} {answer}\n{''.join([*self.lines, *self.errors][-60:])}"


class Stages:
    """Every stage process of a test; a context manager.

    Parameters
    ----------
    config : Path
        ``driftline.yaml``.
    bootstrap : str
        Address of the broker (``DRIFTLINE_KAFKA``).
    environment : mapping of str to str, optional
        Added for every process.
    """

    def __init__(
        self, config: Path, bootstrap: str, environment: Mapping[str, str] | None = None
    ) -> None:
        self.config = Path(config)
        self.environment = {
            **_clean_environment(),
            "DRIFTLINE_KAFKA": bootstrap,
            **(environment or {}),
        }
        self.processes: list[StageProcess] = []

    def __enter__(self) -> Self:
        # Reads process ids, and kills them when the pipe ends with our process.
        self._guard = subprocess.Popen(
            ["/bin/sh", "-c", 'p=; while read -r q; do p="$p $q"; done; kill -9 $p'],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        return self

    def __exit__(self, *exception: object) -> None:
        for process in self.processes:
            process.kill()
        self._guard.kill()
        self._guard.wait()
        assert self._guard.stdin is not None
        self._guard.stdin.close()

    def start(
        self,
        stage: str,
        *options: str,
        member: str | None = None,
        crash_at: str | None = None,
        **environment: str,
    ) -> StageProcess:
        """Start a stage command; returns at once (see :meth:`StageProcess.wait_ready`).

        Parameters
        ----------
        stage : str
            ``ingest``, ``detect``, ``notify``, ``archive`` or ``up``.
        *options : str
            More of its options.
        member : str, optional
            ``--member``; kept over restarts.
        crash_at : str, optional
            ``DRIFTLINE_CRASH_AT`` of the first life only.
        **environment : str
            Of the first life only.
        """
        http = [] if "--http" in options or stage == "up" else ["--http", "127.0.0.1:0"]
        name = [] if member is None else ["--member", member]
        command = [stage, "--config", str(self.config), *http, *name, *options]
        process = StageProcess(
            command, self.environment, self.config.parent, f"{stage} {member or ''}", self._watch
        )
        self.processes.append(process)
        return process.start(crash_at=crash_at, **environment)

    def _watch(self, pid: int) -> None:
        """Register one more process with the guard."""
        assert self._guard.stdin is not None
        self._guard.stdin.write(f"{pid}\n".encode())
        self._guard.stdin.flush()


def _clean_environment() -> dict[str, str]:
    """Return the environment without variables that would affect a stage."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("DRIFTLINE_") and not name.lower().endswith("_proxy")
    } | {"PYTHONPATH": str(ROOT), "NO_PROXY": "*"}
