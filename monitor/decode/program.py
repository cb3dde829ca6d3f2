"""Layouts as the kernel reads them: flat arrays of steps, most recently met first."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monitor.decode.columns import Columns
from monitor.decode.layout import MAX_LAYOUTS, Kind, Layout, Ration, learn_layout
from schemas.batch import Int64Array


@dataclass(frozen=True, slots=True)
class _Piece:
    """One layout as the kernel reads it, its literals counted from 0."""

    number: int
    layout: Layout
    steps: Int64Array
    literals: bytes
    n_absent: int


def _compile(number: int, layout: Layout) -> _Piece:
    """Lay one layout out in a flat array."""
    absent = [
        *(Kind.NUMBER | column << 8 for column in layout.absent_numbers),
        *(Kind.STRING | column << 8 for column in layout.absent_codes),
        *(() if layout.has_id else (int(Kind.ID),)),
    ]
    steps: list[tuple[int, int, int, int]] = []
    literals = bytearray()
    for slot in layout.slots:
        target = slot.kind | slot.column << 8
        steps.append((len(literals), len(slot.literal), target, slot.dictionary))
        literals += slot.literal + bytes(-len(slot.literal) % 8)
    steps.extend((0, 0, target, 0) for target in absent)
    flat = np.array(steps, dtype=np.int64)
    return _Piece(number, layout, flat, bytes(literals), len(absent))


class Program:
    """The layouts of one decoder.

    ``heads`` has a row (first step, absent columns, number, events met in this
    chunk) per layout, in the order they are tried; ``steps`` a row (place and
    length of the literal, kind and column << 8, dictionary) per slot, the absent
    columns after the END. A layout's number is ``serial * n_models + model``, so
    that ``number % n_models`` is the model; serial 0 is the strict road's.

    Parameters
    ----------
    n_models : int
    max_layouts : int, optional
    """

    def __init__(self, n_models: int, max_layouts: int = MAX_LAYOUTS) -> None:
        self.n_models = n_models
        self.max_layouts = max_layouts
        self._pieces: list[_Piece] = []
        self._serial = 0
        self._ration = Ration()
        self._newest: int | None = None
        self.heads: Int64Array = np.empty((0, 4), dtype=np.int64)
        self.steps: Int64Array = np.empty((0, 4), dtype=np.int64)
        self.literals: NDArray[np.uint8] = np.empty(0, dtype=np.uint8)
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
        if layout is None or any(layout == piece.layout for piece in self._pieces):
            self._ration.learnt(is_useful=False)
            return False
        self._serial += 1
        self._newest = self._serial * self.n_models + model
        piece = _compile(self._newest, layout)
        self._pieces = [piece, *self._pieces[: self.max_layouts - 1]]
        self._join()
        return True

    def settle(self) -> None:
        """After a chunk: put the layouts its events had first."""
        met = self.heads[:, 3]
        if self._newest is not None and met[self.heads[:, 2] == self._newest].any():
            self._newest = None
            self._ration.learnt(is_useful=True)
        order = np.argsort(-met, kind="stable")
        self.heads = self.heads[order]
        self.heads[:, 3] = 0
        self._pieces = [self._pieces[i] for i in order.tolist()]

    def _judge_newest(self) -> None:
        """Forget a layout that has met nothing by the time of the next lesson.

        Left in, a dozen of them made each refused event a microsecond dearer.
        """
        if self._newest is None:
            return
        is_useful = bool(self.heads[self.heads[:, 2] == self._newest, 3].any())
        self._ration.learnt(is_useful)
        if not is_useful:
            self._pieces = [piece for piece in self._pieces if piece.number != self._newest]
            self._join()
        self._newest = None

    def _join(self) -> None:
        """Join the pieces in their order."""
        met = dict(self.heads[:, 2:].tolist())
        heads: list[tuple[int, int, int, int]] = []
        steps: list[Int64Array] = []
        first, at = 0, 0
        for piece in self._pieces:
            heads.append((first, piece.n_absent, piece.number, met.get(piece.number, 0)))
            steps.append(piece.steps + np.array([at, 0, 0, 0]))
            first += len(piece.steps)
            at += len(piece.literals)
        self.heads = np.array(heads, dtype=np.int64).reshape(-1, 4)
        self.steps = np.concatenate((*steps, np.empty((0, 4), dtype=np.int64)))
        literals = b"".join((*(piece.literals for piece in self._pieces), bytes(8)))
        self.literals = np.frombuffer(literals, dtype=np.uint8)
        self.n_slots = max((len(piece.layout.slots) for piece in self._pieces), default=0)
