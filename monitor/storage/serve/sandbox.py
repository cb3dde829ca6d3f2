"""Landlock sandbox: the kernel denies files outside the store, and other hosts.

Landlock (Linux 5.13, https://docs.kernel.org/userspace-api/landlock.html) irrevocably drops access
rights of a process, without privileges. Whatever a statement, a setting or a defect of the engine
attempts, the process can write only below the store and its temporary folder, read the installation
and the system's libraries, start no program, and open no connection (kernels from 6.7 on). Without
Landlock the other two layers still apply.
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
"""Parent folder of the packages: a clone, or ``site-packages``."""
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
"""Files from which the engine reads its own resource usage; not ``/proc/self/environ``."""


def confine(writable: Iterable[Path]) -> bool:
    """Irrevocably confine this thread and every thread that it starts.

    Parameters
    ----------
    writable : iterable of Path
        Folders with read and write access.

    Returns
    -------
    bool
        False if the kernel has no Landlock, or forbids it.

    Notes
    -----
    Call it in the main thread before the engine starts its threads. Open pipes and sockets, and
    names in ``/dev/fd``, are not affected.
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
    """Allow access below a path; missing paths are skipped."""
    with contextlib.suppress(OSError):
        descriptor = os.open(place, os.O_PATH | os.O_CLOEXEC)
        try:
            allowed = rights if place.is_dir() else rights & _OF_FILES
            rule = struct.pack("=Qi", allowed, descriptor)
            libc.syscall(_ADD, rules, _BENEATH, rule, 0)
        finally:
            os.close(descriptor)


def _installation() -> set[str]:
    """Return the folders of Python and its imports.

    Excludes the working directory, which ``python -m`` adds to the path, and of a clone includes
    only the packages, because configurations and data may be next to them.
    """
    packages = {str(_ROOT / name) for name in ("monitor", "detectors", "schemas", "driftline")}
    folders = {sys.prefix, sys.base_prefix, sys.exec_prefix, *filter(None, sys.path)}
    places = {Path(folder).resolve() for folder in folders}
    return packages | {str(place) for place in places - {_ROOT, Path.cwd()}}
