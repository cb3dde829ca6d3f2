"""The catalog while a stage runs: profiles come, take effect at a pane boundary, and go."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from monitor.core.panes.baseline_codec import ProfileParts, message_parts, parse_key, with_id
from monitor.core.panes.catalog import Catalog
from monitor.core.panes.layout import Layout
from schemas.baselines import Kind, Profile
from schemas.errors import BaselineError
from schemas.panes import SeriesId
from tests.support.small_world import CONFIG, build_small_world

NAME = ("default", "small")


@pytest.fixture(scope="module")
def profile() -> Profile:
    (found,) = build_small_world().catalog.profiles[NAME]
    return found


def dated(profile: Profile, active_from_us: int, version: str = "") -> Profile:
    return with_id(replace(profile, active_from_us=active_from_us, model_version=version))


def eras(catalog: Catalog, version: str = "1") -> list[tuple[int, str]]:
    """Since when which profile holds for a version."""
    found = catalog.layout(*NAME, version)
    layouts = (found,) if isinstance(found, Layout) else found or ()
    return [(layout.active_from_us, layout.profile_id) for layout in layouts]


def test_an_added_profile_takes_its_place_in_layouts_that_were_made_before(profile):
    catalog = Catalog.of([CONFIG], [profile])
    assert eras(catalog) == [(0, profile.profile_id)]
    late, early = dated(profile, 900), dated(profile, 500)
    assert catalog.add(late)
    assert catalog.add(early)
    assert eras(catalog) == [
        (0, profile.profile_id),
        (500, early.profile_id),
        (900, late.profile_id),
    ]


def test_adding_the_same_profile_again_changes_nothing(profile):
    catalog = Catalog.of([CONFIG], [profile])
    layout = catalog.layout(*NAME, "1")
    assert not catalog.add(profile)
    assert catalog.layout(*NAME, "1") is layout
    assert len(catalog.profiles[NAME]) == 1


def test_a_profile_of_another_model_is_not_taken_and_leaves_other_layouts_alone(profile):
    catalog = Catalog.of([CONFIG], [profile])
    layout = catalog.layout(*NAME, "1")
    assert not catalog.add(with_id(replace(profile, model="unknown")))
    assert catalog.layout(*NAME, "1") is layout


def test_a_profile_that_does_not_fit_is_refused_and_changes_nothing(profile):
    catalog = Catalog.of([CONFIG], [profile])
    turned = replace(profile.variables[0], kind=Kind.CATEGORICAL)
    for spoilt in (
        replace(profile, variables=profile.variables[1:]),
        replace(profile, variables=(turned, *profile.variables[1:])),
        replace(profile, phi=np.ones((1, 1))),
    ):
        with pytest.raises(BaselineError, match="model 'small'"):
            catalog.add(with_id(replace(spoilt, active_from_us=500)))
    assert eras(catalog) == [(0, profile.profile_id)]


def test_a_version_with_a_profile_of_its_own_is_counted_in_the_shared_one_until_then(profile):
    catalog = Catalog.of([CONFIG], [profile])
    own, shared = dated(profile, 500, "1"), dated(profile, 700)
    catalog.add(own)
    catalog.add(shared)
    assert eras(catalog, "1") == [(0, profile.profile_id), (500, own.profile_id)]
    assert eras(catalog, "2") == [(0, profile.profile_id), (700, shared.profile_id)]


def test_a_profile_taken_back_gets_no_new_pane_and_is_still_known(profile):
    catalog = Catalog.of([CONFIG], [profile])
    new = dated(profile, 500)
    catalog.add(new)
    assert catalog.retire(new.profile_id)
    assert not catalog.retire(new.profile_id)
    assert eras(catalog) == [(0, profile.profile_id)]
    assert catalog.profile_of(SeriesId(*NAME, "1", new.profile_id)) == new
    assert catalog.add(new)
    assert eras(catalog) == [(0, profile.profile_id), (500, new.profile_id)]


@pytest.mark.parametrize("max_bytes", [1 << 20, 2_000])
def test_a_profile_comes_out_of_its_messages_as_it_went_in(profile, max_bytes):
    messages = message_parts(profile, max_bytes)
    assert (len(messages) == 1) == (max_bytes == 1 << 20)
    assert len({key for key, _ in messages}) == len(messages)
    assert {parse_key(key)[0] for key, _ in messages} == {profile.profile_id}
    parts = ProfileParts()
    found = [parts.add(key, value) for key, value in reversed(messages)]
    assert found[:-1] == [None] * (len(messages) - 1)
    assert found[-1] is not None
    assert with_id(found[-1]).profile_id == profile.profile_id


def test_parts_that_were_damaged_or_stand_under_another_key_are_refused(profile):
    (key, value), *_ = message_parts(profile)
    with pytest.raises(BaselineError, match="damaged"):
        ProfileParts().add(key, value[:-1])
    with pytest.raises(BaselineError, match="under the key other"):
        ProfileParts().add(b"other", value)
    for bad in (b"", b"a|2|2", b"a|x|2", b"a|1", b"a|0|1001"):
        with pytest.raises(BaselineError, match="not the key"):
            ProfileParts().add(bad, value)
