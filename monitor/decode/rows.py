"""Rows of a JSON array of events."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detectors.kernels.jit import kernel
from monitor.decode.strict import RefusedEvent
from schemas.batch import Int64Array, Uint8Array
from schemas.events import RejectReason
from schemas.limits import MessageLimits

MAX_ROWS = MessageLimits().max_rows
_USUAL_BYTES = 128
"""Room is made for elements of this size at first."""


@kernel
def _split(buffer: Uint8Array, start: int, end: int, spans: Int64Array) -> int:
    """Write the spans of the elements; return their number, or -1 if the array is broken.

    Only brackets, quotes and commas are looked at: what an element holds is
    checked when it is decoded. Beyond the length of ``spans`` they are only counted.
    """
    n = 0
    depth = 0
    has_value = False
    is_text = False
    after_comma = False
    first = start
    last = start
    at = start
    while at < end:
        byte = buffer[at]
        if is_text:
            if byte == 0x5C:
                at += 1
            elif byte == 0x22:
                is_text = False
                last = at + 1
        elif byte == 0x20 or byte == 0x09 or byte == 0x0A or byte == 0x0D:
            pass
        elif depth == 1 and (byte == 0x2C or byte == 0x5D or byte == 0x7D):
            if byte == 0x7D or (not has_value and (byte == 0x2C or after_comma)):
                return -1
            if has_value:
                if n < len(spans):
                    spans[n, 0] = first
                    spans[n, 1] = last
                n += 1
            has_value = False
            after_comma = byte == 0x2C
            if byte == 0x5D:
                depth = 0
                at += 1
                break
        else:
            if depth == 1 and not has_value:
                has_value = True
                first = at
            if byte == 0x5B or byte == 0x7B:
                depth += 1
            elif byte == 0x5D or byte == 0x7D:
                depth -= 1
            elif byte == 0x22:
                is_text = True
            last = at + 1
        at += 1
    if depth != 0 or is_text:
        return -1
    while at < end:
        byte = buffer[at]
        if byte != 0x20 and byte != 0x09 and byte != 0x0A and byte != 0x0D:
            return -1
        at += 1
    return n


def split_array(
    buffer: Uint8Array, start: int, end: int, max_rows: int = MAX_ROWS
) -> Int64Array | None:
    """Find the elements of a JSON array.

    Parameters
    ----------
    start, end : int
        The message: whitespace, ``[``, elements, ``]``, whitespace.

    Returns
    -------
    ndarray of int64, shape (n, 2), or None
        Start and end of each element, without surrounding whitespace. None when
        brackets or quotes do not match, a comma has no element beside it, or
        something follows the array: then the message as a whole is malformed. An
        element that is broken within itself is only its own row's reject.

    Raises
    ------
    RefusedEvent
        OVERSIZED, if there are more elements than that.

    Notes
    -----
    About 1 ns a byte; twice that where elements are shorter than 128 bytes.

    Examples
    --------
    >>> text = b' [{"a": 1}, {"b": "],["}] '
    >>> spans = split_array(np.frombuffer(text, np.uint8), 0, len(text))
    >>> [text[i:j] for i, j in spans.tolist()]
    [b'{"a": 1}', b'{"b": "],["}']
    """
    n_usual = min(max_rows, (end - start) // _USUAL_BYTES) + 16
    spans: NDArray[np.int64] = np.empty((n_usual, 2), dtype=np.int64)
    n = _split(buffer, start, end, spans)
    if n > max_rows:
        detail = f"an array of {n:,} elements, and {max_rows:,} are read of a message"
        raise RefusedEvent(RejectReason.OVERSIZED, detail)
    if n > len(spans):
        spans = np.empty((n, 2), dtype=np.int64)
        _split(buffer, start, end, spans)
    return spans[:n] if n >= 0 else None
