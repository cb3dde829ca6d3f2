"""A lane keeps order within an incident, loses nothing, and is not blocked by a broken one."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.notify.delivery.attempts import RetryPolicy, Trouble
from monitor.notify.delivery.lane import N_ERRORS_HELD, Lane, Waiting
from schemas.alerts import Delivery, Notification
from tests.support.alerts import notification

POLICY = RetryPolicy()
TRY_S = 0.125
DAY_S = 86_400.0
HELD_S = 1.0 + 2.0 + N_ERRORS_HELD * TRY_S
"""How long one that is broken may hold the others."""


class SentMessage(NamedTuple):
    """One message to be sent, and how its receiver takes it."""

    key: str
    put_s: float
    n_errors: float
    """Error answers before it is taken."""


@dataclass
class LaneWorld:
    """A receiver, and what became of everything that was sent to it."""

    story: list[SentMessage]
    outages: list[tuple[float, float]] = field(default_factory=list)
    taken_s: dict[int, float] = field(default_factory=dict)
    tries: list[tuple[float, int]] = field(default_factory=list)
    n_answered: Counter[int] = field(default_factory=Counter)
    """Messages that were answered with errors, and how often."""

    def run(self, until_s: float = DAY_S) -> LaneWorld:
        lane, now_s, n_put = Lane(POLICY), 0.0, 0
        while now_s < until_s:
            while n_put < len(self.story) and self.story[n_put].put_s <= now_s:
                lane.put(note(n_put, self.story[n_put].key), nothing, now_s)
                n_put += 1
            chosen = lane.choose(now_s)
            if isinstance(chosen, Waiting):
                now_s += TRY_S
                self._try(lane, chosen, now_s)
                continue
            next_s = self.story[n_put].put_s if n_put < len(self.story) else math.inf
            if chosen == next_s == math.inf:
                break
            now_s = min(now_s + chosen, next_s)
        return self

    def _try(self, lane: Lane, waiting: Waiting, now_s: float) -> None:
        i = int(waiting.notification.notification_id)
        self.tries.append((now_s, i))
        if any(start <= now_s < end for start, end in self.outages):
            lane.note_trouble(waiting, Trouble("no connection"), now_s)
        elif self.n_answered[i] < self.story[i].n_errors:
            self.n_answered[i] += 1
            lane.note_trouble(waiting, Trouble("answered 500", is_answer=True), now_s)
        else:
            self.taken_s[i] = now_s
            lane.note_answer()
            lane.remove(waiting)


def note(i: int, key: str) -> Notification:
    return notification(notification_id=str(i), dedup_key=key)


async def nothing(_: Notification, __: Delivery) -> None:
    pass


STORIES = st.lists(
    st.builds(
        SentMessage,
        st.sampled_from("abcdef"),
        st.integers(0, 600).map(float),
        st.sampled_from([0, 0, 0, 1, 2, 5, math.inf]),
    ),
    max_size=20,
).map(lambda story: sorted(story, key=lambda sent: sent.put_s))
OUTAGES = st.lists(
    st.tuples(st.floats(0, 700), st.floats(1, 300)).map(lambda o: (o[0], o[0] + o[1])), max_size=3
)


@settings(max_examples=300, deadline=None)
@given(STORIES, OUTAGES)
def test_order_is_kept_within_an_incident_and_nothing_is_lost(story, outages):
    world = LaneWorld(story, outages).run()
    for key in "abcdef":
        mine = [i for i, sent in enumerate(story) if sent.key == key]
        broken = next((n for n, i in enumerate(mine) if story[i].n_errors == math.inf), len(mine))
        # Those behind one that is never taken wait for it; all the others are taken, in order.
        assert [i for i in world.taken_s if story[i].key == key] == mine[:broken]


@settings(max_examples=300, deadline=None)
@given(STORIES)
def test_one_that_is_well_waits_for_each_broken_one_once_and_only_seconds(story):
    world = LaneWorld(story).run()
    keys = {sent.key for sent in story if sent.n_errors}
    n_broken = sum(sent.n_errors > 0 for sent in story)
    for i, sent in enumerate(story):
        if sent.key not in keys:
            waited_s = world.taken_s[i] - sent.put_s
            assert waited_s <= n_broken * HELD_S + (len(story) + 1) * TRY_S


@settings(max_examples=300, deadline=None)
@given(STORIES)
def test_one_tried_often_enough_waits_for_new_messages(story):
    world = LaneWorld(story).run()
    n_tries = dict.fromkeys(range(len(story)), 0)
    for now_s, i in world.tries:
        if n_tries[i] >= N_ERRORS_HELD:
            new = [
                j
                for j, sent in enumerate(story)
                if sent.put_s <= now_s - TRY_S
                and not n_tries[j]
                and all(world.taken_s.get(k, DAY_S) < now_s for k in earlier(story, j))
            ]
            assert not new
        n_tries[i] += 1


def earlier(story: list[SentMessage], j: int) -> list[int]:
    return [k for k in range(j) if story[k].key == story[j].key]


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 80), st.integers(60, 3_600))
def test_a_receiver_that_answers_everything_with_errors_is_not_stormed(n, until_s):
    world = LaneWorld([SentMessage(str(i), 0.0, math.inf) for i in range(n)]).run(float(until_s))
    assert {i for _, i in world.tries} == set(range(n))
    # Each incident's message once, then at most a try a second and 60 s between two of one.
    assert len(world.tries) <= n + until_s
    last_s = [s for s, i in world.tries if i == 0]
    assert max((b - a for a, b in pairwise(last_s)), default=0) <= 60 + 2 * n


def test_one_that_is_broken_holds_the_others_for_three_tries():
    world = LaneWorld(
        [
            SentMessage("a", 0, math.inf),
            SentMessage("a", 0, 0),
            SentMessage("b", 0, 0),
            SentMessage("c", 9, 0),
        ]
    )
    world.run(200)
    assert [i for _, i in world.tries[:4]] == [0, 0, 0, 2]
    assert world.taken_s == {2: HELD_S + TRY_S, 3: 9 + TRY_S}


def test_after_one_that_was_taken_the_next_may_stumble_again_and_keep_its_place():
    story = [
        SentMessage("a", 0, 2),
        SentMessage("b", 0, 0),
        SentMessage("c", 0, 2),
        SentMessage("d", 0, 0),
    ]
    assert list(LaneWorld(story).run().taken_s) == [0, 1, 2, 3]


def test_any_answer_ends_a_silence():
    lane = Lane(POLICY)
    lane.put(note(0, "a"), nothing, 0.0)
    chosen = lane.choose(0.0)
    assert isinstance(chosen, Waiting)
    for trouble in [Trouble("no answer")] * 5 + [Trouble("answered 500", is_answer=True)] * 3:
        lane.note_trouble(chosen, trouble, 0.0)
    lane.note_trouble(chosen, Trouble("no answer"), 100.0)
    assert lane.choose(100.0) == POLICY.first_wait_s


def test_an_outage_is_waited_for_by_all_in_order():
    world = LaneWorld([SentMessage(key, 0, 0) for key in "abc"], outages=[(0, 1_000)]).run()
    assert [i for _, i in world.tries if i] == [1, 2]
    assert list(world.taken_s) == [0, 1, 2]
    assert 10 < len(world.tries) < 30


def test_silence_of_one_that_was_passed_long_ago_holds_the_others_for_a_second():
    lane = Lane(POLICY)
    lane.put(note(0, "a"), nothing, 0.0)
    now_s = 0.0
    for _ in range(20):
        chosen = lane.choose(now_s)
        while not isinstance(chosen, Waiting):
            now_s += chosen
            chosen = lane.choose(now_s)
        lane.note_trouble(chosen, Trouble("answered 500", is_answer=True), now_s)
    lane.put(note(1, "b"), nothing, now_s)
    lane.note_trouble(chosen, Trouble("no answer"), now_s)
    assert lane.choose(now_s) == POLICY.first_wait_s
    chosen = lane.choose(now_s + 1)
    assert isinstance(chosen, Waiting)
    assert chosen.notification.notification_id == "1"
