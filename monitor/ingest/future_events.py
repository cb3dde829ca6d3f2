"""Dead letters of events stamped too far ahead or in another unit, each with its own bytes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import msgspec
import numpy as np

from driftline.times import EARLIEST_US, FARTHEST_US, LIMITS
from monitor.core.windowing.aggregate import RefusedRows
from monitor.decode.reject_cap import summed
from monitor.decode.units import rows_of
from schemas.batch import Chunk
from schemas.events import Reject, RejectReason
from schemas.limits import MessageLimits

_ARROW = b"\xff\xff\xff\xff"

_Rows = Callable[[int], bytes]
_Group = tuple[int, RejectReason]


def future_rejects(
    refused: RefusedRows, chunk: Chunk, max_letters: int = MessageLimits().max_letters
) -> list[Reject]:
    """Return a reject for each event stamped too far ahead of its record time.

    Parameters
    ----------
    refused : RefusedRows
        Rows of one batch.
    chunk : Chunk
        Where they came from.
    max_letters : int, optional
        Rejects of their own that rows of one message get; the rest of them share one.

    Returns
    -------
    list of Reject
        The payload is what the decoder's rejects hold: the message, or of a message of
        many rows the row alone. With the whole message under each of its rows, 190 KB of
        Arrow that was stamped wrong became 955 MB of dead letters.
    """
    batch = refused.batch
    rows_of_message: dict[int, _Rows] = {}
    n_found: Counter[_Group] = Counter()
    rejects = []
    for i in refused.rows.tolist():
        message, row = int(batch.message[i]), int(batch.row[i])
        reason = _reason(int(batch.time_us[i]))
        n_found[message, reason] += 1
        if n_found[message, reason] > max_letters + 1:
            continue
        if message not in rows_of_message:
            rows_of_message[message] = _open(chunk, message)
        rejects.append(
            Reject(
                message=message,
                row=row,
                reason=reason,
                detail=_words(int(batch.time_us[i]), int(chunk.record_time_us[message])),
                payload=rows_of_message[message](row),
                tenant=batch.schema.tenant,
                model=batch.schema.model,
            )
        )
    extra = {group: n - max_letters for group, n in n_found.items() if n > max_letters}
    return _with_extra(rejects, extra) if extra else rejects


def _with_extra(rejects: list[Reject], extra: dict[_Group, int]) -> list[Reject]:
    """Add the number of omitted rejects to the last one of a message and reason."""
    last = {(reject.message, reject.reason): i for i, reject in enumerate(rejects)}
    for group, n in extra.items():
        reject = rejects[last[group]]
        rejects[last[group]] = summed([msgspec.structs.replace(reject, n_events=n)])
    return rejects


def _reason(time_us: int) -> RejectReason:
    """Return why such a time is refused: it is ahead, or in another unit."""
    return RejectReason.MISTYPED if time_us < EARLIEST_US else RejectReason.FUTURE


def _words(time_us: int, record_time_us: int) -> str:
    """Return how far ahead it is; without a record time only times beyond 2255 are ahead.

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
        units, _ = rows_of(chunk, [message], len(payload))
        spans = np.stack((units.starts, units.ends), axis=1).tolist()
        return lambda row: chunk.buffer[spans[row][0] : spans[row][1]].tobytes()
    return lambda _: payload


def _arrow_rows(payload: bytes) -> _Rows:
    """Cut rows out of an Arrow stream, each a stream of its own."""
    import pyarrow as pa  # slow to import, and not always needed

    from monitor.decode.arrow.row_stream import row_stream

    with pa.ipc.open_stream(payload) as reader:
        batches = list(reader)
    ends = np.cumsum([batch.num_rows for batch in batches])

    def of_row(row: int) -> bytes:
        """Find the record batch that holds a row."""
        k = int(np.searchsorted(ends, row, side="right"))
        return row_stream(batches[k], row - int(ends[k]) + batches[k].num_rows)

    return of_row
