"""Progress and notes of a use case: what a front end passes in to show them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol


class PhaseProgress(Protocol):
    """Receives the progress of one phase, such as reading or judging."""

    def __call__(self, n: float = 1, note: str = "") -> None:
        """Count n more units; the note says what is being done now."""
        ...

    def update(self, done: float, total: float | None, text: str) -> None:
        """Show the progress: ``done`` units of ``total``, described by ``text``."""
        ...


StartPhase = Callable[[str, float | None], AbstractContextManager[PhaseProgress]]
"""Called with the name of a phase and its number of units, or None if that is unknown."""

OnNote = Callable[[str], None]
"""Called with a note about how the input was read, if a user should know it."""


class NoProgress:
    """Progress that is not shown."""

    def __call__(self, n: float = 1, note: str = "") -> None:
        """Show nothing."""

    def update(self, done: float, total: float | None, text: str) -> None:
        """Show nothing."""


@contextmanager
def no_progress(description: str, total: float | None) -> Iterator[PhaseProgress]:
    """Start a phase whose progress is not shown: the default of every use case."""
    yield NoProgress()


def ignore_note(note: str) -> None:
    """Drop a note: the default of every use case."""
