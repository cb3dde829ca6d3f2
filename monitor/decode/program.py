"""The layouts of one decoder, and an index by model name for the kernel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from monitor.decode.columns import Columns
from monitor.decode.dictionaries import HAS_KERNELS
from monitor.decode.kernel import hash_model, link_heads
from monitor.decode.layout import MAX_LAYOUTS, EventLayout
from monitor.decode.learning.join import joined
from monitor.decode.learning.piece import Piece, Place
from monitor.decode.learning.ration import (
    ALLOWANCE,
    LESSON_US,
    SAVED_US,
    Ration,
    lesson_us,
)
from monitor.decode.learning.sketch import learn_layout
from monitor.decode.memory import PAD_BYTES
from schemas.batch import Int64Array

_LAYOUTS_A_MODEL = 4
"""A decoder of many models keeps so many for each; one model may take what others leave."""
_MAX_SORTED = 64
"""So few are kept in order of use."""
_MET, _YOUNG = 5, 6
"""Columns of ``heads``: events that had the layout, and those with a member that was new."""
TRIAL_EVENTS, LEAST_HITS = 256, 8
"""A lesson was in vain if of so many events of its model fewer had what it added."""


def _hash(payload: bytes) -> int:
    """Hash an event's model name as the kernel does."""
    if not HAS_KERNELS:
        return 0
    padded = np.frombuffer(payload + bytes(PAD_BYTES), dtype=np.uint8)
    start = padded.ctypes.data
    return int(hash_model(start, start + len(payload)))


@dataclass(slots=True)
class _Trial:
    """Lessons of one layout that were not judged yet."""

    first_event: int
    """Of its model, when the first of them was given."""
    n_lessons: int = 0
    spent_us: float = 0.0

    def is_over(self, n_hits: int, n_events: int) -> bool:
        """Whether the lessons have paid, or had as many events as would have paid for them."""
        n_needed = self.spent_us / SAVED_US
        n_given = TRIAL_EVENTS if n_hits < LEAST_HITS else max(TRIAL_EVENTS, n_needed)
        return n_hits >= max(LEAST_HITS, n_needed) or n_events - self.first_event >= n_given


class Program:
    """The layouts of one decoder.

    ``heads`` has a row (:mod:`monitor.decode.learning.piece`) per layout, in the order they are
    tried. A layout's number is ``serial * n_models + model``, so that ``number % n_models`` is
    the model; serial 0 is the strict path's. ``table`` and ``following`` chain the heads of one
    hash of the model's name.

    Parameters
    ----------
    max_layouts : int, optional
        Of one model, and of all of a decoder of few models; one of many keeps four for
        each. The least recently met is forgotten.

    Notes
    -----
    With one cap of 64 for all, a thousand models in one topic forgot their layouts as
    fast as they learned them: 13 k events/s.
    """

    def __init__(self, n_models: int, max_layouts: int = MAX_LAYOUTS) -> None:
        self.n_models = n_models
        self.max_layouts = max_layouts
        self.max_total = max(max_layouts, _LAYOUTS_A_MODEL * n_models)
        self._pieces: list[Piece] = []
        self._of_model: dict[int, list[Piece]] = {}
        self._trials: dict[int, _Trial] = {}
        self._n_refused: dict[int, int] = {}
        self._met_last: Int64Array = np.empty(0, dtype=np.int64)
        self._met_before: Int64Array = np.empty(0, dtype=np.int64)
        self._n_chunks = 0
        self._serial = 0
        self._is_linked = True
        self.ration = Ration((ALLOWANCE + n_models) * LESSON_US)
        self.heads: Int64Array = np.empty((0, 8), dtype=np.int64)
        self.table: Int64Array = np.full(1, -1, dtype=np.int64)
        self.following: Int64Array = np.empty(0, dtype=np.int64)
        self.n_slots = 0

    def __len__(self) -> int:
        return len(self._pieces)

    def consider(self, payload: bytes, columns: Columns, model: int) -> bool:
        """Learn from a refused event if it is its turn; True when the layouts have changed."""
        self._n_refused[model] = self._n_refused.get(model, 0) + 1
        if not self.ration.may_learn():
            return False
        pieces = self._of_model.get(model, [])
        self._judge(model, pieces)
        layout = learn_layout(payload, columns)
        if layout is None:
            self._pay(None, len(payload), 0)
            return False
        model_hash = _hash(payload)
        for piece in reversed(pieces):
            whole = joined(piece.layout, layout) if piece.model_hash == model_hash else None
            if whole is not None:
                is_new = self._extend(piece, whole, layout)
                self._pay(piece.number if is_new else None, len(payload), whole.n_members)
                return is_new
        self._make_room(pieces)
        self._serial += 1
        number = self._serial * self.n_models + model
        self._add(Piece(number, layout, model_hash, _places(layout)))
        self._pay(number, len(payload), layout.n_members)
        return True

    def _pay(self, number: int | None, n_bytes: int, n_members: int) -> None:
        """Pay a lesson. It is judged later; without a layout (no number) it was in vain."""
        us = lesson_us(n_bytes, n_members)
        self.ration.spend(us)
        if number is None:
            self.ration.vain()
            return
        if number not in self._trials:
            self._trials[number] = _Trial(self._n_events(number % self.n_models))
        self._trials[number].n_lessons += 1
        self._trials[number].spent_us += us

    def settle(self) -> None:
        """After a chunk: put the layouts its events had first."""
        met = self.heads[:, _MET] - self._met_before
        self._n_chunks += 1
        self._met_last[met > 0] = self._n_chunks
        self._met_before = self.heads[:, _MET].copy()
        if 1 < len(self._pieces) <= _MAX_SORTED:
            order = np.argsort(-met, kind="stable")
            if (np.diff(order) < 0).any():
                self._pieces = [self._pieces[i] for i in order.tolist()]
                self.heads, self._met_last = self.heads[order], self._met_last[order]
                self._met_before = self._met_before[order]
                self._is_linked = False

    def link(self) -> None:
        """Chain the heads by the hash of their model's name, if they have changed."""
        if self._is_linked:
            return
        n = len(self._pieces)
        hashes = np.fromiter((piece.model_hash for piece in self._pieces), np.int64, n)
        self.table = np.empty(1 << (2 * n).bit_length(), dtype=np.int64)
        self.following = np.empty(n, dtype=np.int64)
        link_heads(hashes, self.table, self.following)
        self._is_linked = True

    def _extend(self, piece: Piece, whole: EventLayout, met: EventLayout) -> bool:
        """Replace a layout by the joined one; False if nothing was added.

        Parameters
        ----------
        whole, met : EventLayout
            The joined layout, and that of the event alone.
        """
        if whole == piece.layout:
            piece.layout = whole
            return False
        young = (_places(met) - _places(piece.layout)) or _places(met)
        is_on_trial = piece.number in self._trials
        if is_on_trial:
            young |= piece.young
        row = self._row(piece)
        extended = Piece(piece.number, whole, piece.model_hash, young)
        extended.head[_MET] = self.heads[row, _MET]
        extended.head[_YOUNG] = self.heads[row, _YOUNG] if is_on_trial else 0
        self._pieces[row] = extended
        known = self._of_model[piece.number % self.n_models]
        known[known.index(piece)] = extended
        self.heads[row] = extended.head
        self.n_slots = max(self.n_slots, extended.n_slots)
        return True

    def _judge(self, model: int, pieces: Sequence[Piece]) -> None:
        """Judge a model's lessons where enough of its events were met since."""
        n_events = self._n_events(model)
        for piece in tuple(pieces):
            trial = self._trials.get(piece.number)
            if trial is None:
                continue
            row = self._row(piece)
            n_hits = int(self.heads[row, _YOUNG])
            if not trial.is_over(n_hits, n_events):
                continue
            del self._trials[piece.number]
            if n_hits >= LEAST_HITS:
                self.ration.useful(min(SAVED_US * n_hits, trial.spent_us))
            else:
                self.ration.vain(trial.n_lessons)
            if not self.heads[row, _MET]:
                self._drop(piece)

    def _n_events(self, model: int) -> int:
        """Count the events of a model, as far as its layouts are not forgotten."""
        n_met = sum(int(self.heads[self._row(p), _MET]) for p in self._of_model.get(model, ()))
        return self._n_refused.get(model, 0) + n_met

    def _make_room(self, pieces: Sequence[Piece]) -> None:
        """Forget the layout met least recently if there are as many as may be."""
        if len(pieces) >= self.max_layouts:
            self._drop(self._oldest(pieces))
        elif len(self._pieces) >= self.max_total:
            self._drop(self._oldest(self._pieces))

    def _row(self, piece: Piece) -> int:
        """Return which head is a piece's."""
        return next(i for i, other in enumerate(self._pieces) if other is piece)

    def _oldest(self, pieces: Sequence[Piece]) -> Piece:
        """Return the piece that was met least recently; of equals the one learned first."""
        met = dict(zip(map(id, self._pieces), self._met_last.tolist(), strict=True))
        return min(pieces, key=lambda piece: (met[id(piece)], piece.number))

    def _add(self, piece: Piece) -> None:
        """Put a piece in front."""
        self.heads = np.concatenate((piece.head[None], self.heads))
        self._met_last = np.concatenate(([self._n_chunks], self._met_last))
        self._met_before = np.concatenate(([0], self._met_before))
        self._pieces.insert(0, piece)
        self._of_model.setdefault(piece.number % self.n_models, []).append(piece)
        self.n_slots = max(self.n_slots, piece.n_slots)
        self._is_linked = False

    def _drop(self, piece: Piece) -> None:
        """Forget a piece."""
        row = self._row(piece)
        del self._pieces[row]
        self._of_model[piece.number % self.n_models].remove(piece)
        self._trials.pop(piece.number, None)
        self.heads = np.delete(self.heads, row, axis=0)
        self._met_last = np.delete(self._met_last, row)
        self._met_before = np.delete(self._met_before, row)
        self._is_linked = False


def _places(layout: EventLayout) -> frozenset[Place]:
    """Return every member of a layout."""
    return frozenset(
        (path, member.name) for path, group in layout.groups.items() for member in group.members
    )
