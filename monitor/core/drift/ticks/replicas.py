"""Replicas under rule 2: each host and each GPU against the others, tick by tick. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from detectors.kernels.scale_state import (
    CELL,
    CORRECTION,
    IS_OPEN,
    IS_SHARE,
    N_BACK,
    OPEN_CHANGE,
    OPEN_COMPONENT,
    OPEN_SCALE,
    P,
    average,
    cell_phi,
)
from detectors.multiscale.onset import look_back_ticks, onset
from detectors.multiscale.replicas import (
    LEAST_OTHERS,
    ReplicaRule,
    ReplicaState,
    ReplicaTick,
    forgotten,
)
from detectors.multiscale.rule import Verdicts
from monitor.core.drift.ticks.closing import Tick
from monitor.core.drift.ticks.history import TickHistory
from monitor.core.drift.ticks.onset import Beginning
from monitor.core.drift.ticks.replica_state import (
    pending_of,
    restored_state,
    stored_pending,
    stored_state,
)
from monitor.core.drift.ticks.state import CellFinding, StoredReplicas
from monitor.core.drift.ticks.total_loss import LOST_SHARE, LossPlan, Streak, advance_streaks
from schemas.time_units import HOUR_US

Counts = NDArray[np.int64]

LEAST_ROWS: Final = 20
"""Ticks with fewer rows of all replicas are judged together, up to the end of their hour."""
_LOSS_SCALE: Final = 1


@dataclass(slots=True)
class Pending:
    """Thin ticks of one hour that are not judged yet."""

    start_us: int
    end_us: int
    counts: dict[str, Counts]

    def add(self, end_us: int, counts: Mapping[str, Counts]) -> None:
        """Add a later tick."""
        self.end_us = end_us
        for name, own in counts.items():
            self.counts[name] = self.counts[name] + own if name in self.counts else own

    @property
    def is_ready(self) -> bool:
        """Whether it has rows enough, or its hour is over."""
        n_rows = sum(int(own.sum()) for own in self.counts.values())
        return n_rows >= LEAST_ROWS or self.end_us // HOUR_US > self.start_us // HOUR_US


@dataclass(frozen=True, slots=True, eq=False)
class JudgedReplicas:
    """One tick in which replicas were judged, in the order of ``names``."""

    start_us: int
    end_us: int
    names: tuple[str, ...]
    tick: ReplicaTick
    opened: Mapping[int, Beginning] = field(default_factory=dict)
    """By replica whose alert opens in this tick."""


class ReplicaFamily:
    """The replicas of one family of one series.

    Parameters
    ----------
    rule : ReplicaRule
        Of the model's score.
    stored : StoredReplicas, optional
        State before a restart.

    Raises
    ------
    DriftlineError
        If the stored state does not fit the score of the baseline.
    """

    def __init__(self, rule: ReplicaRule, stored: StoredReplicas | None = None) -> None:
        self.rule = rule
        self.state = ReplicaState.start(rule.plan)
        self.peaks: dict[str, CellFinding] = {}
        self._histories: dict[str, TickHistory] = {}
        self._streaks: dict[str, Streak] = {}
        self._pending: Pending | None = None
        if stored is not None:
            self._restore(stored)

    @property
    def is_used(self) -> bool:
        """Whether there is anything to keep."""
        return bool(self.state.names) or self._pending is not None

    def take(
        self, start_us: int, end_us: int, counts: Mapping[str, Counts]
    ) -> list[JudgedReplicas]:
        """Judge a closed tick, together with thin ones before it.

        Parameters
        ----------
        counts : mapping of str to ndarray of int64, shape (64,)
            Counters of the score of each replica with rows.
        """
        ready = []
        pending = self._pending
        if pending is not None and pending.start_us // HOUR_US != start_us // HOUR_US:
            ready.append(pending)
            pending = None
        if pending is None:
            pending = Pending(start_us, end_us, dict(counts))
        else:
            pending.add(end_us, counts)
        self._pending = None if pending.is_ready or not pending.counts else pending
        if pending.is_ready and pending.counts:
            ready.append(pending)
        return [self._judge(one) for one in ready]

    def drop_forgotten(self, now_us: int) -> list[str]:
        """Forget the replicas that have had no rows for a week; return their names."""
        is_gone = forgotten(self.state, now_us)
        if not is_gone.any():
            return []
        names = [n for n, gone in zip(self.state.names, is_gone.tolist(), strict=True) if gone]
        self.state = self.state.without(is_gone)
        for each in (self._histories, self._streaks, self.peaks):
            for name in names:
                each.pop(name, None)
        return names

    def _judge(self, pending: Pending) -> JudgedReplicas:
        """Judge one tick of all replicas."""
        names = list(pending.counts)
        counts = np.stack([pending.counts[name] for name in names])
        rows_before = dict(zip(self.state.names, self._phi(), strict=True))
        tick, self.state = self.rule.judge(self.state, names, counts, pending.end_us)
        names_now = self.state.names
        lost = self._lost(tick, np.array([rows_before.get(name, 1.0) for name in names_now]))
        has_opened = tick.verdicts.has_opened
        opened: dict[int, Beginning] = {}
        for r, name in enumerate(names_now):
            if tick.rows[r] <= 0:
                continue
            history = self._history(name)
            history.add(Tick(pending.start_us, pending.end_us, tick.sums[r], tick.rows[r : r + 1]))
            own = self.state.averages.cells[r]
            is_lost = r in lost and not own[IS_OPEN]
            if is_lost:
                self._open_lost(r, lost[r], tick)
            if has_opened[r] or is_lost:
                opened[r] = self._begin(r, tick, pending.end_us)
            self._note_peak(r, name, tick.verdicts)
        return JudgedReplicas(pending.start_us, pending.end_us, names_now, tick, opened)

    def _phi(self) -> list[float]:
        """Return the design effect of every replica."""
        n = len(self.state.names)
        if not n:
            return []
        _, plan, _ = self.rule.parts(n)
        return [cell_phi(self.state.averages.cells, plan.references, r) for r in range(n)]

    def _history(self, name: str) -> TickHistory:
        """Return the judged ticks of a replica."""
        return self._histories.setdefault(name, TickHistory(self.rule.n_components, 1))

    def _lost(self, tick: ReplicaTick, phi: NDArray[np.float64]) -> dict[int, int]:
        """Return the component that has most rows of a replica, and few of the others'.

        It needs no history: a replica that answers a constant is found in its first minutes.
        """
        layout, plan, _ = self.rule.parts(len(tick.rows))
        own, n = layout.add_up(tick.counts)
        others, n_others = layout.add_up(tick.others)
        n = np.where(n_others >= LEAST_OTHERS, n, 0.0)
        cell = plan.codes[:, CELL]
        loss = LossPlan.of(layout, plan)
        usual = others / np.maximum(n_others, 1.0)[cell]
        usual[loss.below] = usual[loss.above] = usual[loss.below] + usual[loss.above]
        loss = replace(loss, p=usual)
        names, own = self.state.names, np.where(n[cell] > 0, own, 0.0)
        before = {
            r: _numbered(self._streaks[name], r * self.rule.n_components)
            for r, name in enumerate(names)
            if name in self._streaks
        }
        after, fired = advance_streaks(loss, before, Tick(0, 1, own, n), phi)
        self._streaks = {
            names[r]: _numbered(streak, -r * self.rule.n_components) for r, streak in after.items()
        }
        return fired

    def _open_lost(self, r: int, component: int, tick: ReplicaTick) -> None:
        """Open the alert of a replica that answers a constant; it closes by evidence."""
        own = self.state.averages.cells[r]
        j = component - r * self.rule.n_components
        own[IS_OPEN], own[OPEN_COMPONENT], own[OPEN_SCALE] = 1.0, component, _LOSS_SCALE
        # a difference of 0 has no direction: the alert would never close
        own[OPEN_CHANGE] = tick.sums[r, j] / tick.rows[r] or LOST_SHARE
        own[N_BACK] = 0.0

    def _note_peak(self, r: int, name: str, verdicts: Verdicts) -> None:
        """Keep the strongest evidence against a replica until its window closes."""
        margin, before = float(verdicts.margin[r]), self.peaks.get(name)
        if verdicts.component[r] >= 0 and (before is None or margin > before.margin):
            self.peaks[name] = CellFinding(
                int(verdicts.component[r]) - r * self.rule.n_components,
                float(verdicts.change[r]),
                float(verdicts.evidence[r]),
                margin,
                int(verdicts.scale[r]),
                float(verdicts.natural[r]),
            )

    def followed(self, r: int, tick: ReplicaTick) -> float:
        """Return the current change of an open replica, from the average that it follows."""
        state, own = self.state.averages, self.state.averages.cells[r]
        values = tick.plan.constants, tick.plan.codes, state.components, state.scales
        return float(average(*values, int(own[OPEN_COMPONENT]), int(own[OPEN_SCALE])))

    def _begin(self, r: int, tick: ReplicaTick, now_us: int) -> Beginning:
        """Search the beginning of a change whose alert opens."""
        verdicts, own = tick.verdicts, self.state.averages.cells[r]
        component = int(own[OPEN_COMPONENT])
        j = component - r * self.rule.n_components
        tick_hours = self.rule.parts(len(tick.rows))[2].tick_hours
        n_ticks = look_back_ticks(max(int(verdicts.scale[r]), 0), tick_hours)
        since_us = now_us - round(n_ticks * tick_hours * HOUR_US)
        past = self._history(self.state.names[r]).past(j, 0, since_us)
        sampling, natural = float(verdicts.sampling[r]), float(verdicts.natural[r])
        level = float(self.state.averages.components[component, CORRECTION])
        p = float(tick.plan.constants[component, P])
        found = onset(
            past.sums + past.rows * p,
            past.rows,
            p + level,
            is_share=bool(tick.plan.codes[component, IS_SHARE]),
            n_reference=float(self.rule.plan.counts.sum()),
            inflation=1.0 + natural / sampling if sampling > 0 else 1.0,
        )
        after = slice(found.tick, None)
        moved = float(past.sums[after].sum() / past.rows[after].sum()) - level
        return Beginning(
            int(past.start_us[found.tick]),
            int(past.start_us[found.low]),
            int(past.end_us[found.high]),
            moved,
        )

    def export(self) -> StoredReplicas:
        """Return the stored form."""
        found = stored_state(self.state)
        found.history = {name: history.export() for name, history in self._histories.items()}
        found.streaks, found.peaks = dict(self._streaks), dict(self.peaks)
        pending = self._pending
        if pending is not None:
            found.pending = stored_pending(pending.start_us, pending.end_us, pending.counts)
        return found

    def _restore(self, stored: StoredReplicas) -> None:
        self.state = restored_state(stored, self.rule.n_components)
        for name, stretches in stored.history.items():
            self._history(name).restore(stretches)
        self._streaks, self.peaks = dict(stored.streaks), dict(stored.peaks)
        if stored.pending is not None:
            self._pending = Pending(*pending_of(stored.pending))


def _numbered(streak: Streak, offset: int) -> Streak:
    """Return a streak whose component is numbered from elsewhere."""
    return msgspec.structs.replace(streak, component=streak.component + offset)
