"""Modules that libraries import if they are there, and that no command needs.

pyarrow imports pandas at its first conversion, Numba scipy.linalg to find BLAS, numpy.f2py
charset_normalizer: together they take a third of the start of a command.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from types import ModuleType

UNUSED = {"pandas": "", "charset_normalizer": "", "scipy.linalg": "numba."}
"""Modules, each with the prefix of the importers that do not need it."""


class _Hidden(MetaPathFinder):
    """Lets imports of the unused modules fail as if they were not installed."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> None:
        """Refuse a module that its importer does not need."""
        if name in UNUSED and _importer().startswith(UNUSED[name]):
            raise ModuleNotFoundError(f"{name} is not used by this command", name=name)


_HIDDEN = _Hidden()


@contextmanager
def unused_modules_hidden() -> Iterator[None]:
    """Let imports of :data:`UNUSED` fail as if the modules were not installed.

    Examples
    --------
    >>> with unused_modules_hidden():
    ...     _HIDDEN in sys.meta_path
    True
    """
    sys.meta_path.insert(0, _HIDDEN)
    try:
        yield
    finally:
        show_unused_modules()


def show_unused_modules() -> None:
    """Let the modules be imported again, for a library that does need them."""
    if _HIDDEN in sys.meta_path:
        sys.meta_path.remove(_HIDDEN)


def _importer() -> str:
    """Return the name of the module whose import statement is running."""
    frame = sys._getframe(1)
    while frame.f_back is not None:
        frame = frame.f_back
        name = str(frame.f_globals.get("__name__", ""))
        if frame.f_code.co_filename != __file__ and not name.startswith("importlib"):
            return name
    return ""
