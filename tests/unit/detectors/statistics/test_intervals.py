"""Wilson's interval at its limits."""

from __future__ import annotations

import pytest

from detectors.statistics.intervals import wilson_interval
from schemas.errors import DomainError


@pytest.mark.parametrize(("n_hits", "n_rows"), [(0, 0), (-1, 5), (6, 5), (1, 0)])
def test_hits_that_no_rows_have_are_refused(n_hits, n_rows):
    with pytest.raises(DomainError, match=f"{n_hits} hits of {n_rows} rows"):
        wilson_interval(n_hits, n_rows)


def test_one_row_has_an_interval_that_reaches_its_own_end():
    none, all_ = wilson_interval(0, 1), wilson_interval(1, 1)
    assert (none.low, all_.high) == (0.0, 1.0)
    assert none.high == pytest.approx(1 - all_.low)
    assert 0.5 < none.high < 1
