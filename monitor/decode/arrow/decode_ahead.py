"""Decodes tables several chunks at a time: an Arrow stream of 5,000 rows costs half as much.

What is read afterwards is what each chunk held, as if it had been decoded by itself: chunks,
messages and rows keep their numbers, and so do all IDs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import msgspec
import numpy as np

from monitor.core.table_rows import TableRows
from monitor.core.windowing.accumulators import take
from monitor.decode.decoder import Decoded, Decoder
from monitor.decode.work import ARROW_MARK
from schemas.batch import Chunk, EventBatch

MAX_TOGETHER = 4
MAX_BYTES = 8 << 20
"""Chunks that are decoded together, and their bytes: larger ones gain nothing."""


class DecodedChunk(NamedTuple):
    """A chunk, and what it held."""

    chunk: Chunk
    decoded: Decoded


def decode_ahead(
    decoder: Decoder, chunks: Iterable[Chunk | TableRows]
) -> Iterator[Chunk | DecodedChunk]:
    """Yield the chunks of a replay, those of tables decoded.

    Parameters
    ----------
    decoder : Decoder
        Of the stage that takes them; it decodes nothing else between two of them.
    chunks : iterable of Chunk or TableRows
        Those that are one Arrow stream each are read up to three ahead.

    Yields
    ------
    Chunk or DecodedChunk
        In order. A chunk of single events is not decoded here.
    """
    held: list[Chunk] = []
    n_bytes = 0
    for chunk in chunks:
        if isinstance(chunk, TableRows):
            yield from _decoded(decoder, held)
            held, n_bytes = [], 0
            yield from _decoded_rows(decoder, chunk)
            continue
        size = int(chunk.offsets[-1])
        is_table = _is_stream(chunk)
        is_other = bool(held) and held[0].source != chunk.source
        if held and (not is_table or is_other or n_bytes + size > MAX_BYTES):
            yield from _decoded(decoder, held)
            held, n_bytes = [], 0
        if not is_table:
            yield chunk
            continue
        held.append(chunk)
        n_bytes += size
        if len(held) == MAX_TOGETHER:
            yield from _decoded(decoder, held)
            held, n_bytes = [], 0
    yield from _decoded(decoder, held)


def _is_stream(chunk: Chunk) -> bool:
    """Return whether a chunk is one Arrow stream, whose length keeps the next one aligned."""
    is_one = len(chunk) == 1 and chunk.offsets[0] == 0 and chunk.offsets[-1] % 8 == 0
    return is_one and chunk.buffer[: len(ARROW_MARK)].tobytes() == ARROW_MARK


def _decoded_rows(decoder: Decoder, table: TableRows) -> Iterator[Chunk | DecodedChunk]:
    """Decode rows that were not encoded, or else encode their messages."""
    decoded = decoder.decode_rows(table)
    if decoded is None:
        yield from decode_ahead(decoder, table.chunks())
        return
    for message, place in enumerate(table.places()):
        yield DecodedChunk(place, _of_message(decoded, message))


def _decoded(decoder: Decoder, chunks: Sequence[Chunk]) -> Iterator[Chunk | DecodedChunk]:
    """Decode chunks of one message each together; one alone is left to the stage."""
    if len(chunks) < 2:
        yield from chunks
        return
    joined = _joined(chunks)
    if len(decoder.parts(joined)) > 1:  # columns that take much more room than the streams
        yield from chunks
        return
    decoded = decoder.decode(joined)
    for message, chunk in enumerate(chunks):
        yield DecodedChunk(chunk, _of_message(decoded, message))


def _joined(chunks: Sequence[Chunk]) -> Chunk:
    """Return chunks of one message each as one chunk."""
    buffers = [chunk.buffer[: chunk.offsets[-1]] for chunk in chunks]
    return replace(
        chunks[0],
        buffer=np.concatenate(buffers),
        offsets=np.cumsum([0, *map(len, buffers)]),
        log_offset=np.concatenate([c.log_offset for c in chunks]),
        record_time_us=np.concatenate([c.record_time_us for c in chunks]),
    )


def _of_message(decoded: Decoded, message: int) -> Decoded:
    """Return what one message held, as the only one of its chunk."""
    batches = (_rows_of(batch, message) for batch in decoded.batches)
    return Decoded(
        tuple(batch for batch in batches if len(batch)),
        tuple(
            msgspec.structs.replace(reject, message=0)
            for reject in decoded.rejects
            if reject.message == message
        ),
    )


def _rows_of(batch: EventBatch, message: int) -> EventBatch:
    """Return the rows of one message, without copying them."""
    start, end = np.searchsorted(batch.message, (message, message + 1)).tolist()
    rows = take(batch, slice(start, end))
    return replace(rows, message=np.zeros(end - start, np.int64))
