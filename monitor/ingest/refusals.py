"""What is recorded of events that no pane counts: dead letters and late events, one by one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from monitor.core.topics import LATE
from monitor.core.windowing.aggregate import RefusedRows
from monitor.core.write import Write
from monitor.ingest.future_events import future_rejects
from schemas.batch import Chunk
from schemas.events import Reject
from schemas.refused import LateEvent


def new_rejects(
    chunk: Chunk, rejects: Sequence[Reject], future: Sequence[RefusedRows], report_from: int
) -> list[Reject]:
    """Return what was refused of a chunk, without what was recorded before a restart.

    Parameters
    ----------
    rejects : sequence of Reject
        What the decoder refused.
    future : sequence of RefusedRows
        What the aggregator refused, without what was reported separately.
    report_from : int
        Log offset from which on events are new.

    Returns
    -------
    list of Reject
        In log order, so that a cap on them is a function of the log.
    """
    offsets = chunk.log_offset
    found = [r for r in rejects if offsets[r.message] >= report_from]
    if not future:
        return found
    for refused in future:
        found += future_rejects(refused, chunk)
    return sorted(found, key=lambda r: (r.message, r.row))


def late_events(refused: RefusedRows, chunk: Chunk) -> Iterator[LateEvent]:
    """Return the record of each late event of a batch."""
    batch, rows = refused.batch, refused.rows
    for i, wm in zip(rows.tolist(), refused.watermark_us.tolist(), strict=True):
        yield LateEvent(
            source=chunk.source,
            partition=chunk.partition,
            offset=int(chunk.log_offset[batch.message[i]]),
            row=int(batch.row[i]),
            tenant=batch.schema.tenant,
            model=batch.schema.model,
            time_us=int(batch.time_us[i]),
            watermark_us=int(wm),
        )


def late_write(event: LateEvent, partition: int) -> Write:
    """Return a late event as a message."""
    key = f"{event.source}|{event.partition}|{event.offset}|{event.row}".encode()
    return Write(LATE, key, msgspec.msgpack.encode(event), partition)
