"""Follows alerts from their opening to the return, and holds those of a known excursion."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from detectors.kernels import scale_state as at
from detectors.kernels.scale_evidence import BACK_MARGIN, CLOSING_HOURS
from detectors.multiscale.averages import averages, margins_beyond
from detectors.multiscale.excursions import (
    MAX_HOURS,
    OFTEN_DAYS,
    Excursion,
    ExcursionKind,
    comes_more_often,
    kind_of,
)
from detectors.multiscale.plan import ScalePlan
from detectors.multiscale.rule import ScaleRule, Verdicts, judge
from detectors.multiscale.snapshot import Snapshot
from detectors.multiscale.state import ScaleState
from detectors.multiscale.thresholds import SCALE_HOURS

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Singles = NDArray[np.float32]
Bools = NDArray[np.bool_]

RETURN_HOURS: Final = 2.0
"""By how much longer the same excursion may last when an average of two hours has fired, and
not one of half an hour: its decay and its wait are counted.
"""
SNAPSHOT_HOURS: Final = 1.0
"""The older of two snapshots is from one to two hours before an alert."""
LEARNING_NATS: Final = 5.0
"""By how much lower thresholds are while a reference is searched. Its variances hold its own
excursions, fully so those of its first days, and those of the stream shrink later: excursions
that the reference just missed opened alerts in the stream.
"""
_OPENING: Final = (
    "component",
    "scale",
    "context",
    "evidence",
    "margin",
    "change",
    "natural",
    "sampling",
)


@dataclass(slots=True)
class Episode:
    """Alerts of a model that have opened and are not all back."""

    start: int
    is_held: bool
    fitting: tuple[ExcursionKind, ...]
    """Kinds that it does not exceed so far."""
    before: Snapshot | None
    cells: Bools
    """Shape (C,): whose alerts opened."""
    n_back: Integers
    """Shape (C,): ticks in a row without evidence at the scales up to the one that fired."""
    low: Singles
    high: Singles
    opening: Verdicts
    """Of each cell, the tick in which it opened."""


@dataclass(frozen=True, slots=True)
class Finished:
    """An excursion that has returned."""

    excursion: Excursion
    is_reported: bool
    """Whether it was reported; otherwise it is one more of a known kind."""


@dataclass(slots=True)
class ExcursionWatch:
    """Excursions of one model: what is known, and the state of what is under way.

    A pure function of the reference and the closed ticks, like the state of the rule.
    """

    kinds: tuple[ExcursionKind, ...] = ()
    n_ticks: int = 0
    """Since the beginning."""
    recent: list[Excursion] = field(default_factory=list)
    """Of known kinds, within the last eight weeks."""
    episode: Episode | None = None
    snapshots: list[Snapshot] = field(default_factory=list)
    """At most two, the older first; none without a known kind."""
    finished: list[Finished] = field(default_factory=list)
    """Excursions that returned in the last tick."""

    @property
    def held(self) -> Bools | None:
        """Cells whose alert is open and not reported, shape (C,); None if there is none."""
        own = self.episode
        return own.cells if own is not None and own.is_held else None

    def know(self, kinds: tuple[ExcursionKind, ...]) -> None:
        """Replace the known kinds, as a person marks an excursion as normal or takes that back.

        Parameters
        ----------
        kinds : tuple of ExcursionKind
            Of :func:`detectors.multiscale.excursions.with_marks`. An excursion under way that is
            held is compared with all of them at the next tick; one that is reported is
            forgotten, so that a cell that fires again begins another one.
        """
        self.kinds, own = kinds, self.episode
        if own is not None and own.is_held:
            own.fitting = kinds
        else:
            self.episode = None

    def follow(
        self,
        plan: ScalePlan,
        rule: ScaleRule,
        state: ScaleState,
        verdicts: Verdicts,
        slot: int = 0,
    ) -> Verdicts:
        """Return what is to be reported of the tick that has just been judged.

        Parameters
        ----------
        plan, rule, state, slot
            As :func:`detectors.multiscale.rule.judge` had them. When a held excursion has
            returned, its cells are closed in the state and all averages are those of before
            it, so that long averages do not carry it on.
        verdicts : Verdicts
            Of the kernel.

        Returns
        -------
        Verdicts
            Without the openings and closings of cells whose excursion is of a known kind
            and neither larger, nor longer, nor more often than known. As soon as it is, its
            open cells open in the verdicts, with the figures of their own opening unless
            the present ones are stronger.
        """
        self.finished = []
        self.n_ticks += 1
        if self.episode is None:
            if not verdicts.has_opened.any():
                self._keep_averages(rule, state)
                return verdicts
            self._begin(rule, plan, verdicts)
        return self._go_on(plan, rule, state, verdicts, slot)

    def _keep_averages(self, rule: ScaleRule, state: ScaleState) -> None:
        every = max(1, round(SNAPSHOT_HOURS / rule.tick_hours))
        if self.kinds and self.n_ticks % every == 0:
            self.snapshots = [*self.snapshots[-1:], Snapshot.of(state)]

    def _begin(self, rule: ScaleRule, plan: ScalePlan, verdicts: Verdicts) -> None:
        fitting = tuple(kind for kind in self.kinds if not self._comes_more_often(rule, kind))
        shape = (plan.n_components, at.N_SCALES)
        self.episode = Episode(
            start=self.n_ticks - 1,
            is_held=bool(fitting),
            fitting=fitting,
            before=self.snapshots[0] if self.snapshots else None,
            cells=np.zeros(plan.n_cells, bool),
            n_back=np.zeros(plan.n_cells, np.int64),
            low=np.zeros(shape, np.float32),
            high=np.zeros(shape, np.float32),
            opening=verdicts,
        )

    def _comes_more_often(self, rule: ScaleRule, kind: ExcursionKind) -> bool:
        now = self.n_ticks - 1
        ages = [
            (now - past.start) * rule.tick_hours
            for past in self.recent
            if kind.resembles(kind_of(past, 1.0))
        ]
        return comes_more_often(kind, [0.0, *ages], self.n_ticks * rule.tick_hours)

    def _go_on(
        self,
        plan: ScalePlan,
        rule: ScaleRule,
        state: ScaleState,
        verdicts: Verdicts,
        slot: int,
    ) -> Verdicts:
        own = self.episode
        assert own is not None
        own.cells |= verdicts.has_opened
        own.opening = _stronger(own.opening, verdicts, verdicts.has_opened)
        m = np.nan_to_num(averages(plan, state))
        own.low = np.minimum(own.low, m).astype(np.float32)
        own.high = np.maximum(own.high, m).astype(np.float32)
        was_held = own.is_held
        if was_held:
            self._compare(plan, rule, state, own, slot)
        is_over = self._has_returned(plan, rule, state, own, slot)
        if is_over:
            self._end(plan, rule, state, own)
        if not was_held:
            return verdicts
        is_open = own.cells & (state.cells[:, at.IS_OPEN] != 0)
        is_accepted = own.is_held and any(kind.is_marked for kind in own.fitting)
        state.cells[is_open, at.IS_OPEN] = at.ACCEPTED if is_accepted else at.OPEN
        if own.is_held:
            none = np.zeros(plan.n_cells, bool)
            return replace(verdicts, has_opened=none, has_closed=none)
        now = verdicts.margin >= own.opening.margin
        found = _stronger(verdicts, own.opening, own.cells & ~now)
        closed = verdicts.has_closed & ~own.cells
        return replace(found, has_opened=is_open, has_closed=closed)

    def _compare(
        self, plan: ScalePlan, rule: ScaleRule, state: ScaleState, own: Episode, slot: int
    ) -> None:
        """Drop the kinds that the episode exceeds; without any it is reported."""
        n = self.n_ticks - own.start
        is_own = own.cells[plan.codes[:, at.CELL]]

        def fits(kind: ExcursionKind) -> bool:
            if n > max(kind.max_ticks, kind.n_ticks + RETURN_HOURS / rule.tick_hours):
                return False
            low, high = (kind.margin * x.astype(np.float64) for x in (kind.low, kind.high))
            beyond = margins_beyond(plan, rule, state, low, high, slot)
            return not (beyond[is_own] >= 0).any()

        own.fitting = tuple(kind for kind in own.fitting if fits(kind))
        own.is_held = bool(own.fitting)

    def _has_returned(
        self, plan: ScalePlan, rule: ScaleRule, state: ScaleState, own: Episode, slot: int
    ) -> bool:
        """Whether no cell has evidence any more, at the scales up to the one that fired."""
        margin = margins_beyond(plan, rule, state, slot=slot)
        by_cell = np.maximum.reduceat(margin, plan.offsets[:-1])
        scale = state.cells[:, at.OPEN_SCALE].astype(np.int64)
        is_looked_at = np.arange(at.N_SCALES) <= scale[:, None]
        most = np.where(is_looked_at, by_cell, -np.inf).max(axis=1)
        own.n_back = np.where(most < -BACK_MARGIN, own.n_back + 1, 0)
        wait = np.maximum(CLOSING_HOURS, np.array(SCALE_HOURS)[scale]) * at.BARELY
        is_back = own.n_back * rule.tick_hours >= wait
        return bool(is_back[own.cells].all())

    def _end(self, plan: ScalePlan, rule: ScaleRule, state: ScaleState, own: Episode) -> None:
        n = self.n_ticks - own.start
        excursion = Excursion(own.start, n, own.cells, own.low, own.high)
        self.finished = [Finished(excursion, not own.is_held)]
        self.episode = None
        if not own.is_held:
            return
        if own.before is not None:
            own.before.restore(plan, state)
        state.cells[own.cells, at.IS_OPEN] = 0.0
        # averages that were not restored hold rows of the excursion, as its day does
        state.cells[own.cells, at.N_BACK] = 0.0 if own.before is not None else 1.0
        first = self.n_ticks - round(24 * OFTEN_DAYS[-1] / rule.tick_hours)
        self.recent = [past for past in self.recent if past.start >= first]
        nothing = np.zeros((0, at.N_SCALES), np.float32)
        self.recent.append(replace(excursion, low=nothing, high=nothing))


def _stronger(old: Verdicts, new: Verdicts, is_new: Bools) -> Verdicts:
    """Return the figures of new verdicts where ``is_new``, else of old ones."""
    found = {name: np.where(is_new, getattr(new, name), getattr(old, name)) for name in _OPENING}
    return replace(old, **found)


def learn_excursions(
    plan: ScalePlan,
    rule: ScaleRule,
    state: ScaleState,
    ticks: Iterable[tuple[Floats, Floats]],
    slots: Iterable[int],
) -> list[Excursion]:
    """Return the excursions of a reference with times.

    Parameters
    ----------
    plan, rule, state
        After :func:`detectors.multiscale.rule.learn_reference`; the state is not changed.
    ticks : iterable of (ndarray of float64, ndarray of float64)
        Sums and rows of each tick of the reference, in order of time.
    slots : iterable of int
        Slot of each.

    Returns
    -------
    list of Excursion
        What the rule would have reported over the reference, with the variances learned from
        all of it and thresholds lower by ``LEARNING_NATS``, and what returned within 72 hours.

    References
    ----------
    Decision rule 2, section 4, "winsorised learning ignores what is rare".
    """
    own = state.copy()
    rule = replace(rule, thresholds=rule.thresholds - LEARNING_NATS)
    watch = ExcursionWatch((_anything(plan, rule),))
    found: list[Excursion] = []
    for (sums, rows), slot in zip(ticks, slots, strict=True):
        verdicts = judge(plan, rule, own, sums, rows, slot, is_learning=False)
        watch.follow(plan, rule, own, verdicts, slot)
        found += [end.excursion for end in watch.finished if not end.is_reported]
    return found


def _anything(plan: ScalePlan, rule: ScaleRule) -> ExcursionKind:
    """Return a kind that any excursion of at most 72 hours fits."""
    endless = np.full((plan.n_components, at.N_SCALES), np.inf, np.float32)
    return ExcursionKind(
        n_known=10**9,
        hours=1.0,
        n_ticks=round(MAX_HOURS / rule.tick_hours),
        cells=np.ones(plan.n_cells, bool),
        low=-endless,
        high=endless,
    )


__all__ = ["Episode", "ExcursionWatch", "Finished", "learn_excursions"]
