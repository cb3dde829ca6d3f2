"""The hash table behind the dictionaries, seen from kernels: bytes to codes.

One table serves all dictionaries of a decoder. An entry is six int64: hash,
dictionary, code, address of its bytes, their number, unused. Several texts may have one
code: those of one form (``True`` and ``true``). Bytes lie in an
arena, each entry on an eight-byte boundary and zero-filled to the next, so that
comparing is whole words. ``state`` is the address of the int64 cells below.
"""

from __future__ import annotations

import numpy as np

from detectors.kernels.jit import inlined, kernel
from monitor.decode.memory import (
    Address,
    Word,
    load_byte,
    load_int,
    load_word,
    multiply_high,
    store_byte,
    store_code,
    store_int,
    store_word,
)

TABLE, MASK, ENTRIES, ARENA, N_ENTRIES, MAX_ENTRIES, USED_BYTES, MAX_BYTES, SIZES, SEED, FACTOR = (
    8 * i for i in range(11)
)
"""Byte offsets in ``state``: addresses of table, entries, arena and of each dictionary's
size; the table's length less one; how much is used and how much there is; the two secrets
of the hash, of which the factor is odd."""

N_STATE = 11
ENTRY_BYTES = 48

NUMBER = 1 << 32
"""Added to a dictionary's number: the text is a bare JSON number, of which ``1e2`` is 100;
as a string it is the text ``1e2``."""
ESCAPED = 1 << 33
"""Added likewise: the text has escapes, and stands for what they spell."""
_DICTIONARY = NUMBER - 1

NEW, MISSING = -1, -2
"""Codes: of a text that is not known; of one that is known to stand for no value."""
NO_ROOM = -3

_MIX = np.uint64(0x9E3779B97F4A7C15)
_ALL = np.uint64(0xFFFFFFFFFFFFFFFF)


@inlined
def tail_mask(n_bytes: int) -> Word:
    """Mask that keeps the first n_bytes (1 to 8) of a word."""
    return _ALL >> np.uint64(64 - 8 * n_bytes)


@inlined
def folded(a: Word, b: Word) -> Word:
    """Multiply to 128 bits, and xor the halves: every bit of ``a`` reaches the low bits."""
    return multiply_high(a, b) ^ (a * b)


@inlined
def hash_text(text: Address, n_bytes: int, dictionary: int, state: Address) -> Word:
    """Hash a text of a dictionary under the secrets of this decoder.

    A product modulo 2**64 carries nothing from the high bits of a word to the low bits
    of the result, by which the table is indexed: texts that differ in their last two
    bytes only shared one place, and slowed decoding forty-fold. Folding the upper half of
    the product in brings them down. Which texts share a place depends on both secrets.
    """
    factor = load_word(state + FACTOR)
    h = load_word(state + SEED) ^ (np.uint64(dictionary) * _MIX + np.uint64(n_bytes))
    at = 0
    while at < n_bytes:
        w = load_word(text + at)
        rest = n_bytes - at
        if rest < 8:
            w &= tail_mask(rest)
        h = folded(h ^ w, factor)
        at += 8
    return h


@inlined
def is_text(entry: Address, hashed: Word, dictionary: int, text: Address, n_bytes: int) -> bool:
    """Whether an entry is this text of this dictionary."""
    same = (
        load_word(entry) == hashed
        and load_int(entry + 8) == dictionary
        and load_int(entry + 32) == n_bytes
    )
    if same:
        stored = load_int(entry + 24)
        at = 0
        while at < n_bytes:
            w = load_word(text + at)
            rest = n_bytes - at
            if rest < 8:
                w &= tail_mask(rest)
            if w != load_word(stored + at):
                same = False
                break
            at += 8
    return same


@inlined
def find_code(state: Address, dictionary: int, text: Address, n_bytes: int) -> int:
    """Code of a text, ``MISSING``, or ``NEW``."""
    hashed = hash_text(text, n_bytes, dictionary, state)
    table, mask = load_int(state + TABLE), load_int(state + MASK)
    at = np.int64(hashed) & mask
    code = np.int64(-1)
    while True:
        entry = load_int(table + 8 * at)
        if entry == 0:
            break
        if is_text(entry, hashed, dictionary, text, n_bytes):
            code = load_int(entry + 16)
            break
        at = (at + 1) & mask
    return code


@kernel
def add_text(state: Address, dictionary: int, text: Address, n_bytes: int, given: int) -> int:
    """Code of a text, added under the code given if it is not known; or ``NO_ROOM``.

    ``NEW`` gives it the dictionary's next code.
    """
    code = find_code(state, dictionary, text, n_bytes)
    if code != NEW:
        return code
    n, used = load_int(state + N_ENTRIES), load_int(state + USED_BYTES)
    n_words = (n_bytes + 7) >> 3
    if n >= load_int(state + MAX_ENTRIES) or used + 8 * n_words > load_int(state + MAX_BYTES):
        return NO_ROOM
    stored = load_int(state + ARENA) + used
    for k in range(n_words):
        w = load_word(text + 8 * k)
        rest = n_bytes - 8 * k
        if rest < 8:
            w &= tail_mask(rest)
        store_word(stored + 8 * k, w)
    sizes = load_int(state + SIZES) + 8 * (dictionary & _DICTIONARY)
    code = given
    if given == NEW:
        code = load_int(sizes)
        store_int(sizes, code + 1)
    entry = load_int(state + ENTRIES) + ENTRY_BYTES * n
    store_word(entry, hash_text(text, n_bytes, dictionary, state))
    store_int(entry + 8, dictionary)
    store_int(entry + 16, code)
    store_int(entry + 24, stored)
    store_int(entry + 32, n_bytes)
    store_int(state + N_ENTRIES, n + 1)
    store_int(state + USED_BYTES, used + 8 * n_words)
    _place(state, entry)
    return code


@kernel
def encode_texts(
    state: Address,
    dictionary: int,
    texts: Address,
    n_bytes: int,
    bounds: Address,
    is_there: Address,
    codes: Address,
    first: int,
    n: int,
    padded: Address,
) -> int:
    """Write the code of each text from ``first`` on; return where there was no room left.

    ``bounds`` are n + 1 int64, ``is_there`` n bytes, or 0 where every text is there. There
    is room for the longest text and eight bytes at ``padded``: words are read whole, and
    must not be read past the last of the ``n_bytes`` texts.
    """
    for i in range(first, n):
        if is_there != 0 and load_byte(is_there + i) == 0:
            continue
        start = load_int(bounds + 8 * i)
        length = load_int(bounds + 8 * i + 8) - start
        text = texts + start
        if start + length + 8 > n_bytes:
            for k in range(length):
                store_byte(padded + k, load_byte(text + k))
            text = padded
        code = add_text(state, dictionary, text, length, NEW)
        if code == NO_ROOM:
            return i
        store_code(codes + 4 * i, max(code, -1))
    return n


@kernel
def _place(state: Address, entry: Address) -> None:
    """Enter an entry in the table's first free place."""
    table, mask = load_int(state + TABLE), load_int(state + MASK)
    at = load_int(entry) & mask
    while load_int(table + 8 * at) != 0:
        at = (at + 1) & mask
    store_int(table + 8 * at, entry)


@kernel
def rebuild(state: Address, old_entries: Address, n_old: int, dropped: int) -> None:
    """Copy entries, except those of dictionary ``dropped``, into an empty table and arena."""
    n, used = 0, 0
    for i in range(n_old):
        old = old_entries + ENTRY_BYTES * i
        if load_int(old + 8) & _DICTIONARY == dropped:
            continue
        n_bytes = load_int(old + 32)
        stored = load_int(state + ARENA) + used
        for k in range((n_bytes + 7) >> 3):
            store_word(stored + 8 * k, load_word(load_int(old + 24) + 8 * k))
        entry = load_int(state + ENTRIES) + ENTRY_BYTES * n
        for k in range(5):
            store_int(entry + 8 * k, load_int(old + 8 * k))
        store_int(entry + 24, stored)
        _place(state, entry)
        n += 1
        used += 8 * ((n_bytes + 7) >> 3)
    store_int(state + N_ENTRIES, n)
    store_int(state + USED_BYTES, used)
