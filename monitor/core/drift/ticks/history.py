"""The ticks behind an alert: six hours one by one, older ones in hours and eights of hours. Pure.

The beginning of a change is searched over six time constants of the scale that fired, which
is a month at the longest. Ticks of a month would be megabytes of state, and a change that
took days to find does not have its beginning known to five minutes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from detectors.multiscale.onset import LEAST_HOURS, LOOK_BACK
from detectors.multiscale.thresholds import SCALE_HOURS
from monitor.core.drift.ticks.closing import Tick
from schemas.errors import ShapeError
from schemas.time_units import HOUR_US

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]

TICKS_US: Final = round(LEAST_HOURS * HOUR_US)
"""Ticks are kept one by one for so long: what the two shortest scales search."""
HOURS_US: Final = round(LOOK_BACK * SCALE_HOURS[3] * HOUR_US)
"""Then by the hour for so long: what the scale of 8 hours searches."""
BLOCK_US: Final = 8 * HOUR_US
KEPT_US: Final = round(LOOK_BACK * SCALE_HOURS[-1] * HOUR_US)


class Stretch(msgspec.Struct, array_like=True):
    """Sum of consecutive ticks, as stored in the state."""

    start_us: int
    end_us: int
    values: bytes
    """float32, little-endian: sums of I components, then rows of C cells."""


@dataclass(slots=True)
class _Stretch:
    start_us: int
    end_us: int
    values: Singles

    def take(self, other: _Stretch) -> None:
        """Add the stretch that follows."""
        self.end_us = other.end_us
        self.values = self.values + other.values


@dataclass(frozen=True, slots=True)
class Past:
    """One component over stretches in order of time; arrays of shape (T,)."""

    start_us: NDArray[np.int64]
    end_us: NDArray[np.int64]
    sums: Floats
    rows: Floats


class TickHistory:
    """Judged ticks of one series, by age in three resolutions.

    Parameters
    ----------
    n_components, n_cells : int
        Of a tick.

    Notes
    -----
    At most 72 ticks of 5 minutes, 50 hours and 96 blocks of 8 hours: .2 MB for ten features.
    Sums are kept in float32, so that a history that went through a checkpoint equals one
    that did not.
    """

    def __init__(self, n_components: int, n_cells: int) -> None:
        self._n_components, self._n_cells = n_components, n_cells
        self._ticks: list[_Stretch] = []
        self._hours: list[_Stretch] = []
        self._blocks: list[_Stretch] = []

    def add(self, tick: Tick) -> None:
        """Take the next judged tick."""
        values = np.concatenate((tick.sums, tick.rows)).astype(np.float32)
        self._ticks.append(_Stretch(tick.start_us, tick.end_us, values))
        _age(self._ticks, self._hours, tick.end_us - TICKS_US, HOUR_US)
        _age(self._hours, self._blocks, tick.end_us - HOURS_US, BLOCK_US)
        while self._blocks and self._blocks[0].end_us <= tick.end_us - KEPT_US:
            del self._blocks[0]

    @property
    def is_single(self) -> bool:
        """Whether there was no more than one tick, which alone opens no alert."""
        return len(self._all()) < 2

    @property
    def last_us(self) -> int:
        """End of the last judged tick; 0 before the first."""
        return self._ticks[-1].end_us if self._ticks else 0

    def past(self, component: int, cell: int, since_us: int) -> Past:
        """Return sums of a component and rows of its cell in stretches that end after a time."""
        found = [s for s in self._all() if s.end_us > since_us]
        at = self._n_components + cell
        return Past(
            np.array([s.start_us for s in found], np.int64),
            np.array([s.end_us for s in found], np.int64),
            np.array([s.values[component] for s in found], np.float64),
            np.array([s.values[at] for s in found], np.float64),
        )

    def export(self) -> list[Stretch]:
        """Return the stored form, oldest first."""
        return [
            Stretch(s.start_us, s.end_us, s.values.astype("<f4").tobytes()) for s in self._all()
        ]

    def restore(self, stretches: Sequence[Stretch]) -> None:
        """Restore what :meth:`export` returned.

        Raises
        ------
        ShapeError
            If a stretch is not of these components and cells.
        """
        n = self._n_components + self._n_cells
        if any(len(s.values) != 4 * n for s in stretches):
            raise ShapeError(
                "a history of another baseline", where="state", fix=f"expected {n} values a tick"
            )
        found = [
            _Stretch(s.start_us, s.end_us, np.frombuffer(s.values, "<f4").astype(np.float32))
            for s in stretches
        ]
        end_us = found[-1].end_us if found else 0
        self._ticks = [s for s in found if s.end_us > end_us - TICKS_US]
        older = found[: len(found) - len(self._ticks)]
        self._hours = [s for s in older if s.end_us > end_us - HOURS_US]
        self._blocks = older[: len(older) - len(self._hours)]

    def _all(self) -> list[_Stretch]:
        return [*self._blocks, *self._hours, *self._ticks]


def _age(young: list[_Stretch], old: list[_Stretch], until_us: int, span_us: int) -> None:
    """Move stretches that ended by a time into spans of the clock."""
    while young and young[0].end_us <= until_us:
        first = young.pop(0)
        if old and old[-1].start_us // span_us == first.start_us // span_us:
            old[-1].take(first)
        else:
            old.append(first)
