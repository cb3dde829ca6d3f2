"""Messages of the results topic that say what would be found in each cell. Pure.

They begin with two bytes that begin no MessagePack value, as tables of results do.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from monitor.core.bounds import (
    DECODE_ERRORS,
    MAX_OFFSET,
    MAX_VALUE_BYTES,
    check_number,
    check_text,
    check_time,
)
from schemas.detectable import DetectableRow
from schemas.errors import DomainError, TransportError

DETECTABLE_PREFIX: Final = b"\xc1D"
MAX_ROWS: Final = 1_000
"""Rows per message: about 200 KB, and split further where names are long."""
_DECODER: Final = msgspec.msgpack.Decoder(list[DetectableRow])
_NUMBERS: Final = ("shift_sd", "missing", "category", "average_s", "natural_sd")
_LARGEST: Final = 1e300


def encode_detectable(rows: Sequence[DetectableRow]) -> list[bytes]:
    """Return rows as message values; none without rows.

    Examples
    --------
    >>> row = DetectableRow(tenant="t", model="m", model_version="1", profile_id="p", feature="x",
    ...                     segment="*", time_us=0, horizon_s=900, missing=0.01)
    >>> [value] = encode_detectable([row])
    >>> DetectableDecoder().decode(value) == [row]
    True
    """
    chunks = [rows[i : i + MAX_ROWS] for i in range(0, len(rows), MAX_ROWS)]
    return [value for chunk in chunks for value in _encoded(chunk)]


def _encoded(rows: Sequence[DetectableRow]) -> list[bytes]:
    """Write rows as one value, or as two of half of them."""
    value = DETECTABLE_PREFIX + msgspec.msgpack.encode(list(rows))
    if len(value) <= MAX_VALUE_BYTES or len(rows) <= 1:
        return [value]
    middle = len(rows) // 2
    return _encoded(rows[:middle]) + _encoded(rows[middle:])


class DetectableDecoder:
    """Reads what :func:`encode_detectable` wrote."""

    def decode(self, value: bytes) -> list[DetectableRow]:
        """Return the rows of one message.

        Raises
        ------
        TransportError
            If it is no such message, or a row holds a value that none can have.
        """
        try:
            if not value.startswith(DETECTABLE_PREFIX):
                raise DomainError("no message of detectable changes")
            found = _DECODER.decode(memoryview(value)[len(DETECTABLE_PREFIX) :])
            for row in found:
                _check(row)
        except (*DECODE_ERRORS, DomainError) as error:
            raise TransportError(str(error), where="results") from None
        return found


def _check(row: DetectableRow) -> None:
    """Check what the types do not say."""
    for name in ("tenant", "model", "model_version", "profile_id", "feature", "segment"):
        check_text(name, getattr(row, name))
    check_time("time_us", row.time_us)
    check_number("horizon_s", row.horizon_s, 1, MAX_OFFSET)
    for name in _NUMBERS:
        number = getattr(row, name)
        if number is not None and not 0 <= number <= _LARGEST:
            raise DomainError(f"{name} is {number}")
