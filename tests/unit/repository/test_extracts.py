"""The extracts in ``tests/data``: small, from the large files, and described."""

from __future__ import annotations

import pyarrow.parquet as pq
import pytest

from tests.support.data import CAR_LOAN, CENSUS, EXTRACTS, SHARED, needs_shared_data
from tests.support.extracts import extracts, write_extracts


def test_extracts_are_small_and_each_has_its_licence():
    paths = sorted(EXTRACTS.glob("*.parquet"))
    assert len(paths) == 4
    assert sum(path.stat().st_size for path in paths) < 600_000
    readme = (EXTRACTS / "README.md").read_text()
    for path in paths:
        assert path.name in readme
    assert "Apache-2.0" in readme


@pytest.mark.parametrize("of", [CAR_LOAN, CENSUS], ids=["car_loan", "census"])
def test_an_extract_has_the_rows_that_tests_count_on(of):
    assert pq.read_metadata(of.analysis).num_rows == of.n_rows
    if of is CENSUS:
        years = pq.read_table(of.analysis)["year"].to_pylist()
        assert years.count(2016) == of.n_quiet
        assert sorted(set(years)) == [2016, 2017, 2018]


@needs_shared_data
def test_extracts_rebuilt_from_the_large_files_are_the_committed_ones(tmp_path):
    for path in write_extracts(extracts(SHARED), tmp_path):
        assert pq.read_table(path).equals(pq.read_table(EXTRACTS / path.name)), path.name
