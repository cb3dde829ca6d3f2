"""Locations of real data: extracts in the repository, and large files if available.

A test that needs the large files is marked ``shared``. Where they are missing it is listed with
the reason, and is no failure in CI.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.repository import ROOT

EXTRACTS = ROOT / "tests" / "data"
SHARED = Path(os.environ.get("DRIFTLINE_SHARED_DATA") or ROOT.parent / "shared" / "data")
NO_SHARED_DATA = "needs the large data files: set DRIFTLINE_SHARED_DATA to their folder"
"""Reason of a skip that is right in CI too: the repository holds extracts only."""

needs_shared_data = pytest.mark.shared


@dataclass(frozen=True)
class DataSource:
    """Two tables of one model: a reference, and what came after it."""

    reference: Path
    analysis: Path
    n_rows: int
    """Rows of the analysis."""
    n_quiet: int
    """Leading rows of the analysis in which nothing has drifted."""


def _source(folder: Path, model: str, n_rows: int, n_quiet: int) -> DataSource:
    return DataSource(
        folder / f"{model}_reference.parquet", folder / f"{model}_analysis.parquet", n_rows, n_quiet
    )


CAR_LOAN = _source(EXTRACTS, "car_loan", 12_500, 6_250)
WHOLE_CAR_LOAN = _source(SHARED, "car_loan", 50_000, 25_000)
CENSUS = _source(EXTRACTS, "employment_MA", 26_082, 8_628)
WHOLE_CENSUS = _source(SHARED, "employment_MA", 208_892, 69_126)
