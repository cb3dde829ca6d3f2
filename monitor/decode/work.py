"""One chunk on its way through the decoder: what was found so far."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import numpy as np

from monitor.decode.reject_cap import EventRejects
from monitor.decode.strict import RefusedEvent
from schemas.batch import Chunk, EventBatch, MixedBatch, Uint8Array
from schemas.events import Reject
from schemas.limits import MessageLimits

ARROW_MARK = b"\xff\xff\xff\xff"
"""How an Arrow IPC stream begins."""

_LIMITS = MessageLimits()
_WHITESPACE = b" \t\r\n"


class Work:
    """Rejects, batches, and messages that hold more than one event.

    Parameters
    ----------
    first : int, optional
        Number of its first message in the chunk it was cut from.

    Attributes
    ----------
    max_bytes : int
        Of a JSON array or an Arrow stream.
    rejects : list of Reject
        Complete once the work is settled.
    """

    def __init__(self, chunk: Chunk, first: int = 0, limits: MessageLimits = _LIMITS) -> None:
        self.chunk, self._first = chunk, first
        self.max_bytes = limits.max_bytes
        self._event_rejects = EventRejects(limits.max_letters)
        self.view: memoryview = np.ascontiguousarray(chunk.buffer).data
        self.rejects: list[Reject] = []
        self.parts: dict[int, list[EventBatch]] = {}
        self.mixed: list[MixedBatch] = []
        self.arrays: list[int] = []
        self.streams: list[int] = []
        self._side = bytearray()

    def kind_of(self, payload: bytes) -> list[int] | None:
        """The list a message of several events goes to; None for a single event."""
        head = payload[:64].lstrip(_WHITESPACE) or payload.lstrip(_WHITESPACE)
        if head[:4] == ARROW_MARK:
            return self.streams
        return self.arrays if head[:1] == b"[" else None

    def is_stream(self, start: int, end: int) -> bool:
        """Whether these bytes begin an Arrow stream that may be read; copies nothing."""
        mark = self.view[start : min(start + len(ARROW_MARK), end)]
        return mark == ARROW_MARK and end - start <= self.max_bytes

    def payload(self, message: int) -> bytes:
        """Return the bytes of a message."""
        return self.span(message).tobytes()

    def span(self, message: int) -> memoryview:
        """Return the bytes of a message where they are."""
        offsets = self.chunk.offsets
        return self.view[offsets[message] : offsets[message + 1]]

    def reject(self, message: int, row: int, payload: bytes, fault: RefusedEvent) -> None:
        """Note a reject."""
        self._event_rejects.add(message, row, payload, fault)

    def settle(self) -> None:
        """Bring the rejects together; number messages as in the chunk this one was cut from."""
        self.rejects += self._event_rejects.found()
        if not self._first:
            return
        self.rejects = [
            msgspec.structs.replace(r, message=r.message + self._first) for r in self.rejects
        ]
        for parts in self.parts.values():
            parts[:] = [replace(b, message=b.message + self._first) for b in parts]
        self.mixed = [replace(m, message=m.message + self._first) for m in self.mixed]

    def id_span(self, text: str | None, payload: bytes, start: int) -> tuple[int, int]:
        """Where an id's bytes are: in the event itself, or else on the side.

        On the side are ids that stand nowhere in the buffer as they are (escapes,
        base64); only a chunk with such an id pays for a copy of its buffer.
        """
        if text is None:
            return 0, -1
        raw = text.encode()
        at = payload.find(raw)
        if at >= 0:
            return start + at, len(raw)
        self._side += raw
        return len(self.chunk.buffer) + len(self._side) - len(raw), len(raw)

    def id_bytes(self) -> Uint8Array:
        """Return what the id spans point into."""
        if not self._side:
            return self.chunk.buffer
        return np.concatenate([self.chunk.buffer, np.frombuffer(bytes(self._side), np.uint8)])
