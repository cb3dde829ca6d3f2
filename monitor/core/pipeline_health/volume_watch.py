"""Volume rule of a model: rows that came against rows expected for the hour of the week. Pure.

The expectation comes from a reference with two weeks of event times, otherwise from the stream's
own first week. A reference may be a sample of the traffic: if the first hours of the stream have
less than half or more than twice its rows, the stream's own level is expected from then on.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from detectors.decision_rule.seasonal import N_SLOTS
from detectors.kernels.scale_state import IS_OPEN
from detectors.multiscale.volume import (
    SMALLEST_CHANGE,
    VolumeState,
    covered_slots,
    expected_rows,
    judge_volume,
    reset_volume,
    volume_plan,
    volume_rule,
)
from monitor.core.pipeline_health.volume_state import Excursion, VolumeMemory
from schemas.baselines import ReferenceVolume
from schemas.time_units import DAY_US, HOUR_US
from schemas.time_zones import UTC_NAME

LEVEL_US: Final = 6 * HOUR_US
LEVEL_TICKS: Final = 3
LEVEL_ROWS: Final = 50
"""Time, ticks and expected rows after which the level of the stream is known."""
SAME_LEVEL: Final = 2.0
"""A stream within this factor of the reference is expected at the reference's level."""
OWN_HOURS: Final = float(N_SLOTS)
"""Own hours after which the stream's own traffic is the expectation: a week."""
MAX_OWN_HOURS: Final = 4.0
"""An hour of the week counts as at most so many: four weeks."""
BACK_SHARE: Final = 0.4
"""Traffic is back when less than this part of the change is left."""
BACK_US: Final = HOUR_US
BACK_TICKS: Final = 2
SETTLED_US: Final = 7 * DAY_US
"""A change that lasts a week is the new level."""
SILENT_SHARE: Final = 0.05
"""At most this part of the expected rows is silence, which pages."""
SILENT_ROWS: Final = 50
"""Expected rows without one after which an open alert becomes silence."""
MAX_GAP_US: Final = 14 * DAY_US
"""Missing ticks after which averages start again instead of counting zeros."""
_LEAST_ROWS: Final = 0.5
"""An hour in which the reference had no row is expected to have half a row in all its weeks."""


class VolumeChange(NamedTuple):
    """What a tick changes, in rows an hour."""

    kind: str
    """``opened``, ``silent`` (an open alert became silence), ``back`` or ``settled``."""
    rate: float
    """Rows an hour in the excursion, or after it."""
    expected_rate: float
    since_us: int
    """Start of the excursion."""
    tick_us: tuple[int, int]
    """Start and end of the tick."""


class VolumeWatch:
    """The volume rule of one model.

    Parameters
    ----------
    memory : VolumeMemory, optional
        State of an earlier owner.
    timezone : str
        Of the model; used where there is no reference.

    Examples
    --------
    >>> watch = VolumeWatch()
    >>> reference = ReferenceVolume(np.full(168, 200.0), 67_200, 2.0, "UTC", ())
    >>> hours = [200] * 30 + [0] * 3
    >>> [(i, c.kind, c.rate, c.expected_rate)
    ...  for i, n in enumerate(hours)
    ...  for c in watch.observe(i * HOUR_US, (i + 1) * HOUR_US, n, reference, "a")]
    [(31, 'opened', 0.0, 200.0)]
    """

    def __init__(self, memory: VolumeMemory | None = None, timezone: str = UTC_NAME) -> None:
        self.memory = memory
        self._timezone = timezone

    @property
    def is_open(self) -> bool:
        """Whether the traffic differs from what is expected."""
        return self.memory is not None and self.memory.excursion is not None

    def observe(
        self,
        start_us: int,
        end_us: int,
        n_rows: int,
        reference: ReferenceVolume | None = None,
        profile_id: str = "",
    ) -> list[VolumeChange]:
        """Process the rows of one tick, in order of time.

        Parameters
        ----------
        start_us, end_us : int
            Of the tick; all have one length.
        n_rows : int
            Events that came, accepted or not.
        reference : ReferenceVolume, optional
            Of the current baseline, if it has one.
        profile_id : str, optional
            ID of that baseline.

        Returns
        -------
        list of VolumeChange
            In order of time: several only if ticks were missing.
        """
        tick_us = end_us - start_us
        memory = self.memory
        if memory is None or memory.tick_us != tick_us:
            # of the first tick it is not known when counting began
            before = memory.excursion if memory is not None else None
            self.memory = VolumeMemory(tick_us, end_us, excursion=before)
            return []
        if start_us < memory.until_us:
            return []
        if reference is None:
            profile_id = ""
        if profile_id != memory.profile_id:
            self._expect(memory, profile_id)
        found = self._gap(memory, start_us, reference)
        memory.until_us = end_us
        return [*found, *self._tick(memory, start_us, float(n_rows), reference)]

    def pass_time(
        self, until_us: int, reference: ReferenceVolume | None = None, profile_id: str = ""
    ) -> list[VolumeChange]:
        """Process the ticks without a row up to a time; see :meth:`observe`."""
        memory = self.memory
        if memory is None or until_us - memory.until_us < memory.tick_us:
            return []
        start_us = until_us - memory.tick_us
        return self.observe(start_us, until_us, 0, reference, profile_id)

    def _expect(self, memory: VolumeMemory, profile_id: str) -> None:
        """Expect the volume of another baseline."""
        memory.profile_id, memory.level, memory.averages = profile_id, 0.0, b""
        memory.n_seen = memory.n_seen_expected = 0.0
        memory.seen_us = 0

    def _gap(
        self, memory: VolumeMemory, start_us: int, reference: ReferenceVolume | None
    ) -> list[VolumeChange]:
        """Count the ticks that nothing is known of as ticks without rows."""
        if start_us - memory.until_us > MAX_GAP_US:
            memory.averages = b""
            return []
        found: list[VolumeChange] = []
        while memory.until_us < start_us:
            begin_us, memory.until_us = memory.until_us, memory.until_us + memory.tick_us
            found += self._tick(memory, begin_us, 0.0, reference)
        return found

    def _tick(
        self,
        memory: VolumeMemory,
        start_us: int,
        n_rows: float,
        reference: ReferenceVolume | None,
    ) -> list[VolumeChange]:
        """Process one tick; nothing is judged before the expectation is known."""
        n_expected = self._expected(memory, start_us, reference)
        if n_expected is None:
            self._keep_own(memory, start_us, n_rows)
            return []
        if reference is not None and memory.level == 0.0:
            _note_level(memory, n_rows, n_expected)
            return []
        n_expected *= memory.level or 1.0
        if memory.excursion is not None:
            return _follow(memory, memory.excursion, start_us, n_rows, n_expected)
        found = self._judge(memory, start_us, n_rows, n_expected, reference)
        if reference is None and not found:
            self._keep_own(memory, start_us, n_rows)
        return found

    def _expected(
        self, memory: VolumeMemory, start_us: int, reference: ReferenceVolume | None
    ) -> float | None:
        """Return the rows expected in a tick at level 1; None while they are not known."""
        if reference is not None:
            least = _LEAST_ROWS / reference.n_weeks
            by_slot = np.maximum(reference.by_slot, least)
            zone = reference.timezone
        else:
            rows, hours = memory.own_counts.astype(np.float64)
            if hours.sum() < OWN_HOURS or not rows.any():
                return None
            by_slot = np.maximum(rows, _LEAST_ROWS) / np.maximum(hours, 1.0)
            zone = self._timezone
        return float(expected_rows(by_slot, start_us, memory.tick_us, zone))

    def _keep_own(self, memory: VolumeMemory, start_us: int, n_rows: float) -> None:
        """Add a tick to the stream's own hours of the week."""
        slots, share = covered_slots(start_us, memory.tick_us, self._timezone)
        counts = memory.own_counts
        own = slots.tolist()
        for slot in own:
            counts[0, slot] += n_rows / len(own)
            counts[1, slot] += share
            if counts[1, slot] > MAX_OWN_HOURS:
                counts[:, slot] *= MAX_OWN_HOURS / counts[1, slot]
        memory.own_counts = counts

    def _judge(
        self,
        memory: VolumeMemory,
        start_us: int,
        n_rows: float,
        n_expected: float,
        reference: ReferenceVolume | None,
    ) -> list[VolumeChange]:
        """Evaluate a tick while there is no alert."""
        tick_us, end_us = memory.tick_us, start_us + memory.tick_us
        _note_run(memory, start_us, n_rows, n_expected)
        if reference is not None:
            plan = volume_plan(reference.n_rows * memory.level, reference.n_weeks)
        else:
            rows, hours = memory.own_counts
            plan = volume_plan(max(float(rows.sum()), 1.0), float(hours.sum()) / N_SLOTS)
        if memory.averages:
            state = memory.state
        else:
            state = _learned(reference, tick_us) or VolumeState.start(plan)
        has_opened, change = judge_volume(plan, volume_rule(tick_us), state, n_rows, n_expected)
        memory.state = state
        if not has_opened:
            return []
        since_us = memory.less_since_us if change < 0 else memory.more_since_us
        if since_us < 0:
            since_us, memory.n_run, memory.n_run_expected = start_us, n_rows, n_expected
        ratio = memory.n_run / memory.n_run_expected
        n_silent = 0.0 if memory.n_run else memory.n_run_expected
        memory.excursion = Excursion(
            ratio - 1.0, memory.n_run, memory.n_run_expected, n_silent, end_us
        )
        return [_change("opened", ratio, n_expected, (start_us, end_us), since_us)]


def _note_run(memory: VolumeMemory, start_us: int, n_rows: float, n_expected: float) -> None:
    """Follow the run of ticks with less, or with more, traffic than expected."""
    deviation = n_rows / n_expected - 1.0
    is_less, is_more = deviation < -SMALLEST_CHANGE, deviation > SMALLEST_CHANGE
    is_new = memory.less_since_us < 0 if is_less else memory.more_since_us < 0
    if is_new or not (is_less or is_more):
        memory.n_run = memory.n_run_expected = 0.0
    memory.less_since_us = _since(memory.less_since_us, start_us, is_less)
    memory.more_since_us = _since(memory.more_since_us, start_us, is_more)
    if is_less or is_more:
        memory.n_run += n_rows
        memory.n_run_expected += n_expected


def _note_level(memory: VolumeMemory, n_rows: float, n_expected: float) -> None:
    """Determine the level of the stream from its first hours."""
    memory.n_seen += n_rows
    memory.n_seen_expected += n_expected
    memory.seen_us += memory.tick_us
    least_us = max(LEVEL_US, LEVEL_TICKS * memory.tick_us)
    if memory.seen_us < least_us or memory.n_seen_expected < LEVEL_ROWS or memory.n_seen <= 0:
        return
    ratio = memory.n_seen / memory.n_seen_expected
    memory.level = 1.0 if 1 / SAME_LEVEL <= ratio <= SAME_LEVEL else ratio


def _follow(
    memory: VolumeMemory, excursion: Excursion, start_us: int, n_rows: float, n_expected: float
) -> list[VolumeChange]:
    """Follow an open alert: traffic is back, became silence, or keeps its new level."""
    tick_us, end_us = memory.tick_us, start_us + memory.tick_us
    place, deviation = (start_us, end_us), n_rows / n_expected - 1.0
    is_back = abs(deviation) < max(SMALLEST_CHANGE, BACK_SHARE * abs(excursion.change))
    excursion.back_since_us = _since(excursion.back_since_us, start_us, is_back)
    if is_back and end_us - excursion.back_since_us >= max(BACK_US, BACK_TICKS * tick_us):
        _close(memory)
        return [_change("back", 1.0 + deviation, n_expected, place, excursion.opened_us)]
    excursion.n_rows += n_rows
    excursion.n_expected += n_expected
    excursion.n_silent = 0.0 if n_rows else excursion.n_silent + n_expected
    ratio = excursion.n_rows / excursion.n_expected
    if end_us - excursion.opened_us >= SETTLED_US and ratio > SILENT_SHARE:
        memory.level = (memory.level or 1.0) * ratio
        _close(memory)
        return [_change("settled", ratio, n_expected, place, excursion.opened_us)]
    if excursion.n_silent >= SILENT_ROWS and excursion.change > SILENT_SHARE - 1:
        excursion.change = -1.0
        return [_change("silent", 0.0, n_expected, place, excursion.opened_us)]
    return []


def _close(memory: VolumeMemory) -> None:
    """End the excursion; the averages that hold it start again."""
    memory.excursion = None
    memory.less_since_us = memory.more_since_us = -1
    if memory.averages:
        state = memory.state
        reset_volume(state)
        memory.state = state


def _learned(reference: ReferenceVolume | None, tick_us: int) -> VolumeState | None:
    """Return what was learned from the reference's ticks of this length."""
    for one in reference.learned if reference is not None else ():
        if one.tick_us == tick_us:
            state = VolumeState.of(one.averages, one.scatter, one.n_ticks)
            state.averages.cells[:, IS_OPEN] = 0.0
            return state
    return None


def _since(before_us: int, start_us: int, is_so: bool) -> int:
    """Return the start of the run of ticks that ends with this one; -1 for none."""
    if not is_so:
        return -1
    return before_us if before_us >= 0 else start_us


def _change(
    kind: str, ratio: float, n_expected: float, tick: tuple[int, int], since_us: int
) -> VolumeChange:
    """Return a change in rows an hour, of a tick's expected rows and the ratio to them."""
    expected_rate = n_expected * HOUR_US / (tick[1] - tick[0])
    return VolumeChange(kind, ratio * expected_rate, expected_rate, since_us, tick)
