"""Old paths of moved modules, importable for one release with a warning."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from functools import cache
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

_TABLE = Path(__file__).with_name("moved_modules.txt")


def redirect_moved_modules() -> None:
    """Install an import hook for old paths, used only by imports that would otherwise fail.

    Examples
    --------
    >>> import warnings
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("ignore")
    ...     from detectors.psi import psi
    >>> psi.__module__
    'detectors.statistics.psi'
    """
    if not any(isinstance(finder, _MovedModules) for finder in sys.meta_path):
        sys.meta_path.append(_MovedModules())


@cache
def moved_modules() -> dict[str, tuple[str, dict[str, str]]]:
    """Return new path and renamed classes (old name to new) by old path."""
    rows = (line.split() for line in _TABLE.read_text().splitlines())
    return {old: (new, dict(n.split("=") for n in names)) for old, new, *names in rows}


class _MovedModules(MetaPathFinder):
    """Finder of moved modules."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname.partition(".")[0] not in ("schemas", "detectors", "monitor"):
            return None
        found = moved_modules().get(fullname)
        return None if found is None else ModuleSpec(fullname, _Alias(*found))


class _Alias(Loader):
    """Loader that returns the moved module, because a copy would define each class twice."""

    def __init__(self, path: str, names: dict[str, str]) -> None:
        self._path, self._names = path, names

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        warnings.warn(
            f"{spec.name} is now {self._path}; the old path is removed in the release after 0.1",
            DeprecationWarning,
            stacklevel=2,
        )
        module = import_module(self._path)
        self._spec = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self._spec
        for old, new in self._names.items():
            setattr(module, old, getattr(module, new))
