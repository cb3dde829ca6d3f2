"""The kernel cache: it may be missing, damaged or read-only; it costs time, never a crash."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from detectors.kernels import jit
from tests.support.repository import ROOT

SCRIPT = """
import ctypes, os, sys
if os.geteuid() == 0 and "obey" in sys.argv:
    # root may write anywhere; without CAP_DAC_OVERRIDE it obeys permissions too
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    assert ctypes.CDLL(None).capset(header, (ctypes.c_uint32 * 6)()) == 0
import numpy as np
from detectors.kernels import jit
from tests.support import kernels
assert kernels.total(np.arange(4.0)) == 12.0
print(jit.compiled_count())
"""


def output_of(script: str, cache: Path, *arguments: str, path: Path = ROOT) -> str:
    """Run a script in a new process, with modules from ``path`` beside ours."""
    environment = {k: v for k, v in os.environ.items() if k != "NUMBA_DISABLE_JIT"}
    done = subprocess.run(
        [sys.executable, "-B", "-W", "error", "-c", script, *arguments],
        cwd=ROOT,
        env=environment | {"DRIFTLINE_CACHE_DIR": str(cache), "PYTHONPATH": str(path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


def compiled(cache: Path, *arguments: str) -> int:
    """Run two kernels in a new process; return how many it compiled."""
    return int(output_of(SCRIPT, cache, *arguments))


STEPS = """
from detectors.kernels.jit import uncounted

@uncounted
def step(x, settings, state):
    state[0] += x
    return int(state[0] > %s)
"""
LOOP_SCRIPT = """
import numpy as np
from detectors.kernels import jit
from detectors.kernels.sequential.over_array import over_array
import first_steps, second_steps

found = []
for step in (first_steps.step, second_steps.step):
    out = np.zeros(4, np.uint8)
    over_array(step)(np.ones(4), np.zeros(1), np.zeros(1), out)
    found.append(int(out.sum()))
print(*found, jit.compiled_count())
"""


@pytest.fixture(scope="module")
def filled(tmp_path_factory) -> Path:
    """A cache that holds both kernels."""
    folder = tmp_path_factory.mktemp("kernels") / "cache"
    assert compiled(folder) == 2
    assert compiled(folder) == 0
    return folder


def _flip(content: bytes) -> bytes:
    """Change one byte in the middle: inside the machine code, that is."""
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 0xFF]) + content[middle + 1 :]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("suffix", "damages"),
    [
        ("nbc", (_flip, lambda content: content[: len(content) // 2])),
        ("nbc", (lambda content: b"", lambda content: b"\x00garbage\xff" * 100)),
        ("nbi", (lambda content: b"", lambda content: b"\x80\x05garbage" * 9)),
    ],
)
def test_a_damaged_cache_is_recompiled_and_repaired(filled, tmp_path, suffix, damages):
    cache = tmp_path / "cache"
    shutil.copytree(filled, cache)
    files = sorted(cache.rglob(f"*.{suffix}"))
    assert len(files) == len(damages)
    for file, damage in zip(files, damages, strict=True):
        file.write_bytes(damage(file.read_bytes()))
    assert compiled(cache) == 2
    assert compiled(cache) == 0


@pytest.mark.slow
def test_a_cache_that_cannot_be_made_costs_a_compilation(tmp_path):
    blocker = tmp_path / "file"
    blocker.write_text("")
    compiled(blocker / "cache")
    assert blocker.read_text() == ""


@pytest.mark.slow
def test_a_read_only_cache_is_read_and_never_written(filled, tmp_path):
    cache = tmp_path / "cache"
    shutil.copytree(filled, cache)
    places = [cache, *cache.rglob("*")]
    for path in places:
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        assert compiled(cache, "obey") == 0
        for file in cache.rglob("*.nbc"):
            file.chmod(0o000)
        assert compiled(cache, "obey") == 2
        assert [p for p in cache.rglob("*") if p not in places] == []
    finally:
        for path in places:
            path.chmod(0o755 if path.is_dir() else 0o644)
    assert not list((ROOT / "tests" / "support").rglob("*.nbi"))


@pytest.mark.slow
def test_each_steps_loop_is_kept_until_the_steps_source_changes(tmp_path):
    cache = tmp_path / "cache"
    for name in ("first_steps.py", "second_steps.py"):
        (tmp_path / name).write_text(STEPS % (1 if name.startswith("first") else 2))
    run = partial(output_of, LOOP_SCRIPT, cache, path=tmp_path)
    n_seen = [run().split() for _ in range(2)]
    assert n_seen == [["3", "2", "4"], ["3", "2", "0"]]
    (tmp_path / "second_steps.py").write_text(STEPS % 3)
    assert run().split() == ["3", "1", "2"]


def test_without_any_home_there_is_no_cache(monkeypatch, tmp_path):
    def unknown_user(_uid: int) -> None:
        raise KeyError("no such user")

    for name in ("HOME", "XDG_CACHE_HOME", "DRIFTLINE_CACHE_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pwd.getpwuid", unknown_user)
    monkeypatch.chdir(tmp_path)
    assert not jit._usable(jit.cache_folder())
    assert list(tmp_path.iterdir()) == []


def test_a_relative_cache_folder_is_taken_from_here(monkeypatch, tmp_path):
    monkeypatch.setenv("DRIFTLINE_CACHE_DIR", "here")
    monkeypatch.chdir(tmp_path)
    assert jit.cache_folder().is_relative_to(tmp_path / "here")


LOADED_THEN_COMPILED = """
import sys
import numba
import numpy as np
from detectors.kernels import jit
from tests.support import kernels

assert kernels.total(np.arange(4.0)) == 12.0
print("numba.np.arraymath" in sys.modules, jit.compiled_count())

@numba.njit
def other(x):
    return np.dot(x, x) + np.sort(x)[0]

assert other(np.arange(3.0)) == 5.0
assert kernels.total(np.arange(5.0, dtype=np.float32)) == 20.0
print(jit.compiled_count())
"""


def test_a_kernel_is_loaded_without_the_compiler_which_works_afterwards(filled, tmp_path):
    shutil.copytree(filled, tmp_path / "cache")
    loaded, n_compiled = output_of(LOADED_THEN_COMPILED, tmp_path / "cache").splitlines()
    assert loaded == "False 0"
    assert int(n_compiled) > 0
