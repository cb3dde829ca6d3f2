"""Dead letters of events stamped too far ahead or in another unit, each with its own bytes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from detectors.kernels.event_time import EARLIEST_US, FARTHEST_US
from monitor.core.aggregate import Refused
from monitor.decode.units import rows_of
from schemas.batch import Chunk
from schemas.events import Reject, RejectReason
from schemas.times import LIMITS

_ARROW = b"\xff\xff\xff\xff"

_Rows = Callable[[int], bytes]


def future_rejects(refused: Refused, chunk: Chunk) -> list[Reject]:
    """Return a reject for each event stamped too far ahead of its record time.

    Parameters
    ----------
    refused : Refused
        Rows of one batch.
    chunk : Chunk
        Where they came from.

    Returns
    -------
    list of Reject
        The payload is what the decoder's rejects hold: the message, or of a message of
        many rows the row alone. With the whole message under each of its rows, 190 KB of
        Arrow that was stamped wrong became 955 MB of dead letters.
    """
    batch = refused.batch
    rows_of_message: dict[int, _Rows] = {}
    rejects = []
    for i in refused.rows.tolist():
        message, row = int(batch.message[i]), int(batch.row[i])
        if message not in rows_of_message:
            rows_of_message[message] = _open(chunk, message)
        rejects.append(
            Reject(
                message=message,
                row=row,
                reason=_reason(int(batch.time_us[i])),
                detail=_words(int(batch.time_us[i]), int(chunk.record_time_us[message])),
                payload=rows_of_message[message](row),
                tenant=batch.schema.tenant,
                model=batch.schema.model,
            )
        )
    return rejects


def _reason(time_us: int) -> RejectReason:
    """Return why such a time is refused: it is ahead, or in another unit."""
    return RejectReason.MISTYPED if time_us < EARLIEST_US else RejectReason.FUTURE


def _words(time_us: int, record_time_us: int) -> str:
    """Say how far ahead it is; without a record time only what lies beyond 2255 is ahead.

    Examples
    --------
    >>> _words(1_451_606_400_000_000_000, -1)
    'time_us 1451606400000000000 lies beyond the year 2255: is it in nanoseconds?'
    >>> _words(1_451_606_400, 1_451_606_400_000_000)
    'time_us 1451606400 lies in 1970: is it in seconds? Microseconds are expected'
    """
    if 0 <= time_us < EARLIEST_US <= record_time_us:
        unit = "seconds" if time_us < LIMITS[0][0] else "milliseconds"
        year = 1970 + time_us // 31_556_952_000_000
        return f"time_us {time_us} lies in {year}: is it in {unit}? Microseconds are expected"
    if record_time_us < 0 or time_us > FARTHEST_US:
        return f"time_us {time_us} lies beyond the year 2255: is it in nanoseconds?"
    return f"time_us is {(time_us - record_time_us) / 1e6:.0f} s ahead of the record time"


def _open(chunk: Chunk, message: int) -> _Rows:
    """Return what gives the bytes of one row of a message that was decoded."""
    start, end = int(chunk.offsets[message]), int(chunk.offsets[message + 1])
    payload = chunk.buffer[start:end].tobytes()
    if payload.startswith(_ARROW):
        return _arrow_rows(payload)
    if payload.lstrip().startswith(b"["):
        units, _ = rows_of(chunk, [message])
        spans = np.stack((units.starts, units.ends), axis=1).tolist()
        return lambda row: chunk.buffer[spans[row][0] : spans[row][1]].tobytes()
    return lambda _: payload


def _arrow_rows(payload: bytes) -> _Rows:
    """Cut rows out of an Arrow stream, each a stream of its own."""
    import pyarrow as pa  # slow to import, and not always needed

    from monitor.decode.arrow import stream_of

    with pa.ipc.open_stream(payload) as reader:
        table = reader.read_all()
    return lambda row: stream_of(table.slice(row, 1).combine_chunks().to_batches()[0])
