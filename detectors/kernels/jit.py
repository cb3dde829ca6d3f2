"""How kernels are compiled, and where the machine code is kept.

One decorator, :func:`kernel`. The cache lives in the user's cache directory,
one folder per Driftline version, Numba version, CPU and kernel source, because
Numba checks only the file a kernel stands in (an inlined function elsewhere may
have changed) and because code for one CPU may not run on another. It is written
under a file lock: several processes writing one cache have crashed (numba #4807,
#10128). A cache that is corrupt, read-only or gone costs a compilation, never an
error. ``DRIFTLINE_CACHE_DIR`` moves it.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
from numba.core import caching

from detectors.version import VERSION

F = TypeVar("F", bound=Callable[..., Any])

_PACKAGES = ("detectors/kernels", "monitor/decode")
"""Folders whose sources decide which cache is used."""


def _cpu() -> str:
    from llvmlite import binding

    features = binding.get_host_cpu_features().flatten()
    return f"{binding.get_host_cpu_name()} {features}"


def _sources_digest() -> str:
    root = Path(__file__).resolve().parents[2]
    digest = hashlib.sha256()
    for package in _PACKAGES:
        for path in sorted((root / package).glob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()


def cache_folder() -> Path:
    """Return the folder that belongs to this version, CPU and source.

    Cost: reads about a dozen source files, below 2 ms.
    """
    base = os.environ.get("DRIFTLINE_CACHE_DIR")
    if base is None:
        base = os.path.join(
            os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache"),
            "driftline",
        )
    key = f"{VERSION}|{numba.__version__}|{_cpu()}|{_sources_digest()}"
    return Path(base) / "kernels" / f"{VERSION}-{hashlib.sha256(key.encode()).hexdigest()[:16]}"


def _usable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return folder.is_dir() and os.access(folder, os.R_OK)
    return True


CACHE_FOLDER = cache_folder()
_HAS_CACHE = _usable(CACHE_FOLDER)


@contextmanager
def _lock() -> Iterator[None]:
    """Hold the cache's write lock; without a place for it, write nothing."""
    with open(CACHE_FOLDER / "lock", "a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(handle, fcntl.LOCK_UN)


class _Count:
    """Kernels compiled by this process, for ``benchmarks.startup`` and the metrics."""

    compiled = 0


class _KernelCache(caching.FunctionCache):  # type: ignore[misc]
    """Numba's cache, which may fail without anyone noticing but the clock."""

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        try:
            return super().load_overload(sig, target_context)
        except Exception:  # any unpickling error at all: compile instead
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        _Count.compiled += 1
        for _ in range(2):
            try:
                with _lock():
                    super().save_overload(sig, data)
                return
            except Exception:  # an index that cannot be read: empty it, then once more
                self._discard()

    def _discard(self) -> None:
        """Remove an index that cannot be read."""
        try:
            with _lock():
                Path(self._cache_file._index_path).unlink(missing_ok=True)
        except OSError:
            pass


def compiled_count() -> int:
    """Return how many kernels this process has compiled rather than loaded."""
    return _Count.compiled


def kernel(function: F) -> F:
    """Compile ``function`` without the GIL, without fastmath, cached on disk.

    Parameters
    ----------
    function : callable
        Takes arrays and numbers only. With ``NUMBA_DISABLE_JIT=1`` it is
        returned as it is.

    Returns
    -------
    callable
        The compiled function, with the type of the original.
    """
    return _compile(function, inline="never")


def inlined(function: F) -> F:
    """Compile a small function into its callers.

    Passing an array to a function that is called costs atomic reference
    counting: 970 ns an event, 228 ns inlined.
    """
    return _compile(function, inline="always")


def _compile(function: F, inline: str) -> F:
    if numba.config.DISABLE_JIT:
        return function
    dispatcher = numba.njit(nogil=True, fastmath=False, inline=inline, error_model="numpy")(
        function
    )
    if _HAS_CACHE:
        numba.config.CACHE_DIR = str(CACHE_FOLDER)
        try:
            dispatcher._cache = _KernelCache(function)
        except Exception:  # no locator: a read-only place, an interactive shell
            pass
    return cast(F, dispatcher)
