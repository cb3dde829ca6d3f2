"""Reading the panes of windows and ticks again, after some changed that had been added up."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from monitor.core.drift.windows import ChangedWindow, Windows
from monitor.core.windowing.codec import Assembled, PaneAssembler
from monitor.core.windowing.intake_message import NOT_PANES
from schemas.errors import DomainError, TransportError

Read = Callable[[bytes, int, int, PaneAssembler], Iterator[Assembled]]
"""(value, offset, record time, assembler) -> the panes of a message, checked."""


class Changed(NamedTuple):
    """A window, or a tick, to be read again."""

    windows: Windows
    """The windows it is one of."""
    window: ChangedWindow


class _Version(NamedTuple):
    """A pane that changed: its model version, and its offset."""

    model_version: str
    offset: int


class Changes:
    """Windows and ticks of which panes changed in one message, each with these panes."""

    def __init__(self) -> None:
        self._changed: dict[tuple[int, str, str, int], Changed] = {}
        self._versions: dict[tuple[int, str, str, int], list[_Version]] = {}

    def __bool__(self) -> bool:
        return bool(self._changed)

    def add(self, changed: Changed, model_version: str, offset: int) -> None:
        """Note a pane that changed, and what its window says of it."""
        place = (id(changed.windows), *changed.window[:3])
        self._changed.setdefault(place, changed)
        self._versions.setdefault(place, []).append(_Version(model_version, offset))

    @property
    def first_offset(self) -> int:
        """The first offset of a pane of these windows."""
        return min(changed.window.first_offset for changed in self._changed.values())

    def begin(self) -> None:
        """Forget the panes of these windows."""
        for windows, window in self._changed.values():
            windows.begin_rereading(window)

    def add_again(self, pane: Assembled) -> None:
        """Add a pane to those of these windows in which it lies."""
        series = pane.packed.series
        for windows, window in self._changed.values():
            if (series.tenant, series.model) == window[:2]:
                windows.add_again(window, pane.packed, pane.first_offset)

    def end(self) -> None:
        """Have these windows given out again, if they have closed."""
        for place, (windows, window) in self._changed.items():
            for version in self._versions[place]:
                windows.end_rereading(window, *version)


class Rereading:
    """A range of the log of panes, of which the panes of some windows and ticks are taken again.

    Parameters
    ----------
    read : callable
        Reads a message as it was read the first time.
    changes : Changes
        The windows, at least one.
    end_offset : int
        The range ends before it, and holds the panes that changed.

    Notes
    -----
    Give every message of the range to :meth:`read`, then call :meth:`end`. If retention has
    taken the first one, give none: the windows stay as they were, since a part of their panes
    is no better. Sums are not taken apart instead: what was added to a float cannot be taken
    away again without a trace in its last bits.
    """

    def __init__(self, read: Read, changes: Changes, end_offset: int) -> None:
        self._read, self._changes = read, changes
        self._assembler: PaneAssembler | None = None
        self.first_offset, self.end_offset = changes.first_offset, end_offset

    def read(self, offset: int, key: bytes, value: bytes, record_time_us: int = -1) -> None:
        """Take one message of the range."""
        if not value or key.startswith(NOT_PANES):
            return
        if self._assembler is None:
            self._assembler = PaneAssembler()
            self._changes.begin()
        try:
            for pane in self._read(value, offset, record_time_us, self._assembler):
                self._changes.add_again(pane)
        except (TransportError, DomainError):
            return  # became a dead letter when it came

    def end(self) -> None:
        """Have the windows given out again, if they have closed."""
        if self._assembler is not None:
            self._changes.end()
