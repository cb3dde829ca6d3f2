"""Ticks: short stretches of the stream that close like windows and are judged one by one. Pure.

Panes are put together to ticks of ``decision.tick`` as they are to windows, by watermark and
lateness. A pane that comes after its tick has closed changes the hourly tables, never a tick.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from monitor.core.drift.windows import IntakeWindow, Windows, WindowState
from monitor.core.windowing.packed_pane import PackedPane
from monitor.core.windowing.watermark import Watermarks
from schemas.intake import IntakePane
from schemas.panes import Pane, Window
from schemas.time_units import HOUR_US

if TYPE_CHECKING:
    from monitor.core.windowing.pane_body import PaneBody
    from schemas.config.model import ModelConfig, WindowConfig

Floats = NDArray[np.float64]

MIN_ROWS: Final = 5
"""A tick with fewer rows is judged together with the next ones, up to the end of its hour."""

Configs = Callable[[str, str], "ModelConfig"]
"""(tenant, model) -> its config."""


@dataclass(frozen=True, slots=True, eq=False)
class Tick:
    """Sums of all cells of a series in one tick, or in several thin ticks of one hour."""

    start_us: int
    end_us: int
    sums: Floats
    """Shape (I,): counts of shares, sums of means."""
    rows: Floats
    """Shape (C,)."""

    @property
    def n_rows(self) -> int:
        """Rows of the largest cell, which counts all rows."""
        return int(self.rows.max(initial=0.0))

    @property
    def is_last_of_hour(self) -> bool:
        """Whether an hour ends with this tick, or within it."""
        return self.end_us // HOUR_US > self.start_us // HOUR_US

    def with_next(self, tick: Tick) -> Tick:
        """Return this tick and a later one as one."""
        return Tick(self.start_us, tick.end_us, self.sums + tick.sums, self.rows + tick.rows)


class HeldTick(msgspec.Struct, array_like=True):
    """A thin tick that is merged with the next one, as stored in the state."""

    start_us: int
    end_us: int
    sums: bytes
    """float64, little-endian."""
    rows: bytes

    @staticmethod
    def of(tick: Tick) -> HeldTick:
        """Return the stored form."""
        sums, rows = (a.astype("<f8").tobytes() for a in (tick.sums, tick.rows))
        return HeldTick(tick.start_us, tick.end_us, sums, rows)

    def tick(self) -> Tick:
        """Return the tick."""
        sums, rows = (np.frombuffer(a, "<f8").astype(np.float64) for a in (self.sums, self.rows))
        return Tick(self.start_us, self.end_us, sums, rows)


def merge_thin(held: Tick | None, tick: Tick) -> tuple[list[Tick], Tick | None]:
    """Take a closed tick; return the ticks to judge now, and the one that is held back.

    Parameters
    ----------
    held : Tick or None
        What was held back of the ticks before.
    tick : Tick
        The next one in order of time; it may be empty.

    Returns
    -------
    ready : list of Tick
        With at least :data:`MIN_ROWS` rows, or with all the rows of their hour. None is empty.
    held : Tick or None
        Has rows, and a later tick of its hour is still to come.

    Notes
    -----
    An average follows ticks with rows. Merged thin ticks are at most an hour, so what comes
    of traffic of a row an hour is judged with the tick that ends the hour. Only rows and
    the clock decide, so the outcome is a function of the closed ticks.

    Examples
    --------
    >>> def of(minute: int, n: float) -> Tick:
    ...     start_us = minute * 60_000_000
    ...     return Tick(start_us, start_us + 300_000_000, np.array([n]), np.array([n]))
    >>> ready, held = merge_thin(None, of(0, 3))
    >>> len(ready), held.n_rows
    (0, 3)
    >>> ready, held = merge_thin(held, of(5, 4))
    >>> [t.n_rows for t in ready], held
    ([7], None)
    """
    ready = []
    if held is not None and held.start_us // HOUR_US != tick.start_us // HOUR_US:
        ready.append(held)
        held = None
    both = tick if held is None else held.with_next(tick)
    if both.n_rows >= MIN_ROWS or (both.n_rows and both.is_last_of_hour):
        return [*ready, both], None
    return ready, both if both.n_rows else None


class Ticks:
    """Ticks of the models that rule 2 judges, whose panes come by one pane log.

    Parameters
    ----------
    configs : callable
        (tenant, model) -> ModelConfig; ``decision.tick`` and ``window.lateness`` are used.
    watermarks : Watermarks
        Those of the windows of the same log.

    Attributes
    ----------
    windows : Windows
        The open ticks: a total of what is final for each series and source partition, with
        slices only of models whose replicas are compared, and the bytes of the other panes.
        Nothing of a closed tick is kept.
    """

    def __init__(self, configs: Configs, watermarks: Watermarks) -> None:
        self._configs = configs
        self.windows = Windows(
            self._settings, watermarks, keep_closed=0, has_slices=self._has_slices
        )

    def _settings(self, tenant: str, model: str) -> WindowConfig:
        config = self._configs(tenant, model)
        return config.window.model_copy(update={"length_us": config.tick_us})

    def _has_slices(self, tenant: str, model: str) -> bool:
        slices = self._configs(tenant, model).slices
        return slices.host or slices.gpu_uuid

    def add(self, pane: Pane | PackedPane, offset: int, opened: PaneBody | None = None) -> None:
        """Add a pane of a model that is judged by ticks, unless its tick has closed.

        ``opened`` is its body, if that has been opened already.
        """
        self.windows.changed = None
        if self._configs(pane.series.tenant, pane.series.model).decision.rule != 1:
            self.windows.add(pane, offset, opened)

    def add_intake(self, pane: IntakePane, offset: int) -> None:
        """Add an intake pane of a model that is judged by ticks, unless its tick has closed."""
        if self._configs(pane.tenant, pane.model).decision.rule != 1:
            self.windows.add_intake(pane, offset)

    def take_intakes(self) -> list[IntakeWindow]:
        """Return the intake of ticks closed since the last call, by end and model."""
        return self.windows.take_intakes()

    def close(self) -> list[Window]:
        """Return the ticks that closed, in order of their end; none is ever revised."""
        return [tick for tick in self.windows.close() if not tick.is_revised]

    def close_all(self) -> list[Window]:
        """Close all ticks with panes at the end of the input."""
        return [tick for tick in self.windows.close_all() if not tick.is_revised]

    def forget(self, tenant: str, model: str, version: str) -> None:
        """Stop returning empty ticks of a version."""
        self.windows.forget(tenant, model, version)

    def export(self, tenant: str, model: str, next_offset: int) -> WindowState:
        """Return the state of one model: see :meth:`Windows.export`."""
        return self.windows.export(tenant, model, next_offset)

    def restore(self, state: WindowState) -> None:
        """Continue a model; then read the pane log from the offset of its windows."""
        self.windows.restore(state)
