"""Reading the panes of a window or tick again, after one changed that had been added up."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from monitor.core.bounds import MAX_COUNT
from monitor.core.drift.windows import ChangedWindow, Windows
from monitor.core.windowing.codec import Assembled, PaneAssembler, PaneMessage, read_message
from monitor.core.windowing.intake_message import NOT_PANES
from schemas.errors import DomainError, TransportError

Assemble = Callable[[PaneAssembler, PaneMessage, int, int], Assembled | None]
"""(assembler, message, offset, record time) -> the pane it completes, checked."""


class Changed(NamedTuple):
    """A window, or a tick, to be read again."""

    windows: Windows
    """The windows it is one of."""
    window: ChangedWindow


class Rereading:
    """A range of the log of panes, of which the panes of a window and its tick are taken again.

    Parameters
    ----------
    changed : sequence of Changed
        Of one model, at least one.
    assemble : callable
        Takes one chunk as it was taken the first time.
    model_version, offset : str, int
        Of the pane that changed.
    end_offset : int
        The range ends before it, and holds that pane.

    Notes
    -----
    Give every message of the range to :meth:`read`, then call :meth:`end`. If retention has
    taken the first one, give none: the window stays as it was, since a part of its panes is
    no better. Sums are not taken apart instead: what was added to a float cannot be taken
    away again without a trace in its last bits.
    """

    def __init__(
        self,
        changed: Sequence[Changed],
        assemble: Assemble,
        model_version: str,
        offset: int,
        end_offset: int,
    ) -> None:
        self._changed, self._assemble = tuple(changed), assemble
        self._model_version, self._offset = model_version, offset
        self._assembler: PaneAssembler | None = None
        self.first_offset = min(each.window.first_offset for each in self._changed)
        self.end_offset = end_offset

    def read(self, offset: int, key: bytes, value: bytes, record_time_us: int = -1) -> None:
        """Take one message of the range."""
        if not value or key.startswith(NOT_PANES):
            return
        if self._assembler is None:
            self._assembler = PaneAssembler(MAX_COUNT)
            for each in self._changed:
                each.windows.begin_rereading(each.window)
        try:
            message = read_message(value)
            if (message.header.tenant, message.header.model) != self._changed[0].window[:2]:
                return
            whole = self._assemble(self._assembler, message, offset, record_time_us)
        except (TransportError, DomainError):
            return  # became a dead letter when it came
        if whole is not None:
            for each in self._changed:
                each.windows.add_again(each.window, whole.packed, whole.first_offset)

    def end(self) -> None:
        """Have the window given out again, if it has closed."""
        if self._assembler is not None:
            for each in self._changed:
                each.windows.end_rereading(each.window, self._model_version, self._offset)
