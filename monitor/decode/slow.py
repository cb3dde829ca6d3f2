"""The slow path: what the kernel left, event by event through msgspec."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import UNSET

from monitor.decode.batches import REJECTED, Scratch
from monitor.decode.cloudevents import open_envelope
from monitor.decode.columns import Columns
from monitor.decode.dictionaries import Dictionaries
from monitor.decode.program import Program
from monitor.decode.strict import Key, RefusedEvent, StrictDecoder
from monitor.decode.units import Units
from monitor.decode.work import Work
from schemas.batch import Int64Array
from schemas.events import MAX_EVENT_BYTES, RejectReason

_FILL_AT = 500
"""Accepted events kept as objects: 5,000 at a time took three times as long."""

MAX_REMEMBERED, MAX_REMEMBERED_BYTES = 1_024, 512
"""Refused events whose reason is kept, and the longest of them."""


class _Accepted:
    """Events of one model on their way into the columns."""

    def __init__(self, model: int, columns: Columns, known: Dictionaries, to: Scratch) -> None:
        self._model, self._columns, self._known, self._to = model, columns, known, to
        self._at: list[int] = []
        self._events: list[Any] = []
        self._id_spans: list[tuple[int, int]] = []

    def add(self, at: int, event: Any, id_span: tuple[int, int]) -> None:
        """Take one event."""
        self._at.append(at)
        self._events.append(event)
        self._id_spans.append(id_span)
        if len(self._at) >= _FILL_AT:
            self.fill()

    def fill(self) -> None:
        """Write those taken since the last time, column by column."""
        if self._at:
            self._to.fill(self._at, self._events, self._columns, self._known)
            self._to.ids[self._at] = self._id_spans
            self._to.fits[self._at] = self._model
            self._at, self._events, self._id_spans = [], [], []


class SlowPath:
    """Decides the events of one chunk that the kernel left, and learns layouts from them.

    Parameters
    ----------
    models : mapping of (tenant, model) to int
        Index into ``columns``.
    """

    def __init__(
        self,
        strict: StrictDecoder,
        models: Mapping[Key, int],
        columns: Sequence[Columns],
        dictionaries: Dictionaries,
    ) -> None:
        self._strict, self._models, self._columns = strict, models, columns
        self._dictionaries = dictionaries
        self._accepted: dict[int, _Accepted] = {}
        self._refused: dict[bytes, RefusedEvent] = {}
        """Why short events were refused: a function of their bytes alone. Equal ones cost
        next to nothing to send, compressed: a million ``null`` in an array took 17 s."""

    def decide(
        self,
        work: Work,
        units: Units,
        scratch: Scratch,
        left: Int64Array,
        program: Program | None,
        are_messages: bool,
    ) -> int:
        """Decide events one by one, up to the first that a layout is learned from.

        Parameters
        ----------
        work : Work
            Takes rejects, and the messages that hold several events.
        left : ndarray of int64
            The events.
        program : Program, optional
            Where layouts are learned; without it none is.
        are_messages : bool
            Whether a unit may itself be an array or a stream.

        Returns
        -------
        int
            The event a layout was learned from, or -1. What is accepted is in the columns
            after :meth:`fill`.
        """
        starts, ends = units.starts[left].tolist(), units.ends[left].tolist()
        for i, start, end in zip(left.tolist(), starts, ends, strict=True):
            if are_messages and work.is_stream(start, end):
                work.streams.append(int(units.message[i]))
                scratch.fits[i] = REJECTED
                continue
            payload = work.view[start:end].tobytes()
            found = self._decode(work, units, i, payload, are_messages)
            if found is None:
                scratch.fits[i] = REJECTED
                continue
            key, event = found
            model = self._models[key]
            columns = self._columns[model]
            if model not in self._accepted:
                self._accepted[model] = _Accepted(model, columns, self._dictionaries, scratch)
            self._accepted[model].add(i, event, work.id_span(event.id, payload, start))
            if program is not None and program.consider(payload, columns, model):
                return i
        return -1

    def fill(self) -> None:
        """Write what was accepted into the columns."""
        for some in self._accepted.values():
            some.fill()

    def _decode(
        self, work: Work, units: Units, i: int, payload: bytes, are_messages: bool
    ) -> tuple[Key, Any] | None:
        """Decode one event: its model and itself."""
        if (known := self._refused.get(payload)) is not None:
            work.reject(int(units.message[i]), int(units.row[i]), payload, known)
            return None
        if len(payload) <= MAX_EVENT_BYTES:
            guessed = self._strict.guess(payload)
            if guessed is not None:
                return guessed
        message, row = int(units.message[i]), int(units.row[i])
        limit = MAX_EVENT_BYTES
        try:
            if are_messages and (several := work.kind_of(payload)) is not None:
                limit = work.max_bytes
                if len(payload) <= limit:
                    several.append(message)
                    return None
            if len(payload) > limit:
                detail = f"{len(payload)} bytes, and {limit} are taken"
                raise RefusedEvent(RejectReason.OVERSIZED, detail)
            return self._decode_canonically(payload)
        except RefusedEvent as fault:
            work.reject(message, row, payload, fault)
            self._remember(payload, fault)
            return None

    def _remember(self, payload: bytes, fault: RefusedEvent) -> None:
        """Keep why a short event was refused."""
        if len(payload) > MAX_REMEMBERED_BYTES:
            return
        if len(self._refused) >= MAX_REMEMBERED:
            self._refused.clear()
        fault.__context__ = None  # with its frames, and what they hold
        self._refused[payload] = fault.with_traceback(None)

    def _decode_canonically(self, payload: bytes) -> tuple[Key, Any]:
        """Header first, then the event: the order that fixes the reason of a reject."""
        header, clean = self._strict.header(payload)
        if header.specversion is UNSET:
            return self._strict.decode(clean, header)
        body, envelope_id, time_us = open_envelope(clean)
        header, clean = self._strict.header(body)
        key, event = self._strict.decode(clean, header, time_us)
        if event.id is None:
            event.id = envelope_id
        return key, event
