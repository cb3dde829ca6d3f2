"""Java, Maven and the jars: what is missing is said in one line with the way to get it."""

from __future__ import annotations

import os
from pathlib import Path
from xml.etree import ElementTree

import pytest

from monitor.cli.main import main
from monitor.devkit import distribution
from monitor.devkit.distribution import (
    INSTALL_LINE,
    KAFKA_VERSION,
    POM,
    find_java,
    has_libraries,
    install_libraries,
    libraries_folder,
    missing_tools,
)
from schemas.errors import TransportError
from tests.support.repository import ROOT

JAVA_17 = "echo 'openjdk version \"17.0.15\" 2025-04-15' >&2"
JAVA_8 = "echo 'java version \"1.8.0_402\"' >&2"


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine with an empty cache and only the programs a test writes."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("DRIFTLINE_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv("JAVA_HOME", raising=False)

    def install(name: str, script: str, folder: Path = tmp_path / "bin") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        program = folder / name
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)

    return install


def _command_error(capsys) -> tuple[int, str]:
    with pytest.raises(SystemExit) as end:
        main(["dev", "kafka", "--port", "0"])
    return end.value.code, capsys.readouterr().err.splitlines()[-1]


def test_pom_names_the_version_and_is_in_the_package_and_in_deploy():
    space = {"m": "http://maven.apache.org/POM/4.0.0"}
    root = ElementTree.parse(POM).getroot()
    versions = {
        d.findtext("m:artifactId", namespaces=space): d.findtext("m:version", namespaces=space)
        for d in root.iterfind("m:dependencies/m:dependency", space)
    }
    assert versions == {"kafka_2.13": KAFKA_VERSION, "slf4j-simple": "1.7.36"}
    deployed = ROOT / "deploy/kafka/pom.xml"
    assert deployed.read_bytes() == POM.read_bytes()


def test_no_java_is_said_with_the_line_that_installs_it(machine, capsys):
    assert missing_tools() == "Java (java) is not on the PATH"
    assert _command_error(capsys) == (
        4,
        f"error: Java (java) is not on the PATH ({INSTALL_LINE})",
    )


def test_old_java_is_refused_with_its_version(machine, capsys):
    machine("java", JAVA_8)
    code, error = _command_error(capsys)
    assert code == 4
    assert error.startswith("error: Java 8 at ")
    assert INSTALL_LINE in error


def test_program_that_is_no_java_is_refused(machine):
    machine("java", "echo hello")
    with pytest.raises(TransportError, match="Java of unknown version"):
        find_java()


def test_java_home_comes_before_the_path(machine, tmp_path, monkeypatch):
    machine("java", JAVA_8)
    machine("java", JAVA_17, tmp_path / "jdk/bin")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "jdk"))
    assert find_java() == str(tmp_path / "jdk/bin/java")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "nothing"))
    with pytest.raises(TransportError, match="JAVA_HOME"):
        find_java()


def test_no_maven_is_said_with_the_line_that_installs_it(machine, capsys):
    machine("java", JAVA_17)
    assert missing_tools() == "Maven (mvn) is not on the PATH"
    assert _command_error(capsys) == (
        4,
        f"error: Maven (mvn) is not on the PATH ({INSTALL_LINE})",
    )


def test_maven_is_not_needed_once_the_jars_are_there(machine):
    machine("java", JAVA_17)
    folder = libraries_folder()
    folder.mkdir(parents=True)
    (folder / f"kafka_2.13-{KAFKA_VERSION}.jar").touch()
    assert missing_tools() == ""
    assert install_libraries() == folder


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo '[ERROR] Could not transfer artifact'; echo '[ERROR] more'; exit 1", "transfer"),
        ("echo gone wrong >&2; exit 3", "gone wrong"),
        ("exit 0", "no output"),
    ],
    ids=["error", "other words", "no jars"],
)
def test_failing_maven_is_one_line_and_leaves_nothing(machine, script, said):
    machine("java", JAVA_17)
    machine("mvn", script)
    with pytest.raises(TransportError, match=f"Maven failed: .*{said}") as caught:
        install_libraries()
    assert "\n" not in str(caught.value)
    assert not has_libraries()
    assert not list(libraries_folder().parent.glob(".fetch-*"))


def test_slow_maven_is_ended(machine, monkeypatch):
    machine("mvn", "exec /bin/sleep 60")
    with pytest.raises(TransportError, match="did not finish"):
        install_libraries(timeout_s=0.1)
    assert not has_libraries()


def test_waiting_for_another_fetch_has_a_bound(machine):
    lock = libraries_folder().parent / f"{KAFKA_VERSION}.lock"
    lock.parent.mkdir(parents=True)
    with (
        distribution._locked(lock, 1.0),
        pytest.raises(TransportError, match="another process has been fetching"),
    ):
        install_libraries(timeout_s=0.0)


def test_cache_that_cannot_be_written_is_one_line(machine, tmp_path, capsys):
    machine("java", JAVA_17)
    machine("mvn", "exit 0")
    (tmp_path / "cache").write_text("a file, not a folder")
    code, error = _command_error(capsys)
    assert code == 4
    assert str(tmp_path / "cache") in error
    assert os.linesep not in error
