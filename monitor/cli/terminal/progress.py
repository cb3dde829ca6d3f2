"""Progress of long commands: a bar on a terminal, plain lines otherwise.

Nothing is shown for work that ends within two seconds, or with ``--json``. Output goes to standard
error.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, Any

from monitor.app.progress import NoProgress, PhaseProgress
from monitor.clock import elapsed_s
from monitor.logs.guarded_stream import unguarded
from schemas.spelling import spell_controls

SHOW_AFTER_S = 2.0
"""Time before the first output, and minimum interval between lines."""


@contextmanager
def progress(
    description: str,
    total: float | None,
    *,
    is_quiet: bool = False,
    stream: IO[str] | None = None,
    clock: Callable[[], float] = elapsed_s,
) -> Iterator[PhaseProgress]:
    """Show the progress of the work in the block.

    Parameters
    ----------
    description : str
        Name of the work.
    total : float or None
        Units of work; None if unknown.
    is_quiet : bool
        True with ``--json``.
    stream : text stream, optional
        Standard error by default.
    clock : callable
        Returns seconds; a parameter for tests.

    Yields
    ------
    PhaseProgress
        Called as work is done.
    """
    out = stream or sys.stderr
    if is_quiet:
        yield NoProgress()
        return
    shown = (
        _Bar(description, total, out, clock)
        if out.isatty()
        else _LineProgress(description, total, out, clock)
    )
    try:
        yield shown
    finally:
        shown.close()


class _LineProgress:
    """Prints at most one line every two seconds."""

    def __init__(
        self, description: str, total: float | None, out: IO[str], clock: Callable[[], float]
    ) -> None:
        self.description, self.total, self.out, self.clock = description, total, out, clock
        self.done = 0.0
        self.started_s = self.last_s = clock()
        self.is_shown = False

    def __call__(self, n: float = 1, note: str = "") -> None:
        """Add units, and print if two seconds have passed."""
        share = (self.done + n) / self.total if self.total else None
        count = f"{self.done + n:,.0f}" if share is None else f"{100 * share:.0f} %"
        self.update(self.done + n, self.total, f"{count} {note}".rstrip())

    def update(self, done: float, total: float | None, text: str) -> None:
        """Print if two seconds have passed."""
        self.done, self.total = done, total
        if self.clock() - self.last_s < SHOW_AFTER_S:
            return
        self.last_s = self.clock()
        self.is_shown = True
        print(f"{self.description}: {text}", file=self.out, flush=True)

    def close(self) -> None:
        """Print the elapsed time, if any progress was shown."""
        if self.is_shown:
            took_s = self.clock() - self.started_s
            print(f"{self.description}: ended after {took_s:.1f} s", file=self.out, flush=True)


class _Bar:
    """A bar that appears after two seconds and is removed at the end."""

    def __init__(
        self, description: str, total: float | None, out: IO[str], clock: Callable[[], float]
    ) -> None:
        self.description, self.total, self.out, self.clock = description, total, out, clock
        self.done = 0.0
        self.started_s = clock()
        self.bar: Any = None
        self.task: Any = None

    def __call__(self, n: float = 1, note: str = "") -> None:
        """Add units, and draw after two seconds."""
        self.update(self.done + n, self.total, note)

    def update(self, done: float, total: float | None, text: str) -> None:
        """Draw after two seconds."""
        self.done, self.total = done, total
        if self.bar is None and self.clock() - self.started_s >= SHOW_AFTER_S:
            self._open()
        if self.bar is not None:
            description = f"{self.description}: {text}" if text else self.description
            words = spell_controls(description)
            self.bar.update(self.task, completed=done, total=total, description=words)

    def _open(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=20),
            TimeRemainingColumn(compact=True),
        )
        self.bar = Progress(*columns, console=Console(file=unguarded(self.out)), transient=True)
        self.task = self.bar.add_task(self.description, total=self.total)
        self.bar.start()

    def close(self) -> None:
        """Remove the bar."""
        if self.bar is not None:
            self.bar.stop()
