"""The slice in which a correlation changed is named."""

from __future__ import annotations

import numpy as np
import pytest

from monitor.core.incidents.slices.pair_set import CORRELATION, as_pairs, is_same_side, pair_of
from monitor.core.incidents.slices.sample import RawSample
from monitor.core.incidents.slices.search import explain_change
from schemas.batch import ModelSchema
from tests.unit.monitor.core.incidents.slices.test_row_set import alert

SCHEMA = ModelSchema("t", "m", ("age", "income", "a x b", "b"))


@pytest.mark.parametrize(
    ("feature", "pair"),
    [
        ("age x income", ("age", "income")),
        ("a x b x b", ("a x b", "b")),
        ("age x other", None),
        ("age", None),
    ],
)
def test_a_correlation_is_of_two_features_of_the_model(feature, pair):
    assert pair_of(alert(CORRELATION, feature), SCHEMA) == pair
    assert pair_of(alert("missing", feature), SCHEMA) is None


def sample(seed: int, n: int, *, is_changed: bool) -> RawSample:
    rng = np.random.default_rng(seed)
    country = np.array(["DE", "FR"], object)[rng.integers(0, 2, n)]
    age, income = rng.normal(size=n), rng.normal(size=n)
    if is_changed:
        income = np.where(country == "DE", 0.7 * age + 0.7 * income, income)
    age[:5] = np.nan
    attributes = {"country": country, "income": income.astype(object)}
    attributes["income"][5:9] = None
    return RawSample(age, attributes)


def test_the_slice_in_which_a_correlation_changed_is_named():
    before, since = sample(1, 6_000, is_changed=False), sample(2, 6_000, is_changed=True)
    sides = as_pairs(before, since, ("age", "income"))
    assert sides[0].attributes.keys() == {"country"}
    assert not is_same_side(sides[0].values)[:9].any()
    found = explain_change(*sides, is_same_side)
    assert [one.name for one in found.slices] == ["country=DE"]
    assert found.slices[0].change_share > 0.9


def test_a_pair_that_was_not_read_has_no_set():
    side = sample(3, 200, is_changed=False)
    assert as_pairs(side, side, ("age", "other")) is None
    empty = RawSample(np.full(200, np.nan), side.attributes)
    assert as_pairs(empty, side, ("age", "income")) is None
