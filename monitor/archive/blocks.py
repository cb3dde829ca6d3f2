"""Rows of one insert, and where each of them came from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pyarrow as pa

from schemas.batch import Int64Array
from schemas.events import Reject, RejectReason
from schemas.refused import DeadLetter, dead_letter


@dataclass(frozen=True, slots=True)
class Place:
    """Where a range of messages was read."""

    source: str
    """Topic id."""
    partition: int


@dataclass(frozen=True, slots=True)
class PlacedRows:
    """Rows, and the message of each."""

    table: str
    rows: pa.Table
    offsets: Int64Array
    """Shape (n,): log offset of each row's message."""
    numbers: Int64Array
    """Shape (n,): row within its message, or any number that is unique among its neighbours."""

    def __len__(self) -> int:
        return int(self.rows.num_rows)


@dataclass(frozen=True, slots=True)
class InsertBlock:
    """One insert: the same rows under the same token, however often it is tried."""

    placed: PlacedRows
    token: str
    place: Place
    payload: Callable[[int], bytes]
    """The message at a log offset."""

    @property
    def table(self) -> str:
        """Where it goes."""
        return self.placed.table

    def __len__(self) -> int:
        return len(self.placed)

    def letter(self, index: int, detail: str) -> DeadLetter:
        """Return the dead letter of one row."""
        offset = int(self.placed.offsets[index])
        reject = Reject(
            message=0,
            row=int(self.placed.numbers[index]),
            reason=RejectReason.UNSUPPORTED,
            detail=f"the store refused it: {detail}"[:500],
            payload=self.payload(offset),
        )
        place = self.place
        return dead_letter(reject, source=place.source, partition=place.partition, offset=offset)
