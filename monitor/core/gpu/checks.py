"""Validates the state of GPU rules, so that later processing cannot fail on it."""

from __future__ import annotations

from monitor.core.bounds import check_names, check_number, check_struct, check_text
from monitor.core.gpu.state import Fleet, GpuState, HostState
from schemas.errors import DomainError

MAX_GPUS = 1_000_000
"""Maximum number of GPUs, hosts, and replaced cards of one partition."""
_MAX_HISTORY = 10_000


def check_fleet(fleet: Fleet) -> None:
    """Check the state of all GPU rules.

    Raises
    ------
    DomainError
        If a value is invalid.
    """
    check_struct(fleet)
    for name in ("gpus", "hosts", "replaced_us"):
        check_number(f"length of {name}", len(getattr(fleet, name)), 0, MAX_GPUS)
    for uuid, gpu in fleet.gpus.items():
        if gpu.uuid != uuid:
            raise DomainError(f"{gpu.uuid[:80]!r} is stored under {uuid[:80]!r}")
        _check_gpu(gpu)
    for key, host in fleet.hosts.items():
        if key != f"{host.tenant}/{host.host}":
            raise DomainError(f"{host.host[:80]!r} is stored under {key[:80]!r}")
        _check_place(host)


def _check_gpu(gpu: GpuState) -> None:
    """Check one GPU."""
    _check_place(gpu)
    check_text("uuid", gpu.uuid)
    check_names("seen_at_last", dict.fromkeys(gpu.seen_at_last), _MAX_HISTORY)
    for history in gpu.xids.values():
        if len(history.starts_us) != len(history.ends_us):
            raise DomainError("an XID with more beginnings than ends")
        check_number("history", len(history.starts_us), 0, _MAX_HISTORY)


def _check_place(place: GpuState | HostState) -> None:
    """Check names and rules of a GPU or a host."""
    check_text("tenant", place.tenant)
    check_text("host", place.host)
    for rule in place.rules:
        check_text("rule", rule)
        code = rule.removeprefix("xid_")
        if rule.startswith("xid_") and not (code.isascii() and code.lstrip("-").isdigit()):
            raise DomainError(f"{rule[:40]!r} is not the rule of an XID")
