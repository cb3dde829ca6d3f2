"""The broker's configuration file: one KRaft node, small, on loopback."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from monitor.devkit.ports import LOOPBACK

PLAINTEXT = "PLAINTEXT"
CONTROLLER = "CONTROLLER"

_FIXED = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": CONTROLLER,
    "inter.broker.listener.name": PLAINTEXT,
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "group.initial.rebalance.delay.ms": "0",
    "auto.create.topics.enable": "false",
    # After kill -9 the node is admitted when its previous session has expired: measured 13 s with
    # the default of 9 s. With a shorter time-out a busy machine fences a live node.
    "broker.session.timeout.ms": "5000",
    "broker.heartbeat.interval.ms": "1000",
    # The default of 128 MiB is a third of the heap.
    "log.cleaner.dedupe.buffer.size": str(32 * 1024 * 1024),
}


def server_properties(
    data: Path,
    ports: Mapping[str, int],
    protocols: Mapping[str, str],
    overrides: Mapping[str, str],
) -> dict[str, str]:
    """Build the configuration of one node.

    Parameters
    ----------
    data : Path
        Folder of the node's logs.
    ports : mapping of str to int
        Port of each listener, always including ``PLAINTEXT`` and ``CONTROLLER``.
    protocols : mapping of str to str
        Security protocols of the other listeners.
    overrides : mapping of str to str
        Properties added or replaced.

    Returns
    -------
    dict of str to str

    Examples
    --------
    >>> made = server_properties(Path("/d"), {"PLAINTEXT": 1, "CONTROLLER": 2}, {}, {"a": "b"})
    >>> made["listeners"], made["log.dirs"], made["a"]
    ('PLAINTEXT://127.0.0.1:1,CONTROLLER://127.0.0.1:2', '/d', 'b')
    """
    listeners = ",".join(f"{name}://{LOOPBACK}:{port}" for name, port in ports.items())
    kinds = {PLAINTEXT: PLAINTEXT, CONTROLLER: PLAINTEXT, **protocols}
    return {
        **_FIXED,
        "controller.quorum.bootstrap.servers": f"{LOOPBACK}:{ports[CONTROLLER]}",
        "listeners": listeners,
        "advertised.listeners": listeners,
        "listener.security.protocol.map": ",".join(f"{k}:{v}" for k, v in kinds.items()),
        "log.dirs": str(data),
        **overrides,
    }


def write_properties(path: Path, properties: Mapping[str, str]) -> None:
    """Write a Java properties file, with backslashes and line ends escaped.

    Notes
    -----
    Readable by its owner only, because overrides may contain a listener's password.
    """
    lines = [f"{key}={_escape(value)}\n" for key, value in properties.items()]
    path.touch(mode=0o600, exist_ok=True)
    path.chmod(0o600)
    path.write_text("".join(lines), encoding="utf-8")


def read_ports(path: Path) -> dict[str, int]:
    """Read the port of each listener from an existing file; empty if there is none."""
    if not path.is_file():
        return {}
    for line in path.read_text(encoding="utf-8").splitlines():
        key, _, value = line.partition("=")
        if key == "listeners":
            parts = [listener.partition("://") for listener in value.split(",")]
            return {name: int(address.rpartition(":")[2]) for name, _, address in parts}
    return {}


def _escape(value: str) -> str:
    """Escape special characters of Java properties."""
    return value.replace("\\", "\\\\").replace("\n", "\\n")
