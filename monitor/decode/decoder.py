"""Bytes to columns: one call for ingest, archive and replay.

======================== =========================================================
a message begins with    and is
======================== =========================================================
``{``                    one JSON event, or a structured CloudEvent
``[``                    a JSON array of these; each row accepted or rejected alone
FF FF FF FF              an Arrow IPC stream of many rows
======================== =========================================================

Whitespace may stand before the first two. Everything else is MALFORMED.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from monitor.core.table_rows import TableRows
from monitor.decode.arrow.ipc_sizes import stream_sizes
from monitor.decode.batches import REJECTED, UNDECIDED, Scratch, batch_of, merge_batches
from monitor.decode.chunk import slice_of
from monitor.decode.columns import Columns, assign_columns
from monitor.decode.derive import Deriver
from monitor.decode.dictionaries import HAS_KERNELS, Dictionaries
from monitor.decode.fast import FastPath
from monitor.decode.layout import MAX_LAYOUTS
from monitor.decode.learning.speculation import Speculation
from monitor.decode.mixed.small_models import FEW, SmallModels, merge_mixed
from monitor.decode.program import Program
from monitor.decode.reject_cap import capped
from monitor.decode.slow import SlowPath
from monitor.decode.strict import Key, StrictDecoder, failure
from monitor.decode.units import Units, messages_of, rows_of
from monitor.decode.work import Work
from schemas.batch import Chunk, EventBatch, Int64Array, MixedBatch, ModelSchema
from schemas.errors import DomainError
from schemas.events import Reject
from schemas.limits import MessageLimits

if TYPE_CHECKING:
    from monitor.decode.arrow.stream import StreamDecoder

LOG = logging.getLogger("driftline.decode")
MAX_GROWTH = 8
"""Columns of one message may take so many times ``messages.max_bytes``: a model with a
thousand features has a thousand columns for a message that names none of them."""
PART_GROWTH = 4
"""So many times ``messages.max_bytes`` for the columns of messages decoded together."""
_SHORTEST_EVENT = 24
"""Bytes of ``{"model":"","time_us":0}``."""
_EVENT_BYTES = 48
"""An event's message, row, time, and the span of its id."""
MAX_FAILURES = 20
"""Errors of the decoder itself that are logged, each kind once."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """What one chunk held."""

    batches: tuple[EventBatch, ...]
    """One per model with accepted events, in the decoder's order of models."""
    rejects: tuple[Reject, ...]
    """By (message, row)."""
    mixed: MixedBatch | None = None
    """Events of models that have no batch, only where that was asked for."""


class Decoder:
    """Decodes chunks of prediction events; lives as long as its partition is owned.

    Parameters
    ----------
    schemas : sequence of ModelSchema
        The models known; an event of any other is UNKNOWN_MODEL.
    fast : bool, optional
        False takes the strict path for every event: the same answers, slower. So
        does ``NUMBA_DISABLE_JIT=1``, under which the kernel cannot run.

    Raises
    ------
    DomainError
        If a model is given twice.
    ConfigError
        If a feature's or segment's name occurs twice.

    Notes
    -----
    What is accepted, and with which values, does not depend on how events are cut
    into chunks, on ``fast``, nor on what was decoded before; codes do. Not for use
    by two threads at once; the kernel itself runs without the GIL.

    Examples
    --------
    >>> from monitor.decode.chunk import chunk_of
    >>> decoder = Decoder([ModelSchema("default", "m", ("a",))])
    >>> events = [b'{"model":"m","time_us":1,"features":{"a":2.5}}', b"{", b"[]"]
    >>> decoded = decoder.decode(chunk_of(events, "file"))
    >>> decoded.batches[0].numeric[0].tolist(), decoded.rejects[0].reason.value
    ([2.5], 'malformed')
    """

    def __init__(
        self,
        schemas: Sequence[ModelSchema],
        *,
        fast: bool = True,
        max_layouts: int = MAX_LAYOUTS,
        limits: MessageLimits | None = None,
    ) -> None:
        self._models: dict[Key, int] = {}
        self._columns: list[Columns] = []
        n_dictionaries = 0
        for schema in schemas:
            key = (schema.tenant, schema.model)
            if key in self._models:
                raise DomainError(f"model {key[1]!r} of tenant {key[0]!r} is given twice")
            self._models[key] = len(self._columns)
            self._columns.append(assign_columns(schema.received, n_dictionaries))
            n_dictionaries = max(self._columns[-1].dictionaries) + 1
        self._strict = StrictDecoder({(s.tenant, s.model): s.received for s in schemas})
        self._derivers = {i: Deriver(s) for i, s in enumerate(schemas) if s.derived}
        is_derived = [i in self._derivers for i in range(len(schemas))]
        self._small = SmallModels(self._columns, is_derived)
        self._is_mixed = False
        self._is_fast = fast and HAS_KERNELS
        self._failures: set[str] = set()
        verbatim = frozenset[int]().union(*(columns.verbatim for columns in self._columns))
        self._dictionaries = Dictionaries(n_dictionaries, self._is_fast, verbatim)
        self._program = Program(max(1, len(self._columns)), max_layouts)
        self._speculation = Speculation()
        self._n_numbers = max((c.n_numeric for c in self._columns), default=0)
        self._n_codes = max((len(c.dictionaries) for c in self._columns), default=0)
        self._limits = limits or MessageLimits()
        self._row_bytes = _EVENT_BYTES + 8 * self._n_numbers + 4 * self._n_codes
        most = MAX_GROWTH * self._limits.max_bytes // self._row_bytes
        self._max_rows = min(self._limits.max_rows, most)

    def decode(self, chunk: Chunk, *, is_mixed: bool = False) -> Decoded:
        """Decode one chunk.

        Parameters
        ----------
        chunk : Chunk
            Its buffer is kept by the batches, whose ids point into it.
        is_mixed : bool, optional
            Whether models with few events may share one batch, ``mixed``: a thousand models of
            one event each cost a fifth of what they cost with a batch each.

        Returns
        -------
        Decoded
            Of a message that exceeds ``limits`` nothing is accepted; one on which the
            decoder itself fails is a reject, DECODER_FAILED.
        """
        self._dictionaries.renew(len(chunk))
        self._is_mixed = is_mixed
        return self._brought_together(self._decode(chunk))

    def decode_rows(self, table: TableRows) -> Decoded | None:
        """Decode rows of a table that are several messages.

        Returns
        -------
        Decoded or None
            What :meth:`decode` makes of the chunks of ``table`` joined, whose messages are never
            encoded; None where their limits, or a fault, have to be judged one by one.
        """
        messages = table.messages()
        n = table.rows.num_rows
        if (self._row_bytes + 1) * n > (PART_GROWTH - 1) * self._limits.max_bytes:
            return None
        self._dictionaries.renew(len(messages))
        self._dictionaries.forget_moved()
        try:
            found = self._streams.decode_rows(table.rows, messages, self._dictionaries)
            if found is None:
                return None
            work = Work(next(table.places()), 0, self._limits)
            for model, batch in found[0]:
                work.parts[model] = [self._whole(model, [batch])]
        except Exception as error:  # which message is at fault is found when each is decoded
            self._log(error, "rows of a table, whose messages are decoded one by one")
            return None
        work.rejects = found[1]
        return self._brought_together([work])

    def _brought_together(self, found: Sequence[Work]) -> Decoded:
        """Return what was found in the parts of a chunk."""
        parts: dict[int, list[EventBatch]] = {}
        for work in found:
            for model, some in work.parts.items():
                parts.setdefault(model, []).extend(some)
        mixed = _without(merge_mixed([m for work in found for m in work.mixed]), parts)
        batches = tuple(merge_batches(parts[model]) for model in sorted(parts))
        rejects = capped((r for work in found for r in work.rejects), self._limits.max_letters)
        return Decoded(batches, tuple(rejects), mixed)

    def parts(self, chunk: Chunk) -> list[Chunk]:
        """Cut a chunk where what its messages become would take too much memory together.

        Returns
        -------
        list of Chunk
            In order; the chunk itself, unless it holds streams or arrays that grow much. A
            part has at least one message.
        """
        weights = self.decoded_bytes(chunk)
        most = PART_GROWTH * self._limits.max_bytes
        ends = np.cumsum(weights)
        if not len(chunk) or ends[-1] <= most:
            return [chunk]
        cuts = [0]
        while cuts[-1] < len(chunk):
            before = int(ends[cuts[-1] - 1]) if cuts[-1] else 0
            end = int(np.searchsorted(ends, before + most, side="right"))
            cuts.append(max(cuts[-1] + 1, end))
        return [slice_of(chunk, i, j) for i, j in pairwise(cuts)]

    def decoded_bytes(self, chunk: Chunk) -> Int64Array:
        """Return about how many bytes the columns of each message take at most.

        Of a single event its length: it takes no more than so many messages can take that
        are read together.
        """
        starts = np.asarray(chunk.offsets[:-1], dtype=np.int64)
        found: Int64Array = np.diff(chunk.offsets)
        if not len(chunk):
            return found
        mark = chunk.buffer.take(starts, mode="clip")
        arrays, streams = np.flatnonzero(mark == ord("[")), np.flatnonzero(mark == 0xFF)
        if len(arrays):
            n_rows = np.minimum(found[arrays] // _SHORTEST_EVENT, self._max_rows)
            found[arrays] += n_rows * self._row_bytes
        if len(streams):
            sizes = self._sizes(chunk, streams)
            n_rows, n_bytes = sizes[:, 0], sizes[:, 2]
            is_read = (n_rows <= self._max_rows) & (n_bytes <= self._limits.max_bytes)
            found[streams] += np.where(is_read, n_rows * self._row_bytes + n_bytes, 0)
        return found

    def _decode(self, chunk: Chunk, first: int = 0) -> list[Work]:
        """Decode messages together; where that fails halve by halve, down to the one at fault.

        Parameters
        ----------
        first : int, optional
            Number of its first message in the chunk that was given.
        """
        work = Work(chunk, first, self._limits)
        try:
            self._decode_all(work)
        except Exception as error:
            # whatever it is: one message must not end the stage, nor take others with it
            if len(chunk) > 1:
                half = len(chunk) // 2
                head, tail = slice_of(chunk, 0, half), slice_of(chunk, half, len(chunk))
                return [*self._decode(head, first), *self._decode(tail, first + half)]
            self._log(error)
            work = Work(chunk, first, self._limits)
            work.reject(0, 0, work.payload(0), failure(error))
        work.settle()
        return [work]

    def _decode_all(self, work: Work) -> None:
        """Decode every message of a chunk."""
        chunk = work.chunk
        self._decode_units(work, messages_of(chunk), are_messages=True)
        if work.arrays:
            units, refused = rows_of(chunk, work.arrays, self._max_rows)
            for message, fault in refused:
                work.reject(message, 0, work.payload(message), fault)
            self._decode_units(work, units, are_messages=False)
        if work.streams:
            self._decode_streams(work)
        for model, parts in work.parts.items():
            parts[:] = [self._whole(model, parts)]

    def _log(
        self, error: Exception, what_of: str = "a message, which is now a dead letter"
    ) -> None:
        """Log where the decoder failed, the first time it fails so."""
        what = f"{type(error).__name__}: {error}"[:200]
        if what not in self._failures and len(self._failures) < MAX_FAILURES:
            self._failures.add(what)
            LOG.error("the decoder failed on %s", what_of, exc_info=error)

    def _whole(self, model: int, parts: list[EventBatch]) -> EventBatch:
        """Join what came of one model, and add what is made of it."""
        batch = merge_batches(parts)
        return self._derivers[model].whole(batch) if model in self._derivers else batch

    def _decode_units(self, work: Work, units: Units, *, are_messages: bool) -> None:
        """Decode single events, by the kernel and then one by one."""
        scratch = Scratch(len(units), self._n_numbers, self._n_codes)
        slow = SlowPath(self._strict, self._models, self._columns, self._dictionaries)
        if self._is_fast and len(units):
            fast = FastPath(self._program, self._dictionaries, work.chunk.buffer, units, scratch)
            self._decode_blocks(work, units, scratch, fast, slow, are_messages)
            slow.fill()
            self._dictionaries.sync()
            self._program.settle()
        else:
            left = np.flatnonzero(scratch.fits == UNDECIDED)
            slow.decide(work, units, scratch, left, None, are_messages)
            slow.fill()
        self._collect(work, units, scratch)

    def _decode_blocks(
        self,
        work: Work,
        units: Units,
        scratch: Scratch,
        fast: FastPath,
        slow: SlowPath,
        are_messages: bool,
    ) -> None:
        """Decode block by block: what the kernel leaves of one may teach it about the next."""
        program, speculation, at = self._program, self._speculation, 0
        while at < len(units):
            n, is_tried = speculation.next_block(len(units) - at)
            fits = scratch.fits[at : at + n]
            left = np.flatnonzero(fits == UNDECIDED)
            n_before = len(left)
            if is_tried and len(program):
                fast.run(at, at + n)
                left = np.flatnonzero(fits == UNDECIDED)
                speculation.count(n_before, n_before - len(left))
            program.ration.earn(n_before - len(left), len(left))
            if not is_tried:
                program.ration.save(n)
            teacher = program if is_tried else None
            learned_at = slow.decide(work, units, scratch, left + at, teacher, are_messages)
            at += n
            if learned_at >= 0:
                at = learned_at + 1
                speculation.restart()

    def _collect(self, work: Work, units: Units, scratch: Scratch) -> None:
        """Make a batch of each model's events."""
        n_models = self._program.n_models
        fits = scratch.fits
        lowest = int(fits.min()) if len(fits) else REJECTED
        may_share = self._is_mixed and (n_models > 1 or 0 < len(fits) < FEW)
        has_models = may_share or n_models > 1
        models = np.where(fits >= 0, fits % n_models, REJECTED) if has_models else fits
        id_bytes = work.id_bytes()
        place = (units.message, units.row)
        known = self._dictionaries
        few = self._small.rows(models) if may_share else None
        if few is not None:
            mixed = self._small.batch(scratch, few, models, units, known, id_bytes)
            work.mixed.append(mixed)
            models[few] = lowest = REJECTED
            if len(few) == len(models):
                models = models[:0]
        for model, rows in _rows_by_model(models, lowest, n_models):
            batch = batch_of(scratch, rows, place, self._columns[model], known, id_bytes)
            work.parts.setdefault(model, []).append(batch)
        self._dictionaries.forget_moved()

    def _decode_streams(self, work: Work) -> None:
        """Decode Arrow IPC streams, row by row of each model."""
        payloads = ((message, work.span(message)) for message in work.streams)
        sizes = self._sizes(work.chunk, np.array(work.streams))
        batches, rejects = self._streams.decode(payloads, sizes, self._dictionaries)
        work.rejects.extend(rejects)
        for model, batch in batches:
            work.parts.setdefault(model, []).append(batch)

    @cached_property
    def _streams(self) -> StreamDecoder:
        """What decodes Arrow streams; pyarrow is slow to import."""
        from monitor.decode.arrow.stream import StreamDecoder

        return StreamDecoder(self._models, self._columns, self._limits, self._max_rows)

    def _sizes(self, chunk: Chunk, messages: Int64Array) -> Int64Array:
        """Return what the Arrow streams of these messages declare."""
        offsets = chunk.offsets
        return stream_sizes(chunk.buffer, offsets[messages], offsets[messages + 1])


def _without(mixed: MixedBatch | None, parts: dict[int, list[EventBatch]]) -> MixedBatch | None:
    """Move the events of models that have a batch in the chunk to that batch."""
    if mixed is None or not parts:
        return mixed
    is_moved = np.isin(mixed.model, list(parts))
    if not is_moved.any():
        return mixed
    for model, rows in mixed.by_model():
        if model in parts:
            parts[model].append(mixed.batch(rows))
    return mixed.take(np.flatnonzero(~is_moved))


def _rows_by_model(
    models: Int64Array, lowest: int, n_models: int
) -> Iterator[tuple[int, Int64Array | None]]:
    """Yield each model there is and its rows; None where all rows are its."""
    if not len(models):
        return
    if n_models == 1:
        rows = None if lowest >= 0 else np.flatnonzero(models >= 0)
        if rows is None or len(rows):
            yield 0, rows
        return
    if lowest >= 0 and (models == models[0]).all():
        yield int(models[0]), None
        return
    # one sort for all: a comparison each would look at every event once a model
    order = np.argsort(models, kind="stable")
    present, starts = np.unique(models[order], return_index=True)
    for model, rows in zip(present.tolist(), np.split(order, starts[1:]), strict=True):
        if model >= 0:
            yield model, rows
