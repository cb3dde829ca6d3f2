"""JSON strings without escapes: where they end, and whether they are UTF-8."""

from __future__ import annotations

import numpy as np

from detectors.kernels.jit import inlined, kernel
from monitor.decode.memory import Address, load_byte, non_texts, trailing_zeros


@kernel
def utf8_end(p: Address, end: Address) -> Address:
    """Address after a run of well-formed non-ASCII UTF-8 in [p, end), or -1.

    Notes
    -----
    The well-formed byte sequences of The Unicode Standard 15, table 3-7: no
    overlong forms, no surrogates, nothing above U+10FFFF. Reads at most three
    bytes past a truncated sequence.
    """
    while p < end:
        lead = load_byte(p)
        if lead < 0x80:
            break
        second = load_byte(p + 1)
        if 0xC2 <= lead <= 0xDF:
            if second & 0xC0 != 0x80:
                return -1
            p += 2
            continue
        third = load_byte(p + 2)
        if 0xE0 <= lead <= 0xEF:
            low = 0xA0 if lead == 0xE0 else 0x80
            high = 0x9F if lead == 0xED else 0xBF
            if second < low or second > high or third & 0xC0 != 0x80:
                return -1
            p += 3
            continue
        low = 0x90 if lead == 0xF0 else 0x80
        high = 0x8F if lead == 0xF4 else 0xBF
        if lead < 0xF0 or lead > 0xF4 or second < low or second > high:
            return -1
        if third & 0xC0 != 0x80 or load_byte(p + 3) & 0xC0 != 0x80:
            return -1
        p += 4
    return p


@inlined
def string_end(p: Address, end: Address) -> Address:
    """Address of the quote that closes the string whose text starts at p, or -1.

    32 bytes a step. -1: an escape, a control character, invalid UTF-8, or no quote
    before ``end`` (a hit up to 31 bytes later is the caller's to refuse).
    """
    q = p
    found = np.int64(-1)
    while q < end:
        flags = non_texts(q)
        if flags == 0:
            q += 32
            continue
        q += trailing_zeros(np.uint64(flags))
        byte = load_byte(q)
        if byte < 0x80:
            if byte == 0x22:
                found = q
            break
        q = utf8_end(q, end)
        if q < 0:
            break
    return found
