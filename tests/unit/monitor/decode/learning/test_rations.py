"""When layouts are learned, and when the kernel is tried."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from monitor.decode.learning.ration import (
    FAST_US,
    LESSON_US,
    SHARE,
    STRICT_US,
    Ration,
    lesson_us,
)
from monitor.decode.learning.speculation import FIRST_PAUSE, LONGEST_PAUSE, WINDOW, Speculation


def prices(ration: Ration, n: int) -> list[int]:
    """Refused events for each of n lessons, all of them in vain."""
    found = []
    for _ in range(n):
        found.append(next(k for k in range(1, 10_000) if ration.may_learn()))
        ration.vain()
    return found


def test_vain_lessons_get_dearer_and_a_useful_one_makes_them_cheap() -> None:
    ration = Ration(most_us=1e9)
    assert prices(ration, 20) == [min(2**k, 4_096) for k in range(20)]
    ration.useful(0.0)
    assert ration.may_learn()


@given(st.lists(st.tuples(st.integers(0, 5_000), st.integers(0, 5_000)), max_size=50))
def test_lessons_take_no_more_than_their_share(chunks: list[tuple[int, int]]) -> None:
    ration, spent_us, decoded_us = Ration(), 0.0, 0.0
    for n_fast, n_strict in chunks:
        ration.earn(n_fast, n_strict)
        decoded_us += FAST_US * n_fast + STRICT_US * n_strict
        for _ in range(n_strict):
            if ration.may_learn():
                ration.spend(lesson_us(400, 20))
                spent_us += lesson_us(400, 20)
    assert spent_us <= ration.most_us + SHARE * decoded_us + lesson_us(400, 20)


def test_lessons_that_prove_useful_do_not_end() -> None:
    ration = Ration()
    for _ in range(1_000):
        assert ration.may_learn()
        ration.spend(LESSON_US)
        ration.useful(LESSON_US)


def tried(speculation: Speculation, n_events: int, share: float) -> int:
    """How many of so many events are tried, of which a share fits."""
    n_tried, at = 0, 0
    while at < n_events:
        n, is_tried = speculation.next_block(n_events - at)
        if is_tried:
            speculation.count(n, int(n * share))
            n_tried += n
        at += n
    return n_tried


def test_where_events_fit_all_are_tried_in_few_blocks() -> None:
    speculation = Speculation()
    assert tried(speculation, 100_000, 0.5) == 100_000
    assert speculation.next_block(50_000) == (50_000, True)


def test_where_none_fit_pauses_double_up_to_a_bound() -> None:
    speculation = Speculation()
    assert tried(speculation, 10_000_000, 0.05) < 300_000
    pauses = set()
    for _ in range(100):
        n, is_tried = speculation.next_block(1 << 30)
        if is_tried:
            speculation.count(n, 0)
        else:
            pauses.add(n)
    assert max(pauses) == LONGEST_PAUSE


def test_after_a_pause_events_that_fit_are_tried_again() -> None:
    speculation = Speculation()
    tried(speculation, 1_000_000, 0.0)
    tried(speculation, 2 * LONGEST_PAUSE, 1.0)
    assert speculation.next_block(10) == (10, True)
    assert tried(speculation, 4 * WINDOW, 0.0) >= WINDOW
    assert speculation.next_block(1 << 30)[0] <= 2 * FIRST_PAUSE
