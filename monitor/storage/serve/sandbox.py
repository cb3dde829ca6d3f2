"""The last line: the kernel denies the server files outside its store, and other hosts.

Landlock (Linux 5.13, https://docs.kernel.org/userspace-api/landlock.html) takes rights
away from a process for good, without privileges. Whatever a statement, a setting or a fault
of the engine would reach, the process writes beneath the store and its own temporary
folder only, reads the installation and the system's libraries, starts no program, and opens
no connection (kernels from 6.7 on). Where the kernel has no Landlock, the other lines stand.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import struct
import sys
from collections.abc import Iterable
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[3]
"""Holds the packages: a clone, or ``site-packages``."""
_CREATE, _ADD, _RESTRICT = 444, 445, 446
_NO_NEW_PRIVILEGES = 38
_VERSION = 1
_BENEATH = 1

EXECUTE, WRITE, READ, LIST = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_OF_FILES = EXECUTE | WRITE | READ | 1 << 14 | 1 << 15
_ALL_BY_ABI = ((1, (1 << 13) - 1), (2, 1 << 13), (3, 1 << 14), (5, 1 << 15))
_CONNECT_TCP = 1 << 1
_ABI_WITH_TCP = 4

SYSTEM = (
    "/usr", "/lib", "/lib64", "/sys", "/etc/localtime", "/etc/timezone", "/etc/hosts",
    "/etc/host.conf", "/etc/nsswitch.conf", "/etc/resolv.conf", "/etc/gai.conf",
    "/etc/services", "/etc/ld.so.cache",
)  # fmt: skip
PROCESS = (
    "/proc/meminfo", "/proc/cpuinfo", "/proc/stat", "/proc/loadavg", "/proc/uptime",
    "/proc/self/statm", "/proc/self/stat", "/proc/self/status", "/proc/self/smaps",
    "/proc/self/maps", "/proc/self/io", "/proc/self/auxv", "/proc/self/cgroup",
    "/proc/self/mountinfo", "/proc/sys", "/dev/null", "/dev/zero", "/dev/random", "/dev/urandom",
)  # fmt: skip
"""What the engine measures itself by; not ``/proc/self/environ``."""


def confine(writable: Iterable[Path]) -> bool:
    """Confine this thread, and every thread that it starts, for good.

    Parameters
    ----------
    writable : iterable of Path
        Folders that may be read and written.

    Returns
    -------
    bool
        False where the kernel has no Landlock, or forbids it.

    Notes
    -----
    Call it in the main thread before the engine starts its threads. Pipes and sockets
    that are open already, and names in ``/dev/fd``, stay as they are.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    abi = libc.syscall(_CREATE, None, 0, _VERSION)
    if abi < 1:
        return False
    handled = sum(bits for since, bits in _ALL_BY_ABI if abi >= since)
    net = _CONNECT_TCP if abi >= _ABI_WITH_TCP else 0
    attributes = struct.pack("QQ", handled, net)[: 16 if net else 8]
    rules = libc.syscall(_CREATE, attributes, len(attributes), 0)
    if rules < 0:
        return False
    try:
        for place in writable:
            _allow(libc, rules, place, handled & ~EXECUTE)
        for name in (*SYSTEM, *PROCESS, *_installation()):
            _allow(libc, rules, Path(name), READ | LIST)
        _allow(libc, rules, _ROOT, LIST)
        for name in ("/dev/null", "/dev/zero"):
            _allow(libc, rules, Path(name), READ | WRITE)
        if libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0):
            return False
        return bool(libc.syscall(_RESTRICT, rules, 0) == 0)
    finally:
        os.close(rules)


def _allow(libc: ctypes.CDLL, rules: int, place: Path, rights: int) -> None:
    """Allow rights beneath a place; one that does not exist needs none."""
    with contextlib.suppress(OSError):
        descriptor = os.open(place, os.O_PATH | os.O_CLOEXEC)
        try:
            allowed = rights if place.is_dir() else rights & _OF_FILES
            rule = struct.pack("=Qi", allowed, descriptor)
            libc.syscall(_ADD, rules, _BENEATH, rule, 0)
        finally:
            os.close(descriptor)


def _installation() -> set[str]:
    """Return where Python and what it imports lie.

    Without the working directory, which ``python -m`` puts on the path, and of a clone the
    packages alone: beside them lie configurations and data.
    """
    packages = {str(_ROOT / name) for name in ("monitor", "detectors", "schemas", "driftline")}
    folders = {sys.prefix, sys.base_prefix, sys.exec_prefix, *filter(None, sys.path)}
    places = {Path(folder).resolve() for folder in folders}
    return packages | {str(place) for place in places - {_ROOT, Path.cwd()}}
