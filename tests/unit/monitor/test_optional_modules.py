"""Modules that commands do not need are hidden while one runs, and only then."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

from monitor.optional_modules import unused_modules_hidden
from tests.support.repository import ROOT


def run(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_arrow_works_without_looking_for_pandas_and_finds_it_later():
    pytest.importorskip("pandas")
    code = """
import sys
from monitor.optional_modules import unused_modules_hidden
with unused_modules_hidden():
    import pyarrow as pa
    table = pa.table({"a": pa.array([1, 2])})
    print("pandas" in sys.modules)
print(table.to_pandas().a.sum())
"""
    assert run(code) == "False\n3\n"


def test_numba_starts_without_scipy_linalg_and_others_find_it():
    code = """
import sys
from monitor.optional_modules import unused_modules_hidden
with unused_modules_hidden():
    import numba.np.arraymath
    print("scipy.linalg" in sys.modules)
    from scipy.linalg import norm
    print(norm([3.0, 4.0]))
"""
    assert run(code) == "False\n5.0\n"


def test_nothing_is_hidden_after_an_error():
    pytest.importorskip("charset_normalizer")
    for name in [name for name in sys.modules if name.startswith("charset_normalizer")]:
        del sys.modules[name]
    before = list(sys.meta_path)
    with pytest.raises(ModuleNotFoundError, match="not used"), unused_modules_hidden():
        importlib.import_module("charset_normalizer")
    assert sys.meta_path == before
    importlib.import_module("charset_normalizer")
