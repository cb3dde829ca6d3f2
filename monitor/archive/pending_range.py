"""What was read of one partition and is not archived yet, and where a range is cut."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import accumulate

import numpy as np

from monitor.archive.position import ArchivePosition
from monitor.archive.stage import Piece
from monitor.decode.chunk import slice_of
from schemas.batch import Chunk


@dataclass(frozen=True, slots=True)
class Cut:
    """When a range is long enough."""

    max_messages: int = 200_000
    max_bytes: int = 64 << 20
    max_age_s: float = 1.0
    """How long the first message of a range may wait, by a clock that never jumps."""


@dataclass(slots=True)
class Range:
    """[lo, hi) of one partition, and its messages."""

    lo: int
    hi: int
    pieces: list[Piece]

    @property
    def n_messages(self) -> int:
        """Messages there are; fewer than offsets where the log has gaps."""
        return sum(map(len, self.pieces))


@dataclass(slots=True)
class Gathering:
    """Collects the messages of one partition into ranges.

    Parameters
    ----------
    archived : ArchivePosition
        The archive's position in its commit. A range that was begun is gathered first,
        exactly as it was.
    """

    archived: ArchivePosition
    cut: Cut
    n_messages: int = 0
    n_bytes: int = 0
    """What they weigh: their length, or more where they grow once decoded."""
    _pieces: list[Piece] = field(default_factory=list)
    _weights: list[int] = field(default_factory=list)
    _since_s: float = 0.0

    @property
    def lo(self) -> int:
        """Where the next range begins."""
        return self.archived.lo

    def add(self, piece: Piece, now_s: float, weight: int | None = None) -> None:
        """Take the next messages of the log; without a weight their length counts."""
        if len(piece):
            if not self._pieces:
                self._since_s = now_s
            self._pieces.append(piece)
            self._weights.append(_n_bytes(piece) if weight is None else weight)
            self.n_messages += len(piece)
            self.n_bytes += self._weights[-1]

    def take(
        self, now_s: float, position: int, *, is_at_end: bool = False, is_full: bool = False
    ) -> Range | None:
        """Return a range that is whole, or long or old enough.

        Parameters
        ----------
        position : int
            Offset that is read next.
        is_at_end : bool, optional
            The log has no more now: what is missing of a range that was begun is gone.
        is_full : bool, optional
            Nothing more is read before something was taken: a longer wait makes no longer range.
        """
        if self.archived.hi is not None:
            return self._take_begun(
                self.archived.hi, is_over=position >= self.archived.hi or is_at_end
            )
        if not self._pieces or not (
            is_full
            or self.n_messages >= self.cut.max_messages
            or self.n_bytes >= self.cut.max_bytes
            or now_s - self._since_s >= self.cut.max_age_s
        ):
            return None
        # a piece may weigh much more than it is long: no more of them than are needed
        sums = enumerate(accumulate(self._weights))
        n = next((i for i, weight in sums if weight >= self.cut.max_bytes), -1)
        return self._cut_at(_end(self._pieces[n]))

    def begins_at(self, offset: int) -> None:
        """Go on from elsewhere: the log no longer has what was to be read next.

        Nothing is dropped where the log goes on behind what was gathered. Where it begins
        again before that, its end was lost: what is there now is read again.
        """
        if self._pieces and offset < _end(self._pieces[-1]):
            self._pieces, self._weights, self.n_messages, self.n_bytes = [], [], 0, 0
        if not self._pieces and self.archived.hi is None:
            self.archived = replace(self.archived, lo=offset)

    def _take_begun(self, hi: int, *, is_over: bool) -> Range | None:
        """Return exactly [lo, hi), once it is all there."""
        if not is_over and not (self._pieces and _end(self._pieces[-1]) >= hi):
            return None
        return self._cut_at(hi)

    def _cut_at(self, hi: int) -> Range:
        """Cut what lies before ``hi`` off; the rest begins the next range."""
        halves = [split(piece, hi) for piece in self._pieces]
        found = Range(self.lo, hi, [head for head, _ in halves if len(head)])
        left = [
            (tail, _left(weight, head, tail))
            for (head, tail), weight in zip(halves, self._weights, strict=True)
            if len(tail)
        ]
        self._pieces, self._weights = [tail for tail, _ in left], [weight for _, weight in left]
        self.n_messages = sum(map(len, self._pieces))
        self.n_bytes = sum(self._weights)
        self.archived = ArchivePosition(hi)
        return found


def _left(weight: int, head: Piece, tail: Piece) -> int:
    """Return what is left of the weight of a piece, by the length of its halves."""
    n_tail = _n_bytes(tail)
    return weight * n_tail // max(1, _n_bytes(head) + n_tail)


def split(piece: Piece, hi: int) -> tuple[Piece, Piece]:
    """Cut messages apart at an offset.

    Examples
    --------
    >>> from monitor.transport.types import Message
    >>> head, tail = split([Message(7, b"", b"a", 0), Message(9, b"", b"b", 0)], 8)
    >>> [m.offset for m in head], [m.offset for m in tail]
    ([7], [9])
    """
    if not isinstance(piece, Chunk):
        return [m for m in piece if m.offset < hi], [m for m in piece if m.offset >= hi]
    i = int(np.searchsorted(piece.log_offset, hi))
    return slice_of(piece, 0, i), slice_of(piece, i, len(piece))


def _end(piece: Piece) -> int:
    """Return the offset behind the last message."""
    return int(piece.log_offset[-1] if isinstance(piece, Chunk) else piece[-1].offset) + 1


def _n_bytes(piece: Piece) -> int:
    """Return the payload's size."""
    if isinstance(piece, Chunk):
        return int(piece.offsets[-1]) if len(piece) else 0
    return sum(len(m.value) for m in piece)
