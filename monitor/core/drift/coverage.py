"""Coverage: the share of a model's traffic with a verdict, and reasons for the rest. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from monitor.core.drift.window_results import cell_outcomes, most_frequent_reason
from schemas.alerts import LATE_EVENTS, REJECTED_EVENTS
from schemas.intake import Intake
from schemas.result_table import ResultTable
from schemas.results import DetectorResult


@dataclass(slots=True)
class Coverage:
    """Rows, windows and cells of one model: judged, and not judged by reason.

    A window is judged if at least one of its cells got a verdict. A cell is one variable
    of one segment in one window.

    Examples
    --------
    >>> coverage = Coverage()
    >>> coverage.note(20, "too_few_samples")
    >>> coverage.note(200, "")
    >>> coverage.n_rows, coverage.n_rows_judged, dict(coverage.windows)
    (220, 200, {'too_few_samples': 1, '': 1})
    """

    rows: Counter[str] = field(default_factory=Counter)
    """Rows by reason; the empty reason counts judged rows."""
    windows: Counter[str] = field(default_factory=Counter)
    """Windows with rows."""
    cells: Counter[str] = field(default_factory=Counter)
    segments: dict[str, Counter[str]] = field(default_factory=dict)
    """Cells of each segment by reason."""
    n_empty: int = 0
    """Windows without rows."""
    n_rejected: int = 0
    """Rejected events of closed windows; like late ones they are not in ``rows``."""
    n_late: int = 0

    def note_intake(self, intake: Intake) -> None:
        """Add the rejected and late events of one window of all versions."""
        self.n_rejected += intake.n_rejected
        self.n_late += intake.n_late

    def note(self, n_rows: int, reason: str) -> None:
        """Add one window of one model version.

        Parameters
        ----------
        reason : str
            Reason for no verdict; empty if it has one.
        """
        if not n_rows:
            self.n_empty += 1
            return
        self.rows[reason] += n_rows
        self.windows[reason] += 1

    def add(
        self,
        n_rows: int,
        results: Iterable[DetectorResult],
        tables: Iterable[ResultTable] = (),
    ) -> None:
        """Add the results of one window of one model version, in both forms."""
        found = cell_outcomes(results, tables)
        self.note(n_rows, most_frequent_reason(found))
        if n_rows:
            for (segment, reason), n_cells in found.items():
                self.note_cell(segment, reason, n_cells)

    def note_cell(self, segment: str, reason: str, n_cells: int = 1) -> None:
        """Add cells of a window with rows; the empty reason means that they were judged."""
        self.cells[reason] += n_cells
        self.segments.setdefault(segment, Counter())[reason] += n_cells

    def unjudged_segments(self) -> dict[str, str]:
        """Return the segments without any verdict, with their most frequent reason.

        Empty if nothing was judged, because the reason then concerns all rows.

        Examples
        --------
        >>> coverage = Coverage()
        >>> for segment, reason in (("*", ""), ("r=eu", "no_data"), ("r=us", "")):
        ...     coverage.note_cell(segment, reason)
        >>> coverage.unjudged_segments()
        {'r=eu': 'no_data'}
        """
        if not self.cells[""]:
            return {}
        return {
            segment: max(sorted(counts), key=lambda reason: counts[reason])
            for segment, counts in sorted(self.segments.items())
            if not counts[""]
        }

    def counts(self) -> Counter[tuple[str, str]]:
        """Return every count by unit (``events``, ``windows``, ``cells``) and outcome.

        The outcome is ``judged`` or the reason why not. Rejected and late events have the unit
        ``events`` and the outcome ``rejected_events`` or ``late_events``.

        Examples
        --------
        >>> coverage = Coverage(n_late=2)
        >>> coverage.note(20, "too_few_samples")
        >>> sorted(coverage.counts().items())[:2]
        [(('events', 'late_events'), 2), (('events', 'too_few_samples'), 20)]
        """
        counts: Counter[tuple[str, str]] = Counter()
        for unit, found in (
            ("events", self.rows),
            ("windows", self.windows),
            ("cells", self.cells),
        ):
            counts.update({(unit, reason or "judged"): n for reason, n in found.items()})
        counts["events", REJECTED_EVENTS] += self.n_rejected
        counts["events", LATE_EVENTS] += self.n_late
        return +counts

    @property
    def n_rows(self) -> int:
        """Rows in closed windows."""
        return self.rows.total()

    @property
    def n_rows_judged(self) -> int:
        """Rows of windows with a verdict."""
        return self.rows[""]

    @property
    def rows_per_window(self) -> float:
        """Mean rows of non-empty windows; 0 without one."""
        n_windows = self.windows.total()
        return self.n_rows / n_windows if n_windows else 0.0

    def as_document(self) -> dict[str, object]:
        """Return the counts for ``--json``."""
        return {
            "rows": _split(self.rows),
            "windows": {**_split(self.windows), "without_rows": self.n_empty},
            "cells": _split(self.cells),
            "segments_not_judged": self.unjudged_segments(),
        }


def _split(counts: Counter[str]) -> dict[str, object]:
    """Separate judged counts from the reasons."""
    unjudged = {reason: n for reason, n in sorted(counts.items()) if reason}
    return {"judged": counts[""], "not_judged": unjudged}


def joined(coverages: Mapping[tuple[str, str], Coverage]) -> Coverage:
    """Add the coverage of several models."""
    total = Coverage()
    for one in coverages.values():
        total.rows += one.rows
        total.windows += one.windows
        total.cells += one.cells
        for segment, counts in one.segments.items():
            total.segments.setdefault(segment, Counter()).update(counts)
        total.n_empty += one.n_empty
        total.n_rejected += one.n_rejected
        total.n_late += one.n_late
    return total
