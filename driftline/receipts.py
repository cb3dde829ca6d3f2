"""Receipts: what a label needs to know of its prediction, as a short text.

A service stores it like an id, and gives it back with the label. It is ``dlr1_`` and, in URL-safe
base64, a checksum (CRC-32, over tenant and model too) and a MessagePack array of the fields of
:class:`Carried`, without the absent ones at its end. Later versions have another number.
"""

from __future__ import annotations

import base64
import binascii
import math
import re
import zlib

import msgspec

PREFIX = "dlr1_"
_ANY_VERSION = re.compile(r"dlr[0-9]+_")
_IS_HEX = re.compile(r"[0-9a-f]{32}")
_CHECKSUM_BYTES = 4


class Carried(msgspec.Struct, array_like=True, frozen=True):
    """What a receipt holds; the fields are those of ``LabelEvent``."""

    id: str | tuple[int, int]
    """An id of 32 hexadecimal digits is packed as two integers."""
    prediction_time_us: int
    model_version: str | None = None
    score: float | None = None
    prediction: str | None = None
    segments: dict[str, str | None] = {}
    host: str | None = None
    gpu_uuid: str | None = None
    scores: dict[str, float] = {}
    group: str | None = None


_DECODER = msgspec.msgpack.Decoder(Carried)


def is_receipt(text: str) -> bool:
    """Return whether a text is a receipt, of whatever version, and not an ordinary id.

    Examples
    --------
    >>> is_receipt("dlr1_aGVsbG8"), is_receipt("dlr7_x"), is_receipt("case 7")
    (True, True, False)
    """
    return text.startswith("dlr") and _ANY_VERSION.match(text) is not None


def pack(carried: Carried, tenant: str, model: str) -> str:
    """Return the receipt of a prediction.

    Examples
    --------
    >>> pack(Carried("case 7", 1_700_000_000_000_000, score=0.5), "default", "loans")
    'dlr1_Nq01rJSmY2FzZSA3zwAGCiQYHkAAwMs_4AAAAAAAAA'
    """
    values = list(msgspec.structs.astuple(carried))
    if isinstance(carried.id, str) and _IS_HEX.fullmatch(carried.id):
        values[0] = divmod(int(carried.id, 16), 1 << 64)
    while not values[-1] and values[-1] not in (0.0, ""):
        del values[-1]
    body = msgspec.msgpack.encode(values)
    checksum = _checksum(body, tenant, model)
    return PREFIX + _text(checksum + body)


def unpack(receipt: str, tenant: str, model: str) -> Carried:
    """Return what a receipt holds.

    Raises
    ------
    ValueError
        If it is damaged, of another model, or of a later version, or holds a number that no
        prediction has.

    Examples
    --------
    >>> receipt = pack(Carried("case 7", 5, prediction="1"), "default", "loans")
    >>> unpack(receipt, "default", "loans").id
    'case 7'
    >>> unpack(receipt[:-1], "default", "loans")
    Traceback (most recent call last):
    ValueError: the receipt is damaged, or of another model
    """
    if not receipt.startswith(PREFIX):
        raise ValueError(f"the receipt is of another version than {PREFIX[:-1]}")
    text = receipt[len(PREFIX) :]
    try:
        packed = base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True)
        checksum, body = packed[:_CHECKSUM_BYTES], packed[_CHECKSUM_BYTES:]
        if checksum != _checksum(body, tenant, model) or _text(packed) != text:
            raise ValueError("checksum, or spare bits of base64")
        carried = _DECODER.decode(body)
        _check_numbers(carried)
    except (ValueError, binascii.Error, msgspec.MsgspecError, RecursionError):
        raise ValueError("the receipt is damaged, or of another model") from None
    if isinstance(carried.id, str):
        return carried
    high, low = carried.id
    return msgspec.structs.replace(carried, id=f"{high << 64 | low:032x}")


def _check_numbers(carried: Carried) -> None:
    """Raise ValueError for an integer outside [0, 2**64) or a score that is not finite."""
    integers = [carried.prediction_time_us]
    if not isinstance(carried.id, str):
        integers += carried.id
    if not all(0 <= number < 1 << 64 for number in integers):
        raise ValueError("integer out of range")
    scores = [*carried.scores.values(), carried.score or 0.0]
    if not all(map(math.isfinite, scores)):
        raise ValueError("score that is not finite")


def _text(packed: bytes) -> str:
    """Return bytes as URL-safe base64, without padding."""
    return base64.urlsafe_b64encode(packed).rstrip(b"=").decode()


def _checksum(body: bytes, tenant: str, model: str) -> bytes:
    """Return the checksum of a receipt's body, of its tenant and its model."""
    whose = zlib.crc32(f"{tenant}\0{model}\0".encode())
    return zlib.crc32(body, whose).to_bytes(_CHECKSUM_BYTES, "big")
