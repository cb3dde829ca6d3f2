"""The as-of rule: which labels a statistic of a window may use, and which of them counts.

For a window that ends at e and an age A, among the labels of its predictions that were recorded by
e + A, and whose prediction was: of each id and model version the one with the greatest label time,
of equal times the later in the log (by record time, then by place). Two times are needed: when an
outcome became true decides which label counts, when it was learned decides which are known.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from schemas.batch import Int64Array


@dataclass(frozen=True, slots=True)
class JoinedLabels:
    """Labels with their predictions, one row per label event; all columns have shape (n,)."""

    outcome: Int64Array
    """Number of the id and model version that a label is of."""
    time_us: Int64Array
    """When the outcome became known to the producer."""
    source: Int64Array
    """Rank of the topic ID among those of the log, in the order of their texts."""
    partition: Int64Array
    offset: Int64Array
    row: Int64Array
    record_time_us: Int64Array
    """When the label reached the log."""
    prediction_record_time_us: Int64Array
    """When its prediction did."""

    def __len__(self) -> int:
        return len(self.outcome)

    def take(self, rows: Int64Array) -> JoinedLabels:
        """Return the rows given, in this order."""
        return JoinedLabels(*(getattr(self, name)[rows] for name in self.__slots__))


def counting_labels(labels: JoinedLabels, known_by_us: int) -> Int64Array:
    """Return the rows that count, of what was known by a time.

    Parameters
    ----------
    labels : JoinedLabels
        In any order; repeated rows change nothing.
    known_by_us : int
        Latest record time: the end of the window plus the age.

    Returns
    -------
    ndarray of int64
        At most one row of each outcome, in the order of ``labels.outcome``.

    Notes
    -----
    A pure function of the set of rows: how reads were cut, and how often a row was read, decides
    nothing. Of rows that count alone it returns all, so parts may be reduced before they are put
    together, as long as ``known_by_us`` does not change.

    Examples
    --------
    >>> one, two = np.array([1, 1]), np.array([5, 4])
    >>> place = (np.zeros(2, np.int64),) * 2
    >>> labels = JoinedLabels(one, two, *place, np.array([0, 1]), place[0], np.array([7, 9]), one)
    >>> counting_labels(labels, 8).tolist(), counting_labels(labels, 6).tolist()
    ([0], [])
    """
    known = np.flatnonzero(
        (labels.record_time_us <= known_by_us) & (labels.prediction_record_time_us <= known_by_us)
    )
    order = known[np.lexsort(tuple(column[known] for column in _from_last(labels)))]
    outcomes = labels.outcome[order]
    is_last: NDArray[np.bool_] = np.ones(len(order), np.bool_)
    is_last[:-1] = outcomes[1:] != outcomes[:-1]
    return order[is_last]


def _from_last(labels: JoinedLabels) -> tuple[Int64Array, ...]:
    """Return the columns that order labels, the least significant first."""
    place = (labels.row, labels.offset, labels.partition, labels.source)
    place = (labels.row, labels.offset, labels.partition, labels.source)
    return (*place, labels.record_time_us, labels.time_us, labels.outcome)
