"""How far a long command has come: a bar on a terminal, plain lines elsewhere.

Nothing is shown for work that ends within two seconds, and nothing where a
program reads the output. Everything goes to standard error.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, Any

from monitor.clock import elapsed_s

PATIENCE_S = 2.0
"""Work shorter than this needs no bar, and lines come no faster than this."""

Advance = Callable[..., None]
"""``advance(n=1, note="")``: n more done; the note says what is being done now."""


@contextmanager
def progress(
    description: str,
    total: float | None,
    *,
    is_quiet: bool = False,
    stream: IO[str] | None = None,
    clock: Callable[[], float] = elapsed_s,
) -> Iterator[Advance]:
    """Show how far the work inside the block has come.

    Parameters
    ----------
    description : str
        What is being done.
    total : float or None
        Units of work; None where nobody knows.
    is_quiet : bool
        True with ``--json``.
    stream : text stream, optional
        Standard error by default.
    clock : callable
        Seconds; for tests.

    Yields
    ------
    callable
        ``advance(n=1, note="")``, to be called as work is done.
    """
    out = stream or sys.stderr
    if is_quiet:
        yield lambda n=1, note="": None
        return
    shown = (
        _Bar(description, total, out, clock)
        if out.isatty()
        else _Lines(description, total, out, clock)
    )
    try:
        yield shown.advance
    finally:
        shown.close()


class _Lines:
    """A line every two seconds at most."""

    def __init__(
        self, description: str, total: float | None, out: IO[str], clock: Callable[[], float]
    ) -> None:
        self.description, self.total, self.out, self.clock = description, total, out, clock
        self.done = 0.0
        self.started_s = self.last_s = clock()
        self.is_shown = False

    def advance(self, n: float = 1, note: str = "") -> None:
        """Count, and print where two seconds have passed."""
        self.done += n
        if self.clock() - self.last_s >= PATIENCE_S:
            self._print(note)

    def _print(self, note: str = "") -> None:
        self.last_s = self.clock()
        self.is_shown = True
        share = f"{100 * self.done / self.total:.0f} %" if self.total else f"{self.done:,.0f}"
        tail = f" {note}" if note else ""
        print(f"{self.description}: {share}{tail}", file=self.out, flush=True)

    def close(self) -> None:
        """Say how long it took, if anything was said at all."""
        if self.is_shown:
            took_s = self.clock() - self.started_s
            print(f"{self.description}: ended after {took_s:.1f} s", file=self.out, flush=True)


class _Bar:
    """A bar that appears after two seconds and goes away at the end."""

    def __init__(
        self, description: str, total: float | None, out: IO[str], clock: Callable[[], float]
    ) -> None:
        self.description, self.total, self.out, self.clock = description, total, out, clock
        self.done = 0.0
        self.started_s = clock()
        self.bar: Any = None
        self.task: Any = None

    def advance(self, n: float = 1, note: str = "") -> None:
        """Count, and draw once two seconds have passed."""
        self.done += n
        if self.bar is None and self.clock() - self.started_s >= PATIENCE_S:
            self._open()
        if self.bar is not None:
            self.bar.update(
                self.task, completed=self.done, description=f"{self.description} {note}".rstrip()
            )

    def _open(self) -> None:
        from rich.console import Console
        from rich.progress import Progress

        self.bar = Progress(console=Console(file=self.out), transient=True)
        self.task = self.bar.add_task(self.description, total=self.total)
        self.bar.start()

    def close(self) -> None:
        """Take the bar away."""
        if self.bar is not None:
            self.bar.stop()
