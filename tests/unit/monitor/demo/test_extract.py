"""The shipped extract is the shared data's, whole and small."""

from __future__ import annotations

import numpy as np
import pyarrow.parquet as pq
import pytest

from monitor.demo.extract import ATTRIBUTES, DATA, extract, write_extract
from monitor.demo.survey import GROUP_QUARTERS, load_survey, shuffle_households
from schemas.errors import TransportError
from tests.support.data import SHARED, needs_shared_data


def _households(survey):
    """Every household as a tuple of its people's rows."""
    rows = np.column_stack([*survey.columns.values(), survey.employed])
    relation = survey.columns["RELP"]
    starts = np.flatnonzero((relation == 0) | np.isin(relation, GROUP_QUARTERS))
    return [part.tobytes() for part in np.split(rows, starts[starts > 0])]


def test_extract_is_small_and_has_both_years():
    paths = sorted(DATA.glob("*.parquet"))
    assert [p.name for p in paths] == ["employment_2015.parquet", "employment_2016.parquet"]
    assert sum(p.stat().st_size for p in paths) < 1_500_000
    assert [pq.read_metadata(p).num_rows for p in paths] == [68_785, 69_126]
    assert "public domain" in (DATA / "LICENCE.md").read_text()


@needs_shared_data
def test_extract_rebuilt_from_the_shared_data_is_the_shipped_one(tmp_path):
    written = write_extract(extract(SHARED), tmp_path)
    assert len(written) == 2
    for path in written:
        assert pq.read_table(path).equals(pq.read_table(DATA / path.name))


@needs_shared_data
def test_extract_says_what_the_shared_data_says():
    original = pq.read_table(SHARED / "employment_MA_reference.parquet")
    survey = load_survey(2015)
    for name in ATTRIBUTES:
        values = [float(v) for v in original[name].to_pylist()]
        assert np.array_equal(survey.columns[name], values), name
    assert np.array_equal(survey.employed, original["employed"].to_numpy())


def test_extract_without_its_sources_names_the_missing_file(tmp_path):
    with pytest.raises(TransportError, match="employment_MA_reference.parquet"):
        extract(tmp_path)


def test_shuffling_keeps_households_whole_and_in_order():
    survey = load_survey(2016)
    shuffled = shuffle_households(survey, np.random.default_rng(5))
    assert sorted(_households(survey)) == sorted(_households(shuffled))
    assert not np.array_equal(survey.columns["AGEP"], shuffled.columns["AGEP"])


def test_shuffling_spreads_group_quarters_over_the_year():
    relation = shuffle_households(load_survey(2016), np.random.default_rng(0)).columns["RELP"]
    shares = [np.isin(part, GROUP_QUARTERS).mean() for part in np.array_split(relation, 20)]
    assert max(shares) < 1.5 * np.mean(shares)
