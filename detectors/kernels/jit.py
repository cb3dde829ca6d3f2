"""Compilation of kernels, and cache of the machine code.

One decorator, :func:`kernel`. The cache lives in the user's cache directory,
one folder per Driftline version, Numba version, CPU and kernel source, because
Numba checks only the file that defines a kernel (an inlined function elsewhere may
have changed) and because code for one CPU may not run on another. It is written
under a file lock: several processes writing one cache have crashed (numba #4807,
#10128). A cache that is corrupt, read-only or gone costs a compilation, never an
error. ``DRIFTLINE_CACHE_DIR`` moves it.
"""

from __future__ import annotations

import fcntl
import hashlib
import inspect
import os
import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, ClassVar, TypeVar, cast

import numba
from numba.core import caching
from numba.core.runtime import rtsys

from detectors.version import VERSION

F = TypeVar("F", bound=Callable[..., Any])

_PACKAGES = (
    "detectors/kernels",
    "detectors/kernels/sequential",
    "monitor/decode",
    "monitor/decode/arrow",
    "monitor/decode/labels",
)
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


def _base_folder() -> Path:
    """Return the user's cache folder; a relative path, which is never used, without a home."""
    own, shared = os.environ.get("DRIFTLINE_CACHE_DIR"), os.environ.get("XDG_CACHE_HOME")
    if own:
        return Path(own).absolute()
    try:
        return Path(shared or Path.home() / ".cache") / "driftline"
    except RuntimeError:  # no HOME, and no entry in passwd
        return Path("driftline")


def cache_folder() -> Path:
    """Return the folder that belongs to this version, CPU and source.

    Cost: reads about a dozen source files, below 2 ms.
    """
    key = f"{VERSION}|{numba.__version__}|{_cpu()}|{_sources_digest()}"
    return _base_folder() / "kernels" / f"{VERSION}-{hashlib.sha256(key.encode()).hexdigest()[:16]}"


def _usable(folder: Path) -> bool:
    if not folder.is_absolute():
        return False
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return folder.is_dir() and os.access(folder, os.R_OK)
    return True


CACHE_FOLDER = cache_folder()
_HAS_CACHE = _usable(CACHE_FOLDER)


@contextmanager
def _lock() -> Iterator[None]:
    """Hold the write lock of the cache; without a lock file nothing is written."""
    with open(CACHE_FOLDER / "lock", "a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(handle, fcntl.LOCK_UN)


class _Count:
    """Kernels compiled by this process, for ``benchmarks.startup`` and the metrics."""

    compiled = 0
    loaded = 0


class _Locator(caching.UserProvidedCacheLocator):  # type: ignore[misc]
    """Locates the cache folder, whether it is writable or read-only.

    Numba's own locators would leave a folder that is read-only and write beside the
    sources, unlocked, instead.
    """

    def __init__(self, py_func: Any, py_file: str) -> None:
        self._py_file = py_file
        self._lineno = py_func.__code__.co_firstlineno
        self._cache_path = str(CACHE_FOLDER / self.get_suitable_cache_subpath(py_file))

    @classmethod
    def from_function(cls, py_func: Any, py_file: str) -> _Locator | None:
        return cls(py_func, py_file) if Path(py_file).exists() else None


class _Implementation(caching.CompileResultCacheImpl):  # type: ignore[misc]
    _locator_classes: ClassVar[list[type]] = [_Locator]


class _CheckedFile(caching.IndexDataCacheFile):  # type: ignore[misc]
    """Machine code under its checksum: LLVM aborts the process on code that was damaged."""

    def _save_data(self, name: str, data: Any) -> None:
        content = self._dump(data)
        with self._open_for_write(self._data_path(name)) as stream:
            stream.write(hashlib.sha256(content).digest() + content)

    def _load_data(self, name: str) -> Any:
        data = Path(self._data_path(name)).read_bytes()
        if hashlib.sha256(data[32:]).digest() != data[:32]:
            return None
        return pickle.loads(data[32:])


class _KernelCache(caching.FunctionCache):  # type: ignore[misc]
    """Numba's cache, whose failures only cause a recompilation."""

    _impl_class = _Implementation

    def __init__(self, py_func: Any) -> None:
        super().__init__(py_func)
        called = [cell.cell_contents.py_func for cell in py_func.__closure__ or ()]
        sources = [Path(inspect.getfile(function)).read_bytes() for function in called]
        own = self._impl.locator.get_source_stamp()
        self._cache_file = _CheckedFile(
            cache_path=self._cache_path,
            filename_base=self._impl.filename_base,
            source_stamp=(own, *(hashlib.sha256(source).digest() for source in sources)),
        )

    def _index_key(self, sig: Any, codegen: Any) -> tuple[Any, ...]:
        """Key machine code without the closure, whose kernels are in the source stamp.

        Numba pickles the closure, and a kernel's pickle differs from process to process:
        the machine code would never be found again.
        """
        code = hashlib.sha256(self._py_func.__code__.co_code).hexdigest()
        return sig, codegen.magic_tuple(), code

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Load machine code without initialising the compiler.

        Numba imports and registers everything that it can compile before it loads anything:
        0.3 s of each start. Machine code needs the runtime alone; a compilation still
        registers the rest by itself.
        """
        try:
            rtsys.initialize(target_context)
            found = self._load_overload(sig, target_context)
            _Count.loaded += found is not None
            return found
        except Exception:  # any unpickling error at all: compile instead
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        _Count.compiled += 1
        for _ in range(2):
            try:
                with _lock():
                    super().save_overload(sig, data)
                return
            except Exception:  # an unreadable index: empty it, then retry
                self._discard()

    def _discard(self) -> None:
        """Remove an index that cannot be read."""
        with suppress(OSError), _lock():
            Path(self._cache_file._index_path).unlink(missing_ok=True)


def compiled_count() -> int:
    """Return how many kernels this process has compiled rather than loaded."""
    return _Count.compiled


def ready_count() -> int:
    """Return how many kernels this process has compiled or loaded."""
    return _Count.compiled + _Count.loaded


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


def uncounted(function: F) -> F:
    """Compile a kernel that does not allocate or store arrays, without reference counting.

    Numba counts an array's references wherever a function takes it, also an inlined one,
    and drops what is superfluous only from simple functions: with a few branches 20 of
    24 ns a value were spent on it, atomically. A kernel that makes an array or a view
    of one cannot be compiled so.
    """
    return _compile(function, inline="never", counts=False)


def _compile(function: F, inline: str, counts: bool = True) -> F:
    if numba.config.DISABLE_JIT:
        return function
    options = {} if counts else {"_nrt": False}
    dispatcher = numba.njit(
        nogil=True, fastmath=False, inline=inline, error_model="numpy", **options
    )(function)
    if _HAS_CACHE:
        with suppress(Exception):  # no source file: an interactive shell
            dispatcher._cache = _KernelCache(function)
    return cast(F, dispatcher)
