"""Adding mergeable statistics: segments are matched by name, the union is kept."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from schemas.errors import ShapeError
from schemas.panes import ALL, SeriesStats


def ordered_segments(names: Iterable[str]) -> tuple[str, ...]:
    """Return the names once each: ``*`` first, the rest sorted.

    Examples
    --------
    >>> ordered_segments(["b=1", "a=2", "*", "b=1"])
    ('*', 'a=2', 'b=1')
    """
    return tuple(sorted(set(names), key=lambda name: (name != ALL, name)))


def merge(a: SeriesStats, b: SeriesStats) -> SeriesStats:
    """Return the statistics of the rows of both.

    Parameters
    ----------
    a, b : SeriesStats
        Over the same variables in the same baseline's layout.

    Returns
    -------
    SeriesStats
        New arrays; segments in the order of :func:`ordered_segments`.

    Raises
    ------
    ShapeError
        If the numbers of variables differ and both have segments.

    Notes
    -----
    Commutative, bit for bit. Associative on every integer, minimum and maximum; sums
    of floats associate up to rounding, so add in a fixed order (:func:`merge_all`).
    Identity: statistics without segments, or of all zeros.

    Examples
    --------
    >>> a = SeriesStats.empty(("*", "x=1"), 2)
    >>> merge(a, SeriesStats.empty(("*", "w=0"), 2)).segments
    ('*', 'w=0', 'x=1')
    """
    return merge_all((a, b))


def merge_all(parts: Sequence[SeriesStats]) -> SeriesStats:
    """Return the sum of many, added in the order given.

    Parameters
    ----------
    parts : sequence of SeriesStats
        At least one.

    Returns
    -------
    SeriesStats
        As of :func:`merge`; one pass, no intermediate copies.

    Raises
    ------
    ShapeError
        If there is none, or the numbers of variables differ.
    """
    if not parts:
        raise ShapeError("nothing to merge", where="merge_all", fix="pass one at least")
    named = [p for p in parts if p.segments] or [parts[0]]
    widths = {p.counts.shape[1] for p in named}
    if len(widths) > 1:
        raise ShapeError(
            f"statistics over {sorted(widths)} variables",
            where="merge",
            fix="merge only panes of one baseline",
        )
    segments = ordered_segments(name for p in named for name in p.segments)
    total = SeriesStats.empty(segments, widths.pop())
    position = {name: i for i, name in enumerate(segments)}
    for part in named:
        _add(total, part, [position[name] for name in part.segments])
    return total


def _add(total: SeriesStats, part: SeriesStats, rows: list[int]) -> None:
    """Add one part into the rows its segments have in the total."""
    at = slice(None) if rows == list(range(len(total.segments))) else np.array(rows, np.intp)
    total.n_rows[at] += part.n_rows
    total.counts[at] += part.counts
    total.sums[at] += part.sums
    total.sums_sq[at] += part.sums_sq
    # + 0.0 turns -0.0 into 0.0, which of the two is kept would depend on the order
    total.minima[at] = np.minimum(total.minima[at], part.minima) + 0.0
    total.maxima[at] = np.maximum(total.maxima[at], part.maxima) + 0.0
    total.n_predicted[at] += part.n_predicted
    total.n_positive[at] += part.n_positive
    total.calibration_counts[at] += part.calibration_counts
    total.calibration_sums[at] += part.calibration_sums
