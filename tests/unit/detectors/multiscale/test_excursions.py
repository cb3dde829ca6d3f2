"""Excursions that a stream makes by itself: what is held, and what is reported."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import numpy as np
import pytest

from detectors.kernels import scale_state as at
from detectors.multiscale.averages import averages, margins_beyond
from detectors.multiscale.excursion_state import (
    WatchState,
    kind_states,
    kinds_of,
    watch_of,
    watch_state,
)
from detectors.multiscale.excursion_watch import ExcursionWatch, learn_excursions
from detectors.multiscale.excursions import (
    MAX_KINDS,
    Excursion,
    ExcursionKind,
    comes_more_often,
    kind_of,
    reference_kinds,
    with_kind,
    with_marks,
)
from detectors.multiscale.rule import ScaleRule, judge, learn_reference
from detectors.multiscale.snapshot import Snapshot
from detectors.multiscale.state import ScaleState
from schemas.errors import DomainError, ShapeError
from tests.support.decision.multiscale import SmallModel, states_equal

EVEN = np.zeros(64)
EVEN[:60] = 1 / 60
MISSING = 0.3
TICKS_A_DAY = 288
N_REFERENCE_DAYS = 14
LENGTH = 8
"""Ticks of an excursion: 40 minutes."""


def shares(size=0.0):
    """Shares of a cell in which this part of the rows is missing."""
    own = (1 - size) * EVEN
    own[62] += size
    return own


def ticks_of(model, rng, n, bursts, other=()):
    """Ticks of a model whose first cell goes missing in bursts: tick to size."""
    sizes = np.zeros(n)
    for begin, length, size in bursts:
        sizes[begin : begin + length] = size
    return [
        model.tick(rng, 80, [shares(s), shares(0.5 if t in other else 0.0)])
        for t, s in enumerate(sizes)
    ]


def learned(size):
    """A model whose reference goes missing for 40 minutes on every other day, and what it finds."""
    rng = np.random.default_rng(1)
    hours = 24.0 * N_REFERENCE_DAYS
    n = N_REFERENCE_DAYS * TICKS_A_DAY
    mean = shares(size * LENGTH * 7 / n)
    model = SmallModel.of([mean, EVEN], 2, 80 * n, hours, has_products=False)
    bursts = [(day * TICKS_A_DAY + 100, LENGTH, size) for day in range(1, 14, 2)]
    ticks = ticks_of(model, rng, n, bursts)
    rule, state = ScaleRule.of(342), ScaleState.start(model.plan)
    sums, rows = (np.stack(x) for x in zip(*ticks, strict=True))
    learn_reference(model.plan, rule, state, sums, rows, np.zeros(n, np.int64))
    before = state.copy()
    found = learn_excursions(model.plan, rule, state, ticks, [0] * n)
    assert states_equal(state, before)
    return model, rule, state, reference_kinds(found, hours)


@pytest.fixture(scope="module")
def known():
    """A model whose reference goes missing by 30 %."""
    return learned(MISSING)


def run(known, ticks, kinds=None):
    """Return the ticks at which the first and the second cell are reported, and the watch."""
    model, rule, state, own = known
    state, watch = state.copy(), ExcursionWatch(own if kinds is None else kinds)
    opened, closed, finished = [], [], []
    for t, tick in enumerate(ticks):
        verdicts = watch.follow(
            model.plan, rule, state, judge(model.plan, rule, state, *tick), slot=0
        )
        opened += [(t, c) for c in np.flatnonzero(verdicts.has_opened).tolist()]
        closed += [(t, c) for c in np.flatnonzero(verdicts.has_closed).tolist()]
        finished += [(t, end) for end in watch.finished]
    return opened, closed, finished, watch, state


def stream(known, bursts, days=4, other=()):
    rng = np.random.default_rng(2)
    return ticks_of(known[0], rng, days * TICKS_A_DAY, bursts, other)


def test_excursions_of_a_reference_become_one_kind(known):
    (kind,) = known[3]
    assert kind.n_known == 7
    assert kind.cells.tolist() == [True, False]
    assert LENGTH < kind.n_ticks < 6 * LENGTH
    missing = known[0].layout.cells[0].names.index("missing")
    assert 0.2 < kind.high[missing, 0] < 0.45


def test_excursions_just_below_the_thresholds_are_known_too():
    """The thresholds of the stream are reached by three of these seven."""
    (kind,) = learned(0.014)[3]
    assert kind.n_known == 6


def test_one_more_of_the_same_kind_is_recorded_and_not_reported(known):
    bursts = [(300, LENGTH, MISSING), (800, LENGTH, MISSING)]
    opened, closed, finished, watch, state = run(known, stream(known, bursts))
    assert opened == closed == []
    assert [end.is_reported for _, end in finished] == [False, False]
    assert [past.start in range(300, 304) or past.start in range(800, 804) for past in watch.recent]
    assert watch.held is None
    assert not state.cells[:, at.IS_OPEN].any()
    # Without the kind, each is an incident.
    assert len(run(known, stream(known, bursts), ())[0]) >= 1


@pytest.mark.parametrize(
    ("burst", "within"),
    [((300, LENGTH, 0.9), 4), ((300, 500, MISSING), 80)],
    ids=["larger", "longer"],
)
def test_a_larger_or_longer_one_is_reported(known, burst, within):
    opened, closed, finished, watch, _ = run(known, stream(known, [burst]))
    (t, cell), *more = opened
    assert cell == 0
    assert 300 < t <= 300 + within
    assert more == []
    assert finished[0][1].is_reported
    assert watch.recent == []
    assert len(closed) <= 1


def test_those_that_come_more_often_are_reported(known):
    bursts = [(300 + 60 * k, LENGTH, MISSING) for k in range(10)]
    opened = run(known, stream(known, bursts))[0]
    assert opened
    assert opened[0][0] >= 300 + 60 * 3


def test_another_fault_during_an_excursion_is_reported(known):
    bursts = [(300, LENGTH, MISSING)]
    ticks = stream(known, bursts, other=range(303, 400))
    opened = run(known, ticks)[0]
    assert 1 in {cell for t, cell in opened if t <= 306}


def test_a_fault_of_a_kind_that_is_not_known_is_reported_at_once(known):
    ticks = stream(known, [], other=range(300, 400))
    assert run(known, ticks)[0][0] in {(301, 1), (302, 1)}


def test_averages_return_to_those_before_a_known_excursion(known):
    with_burst = run(known, stream(known, [(300, LENGTH, MISSING)]))[4]
    without = run(known, stream(known, []))[4]
    plan = known[0].plan
    m, quiet = averages(plan, with_burst), averages(plan, without)
    missing = known[0].layout.cells[0].names.index("missing")
    assert m[missing] == pytest.approx(quiet[missing], abs=2e-3)


@pytest.mark.parametrize("size", [MISSING, 0.9], ids=["held", "reported"])
def test_a_checkpoint_anywhere_in_an_excursion_changes_nothing(known, size):
    model, rule, start, kinds = known
    ticks = stream(known, [(300, LENGTH, size), (700, LENGTH, MISSING)], days=3)
    states, opened = [], []
    for cuts in ((), (12, 301, 303, 320, 380), (305, 704, 760)):
        state, watch = start.copy(), ExcursionWatch(kinds)
        opened.append([])
        for t, tick in enumerate(ticks):
            if t in cuts:
                stored = msgspec.msgpack.encode(watch_state(watch))
                watch = watch_of(msgspec.msgpack.decode(stored, type=WatchState), model.plan)
                state = state.copy()
            found = watch.follow(model.plan, rule, state, judge(model.plan, rule, state, *tick))
            opened[-1] += [(t, found.evidence[0], found.change[0])] * int(found.has_opened[0])
        states.append((state, msgspec.msgpack.encode(watch_state(watch))))
    for state, stored in states[1:]:
        assert states_equal(state, states[0][0])
        assert stored == states[0][1]
    assert opened[0] == opened[1] == opened[2]
    assert bool(opened[0]) == (size > 0.5)


def test_excursions_of_another_baseline_are_refused(known):
    model, rule, state, kinds = known
    other = SmallModel.of([EVEN], 1, has_products=False).plan
    with pytest.raises(ShapeError, match="another|saved under|bytes"):
        kinds_of(kind_states(kinds), other)
    watch = ExcursionWatch(kinds)
    ticks = stream(known, [(20, LENGTH, MISSING)], days=1)
    own = state.copy()
    for tick in ticks[:26]:
        watch.follow(model.plan, rule, own, judge(model.plan, rule, own, *tick))
    assert watch.held is not None
    saved = watch_state(watch)
    saved.kinds = []
    with pytest.raises(ShapeError, match="saved under"):
        watch_of(saved, other)
    short = msgspec.structs.replace(saved, snapshots=[b"1234"])
    with pytest.raises(ShapeError, match="4 bytes"):
        watch_of(short, model.plan)


def test_an_excursion_that_a_person_marks_is_held_from_then_on(known):
    bursts = [(300, LENGTH, MISSING), (900, LENGTH, MISSING)]
    ticks = stream(known, bursts)
    model, rule, state, _ = known
    state, watch, opened = state.copy(), ExcursionWatch(), []
    for t, tick in enumerate(ticks):
        verdicts = watch.follow(model.plan, rule, state, judge(model.plan, rule, state, *tick))
        opened += [t] * int(verdicts.has_opened.sum())
        for end in watch.finished:
            if end.is_reported:
                hours = watch.n_ticks * rule.tick_hours
                kind = kind_of(end.excursion, hours, is_marked=True)
                watch.know(with_kind(watch.kinds, kind))
    assert len(opened) == 1
    assert opened[0] < 310


def kind(n_known=2, n_ticks=20, cells=(1, 1, 0), is_marked=False):
    flat = np.zeros((4, 6), np.float32)
    return ExcursionKind(
        n_known,
        500.0 * (not is_marked),
        n_ticks,
        np.array(cells, bool),
        flat - 1,
        flat + 1,
        70.0 * is_marked,
    )


def test_kinds_resemble_by_cells_and_length():
    assert kind().resembles(kind(cells=(1, 0, 0)))
    assert not kind().resembles(kind(cells=(0, 0, 1)))
    assert kind().resembles(kind(n_ticks=80))
    assert not kind().resembles(kind(n_ticks=81))


def test_what_came_once_is_no_kind_unless_a_person_marked_it():
    assert not kind(n_known=1).is_known
    assert kind(n_known=1, is_marked=True).is_known
    flat = np.zeros((4, 6), np.float32)
    once = Excursion(0, 20, np.ones(3, bool), flat, flat)
    assert reference_kinds([once], 500.0) == ()
    assert reference_kinds([once, once], 500.0)[0].n_known == 2
    with pytest.raises(DomainError, match="0 hours"):
        kind_of(once, 0.0)


def test_a_mark_raises_the_rate_that_is_known_and_can_be_undone():
    reference, mark = (kind(n_known=4),), kind(n_known=1, is_marked=True)
    (both,) = with_marks(reference, [mark])
    assert (both.n_known, both.span_hours) == (5, 500.0)
    assert both.is_marked
    assert with_marks(reference, []) == reference
    (alone,) = with_marks((), [mark])
    assert (alone.n_known, alone.span_hours) == (1, 70.0)
    # Marked until they are no longer too often.
    ages = [6.0 * k for k in range(6)]
    assert comes_more_often(reference[0], ages, 700.0)
    (often,) = with_marks(reference, [mark] * 20)
    assert not comes_more_often(often, ages, 700.0)


def test_of_many_kinds_the_marked_and_the_commonest_are_kept():
    kinds: tuple[ExcursionKind, ...] = (kind(1, 10, is_marked=True),)
    for k in range(MAX_KINDS + 2):
        kinds = with_kind(kinds, kind(k + 2, 5 ** (k + 2)))
    assert len(kinds) == MAX_KINDS
    assert kinds[0].is_marked
    assert [k.n_known for k in kinds[1:]] == list(range(MAX_KINDS + 3, 4, -1))


def test_a_rate_is_compared_over_days_and_weeks():
    weekly = kind(n_known=8)
    weekly = replace(weekly, hours=8 * 168.0)
    assert not comes_more_often(weekly, [168.0 * k for k in range(4)], 700.0)
    assert comes_more_often(weekly, [24.0 * k for k in range(10)], 700.0)
    assert not comes_more_often(weekly, [0.0], 10.0)


def test_limits_of_zero_give_the_margin_of_the_kernel(known):
    model, rule, state, _ = known
    state = state.copy()
    rng = np.random.default_rng(4)
    moved = [shares(0.02), shares()]
    for _ in range(60):
        verdicts = judge(model.plan, rule, state, *model.tick(rng, 80, moved))
        margin = margins_beyond(model.plan, rule, state)
        i, s = int(verdicts.component[0]), int(verdicts.scale[0])
        if i >= 0 and not state.cells[0, at.N_PHI] % 12:
            assert margin[i, s] == pytest.approx(verdicts.margin[0], rel=0.05, abs=0.2)
    far = np.full((model.plan.n_components, 6), 1.0)
    assert (margins_beyond(model.plan, rule, state, -far, far) < 0).all()


def test_a_snapshot_follows_the_live_correction(known):
    model, rule, state, _ = known
    state = state.copy()
    rng = np.random.default_rng(5)
    for _ in range(20):
        judge(model.plan, rule, state, *model.tick(rng, 80, [shares(), shares()]))
    kept, before = Snapshot.of(state), averages(model.plan, state)
    state.components[:, at.CORRECTION] += np.float32(0.01)
    kept.restore(model.plan, state)
    after = averages(model.plan, state)
    first = model.plan.codes[:, at.FIRST] < 0
    np.testing.assert_allclose(after[first], before[first] - 0.01, atol=1e-6)
