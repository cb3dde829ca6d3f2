"""Which hour of its own season a tick is compared with, one for the whole model."""

from __future__ import annotations

import numpy as np
import pytest

from detectors.kernels.scales import MAX_OTHER_DAY_HOURS
from detectors.multiscale.components import ComponentLayout, categorical_components
from detectors.multiscale.plan import plan_cells
from detectors.multiscale.rule import CONTEXTS, ScaleRule, guessed_contexts, judge
from detectors.multiscale.state import ScaleState
from tests.support.decision.multiscale import SmallModel

EVEN = np.zeros(64)
EVEN[:60] = 1 / 60
TICKS_AN_HOUR = 12
SIZE = 0.25
N_FEATURES = 10
OWN, NEXT, BEFORE, OTHER_DAY = range(4)


def mean(slot):
    """Location of the season: a wave over the day, lower at weekends."""
    return SIZE * np.sin(2 * np.pi * (slot % 24) / 24) - SIZE * (slot >= 24)


def shares(location):
    """Shares of a cell whose values are higher by about so many sd."""
    own = EVEN.copy()
    own[:60] *= 1 + location * np.linspace(-1.7, 1.7, 60)
    return own / own.sum()


@pytest.fixture(scope="module")
def model():
    """Ten features whose location follows the season."""
    small = SmallModel.of([EVEN] * N_FEATURES, N_FEATURES, 300_000, 1_000.0, has_products=False)
    is_seasonal = np.zeros(small.plan.n_components, bool)
    for offset, cell in zip(small.layout.offsets, small.layout.cells, strict=False):
        is_seasonal[offset + cell.location] = True
    season = np.array([[mean(slot)] for slot in range(48)]) * is_seasonal
    return small, small.plan.with_season(season, is_seasonal, np.ones(len(is_seasonal)))


def contexts(model, hours, looks_like, guesses=None, n_moved=N_FEATURES):
    """Contexts of ticks at these hours of a week, of which features look like another slot."""
    small, plan = model
    rng, rule, state = np.random.default_rng(3), ScaleRule.of(342), ScaleState.start(plan)
    how = {} if guesses is None else {"is_guessed": guesses}
    found = []
    for hour in hours:
        slot = hour % 24 + 24 * (hour // 24 % 7 >= 5)
        other = looks_like(hour)
        own = [shares(mean(other if k < n_moved else slot)) for k in range(N_FEATURES)]
        for _ in range(TICKS_AN_HOUR):
            verdicts = judge(plan, rule, state, *small.tick(rng, 400, own), slot, **how)
            found.append(int(verdicts.context[0]))
    return np.array(found)


def slot(hour):
    return hour % 24 + 24 * (hour // 24 % 7 >= 5)


def test_an_ordinary_week_is_explained_by_its_own_hours(model):
    assert not contexts(model, range(168), slot).any()


def test_a_holiday_looks_like_a_weekend(model):
    found = contexts(model, range(24, 48), lambda hour: hour % 24 + 24)
    assert (found == OTHER_DAY).mean() > 0.95
    assert CONTEXTS[OTHER_DAY] == "other kind of day"


@pytest.mark.parametrize(("moved", "context"), [(1, NEXT), (-1, BEFORE)])
def test_a_clock_that_moved_is_followed_for_as_long_as_it_lasts(model, moved, context):
    found = contexts(model, range(25, 55), lambda hour: slot(hour + moved))
    # Two neighbouring hours differ little where the wave turns.
    assert (found == context).mean() > 0.45
    assert set(found.tolist()) <= {OWN, context}


def test_another_kind_of_day_is_believed_for_four_days_in_a_row(model):
    hours = [24 * (7 * (day // 5) + day % 5) + h for day in range(7) for h in range(24)]
    found = contexts(model, hours, lambda hour: hour % 24 + 24)
    is_other = found == OTHER_DAY
    n = int(MAX_OTHER_DAY_HOURS) * TICKS_AN_HOUR
    assert is_other[: n - TICKS_AN_HOUR].mean() > 0.95
    assert not is_other[n + TICKS_AN_HOUR :].any()


def test_one_feature_alone_switches_nothing_that_others_contradict(model):
    found = contexts(model, range(24, 48), lambda hour: hour % 24 + 24, n_moved=1)
    assert (found == OTHER_DAY).mean() < 0.05


def test_a_declared_clock_and_calendar_leave_nothing_to_guess(model):
    zone = guessed_contexts(has_timezone=True, has_holidays=False)
    holidays = guessed_contexts(has_timezone=False, has_holidays=True)

    def moved(hour):
        return slot(hour + 1)

    def holiday(hour):
        return hour % 24 + 24

    assert not np.isin(contexts(model, range(48), moved, zone), (NEXT, BEFORE)).any()
    assert not (contexts(model, range(24, 48), holiday, holidays) == OTHER_DAY).any()
    assert (contexts(model, range(24, 48), holiday, zone) == OTHER_DAY).mean() > 0.9


@pytest.mark.parametrize(("moved", "context"), [(1, NEXT), (-1, BEFORE), (0, OWN)])
def test_a_moved_clock_is_found_in_one_category_and_few_rows(moved, context):
    """Half an hour of 33 rows a tick does not tell two hours apart; a morning does."""
    share = np.interp(np.arange(24), [0, 6, 11, 15, 20, 24], [0.1, 0.1, 0.6, 0.6, 0.1, 0.1])
    layout = ComponentLayout.of([categorical_components(("app", "web"))])
    rows = np.array([400_000.0])
    plan = plan_cells(layout, np.array([0.3, 0.7, 0, 0]) * rows, rows, hours=1_000.0)
    season = np.zeros((48, 4))
    season[:, 0] = np.tile(share, 2) - 0.3
    season[:, 1] = -season[:, 0]
    plan = plan.with_season(season, np.array([True, True, False, False]), np.ones(4))
    rng, rule, state = np.random.default_rng(5), ScaleRule.of(4), ScaleState.start(plan)
    found, n_opened = [], 0
    for hour in range(5 * 24):
        for _ in range(TICKS_AN_HOUR):
            n_app = rng.binomial(33, share[(hour + moved) % 24])
            sums = np.array([n_app, 33.0 - n_app, 0, 0])
            verdicts = judge(plan, rule, state, sums, np.array([33.0]), slot(hour))
            found.append(int(verdicts.context[0]))
            n_opened += int(verdicts.has_opened[0])
    assert np.isin(found, (OWN, context)).mean() > 0.99
    assert n_opened <= 1  # two a day where only half an hour is remembered
    assert not moved or np.mean(np.array(found) == context) > 0.2
