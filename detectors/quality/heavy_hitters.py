"""The commonest values of a stream in bounded memory, with a guaranteed error."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Generic, NamedTuple, TypeVar

import numpy as np

from schemas.errors import DomainError

K = TypeVar("K", bound=Hashable)


class Hitter(NamedTuple, Generic[K]):
    """One value, with bounds on its number of occurrences."""

    value: K
    lower: int
    upper: int


class HeavyHitters(Generic[K]):
    """Misra-Gries summary; preferable to counting if there may be too many distinct values.

    Exact while there are no more values than counters. Where a value must be known to be
    frequent, take it and not Space-Saving: the two hold the same information, but its lower
    bounds merge by addition, so partitions and pieces of a file can be counted apart.

    Parameters
    ----------
    capacity : int
        k, counters that are kept.

    Raises
    ------
    DomainError
        If there is not one counter.

    Notes
    -----
    With f the true and c the kept count (0 where a value is not kept) of n occurrences,

        c(x) <= f(x) <= c(x) + error,    error <= (n - sum c) / (k + 1) <= n / (k + 1),

    so every value with f(x) > error is kept. When more than k are held, the (k + 1)-th
    largest count d is subtracted from all, and what is not positive dropped: at least k + 1
    counts lose d, hence the bound (Agarwal et al., theorem 1). ``error`` is the sum of the d.
    Mergeable in any order and grouping: the bounds hold for every one, and merging is
    commutative; which counts below the bound survive depends on the grouping.

    At most 2 k counts are held while adding. O(1) a value, amortised: a reduction takes
    O(k) and frees room for k more. Empty input changes nothing.

    References
    ----------
    Misra and Gries, Finding repeated elements, Science of Computer Programming 2 (1982).
    Agarwal, Cormode, Huang, Phillips, Wei, Yi, Mergeable summaries, PODS 2012, section 3.

    Examples
    --------
    >>> hitters = HeavyHitters[str](2)
    >>> hitters.add({"a": 60, "b": 30, "c": 8, "d": 2})
    >>> hitters.heaviest(), hitters.error, hitters.n
    ([Hitter(value='a', lower=52, upper=60), Hitter(value='b', lower=22, upper=30)], 8, 100)
    """

    def __init__(self, capacity: int) -> None:
        if capacity < 1:
            raise DomainError(f"capacity is {capacity}", where="HeavyHitters", fix="pass 1 or more")
        self.capacity = capacity
        self.counts: dict[K, int] = {}
        """Kept values, at most ``capacity``, with their lower bounds."""
        self.n = 0
        """Occurrences that were added."""
        self.error = 0
        """No count is further below the truth than this."""

    @property
    def is_exact(self) -> bool:
        """Whether all counts are exact."""
        return self.error == 0

    @property
    def kept_share(self) -> float:
        """Lower bound of the share of the kept values; NaN without occurrences."""
        return sum(self.counts.values()) / self.n if self.n else float("nan")

    def add(self, counts: Mapping[K, int]) -> None:
        """Count more occurrences.

        Parameters
        ----------
        counts : mapping of value to int
            How often each occurred.

        Raises
        ------
        DomainError
            If a count is negative; nothing was added then.
        """
        negative = next((item for item in counts.items() if item[1] < 0), None)
        if negative is not None:
            what = f"the count of {negative[0]!r} is {negative[1]}"
            raise DomainError(what, where="HeavyHitters", fix="pass counts of 0 or more")
        for value, count in counts.items():
            if count:
                self.counts[value] = self.counts.get(value, 0) + count
                self.n += count
                if len(self.counts) > 2 * self.capacity:
                    self._reduce()
        self._reduce()

    def merge(self, other: HeavyHitters[K]) -> HeavyHitters[K]:
        """Return the summary of both streams.

        Parameters
        ----------
        other : HeavyHitters
            Of the same capacity.

        Returns
        -------
        HeavyHitters
            A new one; neither of the two changes.

        Raises
        ------
        DomainError
            If the capacities differ: the bound would be that of the smaller.

        Examples
        --------
        >>> one, other = HeavyHitters[str](2), HeavyHitters[str](2)
        >>> one.add({"a": 3, "b": 1}); other.add({"a": 4, "c": 5})
        >>> both = one.merge(other)
        >>> both.counts, both.error, both.n
        ({'a': 6, 'c': 4}, 1, 13)
        """
        if other.capacity != self.capacity:
            what = f"capacities are {self.capacity} and {other.capacity}"
            raise DomainError(what, where="HeavyHitters", fix="merge summaries of one capacity")
        merged = HeavyHitters[K](self.capacity)
        merged.counts = dict(self.counts)
        for value, count in other.counts.items():
            merged.counts[value] = merged.counts.get(value, 0) + count
        merged.n, merged.error = self.n + other.n, self.error + other.error
        merged._reduce()
        return merged

    def heaviest(self, n_most: int | None = None) -> list[Hitter[K]]:
        """Return the kept values in descending order of count, with both bounds.

        Parameters
        ----------
        n_most : int, optional
            Only so many.

        Returns
        -------
        list of Hitter
            Equally frequent ones by the value's text.
        """
        ranked = sorted(self.counts.items(), key=lambda item: (-item[1], str(item[0])))
        return [Hitter(value, c, c + self.error) for value, c in ranked[:n_most]]

    def _reduce(self) -> None:
        """Subtract the (k + 1)-th largest count from all, if more than k are kept."""
        if len(self.counts) <= self.capacity:
            return
        held = np.fromiter(self.counts.values(), np.int64, len(self.counts))
        at = len(held) - self.capacity - 1
        d = int(np.partition(held, at)[at])
        self.counts = {value: count - d for value, count in self.counts.items() if count > d}
        self.error += d
