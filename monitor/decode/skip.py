"""Values that are ignored: where they end, and whether they are JSON.

What is accepted is what msgspec accepts of a field it does not know: the whole grammar,
numbers of any size, escapes with paired surrogates, UTF-8 unchecked; and bare ``NaN``,
``Infinity`` and ``-Infinity``, which :mod:`monitor.decode.strict` reads as null. A value nested
deeper than ``MAX_DEPTH`` is left to msgspec, whose limit depends on the stack.
"""

from __future__ import annotations

import numpy as np

from detectors.kernels.jit import inlined, kernel
from monitor.decode.memory import (
    Address,
    Word,
    commas,
    escapes_and_controls,
    leading_zeros,
    load_byte,
    load_word,
    non_digits,
    quotes,
    spaces,
    trailing_zeros,
)
from monitor.decode.strings import text_end

MAX_DEPTH = 63
"""One bit each: whether a level is an object."""

_LOW3, _LOW4 = np.uint64(0xFFFFFF), np.uint64(0xFFFFFFFF)
_0, _1, _63 = np.uint64(0), np.uint64(1), np.uint64(63)
_NULL, _TRUE, _FALS = np.uint64(0x6C6C756E), np.uint64(0x65757274), np.uint64(0x736C6166)
_NAN, _INFINITY = np.uint64(0x4E614E), np.uint64(int.from_bytes(b"Infinity", "little"))
_BEHIND = np.int64(1 << 16)


@inlined
def blank_end(p: Address, end: Address) -> Address:
    """Address of the first byte from p on that is no whitespace; ``end`` at most."""
    q = p
    while q < end:
        byte = load_byte(q)
        if byte > 0x20 or (byte != 0x20 and byte != 0x0A and byte != 0x0D and byte != 0x09):
            break
        q += 1
    return q


@inlined
def digits_end(p: Address, end: Address) -> Address:
    """Address of the first byte from p on that is no digit."""
    q = p
    while True:
        n = trailing_zeros(np.uint64(non_digits(q) | _BEHIND))
        q += n
        if n < 16 or q >= end:
            break
    return q


@kernel
def number_end(p: Address, end: Address) -> Address:
    """Address after the JSON number at p, or -1. Up to 15 bytes take one vector comparison."""
    minus = np.int64(load_byte(p) == 0x2D)
    others = (non_digits(p) | _BEHIND) & ~minus
    after = trailing_zeros(np.uint64(others))
    n = after - minus
    if load_byte(p + after) == 0x2E:
        after = trailing_zeros(np.uint64(others & (others - 1)))
    is_usual = n > 0 and after < 16 and after != minus + n + 1
    if (
        is_usual
        and (n == 1 or load_byte(p + minus) != 0x30)
        and load_byte(p + after) | 0x20 != 0x65
    ):
        return p + after
    if load_byte(p) == 0x2D:
        p += 1
    q = digits_end(p, end)
    if q == p or (load_byte(p) == 0x30 and q - p > 1):
        return -1
    byte = load_byte(q)
    if byte == 0x2E:
        p = q + 1
        q = digits_end(p, end)
        if q == p:
            return -1
        byte = load_byte(q)
    if byte | 0x20 == 0x65:
        p = q + 1
        byte = load_byte(p)
        if byte == 0x2B or byte == 0x2D:
            p += 1
        q = digits_end(p, end)
        if q == p:
            return -1
    return q


@kernel
def word_end(p: Address) -> Address:
    """Address after null, true, false, NaN, Infinity or -Infinity at p, or -1."""
    word = load_word(p)
    if word & _LOW4 == _NULL or word & _LOW4 == _TRUE:
        return p + 4
    if word & _LOW4 == _FALS and load_byte(p + 4) == 0x65:
        return p + 5
    if word & _LOW3 == _NAN:
        return p + 3
    if word == _INFINITY:
        return p + 8
    if word & np.uint64(0xFF) == np.uint64(0x2D) and load_word(p + 1) == _INFINITY:
        return p + 9
    return -1


@kernel
def key_end(p: Address, end: Address) -> Address:
    """Address of the value whose key is at p, or -1."""
    q = np.int64(-1)
    if p < end and load_byte(p) == 0x22:
        q = text_end(p + 1, end)
        if q >= 0:
            q = blank_end(q + 1, end)
            is_good = q < end and load_byte(q) == 0x3A
            q = blank_end(q + 1, end) if is_good else np.int64(-1)
    return q


@inlined
def ranges(word: Word) -> Word:
    """Prefix XOR: bits from every other set bit up to the one before the next set bit."""
    word ^= word << np.uint64(1)
    word ^= word << np.uint64(2)
    word ^= word << np.uint64(4)
    word ^= word << np.uint64(8)
    word ^= word << np.uint64(16)
    word ^= word << np.uint64(32)
    return word


@kernel
def last_text(p: Address, end: Address) -> Address:
    """Address of the last opening quote up to which a list of texts is valid.

    Parameters
    ----------
    p : int
        Where a text of the list begins.

    Notes
    -----
    64 bytes at a time, while texts without escapes are separated by ``,`` or ``, ``: 2 ns a
    text, one by one 8. The caller reads on from the address, in the usual way.

    References
    ----------
    G. Langdale, D. Lemire, Parsing gigabytes of JSON per second, The VLDB Journal 28, 2019,
    section 3.1: which bytes are in a text, from the quotes.
    """
    found = p
    is_text, after_close, after_comma, after_space = _0, _0, _0, _1
    while p + 64 <= end and escapes_and_controls(p) == _0:
        quote = quotes(p)
        text = ranges(quote) ^ is_text
        opening, closing = quote & text, quote & ~text
        between = ~(text | quote)
        comma, space = commas(p) & between, spaces(p) & between
        follows = (comma | space) << _1 | after_comma | after_space
        is_good = (
            between == comma | space
            and comma == closing << _1 | after_close
            and follows == space | opening
            and space & ~(comma << _1 | after_comma) == _0
        )
        if not is_good:
            break
        if opening != _0:
            found = p + 63 - leading_zeros(opening)
        is_text = _0 - (text >> _63)
        after_close, after_comma, after_space = closing >> _63, comma >> _63, space >> _63
        p += 64
    return found


@kernel
def skip_value(p: Address, end: Address) -> Address:
    """Address after the value at p, or -1 where it is none or does not end before ``end``.

    Notes
    -----
    Reads at most 40 bytes past ``end``. About 7 ns for a short text in a list.
    """
    depth = 0
    objects = np.uint64(0)
    look_at = p
    while p < end:
        byte = load_byte(p)
        if byte == 0x22:
            if p >= look_at and depth > 0 and objects & _1 == _0:
                p = last_text(p, end)
                look_at = p + 256  # where it stopped it would stop again
            p = text_end(p + 1, end) + 1
            if p == 0:
                return -1
        elif byte == 0x7B or byte == 0x5B:
            p = blank_end(p + 1, end)
            if load_byte(p) == byte + 2:
                p += 1
            else:
                if depth == MAX_DEPTH:
                    return -1
                depth += 1
                objects <<= _1
                if byte == 0x7B:
                    objects |= _1
                    p = key_end(p, end)
                    if p < 0:
                        return -1
                continue
        else:
            after = np.int64(-1)
            if byte == 0x2D or 0x30 <= byte <= 0x39:
                after = number_end(p, end)
            if after < 0:
                after = word_end(p)
            if after < 0:
                return -1
            p = after
        while True:
            if depth == 0:
                return p if p <= end else np.int64(-1)
            p = blank_end(p, end)
            if p >= end:
                return -1
            byte = load_byte(p)
            if byte == 0x2C:
                p = blank_end(p + 1, end)
                if objects & _1:
                    p = key_end(p, end)
                    if p < 0:
                        return -1
                break
            if byte != (0x7D if objects & _1 else 0x5D):
                return -1
            depth -= 1
            objects >>= _1
            p += 1
    return -1
