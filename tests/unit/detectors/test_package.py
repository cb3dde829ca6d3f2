"""The package as used by a caller that has arrays and nothing else."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module

import pytest

import detectors


def test_every_name_it_promises_is_there_and_is_the_one_of_its_module():
    for name, home in detectors._HOMES.items():
        assert getattr(detectors, name) is getattr(import_module(f"detectors.{home}"), name)


def test_it_promises_every_sequential_detector():
    assert set(detectors.SEQUENTIAL) <= set(detectors.__all__) == set(detectors._HOMES)


def test_modules_keep_their_names_and_unknown_ones_are_refused():
    assert import_module("detectors.statistics.psi").psi([1, 1], [1, 1]) == 0
    with pytest.raises(AttributeError, match="kolmogorov"):
        detectors.kolmogorov  # noqa: B018


def test_importing_it_imports_no_engine():
    program = "import sys, detectors; print([m for m in ('numpy', 'numba') if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
