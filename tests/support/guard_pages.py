"""Arrays that end where memory may not be read: one byte too far ends the process."""

from __future__ import annotations

import ctypes
import mmap
import weakref

import numpy as np

from schemas.batch import Chunk, Uint8Array

_C = ctypes.CDLL(None, use_errno=True)
_C.mmap.restype = ctypes.c_void_p
_C.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *3 * [ctypes.c_int], ctypes.c_long]
_C.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
_C.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
_NO_ACCESS, _READ_WRITE, _PRIVATE_ANONYMOUS = 0, 3, 0x22


def guarded(content: bytes, *, at_start: bool = False) -> Uint8Array:
    """Copy bytes between two pages without access, flush with one of them.

    Parameters
    ----------
    at_start : bool, optional
        Flush with the page before; by default with the one behind.
    """
    n_pages = max(1, -(-len(content) // mmap.PAGESIZE))
    n_inner, n_all = n_pages * mmap.PAGESIZE, (n_pages + 2) * mmap.PAGESIZE
    base = _C.mmap(None, n_all, _READ_WRITE, _PRIVATE_ANONYMOUS, -1, 0)
    assert base not in (None, 0, ctypes.c_void_p(-1).value)
    for page in (base, base + mmap.PAGESIZE + n_inner):
        assert _C.mprotect(page, mmap.PAGESIZE, _NO_ACCESS) == 0
    at = base + mmap.PAGESIZE + (0 if at_start else n_inner - len(content))
    raw = (ctypes.c_uint8 * len(content)).from_address(at)
    weakref.finalize(raw, _C.munmap, base, n_all)
    if not content:
        return np.zeros(0, np.uint8)
    array = np.frombuffer(raw, np.uint8)
    array[:] = np.frombuffer(content, np.uint8)
    return array


def guarded_chunk(messages: list[bytes], *, at_start: bool = False) -> Chunk:
    """Lay messages out as a chunk without padding."""
    n = len(messages)
    lengths = np.fromiter(map(len, messages), np.int64, n)
    return Chunk(
        source="f",
        partition=0,
        buffer=guarded(b"".join(messages), at_start=at_start),
        offsets=np.concatenate((np.zeros(1, np.int64), np.cumsum(lengths))),
        log_offset=np.arange(n, dtype=np.int64),
        record_time_us=np.full(n, -1, dtype=np.int64),
    )
