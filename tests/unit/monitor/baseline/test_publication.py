"""From when a published baseline holds, and what is refused before anything is written."""

from __future__ import annotations

from dataclasses import replace

import pytest

from monitor.baseline.publication import PublicationOutcome, plan_all, plan_publication
from monitor.core.windowing.baseline_codec import with_id
from schemas.baselines import Baseline
from schemas.errors import BaselineError
from tests.support.worlds.small import CONFIG, build_small_world

S = 1_000_000
NOW = 1_700_000_003 * S
PANE = CONFIG.window.pane_us
AHEAD = CONFIG.window.bound_us + CONFIG.window.max_skew_us


@pytest.fixture(scope="module")
def built() -> Baseline:
    (found,) = build_small_world().catalog.baselines["default", "small"]
    return found


def other(baseline: Baseline, n: int = 1, **more: object) -> Baseline:
    """Another baseline of the same model."""
    return with_id(replace(baseline, n_reference_windows=n, **more))


def plan(baseline: Baseline, published: list[Baseline], active_from: str | None = None):
    return plan_publication(baseline, CONFIG, published, NOW, active_from)


def test_a_models_first_baseline_holds_always(built):
    decided = plan(built, [])
    assert (decided.outcome, decided.effective_us) == (PublicationOutcome.PUBLISHED, 0)
    assert decided.baseline == built


def test_the_next_one_holds_from_a_pane_boundary_that_no_event_can_have_reached(built):
    decided = plan(other(built), [built])
    assert decided.effective_us == decided.baseline.active_from_us
    assert decided.effective_us % PANE == 0
    assert 0 <= decided.effective_us - (NOW + 120 * S + AHEAD) < PANE
    assert decided.until is built
    assert decided.baseline.profile_id == with_id(decided.baseline).profile_id
    assert not decided.note


@pytest.mark.parametrize(
    ("asked", "least_us", "has_note"),
    [("now", 60 * S + AHEAD, False), ("+65s", 65 * S, True), ("+1h", 3_600 * S, False)],
)
def test_a_time_may_be_asked_for(built, asked, least_us, has_note):
    decided = plan(other(built), [built], asked)
    assert 0 <= decided.effective_us - (NOW + least_us) < PANE
    assert bool(decided.note) == has_note
    assert not has_note or "max_skew" in decided.note


@pytest.mark.parametrize("asked", ["+45s", "+0s", "2016-01-01", "1970-01-01"])
def test_a_time_some_worker_may_have_counted_for_is_refused(built, asked):
    with pytest.raises(BaselineError, match="before they have read it"):
        plan(other(built), [built], asked)
    plan(other(built), [], asked)


def test_a_baseline_that_names_a_past_time_is_refused_too(built):
    with pytest.raises(BaselineError, match="before they have read it"):
        plan(other(built, active_from_us=NOW - S), [built])


@pytest.mark.parametrize("asked", ["soon", "+", "+5", "2016-13-01", ""])
def test_what_is_no_time_is_refused(built, asked):
    with pytest.raises(BaselineError, match="not an activation time"):
        plan(other(built), [built], asked)


def test_the_same_content_is_not_published_twice(built):
    assert plan(built, [built]).outcome is PublicationOutcome.UNCHANGED
    new = other(built)
    dated = plan(new, [built]).baseline
    again = plan(new, [built, dated])
    assert (again.outcome, again.baseline, again.until) == (
        PublicationOutcome.UNCHANGED,
        dated,
        built,
    )
    assert plan(new, [built, dated], "+1h").outcome is PublicationOutcome.UNCHANGED


def test_what_was_superseded_comes_back_only_when_a_time_is_asked_for(built):
    new = plan(other(built), [built]).baseline
    decided = plan(built, [built, new])
    assert (decided.outcome, decided.note) == (
        PublicationOutcome.UNCHANGED,
        f"superseded by {new.profile_id}",
    )
    back = plan(built, [built, new], "+1h")
    assert (back.outcome, back.until) == (PublicationOutcome.PUBLISHED, new)


def test_two_baselines_cannot_hold_from_the_same_time(built):
    first = plan(other(built, 1), [built], "+1h").baseline
    with pytest.raises(BaselineError, match=f"like {first.profile_id}"):
        plan(other(built, 2), [built, first], "+1h")


def test_a_version_of_its_own_counts_from_later_on_only(built):
    own = other(built, model_version="7")
    assert plan(own, []).effective_us == 0
    assert plan(own, [built]).effective_us > NOW


def test_one_that_does_not_fit_is_refused(built):
    with pytest.raises(BaselineError, match="does not fit its model"):
        plan(replace(built, positive="perhaps"), [])


def test_a_whole_history_may_be_published_at_once_and_again_without_change(built):
    history = [other(built, 1, active_from_us=50 * PANE), built]
    plans = plan_all([(p, CONFIG) for p in history], [], NOW)
    assert [p.effective_us for p in plans] == [0, 50 * PANE]
    published = [p.baseline for p in plans]
    again = plan_all([(p, CONFIG) for p in history], published, NOW)
    assert {p.outcome for p in again} == {PublicationOutcome.UNCHANGED}
