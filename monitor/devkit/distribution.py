"""Apache Kafka's jars, downloaded once from Maven Central into the user's cache.

``pom.xml`` in this folder lists them; no archive is unpacked and nothing is installed system-wide.
Java runs the broker, Maven only downloads the jars.
"""

from __future__ import annotations

import fcntl
import functools
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from monitor.clock import elapsed_s
from schemas.errors import TransportError

KAFKA_VERSION = "4.1.1"
MIN_JAVA = 17
INSTALL_LINE = "apt-get install openjdk-17-jre-headless maven"
POM = Path(__file__).with_name("pom.xml")

_CORE_JAR = f"kafka_2.13-{KAFKA_VERSION}.jar"
_TIMEOUT_S = 600.0


def libraries_folder() -> Path:
    """Return the folder of the jars, which may not exist yet.

    Returns
    -------
    Path
        ``kafka/<version>`` under ``DRIFTLINE_CACHE_DIR``, ``$XDG_CACHE_HOME/driftline``
        or ``~/.cache/driftline``.
    """
    own, shared = os.environ.get("DRIFTLINE_CACHE_DIR"), os.environ.get("XDG_CACHE_HOME")
    base = Path(own) if own else Path(shared or Path.home() / ".cache") / "driftline"
    return base.absolute() / "kafka" / KAFKA_VERSION


def has_libraries() -> bool:
    """Return whether the jars are in the cache; the folder is created atomically."""
    return (libraries_folder() / _CORE_JAR).is_file()


def missing_tools() -> str:
    """Return the missing tools for running a broker.

    Returns
    -------
    str
        A clause such as ``Maven (mvn) is not on the PATH``; empty if nothing is missing. Maven is
        only needed until the jars are in the cache.
    """
    try:
        find_java()
    except TransportError as error:
        return error.what
    if not has_libraries() and shutil.which("mvn") is None:
        return "Maven (mvn) is not on the PATH"
    return ""


def find_java() -> str:
    """Return the path of a Java that can run the broker.

    Raises
    ------
    TransportError
        If there is none in ``JAVA_HOME`` or on the ``PATH``, or it is too old.
    """
    home = os.environ.get("JAVA_HOME")
    java = shutil.which("java", path=str(Path(home) / "bin") if home else None)
    if java is None:
        where = f"in JAVA_HOME {home}" if home else "on the PATH"
        raise TransportError(f"Java (java) is not {where}", fix=INSTALL_LINE)
    version = _java_version(java)
    if version < MIN_JAVA:
        raise TransportError(
            f"Java {version or 'of unknown version'} at {java}, Kafka needs {MIN_JAVA} or newer",
            fix=INSTALL_LINE,
        )
    return java


@functools.cache
def _java_version(java: str) -> int:
    """Return the major version of a Java; 0 if unknown."""
    try:
        answer = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return 0
    found = re.search(r'version "(?:1\.)?(\d+)', answer.stderr)
    return int(found[1]) if found else 0


def install_libraries(timeout_s: float = _TIMEOUT_S) -> Path:
    """Return the folder of Kafka's jars, downloading them the first time.

    Parameters
    ----------
    timeout_s : float, optional
        Time-out of the download, and of waiting for another process that downloads.

    Returns
    -------
    Path

    Raises
    ------
    TransportError
        If Maven is missing or fails, or on time-out.

    Notes
    -----
    46 jars, 43 MB, 7 s on a fast connection. Downloaded into a temporary folder and renamed, so
    readers never see a partial download and a kill needs no repair.
    """
    target = libraries_folder()
    if has_libraries():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with _locked(target.parent / f"{KAFKA_VERSION}.lock", timeout_s):
        if not has_libraries():
            with tempfile.TemporaryDirectory(prefix=".fetch-", dir=target.parent) as scratch:
                _resolve(Path(scratch), timeout_s)
                shutil.rmtree(target, ignore_errors=True)
                (Path(scratch) / "libs").rename(target)
    return target


@contextmanager
def _locked(path: Path, timeout_s: float) -> Iterator[None]:
    """Hold a file lock, with a time-out for acquiring it."""
    deadline = elapsed_s() + timeout_s
    with path.open("w") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if elapsed_s() > deadline:
                    raise TransportError(
                        f"another process has been fetching Kafka for {timeout_s:.0f} s",
                        where=str(path),
                        fix="stop that process, then run this command again",
                    ) from None
                time.sleep(0.1)
        yield


def _resolve(scratch: Path, timeout_s: float) -> None:
    """Run Maven to copy the jars into ``scratch/libs``."""
    maven = shutil.which("mvn")
    if maven is None:
        raise TransportError("Maven (mvn) is not on the PATH", fix=INSTALL_LINE)
    # Maven writes next to its pom, and the package's folder may be read-only.
    shutil.copyfile(POM, scratch / "pom.xml")
    command = [maven, "-q", "-B", "-f", str(scratch / "pom.xml"), "dependency:copy-dependencies"]
    options = [f"-DoutputDirectory={scratch / 'libs'}", "-DincludeScope=runtime"]
    try:
        done = subprocess.run(
            [*command, *options], capture_output=True, text=True, timeout=timeout_s
        )
    except subprocess.TimeoutExpired:
        raise TransportError(
            f"Maven did not finish in {timeout_s:.0f} s",
            where=f"resolving Apache Kafka {KAFKA_VERSION}",
            fix="check that Maven Central or your mirror is reachable",
        ) from None
    if done.returncode != 0 or not (scratch / "libs" / _CORE_JAR).is_file():
        raise TransportError(
            f"Maven failed: {_first_error(done.stdout + done.stderr)}",
            where=f"resolving Apache Kafka {KAFKA_VERSION}",
            fix="check that Maven Central or your mirror (~/.m2/settings.xml) is reachable",
        )


def _first_error(output: str) -> str:
    """Return the line of Maven's output with the error."""
    plain = re.sub(r"\x1b\[[0-9;]*m", "", output)
    lines = [line.strip() for line in plain.splitlines() if line.strip()]
    errors = [line.removeprefix("[ERROR]").strip() for line in lines if "[ERROR]" in line]
    return (errors or lines or ["no output"])[0][:300]
