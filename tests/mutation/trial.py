"""One mutant, judged in a copy of the repository."""

from __future__ import annotations

import difflib
import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path

from grimp import ImportGraph

from tests.mutation.kernels import cache_of
from tests.mutation.mutants import ROOT, Mutant, mutated
from tests.mutation.selection import PYTEST, environment

NO_TESTS = 5
_TIME_LIMIT = (-signal.SIGXCPU, -signal.SIGKILL)
KILLED, TIMED_OUT, SURVIVED = "killed", "timed out", "survived"
START_S, SLOWER = 60, 4
"""CPU time of a run: for imports and compilation, and as a multiple of the recorded seconds."""
WALL_S = 900
"""For what waits without using the CPU."""
OWN = ("tests", "monitor", "detectors", "schemas", "driftline")
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["numba", "pyarrow.compute", "scipy.stats", "pydantic", "pytest"])


@dataclass(frozen=True)
class Outcome:
    """What the tests say about one mutant."""

    key: str
    place: str
    """``path:line (definition)``."""
    diff: str
    result: str
    by: str
    """The test that failed, of a killed mutant; or how pytest ended."""
    n_tests: int
    """Tests that were selected."""


class Tree:
    """A copy of the repository that one worker mutates; the repository itself stays as it is.

    Its path is the same in every run: machine code in a kernel cache belongs to a path.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = folder / "tree"
        self._process: BaseProcess | None = None
        self._is_stopped = False

    def fill(self) -> None:
        """Copy every file that git tracks or does not ignore, with its time."""
        listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
        names = subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True).stdout
        current = {name for name in names.splitlines() if (ROOT / name).is_file()}
        for path in [path for path in self.root.rglob("*") if path.is_file()]:
            name = path.relative_to(self.root).as_posix()
            if name not in current and "__pycache__" not in name:
                path.unlink()
        for name in current:
            if not _is_same(ROOT / name, self.root / name):
                (self.root / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, self.root / name)

    def stop(self) -> None:
        """End a run that is under way; it has no outcome."""
        self._is_stopped = True
        if self._process:
            _end_group(self._process)

    def judge(
        self, mutant: Mutant, tests: list[str], seconds: float, graph: ImportGraph
    ) -> Outcome:
        """Mutate one module, run tests until one fails, and restore the module.

        Parameters
        ----------
        mutant : Mutant
            What to change.
        tests : list of str
            Node IDs, in order.
        seconds : float
            What these tests took when they were recorded.
        graph : ImportGraph
            Imports, which decide which compiled kernels may contain code of the module.

        Returns
        -------
        Outcome
            Killed also where a test module cannot be imported, or the process ends.
        """
        path = self.root / mutant.path
        before = path.read_text()
        after = mutated(mutant, before)
        path.write_text(after)
        try:
            kernels = cache_of(mutant, self.root, graph)
            code, failed = self.run(tests, int(START_S + SLOWER * seconds), kernels)
        finally:
            shutil.copy2(ROOT / mutant.path, path)
        result = SURVIVED if code in (0, NO_TESTS) else TIMED_OUT if code in _TIME_LIMIT else KILLED
        place = f"{mutant.path}:{mutant.line} ({mutant.definition or 'module'})"
        diff = _changed_lines(before, after)
        by = failed or ("" if result == SURVIVED else f"pytest ended with {code}")
        return Outcome(mutant.key, place, diff, result, by, len(tests))

    def run(self, tests: list[str], cpu_s: int, kernels: Path | None = None) -> tuple[int, str]:
        """Run tests; return pytest's exit status and the first test that failed."""
        selected, outcome = self.folder / "selected.json", self.folder / "outcome.json"
        selected.write_text(json.dumps(tests))
        outcome.unlink(missing_ok=True)
        named = dict.fromkeys(test.partition("::")[0] for test in tests)
        files = [file for file in named if (self.root / file).exists()]
        if not files:
            return NO_TESTS, ""
        names = {
            "MUTATION_TRIAL": str(selected),
            "MUTATION_OUTCOME": str(outcome),
            "MUTATION_CPU_S": str(cpu_s),
            "DRIFTLINE_CACHE_DIR": str(kernels or self.folder / "kernels"),
        }
        arguments = [*PYTEST, "-x", "--timeout=0", *files]
        log = self.folder / "output.log"
        process = _CONTEXT.Process(
            target=run_pytest, args=(arguments, self.root, environment(self.root, names), log)
        )
        self._process = process
        process.start()
        process.join(WALL_S)
        if self._is_stopped:
            raise InterruptedError("the run was stopped before its tests ended")
        code = process.exitcode if process.exitcode is not None else -signal.SIGXCPU
        _end_group(process)
        failed = json.loads(outcome.read_text()) if outcome.exists() else []
        return code, failed[0] if failed else ""


def run_pytest(arguments: list[str], root: Path, env: dict[str, str], log: Path) -> None:
    """Run pytest in a forked process, with the modules of a copy instead of our own.

    Forked, because importing Numba, pyarrow and scipy takes as long as the tests of a mutant.
    """
    os.setsid()
    os.chdir(root)
    os.environ.clear()
    os.environ.update(env)
    with log.open("w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    for name in [n for n in sys.modules if n.partition(".")[0] in OWN]:
        del sys.modules[name]
    sys.path[0] = str(root)
    sys.dont_write_bytecode = True
    import pytest

    sys.exit(pytest.main(arguments))


def _is_same(one: Path, other: Path) -> bool:
    if not other.exists():
        return False
    a, b = one.stat(), other.stat()
    return (a.st_mtime_ns, a.st_size, a.st_mode) == (b.st_mtime_ns, b.st_size, b.st_mode)


def _end_group(process: BaseProcess) -> None:
    """End the run and what it has started."""
    if process.pid:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    process.join()


def _changed_lines(before: str, after: str) -> str:
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), n=0, lineterm="")
    return "\n".join(line for line in lines if line[:3] not in ("---", "+++") and line[0] != "@")
