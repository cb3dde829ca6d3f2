"""Rejected and late events of one source partition, by model and pane: which may still change."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from monitor.core.windowing.open_panes import Origin

LATE = "late"
"""Beside the reject reasons: the event was older than every open pane."""

ModelKey = tuple[str, str]


class IntakeCount(NamedTuple):
    """One model in one pane."""

    key: ModelKey
    place: int
    """The pane starts at place * pane."""
    counts: Counter[str]


class IntakeCounts:
    """Counters by pane index and model; the counterpart of ``OpenPanes``.

    Examples
    --------
    >>> counts = IntakeCounts()
    >>> counts.add(("t", "m"), 3, "mistyped", 2, Origin(7, 0, 0), is_published=False)
    >>> counts.first.offset, counts.take_dirty(3), len(counts.take_dirty(4))
    (7, [], 1)
    """

    def __init__(self) -> None:
        self._counts: dict[int, dict[ModelKey, Counter[str]]] = {}
        self._origins: dict[int, Origin] = {}
        self._dirty: set[tuple[int, ModelKey]] = set()

    def add(
        self, key: ModelKey, index: int, what: str, n: int, origin: Origin, *, is_published: bool
    ) -> None:
        """Count events.

        Parameters
        ----------
        key : (str, str)
            Tenant and model.
        index : int
            Of the pane.
        what : str
            A reject reason, or :data:`LATE`.
        origin : Origin
            A message at or before the first of these events.
        is_published : bool
            They were published by the owner before.
        """
        self._counts.setdefault(index, {}).setdefault(key, Counter())[what] += n
        self._origins.setdefault(index, origin)
        if not is_published:
            self._dirty.add((index, key))

    @property
    def first(self) -> Origin | None:
        """Return the origin of the oldest counter that may still change."""
        return min(self._origins.values(), default=None)

    def take_dirty(self, before: int | None) -> list[IntakeCount]:
        """Return the counters to publish, by pane and model, and mark them as published.

        Parameters
        ----------
        before : int or None
            Only panes below this index; None for all.
        """
        due = sorted(d for d in self._dirty if before is None or d[0] < before)
        self._dirty.difference_update(due)
        return [IntakeCount(key, index, Counter(self._counts[index][key])) for index, key in due]

    def retire(self, before: int) -> None:
        """Forget panes below an index."""
        for index in [i for i in self._counts if i < before]:
            del self._counts[index], self._origins[index]
            self._dirty = {d for d in self._dirty if d[0] != index}
