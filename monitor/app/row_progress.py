"""Progress in rows and event time, over all files that a command reads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from monitor.app.progress import PhaseProgress
from schemas.time_text import day_text

_LATEST_US = 253_402_300_799_000_000
"""The end of the year 9999."""


class RowProgress:
    """Progress of reading: rows, total, and event time.

    Parameters
    ----------
    shown : PhaseProgress
        Phase in which the files are read.
    paths : sequence of path-like
        Files and folders in reading order; ``-`` is standard input.

    Notes
    -----
    The total is taken from table metadata, or estimated by the bytes read so far; nothing is read
    twice for it. It is unknown for standard input.
    """

    def __init__(self, shown: PhaseProgress, paths: Sequence[str | Path]) -> None:
        self._shown = shown
        self._sizes = [_n_bytes(Path(path)) for path in paths]
        self._n_rows = [0] * len(paths)
        self._shares: list[float | None] = [0.0] * len(paths)
        self._time_us = -1

    def of(self, index: int) -> Callable[[float | None, int], None]:
        """Return the callback for the reader of one path, see ``transport.inputs.Progress``."""

        def report(share: float | None, n_rows: int) -> None:
            self._shares[index], self._n_rows[index] = share, n_rows
            self._show()

        return report

    def update(self, time_us: int) -> None:
        """Update the newest event time, microseconds."""
        self._time_us = max(self._time_us, time_us)
        self._show()

    def _show(self) -> None:
        """Show the progress."""
        n_rows, total = sum(self._n_rows), self._total()
        self._shown.update(n_rows, total, rows_text(n_rows, total, self._time_us))

    def _total(self) -> float | None:
        """Return the total number of rows, or None if unknown."""
        if None in self._shares or not all(self._sizes):
            return None
        parts = zip(self._sizes, self._shares, strict=True)
        read = sum(size * (share or 0.0) for size, share in parts)
        return sum(self._n_rows) * sum(self._sizes) / read if read > 0 else None


def rows_text(n_rows: float, total: float | None = None, time_us: int = -1) -> str:
    """Format the progress of reading.

    Parameters
    ----------
    total : float, optional
        None if unknown.
    time_us : int
        Newest event time, microseconds; negative if there is none.

    Examples
    --------
    >>> rows_text(2_100_000, 9_400_000, 1_710_374_400_000_000)
    '2.1 of 9.4 M rows, up to 14 March 2024'
    >>> rows_text(450, 1_700), rows_text(12_000)
    ('450 of 1,700 rows', '12,000 rows')
    """
    most = max(n_rows, total or 0)
    scale, unit, digits = (1e6, " M", 1) if most >= 1e6 else (1, "", 0)
    text = f"{n_rows / scale:,.{digits}f}"
    if total is not None:
        text += f" of {most / scale:,.{digits}f}"
    when = _date(time_us)
    return f"{text}{unit} rows{f', up to {when}' if when else ''}"


def _date(time_us: int) -> str:
    """Format a date; empty for an invalid one."""
    if not 0 <= time_us <= _LATEST_US:
        return ""
    return day_text(time_us)


def _n_bytes(path: Path) -> int:
    """Return the size of a file or folder; 0 if unknown."""
    if path.is_dir():
        return sum(part.stat().st_size for part in path.rglob("*") if part.is_file())
    return path.stat().st_size if path.is_file() else 0
