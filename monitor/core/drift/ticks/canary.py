"""Canary under rule 2: a shift planted into the ticks of a shadow of one feature. Pure.

The shadow is one cell. It continues from the averages of the real cell before the first planted
tick; all other cells, whose ticks decide the context of the model, are the real ones.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from detectors.decision_rule.decision import Evidence
from detectors.decision_rule.planting import plant
from detectors.kernels.scale_state import IS_OPEN
from detectors.multiscale.averages import can_fire
from detectors.multiscale.rule import judge
from detectors.multiscale.state import ScaleState
from monitor.core.drift.canary import (
    CanaryOutcome,
    CanarySchedule,
    CanaryState,
    Sighting,
    planted_shift,
)
from monitor.core.drift.canary_alerts import cell_key
from monitor.core.drift.canary_watch import CanaryWatch, ClosedAlerts, OpenAlerts
from monitor.core.drift.ticks.cells import ScaleCells
from monitor.core.drift.ticks.closing import HeldTick, Tick, merge_thin
from schemas.alerts import Alert
from schemas.baselines import Baseline
from schemas.config.model import ModelConfig
from schemas.errors import DomainError, ShapeError
from schemas.monitors import Monitor
from schemas.panes import ALL, SeriesId, Window
from schemas.results import DetectorResult, Reason

_SINGLE = np.dtype("<f4")
_MISSED = (
    "A real change of {feature} of this size would be missed too: see the table detectable for "
    "what would be found, and raise canary.shift to what matters."
)


class ShadowState(msgspec.Struct, array_like=True):
    """The shadow between ticks, as stored in the evidence of :class:`CanaryState`."""

    values: bytes
    """float32: components, scales and columns of the cell, then the values of the model."""
    held: HeldTick | None
    is_found: bool


@dataclass(slots=True)
class _Shadow:
    """The planted cell, and its thin ticks that are held back."""

    values: NDArray[np.float32]
    held: Tick | None
    is_found: bool = False


class TickCanary(CanarySchedule):
    """Evaluates the shadow of one feature, tick by tick.

    Parameters
    ----------
    cells : ScaleCells
        Of the model.
    state : CanaryState, optional
        State before a restart; one of rule 1 ends its planting.

    Raises
    ------
    ShapeError
        If the state is of another baseline.
    """

    def __init__(
        self,
        series: SeriesId,
        config: ModelConfig,
        baseline: Baseline,
        cells: ScaleCells,
        state: CanaryState | None = None,
    ) -> None:
        super().__init__(series, config)
        self._cells = cells
        names = [variable.name for variable in baseline.variables]
        self.variable = names.index(self.feature)
        places = [cell.place for cell in cells.cells]
        self._cell = places.index(self.variable)  # of all rows, which are the first segment
        self._of_feature = [k for k, p in enumerate(places) if p % len(names) == self.variable]
        self._matrix = planted_shift(baseline, self.variable, self.settings.shift)
        is_same = state is not None and state.feature == self.feature
        self.state = state if state is not None and is_same else CanaryState(self.feature)
        self._shadow: _Shadow | None = None
        if not self.state.is_over:
            self._shadow = self._restored(self.state.evidence)

    def export(self) -> CanaryState:
        """Return the state, for the state message."""
        shadow = self._shadow
        if shadow is None:
            return self.state
        held = None if shadow.held is None else HeldTick.of(shadow.held)
        values = shadow.values.astype(_SINGLE).tobytes()
        stored = msgspec.msgpack.encode(ShadowState(values, held, shadow.is_found))
        return msgspec.structs.replace(self.state, evidence=stored)

    def begin(
        self, tick: Window, averages: ScaleState, held: Tick | None, *, is_firing: bool
    ) -> None:
        """Begin a planting with the first tick of a planted stretch, before it is judged.

        Parameters
        ----------
        averages : ScaleState
            Of the series before the tick; not changed.
        held : Tick or None
            Thin ticks that the series holds back.
        is_firing : bool
            Whether the real feature has an open alert: nothing is planted then, nor while its
            cell has changed without one (closed as a fault, or a known excursion).
        """
        is_firing = is_firing or self._is_open(averages)
        cycle = self.place(tick.start_us)[0]
        if not self.is_planted(tick.start_us) or self.state.cycle == cycle:
            return
        is_young = not can_fire(self._cells.rule, averages)[self._cell]
        is_over = is_firing or is_young or self._matrix is None
        self.state = CanaryState(self.feature, cycle, is_over=is_over, n_small=int(is_young))
        self._shadow = None if is_over else _Shadow(self._taken(averages), held)

    def ready(self, tick: Window) -> list[Tick]:
        """Return the planted form of the ticks that are ready to be judged."""
        if self._shadow is None or self._matrix is None:
            return []
        counts = self._cells.counts(tick)
        counts[self._of_feature] = plant(counts[self._of_feature], self._matrix)
        sums, rows = self._cells.layout.add_up(counts)
        planted = Tick(tick.start_us, tick.end_us, sums, rows)
        found, self._shadow.held = merge_thin(self._shadow.held, planted)
        return found

    def judge(self, planted: Tick, averages: ScaleState, slot: int) -> None:
        """Judge one planted tick.

        Parameters
        ----------
        averages : ScaleState
            Of the series before the tick; not changed.
        """
        shadow, cells = self._shadow, self._cells
        if shadow is None:
            return
        if self._is_open(averages):
            self._shadow = None  # the shadow would open because the cell itself has changed
            self.state = CanaryState(self.feature, self.state.cycle, is_over=True)
            return
        state = averages.copy()
        self._put(state, shadow.values)
        judge(
            cells.plan, cells.rule, state, planted.sums, planted.rows, slot,
            is_guessed=cells.is_guessed,
        )  # fmt: skip
        shadow.is_found |= bool(state.cells[self._cell, IS_OPEN])
        shadow.values = self._taken(state)

    def _is_open(self, averages: ScaleState) -> bool:
        """Return whether the real cell has changed, reported or not."""
        return bool(averages.cells[self._cell, IS_OPEN])

    def close(self, window: Window, *, n_rows: int, is_firing: bool) -> list[Sighting]:
        """Return the result of a planting that ends with a window; at most one.

        Parameters
        ----------
        n_rows : int
            Rows of the feature in the window.
        is_firing : bool
            Whether the real feature has an open alert, or verdicts are withheld.
        """
        cycle, at = self.place(window.start_us)
        is_own = self.state.cycle == cycle and self.is_planted(window.start_us)
        if self._shadow is None:
            if not is_own or self.state.n_windows:
                return []
            self.state = msgspec.structs.replace(self.state, n_windows=1)  # reported once
            return [self._skipped(is_firing=not self.state.n_small)]
        if not is_own:
            return [self._end(self._missed())]
        if is_firing:
            return [self._end(self._skipped(is_firing=True))]
        n_windows = self.state.n_windows + (n_rows > 0)
        self.state = msgspec.structs.replace(self.state, n_windows=n_windows)
        if self._shadow.is_found:
            return [self._end(Sighting(CanaryOutcome.FOUND, max(n_windows, 1), Reason.EVIDENCE))]
        return [self._end(self._missed())] if at == self.n_cycle - 1 else []

    def _missed(self) -> Sighting:
        """Return the outcome of a planting without detection: half of the windows suffice."""
        n_windows, within = self.state.n_windows, self.settings.within
        if n_windows < within // 2:
            return self._skipped(is_firing=False)
        action = _MISSED.format(feature=self.feature)
        return Sighting(CanaryOutcome.MISSED, n_windows, Reason.WITHIN_TOLERANCE, action=action)

    def _skipped(self, *, is_firing: bool) -> Sighting:
        none = Reason.NO_BASELINE if self._matrix is None else Reason.TOO_FEW_SAMPLES
        reason = Reason.STILL_FIRING if is_firing and self._matrix is not None else none
        return Sighting(CanaryOutcome.SKIPPED, 0, reason)

    def _end(self, sighting: Sighting) -> Sighting:
        """Forget the shadow until the next cycle; the outcome of this one is reported."""
        self._shadow = None
        n_windows = max(self.state.n_windows, 1)
        self.state = CanaryState(self.feature, self.state.cycle, n_windows)
        return sighting

    def _taken(self, state: ScaleState) -> NDArray[np.float32]:
        """Return the values of the shadowed cell, and those of the model."""
        return np.concatenate([part.ravel() for part in self._parts(state)])

    def _put(self, state: ScaleState, values: NDArray[np.float32]) -> None:
        at = 0
        for part in self._parts(state):
            part[...] = values[at : at + part.size].reshape(part.shape)
            at += part.size

    def _parts(self, state: ScaleState) -> tuple[NDArray[np.float32], ...]:
        """Return views of the shadowed cell, and of the model."""
        c, offsets = self._cell, self._cells.plan.offsets
        own = slice(int(offsets[c]), int(offsets[c + 1]))
        return state.components[own], state.scales[c], state.cells[c], state.model

    def _restored(self, data: bytes) -> _Shadow:
        """Restore the shadow of a state."""
        try:
            stored = msgspec.msgpack.decode(data, type=ShadowState)
        except msgspec.DecodeError:
            raise DomainError("a canary that cannot be read") from None
        n = sum(part.size for part in self._parts(self._cells.start()))
        if len(stored.values) != 4 * n:
            raise ShapeError(
                "a canary of another baseline", where="state", fix=f"expected {n} values"
            )
        values = np.frombuffer(stored.values, _SINGLE).astype(np.float32)
        if not np.isfinite(values).all():
            raise DomainError("averages of a canary that are not numbers")
        held = None if stored.held is None else stored.held.tick()
        return _Shadow(values, held, stored.is_found)


class TickCanaryWatch(CanaryWatch):
    """Runs the canary of one series that rule 2 judges; does nothing without a canary."""

    def __init__(self, series: SeriesId, shadow: TickCanary | None) -> None:
        self._series, self._shadow, self.canary = series, shadow, None

    @property
    def state(self) -> CanaryState | None:
        """State for the state message."""
        return None if self._shadow is None else self._shadow.export()

    def watch(
        self,
        window: Window,
        before: Evidence | None,
        reference: NDArray[np.int64] | None,
        open_alerts: OpenAlerts,
        closed_alerts: ClosedAlerts,
        *,
        is_retired: bool,
        is_withheld: bool = False,
    ) -> tuple[list[DetectorResult], list[Alert]]:
        """Report a planting that ends with a window; ``before`` and ``reference`` are unused."""
        shadow = self._shadow
        own = None if shadow is None or is_retired else cell_key(shadow.feature)
        ended = self.end_others(own, window, open_alerts, closed_alerts)
        if shadow is None:
            return [], ended
        is_firing = is_withheld or f"{Monitor.DRIFT}|{shadow.feature}|{ALL}" in open_alerts
        n_rows = int(window.segments.n_rows[:1].sum())
        sightings = shadow.close(window, n_rows=n_rows, is_firing=is_firing)
        results, alerts = self.report(shadow, sightings, window, open_alerts, closed_alerts)
        return results, [*alerts, *ended]
