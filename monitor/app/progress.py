"""Callbacks by which a front end shows progress and notes of a use case."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol


class PhaseProgress(Protocol):
    """Receives the progress of one phase, such as reading or judging."""

    def __call__(self, n: float = 1, note: str = "") -> None:
        """Add n units of progress, with a note on the current work."""
        ...

    def update(self, done: float, total: float | None, text: str) -> None:
        """Show the progress: ``done`` units of ``total``, described by ``text``."""
        ...


StartPhase = Callable[[str, float | None], AbstractContextManager[PhaseProgress]]
"""Called with the name of a phase and its number of units, or None if that is unknown."""

OnNote = Callable[[str], None]
"""Called with a note for the user on how the input was read."""


class NoProgress:
    """Discards progress."""

    def __call__(self, n: float = 1, note: str = "") -> None:
        """Do nothing."""

    def update(self, done: float, total: float | None, text: str) -> None:
        """Do nothing."""


@contextmanager
def no_progress(description: str, total: float | None) -> Iterator[PhaseProgress]:
    """Return a phase whose progress is discarded; the default of every use case."""
    yield NoProgress()


def ignore_note(note: str) -> None:
    """Discard a note; the default of every use case."""
