"""Which tests execute a line, and how long they take, recorded once by coverage.py.

Coverage does not see the lines of compiled kernels, nor what ran once at import. For those, and
after the tests of the line, come the tests of the whole module and of files that import it, then
those of the modules that import it.
"""

from __future__ import annotations

import ast
import hashlib
import json
import os
import subprocess
import sys
import threading
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from functools import cache
from pathlib import Path

from tests.mutation.mutants import PACKAGES, ROOT, Mutant

FOLDERS = ("tests/unit", "tests/oracle", "tests/property")
COMPILER = "detectors.kernels.jit"
"""What modules with compiled kernels import."""
FILES_AT_ONCE = 12
"""Test files of one recording; an interrupted run goes on with the next."""
PYTEST = ["-q", "-o", "addopts=", "-p", "no:cacheprovider"]
PYTEST += ["-p", "pytest_timeout", "-p", "_hypothesis_pytestplugin", "-p", "tests.mutation.plugin"]
COVERAGE = "[run]\nrelative_files = true\ndisable_warnings = module-not-measured\n"


def unrecorded(tree: Path, folder: Path) -> list[list[str]]:
    """Return the test files that are new or changed since they were recorded, in batches."""
    known = _read(folder / "digests.json")
    files = [f for f, digest in digests(tree, FOLDERS).items() if known.get(f) != digest]
    return [files[at : at + FILES_AT_ONCE] for at in range(0, len(files), FILES_AT_ONCE)]


def record(files: list[str], tree: Path, folder: Path) -> None:
    """Run test files of a copied tree under coverage, and add to the recording.

    Parameters
    ----------
    files : list of str
        Paths in the tree.
    tree : Path
        The copy, without a mutation.
    folder : Path
        Where the recording is: ``coverage.*``, ``times.json`` and ``digests.json``.

    Raises
    ------
    RuntimeError
        If the tests could not be run; one that fails is left out.
    """
    (folder / "coveragerc").write_text(COVERAGE)
    name = hashlib.sha256(" ".join(files).encode()).hexdigest()[:12]
    times = tree.parent / "times.json"
    names = {"COVERAGE_FILE": str(folder / f"coverage.{name}"), "MUTATION_TIMES": str(times)}
    command = [sys.executable, "-m", "pytest", *PYTEST, "-p", "pytest_cov", "--timeout=900", *files]
    command += ["-m", "not slow and not integration and not kafka and not shared"]
    command += [f"--cov={name}" for name in PACKAGES]
    command += ["--cov-context=test", "--cov-report=", f"--cov-config={folder / 'coveragerc'}"]
    with (tree.parent / "recording.log").open("w") as log:
        code = subprocess.run(
            command,
            cwd=tree,
            env=environment(tree, names),
            stdout=log,
            stderr=log,
            start_new_session=True,
            check=False,
        ).returncode
    if code not in (0, 1, 5):
        raise RuntimeError(f"pytest ended with {code}: {tree.parent / 'recording.log'}")
    with _WRITING:
        _add(folder / "times.json", _read(times), replaced=files)
        # A module's lines stay those of the first recording.
        known = digests(tree, PACKAGES) | _read(folder / "digests.json")
        tests = {file: digest for file, digest in digests(tree, FOLDERS).items() if file in files}
        _add(folder / "digests.json", known | tests)


_WRITING = threading.Lock()


def _add(path: Path, new: dict[str, str], replaced: Collection[str] = ()) -> None:
    kept = {key: value for key, value in _read(path).items() if _file(key) not in replaced}
    path.write_text(json.dumps(kept | new))


def environment(tree: Path, more: dict[str, str]) -> dict[str, str]:
    """Return an environment in which Python imports a copied tree, and kernels are its own."""
    own = {"PYTHONPATH": str(tree), "DRIFTLINE_CACHE_DIR": str(tree.parent / "kernels")}
    own["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    inherited = {k: v for k, v in os.environ.items() if k not in ("CI", "NUMBA_DISABLE_JIT")}
    return inherited | own | more


def digests(tree: Path, folders: Iterable[str]) -> dict[str, str]:
    """Return the digest of every module below some folders; of tests, those that hold tests."""
    paths = sorted(path for name in folders for path in (tree / name).rglob("*.py"))
    return {
        path.relative_to(tree).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in paths
        if path.name.startswith("test_") or "tests" not in path.relative_to(tree).parts
    }


def _read(path: Path) -> dict[str, str]:
    return dict(json.loads(path.read_text())) if path.exists() else {}


def _file(test: str) -> str:
    return test.partition("::")[0]


class Selection:
    """The recording, asked for the tests of one mutant."""

    def __init__(self, folder: Path) -> None:
        from coverage import CoverageData
        from grimp import build_graph

        self._data = [CoverageData(str(path)) for path in sorted(folder.glob("coverage.*"))]
        for data in self._data:
            data.read()
        self._seconds = {t: float(s) for t, s in _read(folder / "times.json").items()}
        self._digests = _read(folder / "digests.json")
        self.graph = build_graph("monitor", "detectors", cache_dir=None)

    def tests_of(self, mutant: Mutant, budget_s: float) -> list[str]:
        """Return node IDs: the mutated line's tests, then the module's, then its importers'.

        Parameters
        ----------
        mutant : Mutant
            Its line need not be covered.
        budget_s : float
            Sum of the recorded seconds of what is returned; a test that no longer fits is left
            out, and shorter ones after it are not.

        Returns
        -------
        list of str
            Tests of one file are adjacent: their module's fixtures are set up once. Importers
            only where nothing else is known, and for modules with kernels, of which coverage
            sees the calls from plain Python only.
        """
        source = (ROOT / mutant.path).read_text()
        is_current = hashlib.sha256(source.encode()).hexdigest() == self._digests.get(mutant.path)
        lines = statement_lines(source, mutant.line) if is_current else ()
        module = module_name(mutant.path)
        is_compiled = COMPILER in self.graph.find_modules_directly_imported_by(module)
        chosen, too_long = list[str](), list[str]()
        for level, group in enumerate(self._groups(mutant.path, lines)):
            if level > 1 and chosen and not is_compiled:
                break
            for test in self._ordered(group.difference(chosen, too_long), module):
                is_fitting = self._seconds[test] <= budget_s
                (chosen if is_fitting else too_long).append(test)
                budget_s -= self._seconds[test] if is_fitting else 0.0
        return chosen or too_long[:1]

    def seconds(self, tests: list[str]) -> float:
        """Return how long tests took when they were recorded."""
        return sum(self._seconds[test] for test in tests)

    def _ordered(self, tests: set[str], module: str) -> list[str]:
        """Return tests of files that name the module first, then of files with fast tests."""
        by_file: dict[str, list[str]] = {}
        for test in sorted(tests & self._seconds.keys(), key=lambda t: (self._seconds[t], t)):
            by_file.setdefault(_file(test), []).append(test)

        def rank(file: str) -> tuple[bool, float]:
            mean = self.seconds(by_file[file]) / len(by_file[file])
            return module not in _imported_by(file), mean

        return [test for file in sorted(by_file, key=rank) for test in by_file[file]]

    def _of_lines(self, path: str, lines: tuple[int, ...]) -> set[str]:
        contexts = self._contexts(path)
        found = {context for line in lines for context in contexts.get(line, ())}
        tests = {context.rpartition("|")[0] for context in found}
        shared = {_file(c) for c in found if c.endswith("|setup")}
        # A fixture of a module is set up by its first test and used by all.
        return tests | {t for t in self._seconds if shared and _file(t) in shared}

    def _groups(self, path: str, lines: tuple[int, ...]) -> Iterator[set[str]]:
        """Yield the tests of lines, of their module, of its direct importers, of theirs."""
        yield self._of_lines(path, lines)
        modules = {module_name(path)}
        seen = set(modules)
        while modules:
            paths = {found for module in modules if (found := _path(module))}
            direct = {t for t in self._seconds if modules & _imported_by(_file(t))}
            yield direct.union(*(self._of_lines(p, function_lines(p)) for p in paths))
            of_each = map(self.graph.find_modules_that_directly_import, modules)
            modules = set().union(*of_each) - seen
            seen |= modules

    @cache  # noqa: B019  one object a process
    def _contexts(self, path: str) -> dict[int, list[str]]:
        found: dict[int, list[str]] = defaultdict(list)
        for data in self._data:
            for line, contexts in data.contexts_by_lineno(path).items():
                found[line] += [context for context in contexts if context]
        return found


@cache
def _imported_by(file: str) -> frozenset[str]:
    """Return the modules that a test file imports, and names that may be modules."""
    found: set[str] = set()
    tree = ast.parse((ROOT / file).read_text()) if (ROOT / file).exists() else ast.Module([], [])
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return frozenset(found)


def module_name(path: str) -> str:
    """Return the dotted name of a module.

    Examples
    --------
    >>> module_name("detectors/decision_rule/__init__.py")
    'detectors.decision_rule'
    """
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def _path(module: str) -> str | None:
    """Return the path of a module in the sampled packages."""
    for path in (f"{module.replace('.', '/')}.py", f"{module.replace('.', '/')}/__init__.py"):
        if path.startswith(PACKAGES) and (ROOT / path).exists():
            return path
    return None


@cache
def function_lines(path: str) -> tuple[int, ...]:
    """Return the lines inside a module's functions, without their headers."""
    tree = ast.parse((ROOT / path).read_text())
    found: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            found |= set(range(node.body[0].lineno, (node.end_lineno or 0) + 1))
    return tuple(sorted(found))


def statement_lines(source: str, line: int) -> tuple[int, ...]:
    """Return the lines of the statement that holds a line; of a compound one, its header.

    Examples
    --------
    >>> statement_lines("if a:\\n    f(\\n        1\\n    )\\n", 3)
    (2, 3, 4)
    >>> statement_lines("if a:\\n    f(\\n        1\\n    )\\n", 1)
    (1,)
    """
    spans = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.stmt):
            body = getattr(node, "body", None)
            last = body[0].lineno - 1 if body else node.end_lineno
            if node.lineno <= line <= (last or node.lineno):
                spans.append((node.lineno, last or node.lineno))
    first, last = max(spans, default=(line, line))
    return tuple(range(first, last + 1))
