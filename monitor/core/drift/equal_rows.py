"""An upper bound of the share of rows that are equal, from the counters of a window. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from schemas.panes import Window


def most_equal_share(windows: Sequence[Window], n_events: int) -> float:
    """Return the largest share of events that can be equal in all features and the score.

    Parameters
    ----------
    windows : sequence of Window
        Of one tick or window, all versions.
    n_events : int
        Events of it, rejected and late ones included.

    Returns
    -------
    float
        Equal rows share a counter in every variable, so no more are equal than the commonest
        counter of any variable holds, in each version. 0 without rows. A counter of numbers holds
        a range of them, so fewer rows may be equal.

    Examples
    --------
    >>> import numpy as np
    >>> from schemas.panes import ClosedBy, SeriesId, SeriesStats
    >>> stats = SeriesStats.empty(("*",), 2)
    >>> stats.n_rows[0], stats.counts[0, 0, :2], stats.counts[0, 1, :2] = 10, [9, 1], [8, 2]
    >>> window = Window(SeriesId("t", "m", "1", "p"), 0, 1, stats, SeriesStats.empty((), 1), 1,
    ...                 ClosedBy.WATERMARK)
    >>> most_equal_share([window], 10)
    0.8
    """
    if n_events <= 0:
        return 0.0
    own = [w.segments.counts[0] for w in windows if len(w.segments.segments)]
    return sum(int(counts.max(axis=1).min()) for counts in own if len(counts)) / n_events
