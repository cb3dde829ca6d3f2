"""An Apache Kafka node for development and tests, started and stopped from Python."""

from __future__ import annotations

import base64
import fcntl
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Self

from monitor.clock import elapsed_s
from monitor.devkit.distribution import find_java, install_libraries
from monitor.devkit.guarded_process import GuardedProcess
from monitor.devkit.ports import LOOPBACK, ReservedPort
from monitor.devkit.server_properties import (
    CONTROLLER,
    PLAINTEXT,
    read_ports,
    server_properties,
    write_properties,
)
from monitor.devkit.startup_log import READ_THE_FILE, READY, explain_failure
from schemas.errors import TransportError

QUICK_START = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
"""Ready in 2 s on two busy cores, without full JIT optimisation: for tests."""
STEADY_LOAD = ("-XX:+UseG1GC",)
"""Ready in 3.5 s, and faster once warm: for benchmarks and long runs."""

_LOGGING = (
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    # The line that reports readiness is logged at this level.
    "-Dorg.slf4j.simpleLogger.log.kafka.server.KafkaRaftServer=info",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSXXX",
)
_TICK_S = 0.05
_FORMAT_TIMEOUT_S = 120.0


class DevBroker:
    """A KRaft node on loopback: broker and controller in one process.

    Parameters
    ----------
    folder : Path, optional
        Folder of data, configuration and log, which a later broker can reuse. By default a
        temporary folder that :meth:`close` removes.
    port : int, optional
        Port for clients. By default, and with 0, the folder's last port, or a free one.
    heap_mib : int, optional
        Java heap in MiB.
    jvm_options : sequence of str, optional
        :data:`QUICK_START`, :data:`STEADY_LOAD`, or other options.
    properties : mapping of str to str, optional
        Server properties added or replaced.
    listeners : mapping of str to str, optional
        Further listeners, name to security protocol (``{"SECURE": "SASL_SSL"}``);
        :meth:`address` returns their ports.
    format_arguments : sequence of str, optional
        Arguments for formatting the folder, such as ``--add-scram``.

    Raises
    ------
    TransportError
        From :meth:`start`: Java or Maven missing, port or folder in use, not ready in time.

    Notes
    -----
    About 235 MB resident. Starting takes 1 s for formatting and 2 s more; after :meth:`kill` up to
    5 s more, until the node's previous session has expired. The process ends with the Python
    process that started it, even if that is killed. Not thread-safe.

    Examples
    --------
    >>> from monitor.devkit.dev_broker import DevBroker
    >>> with DevBroker() as broker:  # doctest: +SKIP
    ...     print(broker.bootstrap)
    127.0.0.1:40123
    """

    def __init__(
        self,
        folder: Path | None = None,
        *,
        port: int | None = None,
        heap_mib: int = 384,
        jvm_options: Sequence[str] = QUICK_START,
        properties: Mapping[str, str] | None = None,
        listeners: Mapping[str, str] | None = None,
        format_arguments: Sequence[str] = (),
    ) -> None:
        self._is_temporary = folder is None
        self._folder = None if folder is None else Path(folder).absolute()
        self._port = port
        self._jvm = (f"-Xmx{heap_mib}m", *jvm_options, "-XX:+ExitOnOutOfMemoryError")
        self._overrides = dict(properties or {})
        self._protocols = dict(listeners or {})
        self._format_arguments = tuple(format_arguments)
        self._reserved: dict[str, ReservedPort] = {}
        self._process: GuardedProcess | None = None
        self._lock: IO[str] | None = None

    @property
    def folder(self) -> Path:
        """Folder of data, configuration and log; a temporary one exists from the first start."""
        if self._folder is None:
            raise TransportError("there is no folder yet", where="DevBroker", fix="start it first")
        return self._folder

    @property
    def log_file(self) -> Path:
        """Log of the broker: warnings, errors, and readiness."""
        return self.folder / "kafka.log"

    @property
    def bootstrap(self) -> str:
        """Address for clients, ``127.0.0.1:port``; the same after each restart."""
        return self.address(PLAINTEXT)

    @property
    def pid(self) -> int | None:
        """Process ID of the running broker."""
        return self._process.pid if self._process is not None and self.is_running else None

    @property
    def is_running(self) -> bool:
        """Whether the process is alive."""
        return self._process is not None and self._process.is_running

    def address(self, listener: str) -> str:
        """Return ``127.0.0.1:port`` of a listener; known from the first start."""
        if listener not in self._reserved:
            raise TransportError(
                f"listener {listener} has no port yet", where="DevBroker", fix="start it first"
            )
        return f"{LOOPBACK}:{self._reserved[listener].port}"

    def start(self, timeout_s: float = 90.0) -> Self:
        """Start, and return when clients are served; no effect on a running broker.

        Parameters
        ----------
        timeout_s : float, optional
            Time-out from the start of the process until it is ready.

        Returns
        -------
        DevBroker
            Itself.
        """
        if self.is_running:
            return self
        self.kill()
        java, libraries = find_java(), install_libraries()
        self._claim_folder()
        self._reserve_ports()
        self._configure()
        command = [java, *self._jvm, *_LOGGING, "-cp", f"{libraries}/*", "kafka.Kafka"]
        log_start = self.log_file.stat().st_size if self.log_file.exists() else 0
        try:
            if not (self._data / "meta.properties").exists():
                self._format(java, libraries)
            self._process = GuardedProcess(
                [*command, str(self._properties_file)], self.folder, self.log_file
            )
            self._await_ready(log_start, timeout_s)
        except BaseException as error:
            self.kill()
            if isinstance(error, TransportError) and error.fix == READ_THE_FILE:
                self.keep_folder()
            raise
        return self

    def stop(self, timeout_s: float = 30.0) -> None:
        """Stop the broker with SIGTERM, or with SIGKILL after the time-out."""
        if self._process is not None:
            self._process.stop(timeout_s)

    def kill(self) -> None:
        """Kill the broker (SIGKILL), like a crash; the data are kept."""
        if self._process is not None:
            self._process.kill()

    def restart(self, timeout_s: float = 90.0) -> Self:
        """Stop and start again, on the same ports and data."""
        self.stop()
        return self.start(timeout_s)

    def wait(self, timeout_s: float | None = None) -> int | None:
        """Wait for the broker to exit.

        Returns
        -------
        int or None
            Exit status; None if it still runs after ``timeout_s``, or was never started.
        """
        return None if self._process is None else self._process.wait(timeout_s)

    def keep_folder(self) -> None:
        """Keep a temporary folder on :meth:`close`, so that its log can be read."""
        self._is_temporary = False

    def close(self) -> None:
        """Stop, release the ports, and remove a temporary folder."""
        try:
            self.stop()
        finally:
            for reserved in self._reserved.values():
                reserved.release()
            self._reserved.clear()
            if self._lock is not None:
                self._lock.close()
                self._lock = None
            if self._is_temporary and self._folder is not None:
                shutil.rmtree(self._folder, ignore_errors=True)
                self._folder = None

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(self, *exception: object) -> None:
        self.close()

    @property
    def _data(self) -> Path:
        return self.folder / "kafka-data"

    @property
    def _properties_file(self) -> Path:
        return self.folder / "server.properties"

    def _claim_folder(self) -> None:
        """Lock the folder until :meth:`close`."""
        if self._lock is not None:
            return
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="driftline-kafka-"))
        self.folder.mkdir(parents=True, exist_ok=True)
        lock = (self.folder / "driftline.lock").open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
            raise TransportError(
                "another broker uses this folder",
                where=str(self.folder),
                fix="stop that one, or name another folder",
            ) from None
        self._lock = lock

    def _reserve_ports(self) -> None:
        """Reserve the ports at the first start; they are held until :meth:`close`."""
        last = read_ports(self._properties_file)
        for name in (PLAINTEXT, CONTROLLER, *self._protocols):
            if name in self._reserved:
                continue
            if name == PLAINTEXT and self._port:
                self._reserved[name] = ReservedPort(self._port)
            else:
                self._reserved[name] = _reserve_preferably(last.get(name, 0))

    def _configure(self) -> None:
        """Write the configuration with the reserved ports."""
        ports = {name: reserved.port for name, reserved in self._reserved.items()}
        made = server_properties(self._data, ports, self._protocols, self._overrides)
        write_properties(self._properties_file, made)

    def _format(self, java: str, libraries: Path) -> None:
        """Format the folder for a node; takes 1 s."""
        cluster = base64.urlsafe_b64encode(os.urandom(16)).rstrip(b"=").decode()
        # A leading dash would be parsed as an option.
        cluster = "A" + cluster[1:]
        command = [java, "-Xmx128m", *QUICK_START, *_LOGGING, "-cp", f"{libraries}/*"]
        tool = ["kafka.tools.StorageTool", "format", "--standalone", "--cluster-id", cluster]
        config = ["--config", str(self._properties_file), *self._format_arguments]
        with self.log_file.open("a+", encoding="utf-8", errors="replace") as log:
            position = log.tell()
            try:
                status = subprocess.call(
                    [*command, *tool, *config], stdout=log, stderr=log, timeout=_FORMAT_TIMEOUT_S
                )
            except subprocess.TimeoutExpired:
                status = -1
            if status != 0:
                log.seek(position)
                otherwise = "its folder cannot be formatted"
                raise explain_failure(log.read(), self.log_file, otherwise)

    def _await_ready(self, log_start: int, timeout_s: float) -> None:
        """Wait for the log line that reports readiness."""
        deadline = elapsed_s() + timeout_s
        while True:
            said = self._said_since(log_start)
            if READY in said:
                return
            if not self.is_running:
                raise explain_failure(self._said_since(log_start), self.log_file, "it ended")
            if elapsed_s() > deadline:
                raise explain_failure(said, self.log_file, f"not ready after {timeout_s:.0f} s")
            time.sleep(_TICK_S)

    def _said_since(self, position: int) -> str:
        """Return the broker's log since its start."""
        with self.log_file.open("rb") as log:
            log.seek(position)
            return log.read().decode(errors="replace")


def _reserve_preferably(port: int) -> ReservedPort:
    """Reserve this port, or any free one if it is in use."""
    try:
        return ReservedPort(port)
    except TransportError:
        return ReservedPort()
