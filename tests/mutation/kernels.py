"""The kernel cache of a mutant: no machine code that may contain what it changes."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from grimp import ImportGraph

from tests.mutation.mutants import Mutant
from tests.mutation.selection import COMPILER, environment, module_name

_ASK = f"from {COMPILER} import CACHE_FOLDER; print(CACHE_FOLDER.name)"


def cache_of(mutant: Mutant, tree: Path, graph: ImportGraph) -> Path | None:
    """Return a cache of its own for a mutant, or None where no kernel can be affected.

    Numba looks only at the file of a kernel: machine code with another module's function or
    constant in it would be taken for current, and that of a mutant be left for the next one.

    Parameters
    ----------
    mutant : Mutant
        What has changed.
    tree : Path
        The copy with the change.
    graph : ImportGraph
        Imports of the product.

    Returns
    -------
    Path, optional
        A copy of the cache beside the tree, without the kernels of modules that import the
        mutant's.
    """
    name = module_name(mutant.path)
    kernels = graph.find_modules_that_directly_import(COMPILER) | {COMPILER}
    affected = {name, *graph.find_downstream_modules(name)} & kernels
    if not affected:
        return None
    whole, own = tree.parent / "kernels", tree.parent / "kernels_of_mutant"
    shutil.rmtree(own, ignore_errors=True)
    folder = _folder_name(tree, own)
    for file in whole.rglob("*.nb?"):
        if folder and not _is_of(file, affected):
            copy = own / "kernels" / folder / file.parent.name / file.name
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(file, copy)
    return own


def _folder_name(tree: Path, cache: Path) -> str:
    """Return the name of the cache's folder, a digest of the kernels' sources, or nothing."""
    env = environment(tree, {"DRIFTLINE_CACHE_DIR": str(cache), "PYTHONDONTWRITEBYTECODE": "1"})
    command = [sys.executable, "-c", _ASK]
    asked = subprocess.run(command, cwd=tree, env=env, capture_output=True, text=True, check=False)
    return asked.stdout.strip()


def _is_of(cached: Path, modules: set[str]) -> bool:
    """Whether machine code is a kernel's of one of the modules, or made for one of them."""
    folder, stem = cached.parent.name.rpartition("_")[0], cached.name.partition(".")[0]
    return any(m.endswith(f"{folder}.{stem}") or f".{m}." in cached.name for m in modules)
