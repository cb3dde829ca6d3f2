"""The slow path: what the kernel left, event by event through msgspec."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from msgspec import UNSET

from monitor.decode.batches import REJECTED, UNDECIDED, Scratch
from monitor.decode.cloudevents import open_envelope
from monitor.decode.columns import Columns
from monitor.decode.dictionaries import Dictionaries
from monitor.decode.fast import FastPath
from monitor.decode.program import Program
from monitor.decode.strict import Key, RefusedEvent, StrictDecoder
from monitor.decode.units import Units
from monitor.decode.work import Work
from schemas.batch import Int64Array
from schemas.events import MAX_EVENT_BYTES, RejectReason

_FILL_AT = 500
"""Accepted events kept as objects: 5,000 at a time took three times as long."""

_BLOCK = 2_000
"""Events looked at before the kernel is asked again, should a layout be learnt."""

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
    """Decides every event the kernel left, and learns layouts from them.

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
        program: Program,
        dictionaries: Dictionaries,
    ) -> None:
        self._strict, self._models, self._columns = strict, models, columns
        self._program, self._dictionaries = program, dictionaries
        self._refused: dict[bytes, RefusedEvent] = {}
        """Why short events were refused: a function of their bytes alone. Equal ones cost
        next to nothing to send, compressed: a million ``null`` in an array took 17 s."""

    def run(
        self, work: Work, units: Units, scratch: Scratch, fast: FastPath | None, are_messages: bool
    ) -> None:
        """Leave no event of ``scratch`` undecided.

        Parameters
        ----------
        work : Work
            Takes rejects, and the messages that hold several events.
        fast : FastPath, optional
            Tried again from where a layout was learnt; without it none is learnt.
        are_messages : bool
            Whether a unit may itself be an array or a stream.
        """
        accepted: dict[int, _Accepted] = {}
        left = np.flatnonzero(scratch.fits == UNDECIDED)
        while len(left):
            learnt_at = self._decide(
                work, units, scratch, left[:_BLOCK], accepted, fast is not None, are_messages
            )
            for some in accepted.values():
                some.fill()
            if fast is None or learnt_at < 0:
                left = left[_BLOCK:]
                continue
            fast.run(learnt_at + 1, 1)
            left = np.flatnonzero(scratch.fits == UNDECIDED)

    def _decide(
        self,
        work: Work,
        units: Units,
        scratch: Scratch,
        left: Int64Array,
        accepted: dict[int, _Accepted],
        may_learn: bool,
        are_messages: bool,
    ) -> int:
        """Decode events one by one; return the one a layout was learnt from, or -1."""
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
            key, event, is_plain = found
            model = self._models[key]
            columns = self._columns[model]
            if model not in accepted:
                accepted[model] = _Accepted(model, columns, self._dictionaries, scratch)
            accepted[model].add(i, event, work.id_span(event.id, payload, start))
            if may_learn and is_plain and self._program.consider(payload, columns, model):
                return i
        return -1

    def _decode(
        self, work: Work, units: Units, i: int, payload: bytes, are_messages: bool
    ) -> tuple[Key, Any, bool] | None:
        """Decode one event: its model, itself, whether it is no envelope."""
        if (known := self._refused.get(payload)) is not None:
            work.reject(int(units.message[i]), int(units.row[i]), payload, known)
            return None
        if len(payload) <= MAX_EVENT_BYTES:
            guessed = self._strict.guess(payload)
            if guessed is not None:
                return (*guessed, True)
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

    def _decode_canonically(self, payload: bytes) -> tuple[Key, Any, bool]:
        """Header first, then the event: the order that fixes the reason of a reject."""
        header, clean = self._strict.header(payload)
        if header.specversion is UNSET:
            return (*self._strict.decode(clean, header), True)
        body, envelope_id, time_us = open_envelope(clean)
        header, clean = self._strict.header(body)
        key, event = self._strict.decode(clean, header, time_us)
        if event.id is None:
            event.id = envelope_id
        return key, event, False
