"""Excursions that a stream makes by itself now and then: which are known, and their limits.

A stream may leave its baseline for some hours and return, again and again: a burst of another
audience, a restart upstream. Winsorised learning ignores what is rare, so such excursions are
kept apart: how often they come, how large they are, how long they last, in which cells.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from schemas.errors import DomainError

Singles = NDArray[np.float32]
Bools = NDArray[np.bool_]

MAX_HOURS: Final = 72.0
"""What lasts longer is a change of level and not an excursion."""
MAX_KINDS: Final = 8
MARGIN: Final = 1.5
"""A single known excursion is exceeded by one 2.5 times as large or long."""
OFTEN_NATS: Final = 5.0
"""Log-likelihood ratio at which a kind comes more often than it is known to."""
OFTEN_DAYS: Final = (1.0, 3.0, 7.0, 14.0, 28.0, 56.0)
MIN_KNOWN: Final = 2
"""Excursions of a reference that make a kind; what came once is not known to return."""
_SAME_CELLS: Final = 0.5
_SAME_LENGTH: Final = 4.0


@dataclass(frozen=True, slots=True)
class Excursion:
    """One stretch away from the baseline, of C cells with I components."""

    start: int
    """Tick in which the first alert opened."""
    n_ticks: int
    """Ticks until all cells were back, the wait for that included."""
    cells: Bools
    """Shape (C,): whose alerts opened."""
    low: Singles
    """Shape (I, 6): smallest average of each component and scale, at most 0."""
    high: Singles
    """Shape (I, 6): largest average, at least 0."""


@dataclass(frozen=True, slots=True)
class ExcursionKind:
    """Known excursions of one kind: their number, extremes and frequency.

    Two kinds are merged by sums and extremes, so the order in which excursions become known
    does not matter.
    """

    n_known: int
    hours: float
    """Of the reference in which they were seen; 0 if in none."""
    n_ticks: int
    """Of the longest."""
    cells: Bools
    low: Singles
    high: Singles
    marked_hours: float = 0.0
    """Of the stream when a person marked the last of them as normal; 0 if none was."""

    @property
    def is_marked(self) -> bool:
        """Whether a person marked one of them as normal."""
        return self.marked_hours > 0

    @property
    def span_hours(self) -> float:
        """Time in which they came: that of the reference, if it has any."""
        return self.hours or self.marked_hours

    @property
    def is_known(self) -> bool:
        """Whether it has returned, or a person said that it is normal."""
        return self.n_known >= MIN_KNOWN or self.is_marked

    @property
    def margin(self) -> float:
        """Factor on the extremes: 1 + 1.5 / sqrt(n), less the more are known.

        Examples
        --------
        >>> flat = np.zeros((1, 6), np.float32)
        >>> kinds = [ExcursionKind(n, 500.0, 12, np.ones(1, bool), flat, flat) for n in (1, 25)]
        >>> kinds[0].margin, kinds[1].margin
        (2.5, 1.3)
        """
        return 1.0 + MARGIN / math.sqrt(self.n_known)

    @property
    def max_ticks(self) -> float:
        """Length beyond which an excursion is longer than those known."""
        return self.n_ticks * self.margin

    def resembles(self, other: ExcursionKind) -> bool:
        """Return whether two have most cells in common and lengths within a factor of 4."""
        common = int((self.cells & other.cells).sum())
        ratio = self.n_ticks / max(other.n_ticks, 1)
        is_as_long = 1 / _SAME_LENGTH <= ratio <= _SAME_LENGTH
        return is_as_long and common >= _SAME_CELLS * int((self.cells | other.cells).sum())

    def merged(self, other: ExcursionKind) -> ExcursionKind:
        """Return both as one kind."""
        return ExcursionKind(
            self.n_known + other.n_known,
            max(self.hours, other.hours),
            max(self.n_ticks, other.n_ticks),
            self.cells | other.cells,
            np.minimum(self.low, other.low),
            np.maximum(self.high, other.high),
            max(self.marked_hours, other.marked_hours),
        )


def kind_of(excursion: Excursion, hours: float, *, is_marked: bool = False) -> ExcursionKind:
    """Return the kind of which one excursion is known.

    Parameters
    ----------
    excursion : Excursion
        Of a reference, or of an incident that was closed.
    hours : float
        Span of the reference; of a marked one, time since the stream began.
    is_marked : bool, optional
        Whether a person marked it as normal.

    Raises
    ------
    DomainError
        If the time is not positive.
    """
    if not hours > 0:
        raise DomainError(f"{hours:g} hours", where="excursions", fix="expected > 0")
    of_reference, of_stream = (0.0, hours) if is_marked else (hours, 0.0)
    return ExcursionKind(
        1,
        of_reference,
        excursion.n_ticks,
        excursion.cells,
        excursion.low,
        excursion.high,
        of_stream,
    )


def with_kind(kinds: Iterable[ExcursionKind], new: ExcursionKind) -> tuple[ExcursionKind, ...]:
    """Add excursions to the kind that they resemble, or as a kind of their own.

    Returns
    -------
    tuple of ExcursionKind
        At most ``MAX_KINDS``: those that a person marked and those that came most often.

    Examples
    --------
    >>> flat, cells = np.zeros((2, 6), np.float32), np.ones(1, bool)
    >>> short, long = (ExcursionKind(1, 500.0, n, cells, flat, flat) for n in (12, 288))
    >>> [kind.n_known for kind in with_kind(with_kind([short], long), short)]
    [2, 1]
    """
    found = list(kinds)
    for k, kind in enumerate(found):
        if kind.resembles(new):
            found[k] = kind.merged(new)
            break
    else:
        found.append(new)
    found.sort(key=lambda kind: (kind.is_marked, kind.n_known), reverse=True)
    return tuple(found[:MAX_KINDS])


def reference_kinds(excursions: Iterable[Excursion], hours: float) -> tuple[ExcursionKind, ...]:
    """Return the kinds of a reference's excursions, those that came only once left out.

    Parameters
    ----------
    excursions : iterable of Excursion
        Of :func:`detectors.multiscale.excursion_watch.learn_excursions`.
    hours : float
        Span of the reference.
    """
    kinds: tuple[ExcursionKind, ...] = ()
    for excursion in excursions:
        kinds = with_kind(kinds, kind_of(excursion, hours))
    return tuple(kind for kind in kinds if kind.is_known)


def with_marks(
    kinds: Iterable[ExcursionKind], marks: Iterable[ExcursionKind]
) -> tuple[ExcursionKind, ...]:
    """Return the kinds of a reference with those that persons marked as normal.

    Parameters
    ----------
    kinds : iterable of ExcursionKind
        Of :func:`reference_kinds`.
    marks : iterable of ExcursionKind
        Of :func:`kind_of`, one for each mark. A mark is undone by leaving it out.
    """
    found = tuple(kinds)
    for mark in marks:
        found = with_kind(found, mark)
    return found


def comes_more_often(kind: ExcursionKind, ages_hours: Sequence[float], hours: float) -> bool:
    """Return whether a kind comes more often than it is known to.

    Parameters
    ----------
    kind : ExcursionKind
        With the number that is known and the time in which they came.
    ages_hours : sequence of float
        How long ago those of this stream began, the present one (0) included.
    hours : float
        Time since the stream began.

    Returns
    -------
    bool
        True if in one of the last 1, 3, 7, 14, 28 or 56 days the rate is higher and its
        log-likelihood ratio against one common Poisson rate is 5 nats or more.

    Examples
    --------
    Nine in three weeks, then five within a day:

    >>> flat = np.zeros((1, 6), np.float32)
    >>> kind = ExcursionKind(9, 504.0, 12, np.ones(1, bool), flat, flat)
    >>> comes_more_often(kind, [0.0, 60.0, 120.0], 900.0)
    False
    >>> comes_more_often(kind, [0.0, 5.0, 10.0, 15.0, 20.0], 900.0)
    True
    """
    for days in OFTEN_DAYS:
        span = 24.0 * days
        n = sum(age < span for age in ages_hours)
        if n / span <= kind.n_known / kind.span_hours:
            continue
        common = (n + kind.n_known) / (span + kind.span_hours)
        nats = n * math.log(n / span / common)
        nats += kind.n_known * math.log(kind.n_known / kind.span_hours / common)
        if nats >= OFTEN_NATS:
            return True
        if span >= hours:
            break
    return False


__all__ = [
    "Excursion",
    "ExcursionKind",
    "comes_more_often",
    "kind_of",
    "reference_kinds",
    "with_kind",
    "with_marks",
]
