"""State of the volume rule of one model. Pure."""

from __future__ import annotations

from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from detectors.decision_rule.seasonal import N_SLOTS
from detectors.multiscale.volume import N_VOLUME_VALUES, VolumeState
from monitor.core.bounds import MAX_OFFSET, check_finite, check_number, check_text
from schemas.errors import DomainError

_OWN: Final = (2, N_SLOTS)
_LITTLE: Final = "<f4"


class Excursion(msgspec.Struct, array_like=True):
    """Traffic of an open alert."""

    change: float
    """Change that opened it, as a part of the expected rows."""
    n_rows: float = 0.0
    n_expected: float = 0.0
    """Since the excursion began."""
    n_silent: float = 0.0
    """Expected rows since the last row."""
    opened_us: int = 0
    """End of the tick in which it opened."""
    back_since_us: int = -1
    """Start of the first of the last ticks with the expected traffic; -1 for none."""


class VolumeMemory(msgspec.Struct, array_like=True):
    """What the volume rule keeps of a model between two ticks."""

    tick_us: int
    until_us: int
    """End of the last tick."""
    profile_id: str = ""
    """Baseline whose volume is expected; empty for the stream's own."""
    own: bytes = b""
    """Float32 of shape (2, 168): own rows and hours by hour of the week."""
    level: float = 0.0
    """Rows of the stream per row of the reference; 0 while it is not known."""
    n_seen: float = 0.0
    n_seen_expected: float = 0.0
    seen_us: int = 0
    """Rows, expected rows and time by which the level is determined."""
    averages: bytes = b""
    """Float32 of shape (64,)."""
    scatter: float = 0.0
    n_ticks: int = 0
    less_since_us: int = -1
    more_since_us: int = -1
    """Start of the first of the last ticks with less, or more, traffic than expected."""
    n_run: float = 0.0
    n_run_expected: float = 0.0
    """Rows and expected rows of these ticks."""
    excursion: Excursion | None = None

    @property
    def own_counts(self) -> NDArray[np.float32]:
        """Own rows and hours, shape (2, 168)."""
        if not self.own:
            return np.zeros(_OWN, np.float32)
        return np.frombuffer(self.own, _LITTLE).reshape(_OWN).astype(np.float32)

    @own_counts.setter
    def own_counts(self, counts: NDArray[np.float32]) -> None:
        self.own = counts.astype(_LITTLE).tobytes()

    @property
    def state(self) -> VolumeState:
        """State of the rule."""
        values = np.frombuffer(self.averages, _LITTLE).astype(np.float32)
        return VolumeState.of(values, self.scatter, self.n_ticks)

    @state.setter
    def state(self, state: VolumeState) -> None:
        self.averages = state.values().astype(_LITTLE).tobytes()
        self.scatter, self.n_ticks = state.scatter, state.n_ticks


def check_volume(memory: VolumeMemory) -> None:
    """Check a restored state.

    Raises
    ------
    DomainError
        If it has an invalid value.
    """
    check_number("tick_us", memory.tick_us, 1, MAX_OFFSET)
    check_number("n_ticks", memory.n_ticks, 0, MAX_OFFSET)
    check_text("profile_id", memory.profile_id)
    for name, data, n in (
        ("own", memory.own, 2 * N_SLOTS),
        ("averages", memory.averages, N_VOLUME_VALUES),
    ):
        if len(data) not in (0, n * 4):
            raise DomainError(f"{name} of {len(data)} bytes, not {n * 4}")
        check_finite(name, np.frombuffer(data, _LITTLE))
    numbers = [memory.level, memory.n_seen, memory.n_seen_expected, memory.scatter]
    numbers += [memory.n_run, memory.n_run_expected]
    if memory.excursion is not None:
        own = memory.excursion
        numbers += [own.n_rows, own.n_expected, own.n_silent]
    if not (np.isfinite(numbers).all() and min(numbers) >= 0):
        raise DomainError("a negative number, or none, in the state of the volume rule")
