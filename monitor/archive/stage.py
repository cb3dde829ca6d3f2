"""How a range of one partition becomes inserts: one implementation for every log.

A pure function of the messages of [lo, hi) and, for panes, of what waited at ``lo``; so a
range that is read again makes the same blocks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from monitor.archive.blocks import InsertBlock, Place, PlacedRows
from monitor.archive.letters import LabelRefusal
from monitor.archive.messages import refuse, rows_by_table
from monitor.archive.pane_fold import PaneFold, PaneReader
from monitor.archive.pane_sets import PaneSets
from monitor.archive.raw import RAW_TOPICS, RawTopics, chunk_of_messages
from monitor.core.topics import PANES
from monitor.storage.pane_columns import pane_rows
from monitor.storage.rows import dead_letter_rows
from monitor.transport.types import Message
from schemas.batch import Chunk
from schemas.panes import Pane
from schemas.refused import DeadLetter

Piece = Chunk | Sequence[Message]
"""Messages read together: one buffer where they are not needed one by one."""


class RangeRows:
    """Makes blocks of the ranges of one partition, in log order.

    Parameters
    ----------
    raw : RawTopics
        Needed for the raw topics.
    panes : PaneReader, optional
        Needed for panes.
    fold : PaneFold, optional
        What waited where the first range begins; by default nothing, and every pane is stored.

    Attributes
    ----------
    refusals : list of LabelRefusal
        Of the last range of a raw topic: to be written to the dead-letter topic before its
        rows are inserted.
    """

    def __init__(
        self,
        topic: str,
        place: Place,
        raw: RawTopics,
        panes: PaneReader | None,
        fold: PaneFold | None = None,
    ) -> None:
        self._topic, self._place = topic, place
        self._raw, self._panes = raw, panes
        self._fold = fold or PaneFold(PaneSets())
        self.refusals: list[LabelRefusal] = []

    @property
    def back(self) -> int | None:
        """Where reading back begins for what is not whole yet."""
        return self._fold.back

    @property
    def slots(self) -> str:
        """State of the slots after the last range."""
        return self._fold.state

    def blocks(
        self, pieces: Sequence[Piece], hi: int, token: str, *, is_switch: bool = False
    ) -> list[InsertBlock]:
        """Make the inserts of the next range.

        Parameters
        ----------
        pieces : sequence of Piece
            All messages of the range, in log order.
        hi : int
            Its end.
        token : str
            Of the range.
        is_switch : bool, optional
            Whether the lengths of slots change at its end.

        Returns
        -------
        list of InsertBlock
            None without a row. Unreadable messages come first, as dead letters, under
            ``token:refused``: the dead-letter topic's own rows share that table. A token is of a
            table, so the rows of several have the same one.
        """
        if self._topic in RAW_TOPICS:
            chunks = [c if isinstance(c, Chunk) else self._chunk(c) for c in pieces]
            rows, refusals = self._raw.rows(self._topic, chunks)
            placed = [rows]
            self.refusals = refusals
            letters: list[DeadLetter] = []
        else:
            messages = [m for piece in pieces if not isinstance(piece, Chunk) for m in piece]
            placed, letters = self._read(messages, hi, is_switch)
        payload = payload_in(pieces)
        made = [
            InsertBlock(letter_rows(letters), f"{token}:refused", self._place, payload),
            *(InsertBlock(rows, token, self._place, payload) for rows in placed),
        ]
        return [block for block in made if len(block)]

    def _chunk(self, messages: Sequence[Message]) -> Chunk:
        """Lay messages out for the decoder."""
        return chunk_of_messages(messages, self._place)

    def _read(
        self, messages: Sequence[Message], hi: int, is_switch: bool
    ) -> tuple[list[PlacedRows], list[DeadLetter]]:
        """Decode messages of our own, by table."""
        if self._topic != PANES:
            return rows_by_table(self._topic, messages, self._place)
        spans = self._panes.spans if self._panes is not None and is_switch else None
        panes, refused = self._fold.take(messages, hi, spans)
        letters = [refuse(r.message, self._place, r.detail) for r in refused]
        return [self._pane_rows(panes)], letters

    def _pane_rows(self, panes: Sequence[tuple[Pane, Message]]) -> PlacedRows:
        """Make rows of panes."""
        reader = self._panes or PaneReader({})
        rows = pane_rows(reader.named(pane) for pane, _ in panes)
        sizes = [_n_cells(pane) for pane, _ in panes]
        offsets = np.repeat(np.array([m.offset for _, m in panes], np.int64), sizes)
        # rows of one message are numbered through, whichever of its panes they are of
        first = np.flatnonzero(np.diff(offsets, prepend=-1))
        lengths = np.diff(first, append=len(offsets))
        return PlacedRows(
            "panes", rows, offsets, np.arange(len(offsets)) - np.repeat(first, lengths)
        )


def _n_cells(pane: Pane) -> int:
    """Rows that one pane makes."""
    n_segments, n_variables = pane.segments.counts.shape[:2]
    return int(n_segments * max(n_variables, 1) + len(pane.slices.segments))


def letter_rows(letters: Sequence[DeadLetter]) -> PlacedRows:
    """Return dead letters as rows."""
    return PlacedRows(
        "dead_letters",
        dead_letter_rows(letters),
        np.array([letter.offset for letter in letters], np.int64),
        np.array([letter.row for letter in letters], np.int64),
    )


def payload_in(pieces: Sequence[Piece]) -> Callable[[int], bytes]:
    """Return what finds a message's bytes by its offset.

    Examples
    --------
    >>> payload_in([[Message(7, b"", b"seven", -1)]])(7)
    b'seven'
    """

    def payload(offset: int) -> bytes:
        """Search the pieces for the bytes of a rejected event."""
        for piece in pieces:
            if not isinstance(piece, Chunk):
                found = [m.value for m in piece if m.offset == offset]
                if found:
                    return found[0]
            elif len(piece) and piece.log_offset[0] <= offset <= piece.log_offset[-1]:
                i = int(np.searchsorted(piece.log_offset, offset))
                return piece.buffer[piece.offsets[i] : piece.offsets[i + 1]].tobytes()
        return b""

    return payload
