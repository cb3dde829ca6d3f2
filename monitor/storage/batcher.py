"""Batches by number of rows and by age. Pure; time is an argument."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Generic, TypeVar

from schemas.errors import DomainError

T = TypeVar("T")


@dataclass(slots=True)
class Batcher(Generic[T]):
    """Collects items until there are ``max_rows`` rows, or the oldest is ``max_age_us`` old.

    Parameters
    ----------
    max_rows : int
        Rows of a full batch; the item that reaches the limit is included.
    max_age_us : int
        Longest wait of the first item of a batch.

    Examples
    --------
    >>> batcher = Batcher(max_rows=3, max_age_us=1_000)
    >>> batcher.add("a", 2, now_us=0)
    >>> batcher.add("b", 2, now_us=10)
    ['a', 'b']
    >>> batcher.add("c", 1, now_us=20)
    >>> batcher.due(now_us=1_019), batcher.due(now_us=1_020)
    (None, ['c'])
    """

    max_rows: int
    max_age_us: int
    n_rows: int = 0
    _items: list[T] = field(default_factory=list)
    _oldest_us: int = 0

    def __post_init__(self) -> None:
        if self.max_rows < 1 or self.max_age_us < 0:
            raise DomainError(
                f"max_rows {self.max_rows}, max_age_us {self.max_age_us}",
                where="Batcher",
                fix="pass at least one row and an age that is not negative",
            )

    def add(self, item: T, n_rows: int, now_us: int) -> list[T] | None:
        """Add an item; return the batch if it is full, else None."""
        if not self._items:
            self._oldest_us = now_us
        self._items.append(item)
        self.n_rows += n_rows
        return self.flush() if self.n_rows >= self.max_rows else None

    def due(self, now_us: int) -> list[T] | None:
        """Return the batch whose first item has waited ``max_age_us``, or None."""
        if self._items and now_us - self._oldest_us >= self.max_age_us:
            return self.flush()
        return None

    def flush(self) -> list[T]:
        """Return the collected items, which may be none, and start a new batch."""
        items, self._items, self.n_rows = self._items, [], 0
        return items
