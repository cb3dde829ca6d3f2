"""The catalog while a stage runs: baselines come, take effect at a pane boundary, and go."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from monitor.core.windowing.baseline_codec import BaselineParts, message_parts, parse_key, with_id
from monitor.core.windowing.catalog import Catalog
from monitor.core.windowing.layout import Layout
from schemas.baselines import Baseline, Kind
from schemas.errors import BaselineError
from schemas.panes import SeriesId
from tests.support.worlds.small import CONFIG, build_small_world

NAME = ("default", "small")


@pytest.fixture(scope="module")
def baseline() -> Baseline:
    (found,) = build_small_world().catalog.baselines[NAME]
    return found


def dated(baseline: Baseline, active_from_us: int, version: str = "") -> Baseline:
    return with_id(replace(baseline, active_from_us=active_from_us, model_version=version))


def eras(catalog: Catalog, version: str = "1") -> list[tuple[int, str]]:
    """Since when which baseline holds for a version."""
    found = catalog.layout(*NAME, version)
    layouts = (found,) if isinstance(found, Layout) else found or ()
    return [(layout.active_from_us, layout.profile_id) for layout in layouts]


def test_an_added_baseline_takes_its_place_in_layouts_that_were_made_before(baseline):
    catalog = Catalog.of([CONFIG], [baseline])
    assert eras(catalog) == [(0, baseline.profile_id)]
    late, early = dated(baseline, 900), dated(baseline, 500)
    assert catalog.add(late)
    assert catalog.add(early)
    assert eras(catalog) == [
        (0, baseline.profile_id),
        (500, early.profile_id),
        (900, late.profile_id),
    ]


def test_adding_the_same_baseline_again_changes_nothing(baseline):
    catalog = Catalog.of([CONFIG], [baseline])
    layout = catalog.layout(*NAME, "1")
    assert not catalog.add(baseline)
    assert catalog.layout(*NAME, "1") is layout
    assert len(catalog.baselines[NAME]) == 1


def test_a_baseline_of_another_model_is_not_taken_and_leaves_other_layouts_alone(baseline):
    catalog = Catalog.of([CONFIG], [baseline])
    layout = catalog.layout(*NAME, "1")
    assert not catalog.add(with_id(replace(baseline, model="unknown")))
    assert catalog.layout(*NAME, "1") is layout


def test_a_baseline_that_does_not_fit_is_refused_and_changes_nothing(baseline):
    catalog = Catalog.of([CONFIG], [baseline])
    turned = replace(baseline.variables[0], kind=Kind.CATEGORICAL)
    for spoilt in (
        replace(baseline, variables=baseline.variables[1:]),
        replace(baseline, variables=(turned, *baseline.variables[1:])),
        replace(baseline, phi=np.ones((1, 1))),
    ):
        with pytest.raises(BaselineError, match="model 'small'"):
            catalog.add(with_id(replace(spoilt, active_from_us=500)))
    assert eras(catalog) == [(0, baseline.profile_id)]


def test_a_version_with_a_baseline_of_its_own_is_counted_in_the_shared_one_until_then(baseline):
    catalog = Catalog.of([CONFIG], [baseline])
    own, shared = dated(baseline, 500, "1"), dated(baseline, 700)
    catalog.add(own)
    catalog.add(shared)
    assert eras(catalog, "1") == [(0, baseline.profile_id), (500, own.profile_id)]
    assert eras(catalog, "2") == [(0, baseline.profile_id), (700, shared.profile_id)]


def test_a_baseline_taken_back_gets_no_new_pane_and_is_still_known(baseline):
    catalog = Catalog.of([CONFIG], [baseline])
    new = dated(baseline, 500)
    catalog.add(new)
    assert catalog.retire(new.profile_id)
    assert not catalog.retire(new.profile_id)
    assert eras(catalog) == [(0, baseline.profile_id)]
    assert catalog.baseline_of(SeriesId(*NAME, "1", new.profile_id)) == new
    assert catalog.add(new)
    assert eras(catalog) == [(0, baseline.profile_id), (500, new.profile_id)]


@pytest.mark.parametrize("max_bytes", [1 << 20, 2_000])
def test_a_baseline_comes_out_of_its_messages_as_it_went_in(baseline, max_bytes):
    messages = message_parts(baseline, max_bytes)
    assert (len(messages) == 1) == (max_bytes == 1 << 20)
    assert len({key for key, _ in messages}) == len(messages)
    assert {parse_key(key)[0] for key, _ in messages} == {baseline.profile_id}
    parts = BaselineParts()
    found = [parts.add(key, value) for key, value in reversed(messages)]
    assert found[:-1] == [None] * (len(messages) - 1)
    assert found[-1] is not None
    assert with_id(found[-1]).profile_id == baseline.profile_id


def test_parts_that_were_damaged_or_stand_under_another_key_are_refused(baseline):
    (key, value), *_ = message_parts(baseline)
    with pytest.raises(BaselineError, match="damaged"):
        BaselineParts().add(key, value[:-1])
    with pytest.raises(BaselineError, match="under the key other"):
        BaselineParts().add(b"other", value)
    for bad in (b"", b"a|2|2", b"a|x|2", b"a|1", b"a|0|1001"):
        with pytest.raises(BaselineError, match="not the key"):
            BaselineParts().add(bad, value)
