"""Layouts as the kernel reads them: flat arrays of steps, and an index by model name."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monitor.decode.columns import Columns
from monitor.decode.dictionaries import HAS_KERNELS
from monitor.decode.kernel import N_EXHAUSTIVE, hash_model, link_heads
from monitor.decode.layout import MAX_LAYOUTS, EventLayout, Ration, SlotKind, learn_layout
from monitor.decode.memory import PAD_BYTES
from schemas.batch import Int64Array

_LAYOUTS_A_MODEL = 4
"""A decoder of many models keeps so many for each; one model may take what others leave."""
_END_BYTES = 8
"""Readable after the last literal."""


@dataclass(frozen=True, slots=True)
class _Piece:
    """One layout as the kernel reads it, its literals counted from 0."""

    number: int
    layout: EventLayout
    hash: int
    """Of the model's name as the kernel finds it in the event it was learnt from."""
    steps: Int64Array
    literals: bytes
    n_absent: int


def _compile(number: int, layout: EventLayout, payload: bytes) -> _Piece:
    """Lay one layout out in a flat array."""
    absent = [
        *(SlotKind.NUMBER | column << 8 for column in layout.absent_numbers),
        *(SlotKind.STRING | column << 8 for column in layout.absent_codes),
        *(() if layout.has_id else (int(SlotKind.ID),)),
    ]
    steps: list[tuple[int, int, int, int]] = []
    literals = bytearray()
    for slot in layout.slots:
        target = slot.kind | slot.column << 8
        steps.append((len(literals), len(slot.literal), target, slot.dictionary))
        literals += slot.literal + bytes(-len(slot.literal) % 8)
    steps.extend((0, 0, target, 0) for target in absent)
    flat = np.array(steps, dtype=np.int64)
    return _Piece(number, layout, _hash(payload), flat, bytes(literals), len(absent))


def _hash(payload: bytes) -> int:
    """Hash an event's model name as the kernel does."""
    if not HAS_KERNELS:
        return 0
    padded = np.frombuffer(payload + bytes(PAD_BYTES), dtype=np.uint8)
    start = padded.ctypes.data
    return int(hash_model(start, start + len(payload)))


class Program:
    """The layouts of one decoder.

    ``heads`` has a row (first step, absent columns, number, events met in this
    chunk) per layout, in the order they are tried; ``steps`` a row (place and
    length of the literal, kind and column << 8, dictionary) per slot, the absent
    columns after the END. A layout's number is ``serial * n_models + model``, so
    that ``number % n_models`` is the model; serial 0 is the strict path's.
    ``table`` and ``following`` chain the heads of one hash of the model's name.

    Parameters
    ----------
    max_layouts : int, optional
        Of one model, and of all of a decoder of few models; one of many keeps four for
        each. The least recently met is forgotten.

    Notes
    -----
    With one cap of 64 for all, a thousand models in one topic forgot their layouts as
    fast as they learnt them: 13 k events/s.
    """

    def __init__(self, n_models: int, max_layouts: int = MAX_LAYOUTS) -> None:
        self.n_models = n_models
        self.max_layouts = max_layouts
        self.max_total = max(max_layouts, _LAYOUTS_A_MODEL * n_models)
        self._pieces: list[_Piece] = []
        self._of_model: dict[int, list[_Piece]] = {}
        self._met_last: Int64Array = np.empty(0, dtype=np.int64)
        self._n_chunks = 0
        self._serial = 0
        self._n_dead_steps = 0
        self._ration = Ration()
        self._newest: _Piece | None = None
        self.heads: Int64Array = np.empty((0, 4), dtype=np.int64)
        self.steps: Int64Array = np.empty((0, 4), dtype=np.int64)
        self.literals: NDArray[np.uint8] = np.zeros(_END_BYTES, dtype=np.uint8)
        self.table: Int64Array = np.full(1, -1, dtype=np.int64)
        self.following: Int64Array = np.empty(0, dtype=np.int64)
        self.n_slots = 0

    def __len__(self) -> int:
        return len(self._pieces)

    def consider(self, payload: bytes, columns: Columns, model: int) -> bool:
        """Learn from a refused event if it is its turn; True when there is a new layout.

        The new layout is the first head.
        """
        if not self._ration.may_learn():
            return False
        self._judge_newest()
        layout = learn_layout(payload, columns)
        known = self._of_model.get(model, [])
        if layout is None or any(layout == piece.layout for piece in known):
            self._ration.learnt(is_useful=False)
            return False
        if len(known) >= self.max_layouts:
            self._drop(self._oldest(known))
        elif len(self._pieces) >= self.max_total:
            self._drop(self._oldest(self._pieces))
        self._serial += 1
        self._newest = _compile(self._serial * self.n_models + model, layout, payload)
        self._add(self._newest)
        return True

    def settle(self) -> None:
        """After a chunk: put the layouts its events had first, where all are tried in turn."""
        met = self.heads[:, 3]
        self._n_chunks += 1
        self._met_last[met > 0] = self._n_chunks
        if self._newest is not None and met[self._place(self._newest)]:
            self._newest = None
            self._ration.learnt(is_useful=True)
        if len(self._pieces) <= N_EXHAUSTIVE:
            order = np.argsort(-met, kind="stable")
            if (np.diff(order) < 0).any():
                self._pieces = [self._pieces[i] for i in order.tolist()]
                self.heads, self._met_last = self.heads[order], self._met_last[order]
                self._link()
        self.heads[:, 3] = 0

    def _judge_newest(self) -> None:
        """Forget a layout that has met nothing by the time of the next lesson.

        Left in, a dozen of them made each refused event a microsecond dearer.
        """
        newest, self._newest = self._newest, None
        if newest is not None:
            is_useful = bool(self.heads[self._place(newest), 3])
            self._ration.learnt(is_useful)
            if not is_useful:
                self._drop(newest)

    def _place(self, piece: _Piece) -> int:
        """Return which head is a piece's."""
        return next(i for i, other in enumerate(self._pieces) if other is piece)

    def _oldest(self, pieces: list[_Piece]) -> _Piece:
        """Return the piece that was met least recently; of equals the one learnt first."""
        met = dict(zip(map(id, self._pieces), self._met_last.tolist(), strict=True))
        return min(pieces, key=lambda piece: (met[id(piece)], piece.number))

    def _add(self, piece: _Piece) -> None:
        """Put a piece in front; its steps go behind the others'."""
        at = len(self.literals) - _END_BYTES
        head = np.array([[len(self.steps), piece.n_absent, piece.number, 0]], dtype=np.int64)
        self.heads = np.concatenate((head, self.heads))
        self.steps = np.concatenate((self.steps, piece.steps + np.array([at, 0, 0, 0])))
        added = np.frombuffer(piece.literals + bytes(_END_BYTES), dtype=np.uint8)
        self.literals = np.concatenate((self.literals[:at], added))
        self._met_last = np.concatenate(([self._n_chunks], self._met_last))
        self._pieces.insert(0, piece)
        self._of_model.setdefault(piece.number % self.n_models, []).append(piece)
        self.n_slots = max(self.n_slots, len(piece.layout.slots))
        self._link()

    def _drop(self, piece: _Piece) -> None:
        """Forget a piece; its steps are left until half of all are such."""
        place = self._place(piece)
        del self._pieces[place]
        self._of_model[piece.number % self.n_models].remove(piece)
        self.heads = np.delete(self.heads, place, axis=0)
        self._met_last = np.delete(self._met_last, place)
        self._n_dead_steps += len(piece.steps)
        if 2 * self._n_dead_steps > len(self.steps):
            self._compact()
        self._link()

    def _compact(self) -> None:
        """Join the steps of the pieces that are left."""
        first, at, steps = 0, 0, [np.empty((0, 4), dtype=np.int64)]
        for head, piece in zip(self.heads, self._pieces, strict=True):
            head[0] = first
            steps.append(piece.steps + np.array([at, 0, 0, 0]))
            first += len(piece.steps)
            at += len(piece.literals)
        self.steps = np.concatenate(steps)
        literals = b"".join((*(p.literals for p in self._pieces), bytes(_END_BYTES)))
        self.literals = np.frombuffer(literals, dtype=np.uint8)
        self.n_slots = max((len(p.layout.slots) for p in self._pieces), default=0)
        self._n_dead_steps = 0

    def _link(self) -> None:
        """Chain the heads by the hash of their model's name."""
        n = len(self._pieces)
        hashes = np.fromiter((piece.hash for piece in self._pieces), np.int64, n)
        self.table = np.empty(1 << (2 * n).bit_length(), dtype=np.int64)
        self.following = np.empty(n, dtype=np.int64)
        link_heads(hashes, self.table, self.following)
