"""Canary: planted shifts on schedule in a shadow of one feature. Pure.

In some windows of every cycle a copy of the feature's rows is shifted by a known amount. The shadow
starts from the evidence of the real cell, which it never changes. A broken rule, a tolerance that
is too wide and windows that are too small all look like the absence of drift; the canary detects
them. While the feature itself fires there is no verdict on the canary, because a real shift may
have added to the planted one or cancelled it.
"""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass
from enum import StrEnum

import msgspec
import numpy as np
from numpy.typing import NDArray

from detectors.decision_rule.decision import Decision, Evidence, SetLayout, decide, plan_cells
from detectors.decision_rule.planting import plant, reference_sd, shift_matrix
from detectors.decision_rule.sets import cell_sets
from detectors.decision_rule.settings import Rule
from detectors.decision_rule.tolerance import TolerancePlan
from schemas.baselines import Baseline, Kind
from schemas.config.model import CanaryConfig, ModelConfig
from schemas.errors import BaselineError
from schemas.panes import OVERFLOW, UNDERFLOW, SeriesId, Window
from schemas.results import Reason


class CanaryOutcome(StrEnum):
    """Outcome of one planted shift."""

    FOUND = "found"
    MISSED = "missed"
    SKIPPED = "skipped"
    """No verdict: the feature was firing, or had too few rows."""


class CanaryState(msgspec.Struct, array_like=True):
    """State of a canary between windows."""

    feature: str = ""
    cycle: int = -1
    """Number of the current cycle; -1 before the first."""
    n_windows: int = 0
    """Planted windows with enough rows."""
    is_over: bool = True
    evidence: bytes = b""
    n_small: int = 0
    """Planted windows with too few rows."""


def ended_planting(state: CanaryState | None) -> CanaryState | None:
    """Return the state of a canary whose planting ends without outcome: the rule has changed."""
    if state is None:
        return None
    return CanaryState(state.feature, state.cycle, max(state.n_windows, 1))


@dataclass(frozen=True, slots=True)
class Sighting:
    """Result of one planting, at its end."""

    outcome: CanaryOutcome
    n_windows: int
    """Planted windows up to the one that fired, or to the end."""
    reason: Reason = Reason.TOO_FEW_SAMPLES
    """Reason of a skipped planting, or one without its last windows."""
    decision: Decision | None = None
    """Verdict on the last planted window, for one cell."""
    n_reference: int = 0
    """Rows of its reference."""
    effect: float = 0.0
    """Share of rows by which the shift changes the most affected set."""
    action: str = ""
    """Rule 2: what to do about a missed shift."""


class CanarySchedule:
    """When the canary of a model is planted: a function of event time and the model's name."""

    def __init__(self, series: SeriesId, config: ModelConfig) -> None:
        assert config.canary is not None
        self.settings: CanaryConfig = config.canary
        self.feature = self.settings.feature or config.schema_.numeric[0]
        self._length_us = config.window.length_us
        self.n_cycle = self.settings.every_us // self._length_us
        self._offset = zlib.crc32(f"{series.tenant}/{series.model}".encode()) % self.n_cycle

    @staticmethod
    def fits(config: ModelConfig, baseline: Baseline) -> bool:
        """Return whether a canary is configured, and the baseline has its feature."""
        if config.canary is None:
            return False
        feature = config.canary.feature or config.schema_.numeric[0]
        return any(v.name == feature and v.kind is Kind.NUMERIC for v in baseline.variables)

    def place(self, start_us: int) -> tuple[int, int]:
        """Return the cycle of a window, or of the one that a tick is in, and its index in it."""
        return divmod(start_us // self._length_us + self._offset, self.n_cycle)

    def is_planted(self, start_us: int) -> bool:
        """Whether a shift is planted at a time, unless the planting has already ended."""
        return self.place(start_us)[1] >= self.n_cycle - self.settings.within


def planted_shift(baseline: Baseline, variable: int, shift_sd: float) -> NDArray[np.float64] | None:
    """Return how a canary moves the rows of a variable; None if the reference has no spread.

    Rows beyond the extremes are always detected. A bounded feature never drifts there, and its
    canary would be found with any tolerance: they stay in the outermost bins.
    """
    try:
        sd = reference_sd(baseline, variable)
    except BaselineError:  # no values; one feature must not stop a partition
        return None
    if not 0 < sd < math.inf:
        return None
    known, counts = baseline.variables[variable], baseline.reference.counts
    matrix = shift_matrix(known.edges, counts[0, variable], shift_sd * sd)
    for outer, beyond in ((0, UNDERFLOW), (known.n_bins - 1, OVERFLOW)):
        matrix[: known.n_bins, outer] += matrix[: known.n_bins, beyond]
        matrix[: known.n_bins, beyond] = 0.0
    return matrix


class Canary(CanarySchedule):
    """Evaluates the shadow of one feature, window by window.

    Parameters
    ----------
    config : ModelConfig
        Its ``canary`` defines shift and schedule.
    rule : Rule
        Rule of the model: the shadow has the threshold of the real cells.
    state : CanaryState, optional
        State before a restart.

    Raises
    ------
    ShapeError
        If the state's evidence does not match this feature's sets.

    Notes
    -----
    The schedule depends on event time only, so a window that is processed again has the same
    result. Models start at different windows of the cycle, depending on their names.
    """

    def __init__(
        self,
        series: SeriesId,
        config: ModelConfig,
        baseline: Baseline,
        rule: Rule,
        state: CanaryState | None = None,
    ) -> None:
        super().__init__(series, config)
        names = [variable.name for variable in baseline.variables]
        self.variable = names.index(self.feature)
        # Evidence belongs to the sets of one feature; the config may have another one now.
        is_same = state is not None and state.feature == self.feature
        self.state = state if state is not None and is_same else CanaryState(self.feature)
        self._baseline, self._rule, self._phi = baseline, rule, config.decision.phi
        known, counts = baseline.variables[self.variable], baseline.reference.counts
        self._layout = SetLayout.of([cell_sets(known, counts[0, self.variable])])
        if not self.state.is_over:
            Evidence.from_bytes(self.state.evidence, self._layout)  # raises for a damaged state
        self._matrix = self._shift()

    def _shift(self) -> NDArray[np.float64] | None:
        """Return the shift of the rows; None if the reference has no spread."""
        return planted_shift(self._baseline, self.variable, self.settings.shift)

    def effect(self, reference: NDArray[np.int64]) -> float:
        """Return the share of rows by which the shift changes the most affected set."""
        assert self._matrix is not None
        planted = self._layout.tally(plant(reference, self._matrix)[None])
        moved = planted - self._layout.tally(reference[None])
        return float(np.abs(moved).max() / max(int(reference.sum()), 1))

    def take(
        self,
        window: Window,
        counts: NDArray[np.int64],
        reference: NDArray[np.int64],
        evidence: Evidence,
        *,
        is_firing: bool,
    ) -> list[Sighting]:
        """Process one planted window.

        Parameters
        ----------
        window : Window
            A planted window: see :meth:`is_planted`.
        counts, reference : ndarray of int64, shape (64,)
            Counters of the feature over all rows.
        evidence : Evidence
            Evidence of the real cell before this window; not changed.
        is_firing : bool
            Whether the real cell has an open alert after this window.

        Returns
        -------
        list of Sighting
            At most one, at the end of a planting.
        """
        cycle, at = self.place(window.start_us)
        if self.state.cycle != cycle:
            can_begin = self._matrix is not None and not is_firing
            kept = evidence.to_bytes() if can_begin else b""
            self.state = CanaryState(self.feature, cycle, 0, not can_begin, kept)
            if not can_begin:
                return [self._skipped(is_firing)]
        if self.state.is_over:
            return []
        if is_firing:
            return [self._end(self._skipped(is_firing))]
        return self._judge(counts, reference, is_last=at == self.n_cycle - 1)

    def leave(self, window: Window) -> list[Sighting]:
        """End a planting whose last windows did not arrive.

        Parameters
        ----------
        window : Window
            Any window; has an effect only in a later cycle, or between two plantings.

        Returns
        -------
        list of Sighting
            At most one.
        """
        is_same = self.state.cycle == self.place(window.start_us)[0] and self.is_planted(
            window.start_us
        )
        if self.state.is_over or is_same:
            return []
        return [self._end(self._ended())]

    def _skipped(self, is_firing: bool) -> Sighting:
        """Return a skipped sighting with its reason."""
        none = Reason.NO_BASELINE if self._matrix is None else Reason.TOO_FEW_SAMPLES
        reason = Reason.STILL_FIRING if is_firing else none
        return Sighting(CanaryOutcome.SKIPPED, self.state.n_windows, reason)

    def _end(self, sighting: Sighting) -> Sighting:
        """Reset the state until the next cycle."""
        self.state = CanaryState(self.feature, self.state.cycle, self.state.n_windows)
        return sighting

    def _ended(
        self, decision: Decision | None = None, reference: NDArray[np.int64] | None = None
    ) -> Sighting:
        """Return the outcome of a planting without detection.

        Half of the windows suffice for a verdict, and so do windows that all have too few rows, in
        which real drift would be missed too. Without rows there is no verdict.
        """
        n_windows, n_small = self.state.n_windows, self.state.n_small
        within = self.settings.within
        # At most their number: otherwise a short planting could never be missed.
        is_enough = n_windows >= min(within, max(2 * self._rule.m, within // 2))
        is_blind = n_small >= within // 2 and not n_windows
        if not (is_enough or is_blind):
            return self._skipped(is_firing=False)
        if reference is None:
            return Sighting(CanaryOutcome.MISSED, n_windows or n_small, Reason.NO_DATA)
        effect, n_reference = self.effect(reference), int(reference.sum())
        return Sighting(
            CanaryOutcome.MISSED,
            n_windows or n_small,
            decision=decision,
            n_reference=n_reference,
            effect=effect,
        )

    def _judge(
        self, counts: NDArray[np.int64], reference: NDArray[np.int64], *, is_last: bool
    ) -> list[Sighting]:
        """Evaluate a planted window; the planting ends with a detection or its last window."""
        assert self._matrix is not None
        evidence = Evidence.from_bytes(self.state.evidence, self._layout)
        planted = plant(counts, self._matrix)
        decision = decide(self._plan(reference), evidence, planted[None])
        n_reference = int(reference.sum())
        n = int(decision.n[0]) if n_reference else 0  # an hour without reference
        is_small = 0 < n < self._rule.min_rows
        self.state = CanaryState(
            self.feature,
            self.state.cycle,
            self.state.n_windows + (n >= self._rule.min_rows),
            False,
            evidence.to_bytes(),
            self.state.n_small + is_small,
        )
        if decision.has_fired[0]:
            sighting = Sighting(
                CanaryOutcome.FOUND,
                self.state.n_windows,
                decision=decision,
                n_reference=n_reference,
            )
            return [self._end(sighting)]
        return [self._end(self._ended(decision, reference))] if is_last else []

    def _plan(self, reference: NDArray[np.int64]) -> TolerancePlan:
        """Return the plan of the cell, the same as the real one's."""
        v = self.variable
        phi, learned = self._baseline.phi[:1, v], self._baseline.eps_learned[:1, v]
        phi = phi if self._phi is None else np.full_like(phi, self._phi)
        return plan_cells(self._rule, self._layout, reference[None], phi, learned)
