"""A shift planted into a shadow of one feature, on schedule: can the monitor still see. Pure.

For some windows of every cycle the feature's rows are moved by a known amount, in a copy:
the shadow starts from the evidence the real cell has by then, and nothing of it is ever
added to that. A rule that is broken, a tolerance that has grown too wide, windows that
have become too small all look the same from outside, like silence; the canary reports them.
While the feature itself is firing there is no verdict: neither that the canary was found,
nor that it was missed, since a real shift in the other direction may have cancelled it.
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
    """What came of one planted shift."""

    FOUND = "found"
    MISSED = "missed"
    SKIPPED = "skipped"
    """No verdict: the feature was firing anyway, or had too few rows."""


class CanaryState(msgspec.Struct, array_like=True):
    """What a canary has to remember between windows."""

    feature: str = ""
    cycle: int = -1
    """Number of the cycle this is about; -1 before the first."""
    n_windows: int = 0
    """Planted windows that had rows enough."""
    is_over: bool = True
    evidence: bytes = b""
    n_small: int = 0
    """Planted windows that had rows, and too few of them."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """The end of one planted stretch."""

    outcome: CanaryOutcome
    n_windows: int
    """Planted windows up to the one that fired, or to the end."""
    reason: Reason = Reason.TOO_FEW_SAMPLES
    """Of a stretch that was skipped, or whose last windows never came."""
    decision: Decision | None = None
    """On the last planted window; of one cell."""
    n_reference: int = 0
    """Rows of the reference it was judged by."""
    effect: float = 0.0
    """By how much of the rows the shift moves the set that it moves most."""


class Canary:
    """One feature's shadow, window after window.

    Parameters
    ----------
    config : ModelConfig
        Its ``canary`` says what to plant, and when.
    rule : Rule
        The model's own: the shadow is judged by the threshold of the real cells.
    state : CanaryState, optional
        Of an earlier life.

    Raises
    ------
    ShapeError
        If the state's evidence is not of this feature's sets.

    Notes
    -----
    When to plant depends on event time alone, so a window that is read again is treated as
    it was the first time. Models begin at different windows of the cycle, by their names.
    """

    def __init__(
        self,
        series: SeriesId,
        config: ModelConfig,
        baseline: Baseline,
        rule: Rule,
        state: CanaryState | None = None,
    ) -> None:
        assert config.canary is not None
        self.settings: CanaryConfig = config.canary
        self.feature = self.settings.feature or config.schema_.numeric[0]
        names = [variable.name for variable in baseline.variables]
        self.variable = names.index(self.feature)
        # Evidence is of one feature's sets; the config may name another one by now.
        is_same = state is not None and state.feature == self.feature
        self.state = state if state is not None and is_same else CanaryState(self.feature)
        self._n_cycle = self.settings.every_us // config.window.length_us
        self._offset = zlib.crc32(f"{series.tenant}/{series.model}".encode()) % self._n_cycle
        self._baseline, self._rule, self._phi = baseline, rule, config.decision.phi
        known, counts = baseline.variables[self.variable], baseline.reference.counts
        self._layout = SetLayout.of([cell_sets(known, counts[0, self.variable])])
        if not self.state.is_over:
            Evidence.from_bytes(self.state.evidence, self._layout)  # a damaged state ends here
        self._matrix = self._shift()

    @staticmethod
    def fits(config: ModelConfig, baseline: Baseline) -> bool:
        """Return whether the model asks for a canary, and the baseline knows its feature."""
        if config.canary is None:
            return False
        feature = config.canary.feature or config.schema_.numeric[0]
        return any(v.name == feature and v.kind is Kind.NUMERIC for v in baseline.variables)

    def _shift(self) -> NDArray[np.float64] | None:
        """Return what moves the rows; None where the reference has no spread to measure by."""
        try:
            sd = reference_sd(self._baseline, self.variable)
        except BaselineError:  # no value of it at all; one feature must not stop a partition
            return None
        if not 0 < sd < math.inf:
            return None
        known, counts = self._baseline.variables[self.variable], self._baseline.reference.counts
        matrix = shift_matrix(known.edges, counts[0, self.variable], self.settings.shift * sd)
        # Rows beyond the extremes are always detected; a bounded feature never drifts
        # there, and its canary would be found however wide the tolerance has grown.
        for outer, beyond in ((0, UNDERFLOW), (known.n_bins - 1, OVERFLOW)):
            matrix[: known.n_bins, outer] += matrix[: known.n_bins, beyond]
            matrix[: known.n_bins, beyond] = 0.0
        return matrix

    def effect(self, reference: NDArray[np.int64]) -> float:
        """Return by how much of the rows the shift moves the set that it moves most."""
        assert self._matrix is not None
        planted = self._layout.tally(plant(reference, self._matrix)[None])
        moved = planted - self._layout.tally(reference[None])
        return float(np.abs(moved).max() / max(int(reference.sum()), 1))

    def place(self, window: Window) -> tuple[int, int]:
        """Return the cycle a window is in, and which of the cycle's windows it is."""
        ordinal = window.start_us // (window.end_us - window.start_us) + self._offset
        return divmod(ordinal, self._n_cycle)

    def is_planted(self, window: Window) -> bool:
        """Whether a shift is planted into this window, if its stretch is not over already."""
        return self.place(window)[1] >= self._n_cycle - self.settings.within

    def take(
        self,
        window: Window,
        counts: NDArray[np.int64],
        reference: NDArray[np.int64],
        evidence: Evidence,
        *,
        is_firing: bool,
    ) -> list[Sighting]:
        """Take one planted window further.

        Parameters
        ----------
        window : Window
            One that :meth:`is_planted` names.
        counts, reference : ndarray of int64, shape (64,)
            The feature's, of all rows.
        evidence : Evidence
            Of the real cell before this window; not changed.
        is_firing : bool
            Whether the real cell has an alert open after this window.

        Returns
        -------
        list of Sighting
            At most one: at the end of a stretch.
        """
        cycle, at = self.place(window)
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
        return self._judge(counts, reference, is_last=at == self._n_cycle - 1)

    def leave(self, window: Window) -> list[Sighting]:
        """End a stretch whose last windows never came.

        Parameters
        ----------
        window : Window
            Any one; only of a later cycle, or between two stretches, it matters.

        Returns
        -------
        list of Sighting
            At most one.
        """
        is_same = self.state.cycle == self.place(window)[0] and self.is_planted(window)
        if self.state.is_over or is_same:
            return []
        return [self._end(self._ended())]

    def _skipped(self, is_firing: bool) -> Sighting:
        """Return a sighting without a verdict, with its reason."""
        none = Reason.NO_BASELINE if self._matrix is None else Reason.TOO_FEW_SAMPLES
        reason = Reason.STILL_FIRING if is_firing else none
        return Sighting(CanaryOutcome.SKIPPED, self.state.n_windows, reason)

    def _end(self, sighting: Sighting) -> Sighting:
        """Wait for the next cycle."""
        self.state = CanaryState(self.feature, self.state.cycle, self.state.n_windows)
        return sighting

    def _ended(
        self, decision: Decision | None = None, reference: NDArray[np.int64] | None = None
    ) -> Sighting:
        """Return the outcome of a planting in which it was not found.

        Half of the windows are enough for a verdict, and so are windows that all have too few
        rows: in these nothing real would be found either. Without rows nothing is.
        """
        n_windows, n_small = self.state.n_windows, self.state.n_small
        within = self.settings.within
        # No more than there are: a short stretch could never be missed, and would say nothing.
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
        """Judge a planted window; the stretch ends when it is found, or is over."""
        assert self._matrix is not None
        evidence = Evidence.from_bytes(self.state.evidence, self._layout)
        planted = plant(counts, self._matrix)
        decision = decide(self._plan(reference), evidence, planted[None])
        n_reference = int(reference.sum())
        n = int(decision.n[0]) if n_reference else 0  # an hour that nothing is known of
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
        """Plan the one cell as the real one is."""
        v = self.variable
        phi, learned = self._baseline.phi[:1, v], self._baseline.eps_learned[:1, v]
        phi = phi if self._phi is None else np.full_like(phi, self._phi)
        return plan_cells(self._rule, self._layout, reference[None], phi, learned)
