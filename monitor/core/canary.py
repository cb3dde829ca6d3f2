"""A shift planted into a shadow of one feature, on schedule: can the monitor still see. Pure.

For some windows of every cycle the feature's rows are moved by a known amount, in a copy:
the shadow starts from the evidence the real cell has by then, and nothing of it is ever
added to that. A rule that is broken, a tolerance that has grown too wide, windows that
have become too small all look the same from outside, like silence; here they are told.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from enum import StrEnum

import msgspec
import numpy as np
from numpy.typing import NDArray

from detectors.decision import Decision, Evidence, SetLayout, decide, plan_cells
from detectors.planting import plant, reference_sd, shift_matrix
from detectors.rule import Rule
from detectors.sets import cell_sets
from detectors.tolerance import TolerancePlan
from schemas.config import CanaryConfig, ModelConfig
from schemas.panes import SeriesId, Window
from schemas.profiles import Kind, Profile


class Outcome(StrEnum):
    """What came of one planted shift."""

    FOUND = "found"
    MISSED = "missed"
    SKIPPED = "skipped"
    """It could not tell: the feature was firing anyway, or had too few rows."""


class CanaryState(msgspec.Struct, array_like=True):
    """What a canary has to remember between windows."""

    feature: str = ""
    cycle: int = -1
    """Number of the cycle this is about; -1 before the first."""
    n_windows: int = 0
    """Planted windows that had rows enough."""
    is_over: bool = True
    evidence: bytes = b""


@dataclass(frozen=True, slots=True)
class Sighting:
    """The end of one planted stretch."""

    outcome: Outcome
    n_windows: int
    """Planted windows up to the one that fired, or to the end."""
    is_firing: bool = False
    """It was skipped because the feature was firing when the stretch began."""
    decision: Decision | None = None
    """On the last planted window; of one cell."""


class Canary:
    """One feature's shadow, window after window.

    Parameters
    ----------
    series : SeriesId
    config : ModelConfig
        Its ``canary`` says what to plant, and when.
    profile : Profile
    rule : Rule
        The model's own: the shadow is judged by the threshold of the real cells.
    state : CanaryState, optional
        Of an earlier life.

    Notes
    -----
    When to plant depends on event time alone, so a window that is read again is treated as
    it was the first time. Models begin at different windows of the cycle, by their names.
    """

    def __init__(
        self,
        series: SeriesId,
        config: ModelConfig,
        profile: Profile,
        rule: Rule,
        state: CanaryState | None = None,
    ) -> None:
        assert config.canary is not None
        self.settings: CanaryConfig = config.canary
        self.feature = self.settings.feature or config.schema_.numeric[0]
        names = [variable.name for variable in profile.variables]
        self.variable = names.index(self.feature)
        # Evidence is of one feature's sets; the config may name another one by now.
        is_same = state is not None and state.feature == self.feature
        self.state = state if state is not None and is_same else CanaryState(self.feature)
        self._n_cycle = self.settings.every // config.window.length
        self._offset = zlib.crc32(f"{series.tenant}/{series.model}".encode()) % self._n_cycle
        self._profile, self._rule, self._phi = profile, rule, config.decision.phi
        known, counts = profile.variables[self.variable], profile.reference.counts
        self._layout = SetLayout.of([cell_sets(known, counts[0, self.variable])])
        self._matrix = self._shift()

    @property
    def n_reference(self) -> int:
        """Rows of the feature's reference."""
        return int(self._profile.reference.counts[0, self.variable].sum())

    @staticmethod
    def fits(config: ModelConfig, profile: Profile) -> bool:
        """Say whether the model asks for a canary, and the profile knows its feature."""
        if config.canary is None:
            return False
        feature = config.canary.feature or config.schema_.numeric[0]
        return any(v.name == feature and v.kind is Kind.NUMERIC for v in profile.variables)

    def _shift(self) -> NDArray[np.float64] | None:
        """Return what moves the rows; None where the reference has no spread to measure by."""
        sd = reference_sd(self._profile, self.variable)
        if sd == 0:
            return None
        known, counts = self._profile.variables[self.variable], self._profile.reference.counts
        return shift_matrix(known.edges, counts[0, self.variable], self.settings.shift * sd)

    def take(
        self,
        window: Window,
        counts: NDArray[np.int64],
        reference: NDArray[np.int64],
        evidence: Evidence,
        *,
        is_firing: bool,
    ) -> list[Sighting]:
        """Take one window further.

        Parameters
        ----------
        window : Window
            Says when.
        counts, reference : ndarray of int64, shape (64,)
            The feature's, of all rows.
        evidence : Evidence
            Of the real cell before this window; not changed.
        is_firing : bool
            Whether the real cell has an alert open.

        Returns
        -------
        list of Sighting
            One at the end of each planted stretch in which there were windows.
        """
        ordinal = window.start_us // (window.end_us - window.start_us) + self._offset
        cycle, at = divmod(ordinal, self._n_cycle)
        ended: list[Sighting] = []
        if not self.state.is_over and self.state.cycle != cycle:
            ended.append(self._end_early())
        if at < self._n_cycle - self.settings.within:
            return ended
        if self.state.cycle != cycle:
            ended += self._begin(cycle, evidence, is_firing)
        if not self.state.is_over:
            ended += self._judge(counts, reference)
        if not self.state.is_over and at == self._n_cycle - 1:
            ended.append(self._end_early())
        return ended

    def _begin(self, cycle: int, evidence: Evidence, is_firing: bool) -> list[Sighting]:
        """Begin to plant, unless there is nothing to see by it."""
        is_possible = self._matrix is not None and not is_firing
        kept = evidence.to_bytes() if is_possible else b""
        self.state = CanaryState(self.feature, cycle, 0, not is_possible, kept)
        return [] if is_possible else [Sighting(Outcome.SKIPPED, 0, is_firing=is_firing)]

    def _end_early(self) -> Sighting:
        """End a stretch that had too few windows with rows to tell."""
        n_windows = self.state.n_windows
        self.state = CanaryState(self.feature, self.state.cycle)
        return Sighting(Outcome.SKIPPED, n_windows)

    def _judge(self, counts: NDArray[np.int64], reference: NDArray[np.int64]) -> list[Sighting]:
        """Judge a planted window; the stretch ends when it is found, or was long enough."""
        assert self._matrix is not None
        evidence = Evidence.from_bytes(self.state.evidence, self._layout)
        planted = plant(counts, self._matrix)
        decision = decide(self._plan(reference), evidence, planted[None])
        n_windows = self.state.n_windows + int(decision.n[0] >= self._rule.min_rows)
        has_fired, cycle = bool(decision.has_fired[0]), self.state.cycle
        if has_fired or n_windows == self.settings.within:
            self.state = CanaryState(self.feature, cycle, n_windows)
            outcome = Outcome.FOUND if has_fired else Outcome.MISSED
            return [Sighting(outcome, n_windows, decision=decision)]
        self.state = CanaryState(self.feature, cycle, n_windows, False, evidence.to_bytes())
        return []

    def _plan(self, reference: NDArray[np.int64]) -> TolerancePlan:
        """Plan the one cell as the real one is."""
        v = self.variable
        phi, learned = self._profile.phi[:1, v], self._profile.eps_learned[:1, v]
        phi = phi if self._phi is None else np.full_like(phi, self._phi)
        return plan_cells(self._rule, self._layout, reference[None], phi, learned)
