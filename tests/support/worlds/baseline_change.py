"""A baseline that changes while the small world runs, with the expected outcome."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from monitor.core.state.result_messages import read_results
from monitor.core.windowing.baseline_codec import with_id
from monitor.core.windowing.codec import PaneAssembler
from monitor.core.windowing.intake_message import NOT_PANES
from monitor.transport.types import Message
from schemas.baselines import Baseline
from schemas.panes import Pane
from schemas.results import DetectorResult, Reason
from tests.support.worlds.small import SECOND_US, START_US, WINDOW_S


def dated(old: Baseline, seconds: int) -> Baseline:
    """Return another baseline that becomes active a given time after the world's start."""
    start_us = START_US + seconds * SECOND_US
    return with_id(replace(old, active_from_us=start_us, n_reference_windows=1))


def panes_of(messages: Iterable[Message]) -> list[Pane]:
    """Return every whole pane of one partition of the panes topic."""
    assembler, found = PaneAssembler(), []
    for message in messages:
        if not message.key.startswith(NOT_PANES):
            found += [whole.pane for whole in assembler.add(message.value, message.offset)]
    return found


def results_of(messages: Iterable[Message]) -> list[DetectorResult]:
    """Return every result of the results topic."""
    lists = (read_results(m.value) for m in messages)
    return [result for results in lists for result in results]


def window_of(result: DetectorResult) -> int:
    """Number a result's window."""
    return (result.start_us - START_US) // (WINDOW_S * SECOND_US)


def check_change(
    panes: list[Pane], results: list[DetectorResult], old: Baseline, new: Baseline, boundary: int
) -> None:
    """Fail unless all panes change at the boundary, and only its window has no verdict."""
    boundary_us = START_US + boundary * SECOND_US
    assert {p.partition for p in panes} == {0, 1}
    for pane in panes:
        expected = new if pane.start_us >= boundary_us else old
        assert pane.series.profile_id == expected.profile_id
    reasons: dict[int, set[Reason]] = {}
    for result in results:
        reasons.setdefault(window_of(result), set()).add(result.reason)
    spanning = {boundary // WINDOW_S} if boundary % WINDOW_S else set()
    assert {n for n, found in reasons.items() if Reason.PROFILE_CHANGED in found} == spanning
    assert all(reasons[n] == {Reason.PROFILE_CHANGED} for n in spanning)
    later = [n for n, found in reasons.items() if Reason.EVIDENCE in found]
    assert any(n >= boundary // WINDOW_S for n in later), "drift is found against the new one"
