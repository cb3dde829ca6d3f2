"""Merging: what it refuses."""

import pytest

from monitor.core.windowing.merge import merge, merge_all
from schemas.errors import ShapeError
from schemas.panes import SeriesStats


def test_different_numbers_of_variables_are_refused():
    with pytest.raises(ShapeError, match=r"\[2, 3\] variables"):
        merge(SeriesStats.empty(("*",), 2), SeriesStats.empty(("*",), 3))


def test_merging_nothing_is_refused():
    with pytest.raises(ShapeError, match="nothing to merge"):
        merge_all([])
