"""Stage processes by the dozen: everything is imported once, and each stage is forked off.

A stage command takes seconds to import and to load its kernels, which is all a scenario of
a hundred kills would do. Here one process does that, has no thread and no client, and forks
a child for each start: the child is a process of its own, SIGKILL, SIGSTOP and SIGTERM are
real, and nothing but code was shared with the one before it.

::

    with Nursery() as nursery:
        ingest = nursery.start(["ingest", "--config", ...], environment, folder, "ingest")
        ingest.wait()                          # -9 after a failpoint
        ingest.start(environment)              # the next life
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import re
import select
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from tests.support.repository import ROOT

_START_S = 180.0
SILENCE_VARIABLE = "DRIFTLINE_TEST_SILENCE_S"
"""After how many seconds detect calls a source silent; a minute otherwise."""
CLOCK_VARIABLE = "DRIFTLINE_TEST_CLOCK"
"""A file with the seconds by which the wall clock of a child is wrong."""


class ForkedStage:
    """One stage, which can be killed and restarted under the same name."""

    def __init__(
        self, nursery: Nursery, arguments: Sequence[str], folder: Path, name: str, log: Path
    ) -> None:
        self.name, self.log_file = name, log
        self.arguments, self.folder = list(arguments), folder
        self.n_starts = self.n_killed = 0
        self._nursery, self._number = nursery, -1
        self._pid = 0

    def start(self, environment: Mapping[str, str]) -> Self:
        """Start a process; returns when its process ID is known."""
        assert not self.is_running, f"{self.name} runs already"
        self.n_starts += 1
        self._number, self._pid = self._nursery.fork(self, environment)
        return self

    @property
    def pid(self) -> int:
        """Process ID of the current run."""
        return self._pid

    @property
    def code(self) -> int | None:
        """Exit code of the last run; None while it runs."""
        return self._nursery.codes.get(self._number)

    @property
    def is_running(self) -> bool:
        """Whether the process runs."""
        return self._pid > 0 and self.code is None

    def signal(self, number: int) -> None:
        """Send a signal, if the process is running."""
        if self.is_running:
            os.kill(self._pid, number)

    def kill(self) -> int:
        """End it at once; return how it ended."""
        self.signal(signal.SIGKILL)
        return self.wait()

    def wait(self, timeout_s: float = 60.0) -> int:
        """Wait for the process to end; return its exit code, -9 if it was killed."""
        code = self._nursery.wait_for(self._number, timeout_s)
        assert code is not None, f"{self.name} does not end in {timeout_s:g} s\n{self.tail()}"
        return code

    def stop(self, timeout_s: float = 60.0) -> int:
        """Drain the process; return its exit code."""
        self.signal(signal.SIGTERM)
        return self.wait(timeout_s)

    def ask(self, path: str) -> tuple[int, str]:
        """Return status and text of its HTTP server; status 0 without an answer."""
        said = self.log_file.read_text(errors="replace") if self.log_file.exists() else ""
        addresses = re.findall(r"^driftline \w+ on (http://\S+)$", said, re.MULTILINE)
        if len(addresses) < self.n_starts or not self.is_running:
            return 0, ""
        try:
            with urllib.request.urlopen(addresses[-1] + path, timeout=5) as answer:
                return int(answer.status), answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, ""
        except OSError:
            return 0, ""

    def get(self, path: str) -> int:
        """Return the status that its HTTP server answers; 0 without an answer."""
        return self.ask(path)[0]

    def n_partitions(self) -> int:
        """Return the number of partitions that it reports as owned."""
        owned = re.findall(r"^driftline_partitions\{.*\} (\S+)$", self.ask("/metrics")[1], re.M)
        return sum(int(float(n)) for n in owned)

    def is_ready(self) -> bool:
        """Whether ``/readyz`` reports ready."""
        return self.get("/readyz") == 200

    def tail(self, n_lines: int = 40) -> str:
        """Return the end of its log, over all runs."""
        if not self.log_file.exists():
            return ""
        lines = self.log_file.read_text(errors="replace").splitlines()
        return "\n".join([f"--- {self.name}", *lines[-n_lines:]])


class Nursery:
    """The process that forks; a context manager. Its children end with it."""

    def __init__(self) -> None:
        self.codes: dict[int, int] = {}
        """How each life ended."""
        self._pids: dict[int, int] = {}
        self._changed = threading.Condition()
        self._n_forked = 0
        self._writing = threading.Lock()

    def __enter__(self) -> Self:
        threads = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.scenario.forked_stages"],
            cwd=ROOT,
            env={**clean_environment(), **threads},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(30)
        self._reader.join()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def start(
        self,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        folder: Path,
        name: str,
    ) -> ForkedStage:
        """Start ``driftline`` with these arguments."""
        log = folder / f"{name}.log"
        return ForkedStage(self, arguments, folder, name, log).start(environment)

    def fork(self, child: ForkedStage, environment: Mapping[str, str]) -> tuple[int, int]:
        """Fork a process; return its number and its process ID."""
        with self._changed:
            number, self._n_forked = self._n_forked, self._n_forked + 1
        order = {
            "number": number,
            "arguments": child.arguments,
            "environment": dict(environment),
            "folder": str(child.folder),
            "log": str(child.log_file),
        }
        assert self._process.stdin is not None
        with self._writing:
            self._process.stdin.write(json.dumps(order) + "\n")
            self._process.stdin.flush()
        with self._changed:
            self._changed.wait_for(lambda: number in self._pids or self._is_gone, _START_S)
            assert number in self._pids, "the nursery forks no more"
            return number, self._pids[number]

    def wait_for(self, number: int, timeout_s: float) -> int | None:
        """Wait until a process has ended."""
        with self._changed:
            self._changed.wait_for(lambda: number in self.codes or self._is_gone, timeout_s)
            return self.codes.get(number)

    @property
    def _is_gone(self) -> bool:
        return self._process.poll() is not None

    def _read(self) -> None:
        """Read reports of started and ended processes."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            event = json.loads(line)
            with self._changed:
                if "pid" in event:
                    self._pids[event["number"]] = event["pid"]
                else:
                    self.codes[event["number"]] = event["code"]
                self._changed.notify_all()
        with self._changed:
            self._changed.notify_all()


def clean_environment() -> dict[str, str]:
    """Return the environment without variables that would affect a stage."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("DRIFTLINE_") and not name.lower().endswith("_proxy")
    } | {"PYTHONPATH": str(ROOT), "NO_PROXY": "*"}


# -- the process that forks ------------------------------------------------------------


def _load() -> None:
    """Import the modules of the stages, and run every kernel once."""
    import importlib

    for name in (
        "monitor.cli.main",
        "monitor.app.stages",
        "monitor.ingest.on_kafka",
        "monitor.detect.on_kafka",
        "monitor.notify.on_kafka",
        "monitor.archive.on_kafka",
        "monitor.service.health_server",
        "monitor.app.in_process",
        "clickhouse_connect",
        "faust",
        "kafka",
    ):
        importlib.import_module(name)
    from tests.support.scenario.fault_run import run_in_memory

    run_in_memory(n_windows=8)
    gc.collect()
    gc.freeze()


def _serve() -> None:
    """Fork on request and report started and ended processes; at end of input kill all and exit."""
    _load()
    # A thread would not survive a fork; jemalloc's (Arrow brings it) is made for that.
    names = [(task / "comm").read_text().strip() for task in Path("/proc/self/task").iterdir()]
    assert sorted(names)[:-1] in ([], ["jemalloc_bg_thd"]), f"threads before the fork: {names}"
    wake_read, wake_write = os.pipe()
    os.set_blocking(wake_write, False)
    signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    alive: dict[int, int] = {}
    pending = b""
    while True:
        ready, _, _ = select.select([0, wake_read], [], [])
        if wake_read in ready:
            os.read(wake_read, 4096)
            _reap(alive)
        if 0 in ready:
            more = os.read(0, 1 << 16)
            if not more:
                break
            *lines, pending = (pending + more).split(b"\n")
            for line in lines:
                order = json.loads(line)
                alive[_fork(order)] = order["number"]
    for pid in alive:
        os.kill(pid, signal.SIGKILL)
    while alive:
        _reap(alive)


def _tell(**said: Any) -> None:
    print(json.dumps(said), flush=True)


def _reap(alive: dict[int, int]) -> None:
    """Return the exit codes of ended processes."""
    while alive:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        _tell(number=alive.pop(pid), code=os.waitstatus_to_exitcode(status))


def _fork(order: Mapping[str, Any]) -> int:
    """Fork one process."""
    parent = os.getpid()
    pid = os.fork()
    if pid:
        _tell(number=order["number"], pid=pid)
        return pid
    code = 70
    try:
        _become(order, parent)
        from monitor.cli.main import main

        main(order["arguments"])
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _become(order: Mapping[str, Any], parent: int) -> None:
    """Set working directory, environment and log of the forked process."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    if os.getppid() != parent:
        os._exit(70)
    os.setsid()
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    null = os.open(os.devnull, os.O_RDONLY)
    for target, source in ((0, null), (1, log), (2, log)):
        os.dup2(source, target)
    os.environ.clear()
    os.environ.update(order["environment"])
    os.chdir(order["folder"])
    if clock := os.environ.get(CLOCK_VARIABLE):
        _bend_clock(Path(clock))
    if silence_s := os.environ.get(SILENCE_VARIABLE):
        _shorten_silence(float(silence_s))


def _shorten_silence(bound_s: float) -> None:
    """Shorten the time after which detect drops a missing source."""
    from monitor.core.pipeline_health.source_silence import SourceSilence
    from monitor.transport.kafka.topics import known as known_topics

    SourceSilence.__init__.__kwdefaults__["bound_s"] = bound_s
    known_topics.LOOK_S = bound_s


def _bend_clock(file: Path) -> None:
    """Shift the wall clock of this process by the seconds in a file.

    Everything Python reads (``time.time``, ``time_ns``, ``datetime`` by way of the logs) is
    bent; the monotonic clock does not jump in reality either, and librdkafka reads it alone.
    """
    real, real_ns = time.time, time.time_ns

    def offset_s() -> float:
        return float(file.read_text() or 0)

    time.time = lambda: real() + offset_s()
    time.time_ns = lambda: real_ns() + int(offset_s() * 1e9)


if __name__ == "__main__":
    _serve()
