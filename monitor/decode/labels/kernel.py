"""The label kernel: JSON events into columns, field by field.

Labels have few fields, the same for all models, so no layout is learned: the keys are compared
with the known ones. An event is taken when the kernel is certain of every field; any other (an
escape, a repeated key, an envelope, a value of another type, a fault) is left to msgspec.
"""

from __future__ import annotations

import numpy as np

from detectors.kernels.jit import inlined, kernel
from monitor.decode.interning import NEW, NO_ROOM, add_text
from monitor.decode.kernel import integer_end, is_literal, parse_decimal, parse_number
from monitor.decode.memory import (
    Address,
    load_byte,
    load_int,
    load_word,
    store_code,
    store_float,
    store_int,
)
from monitor.decode.numbers import digits_value
from monitor.decode.skip import blank_end, skip_value
from monitor.decode.strings import string_end

TEXTS = ("tenant", "model", "label", "model_version", "prediction", "group", "host", "gpu_uuid")
"""Fields that are dictionary-coded: column and dictionary are the index."""
SCORE_KEYS, SEGMENT_KEYS, SEGMENT_VALUES = (len(TEXTS) + i for i in range(3))
"""Dictionaries of what is in ``scores`` and ``segments``."""
N_DICTIONARIES = len(TEXTS) + 3

OTHER_FIELDS = (
    *("id", "time_us", "prediction_time_us", "score", "scores", "segments", "specversion"),
)
KEYS = (*TEXTS, *OTHER_FIELDS)
KEY_BYTES = 32
"""Of a known key: its length, and its text, zero-filled."""

(
    BASE, STARTS, ENDS, STATES, N_ROWS, MAX_EVENT, CODES, IDS, TIMES, PREDICTED, VALUES, SCORES,
    SCORE_ENDS, SCORE_NAMES, SCORE_VALUES, SEGMENT_ENDS, SEGMENT_NAMES, SEGMENT_TEXTS, DICTIONARIES,
    POWERS, KNOWN_KEYS,
) = (8 * i for i in range(21))  # fmt: skip
"""Byte offsets in ``frame``: addresses of the buffer, of int64 starts and ends in it, of a state
for each event; the number of events, the longest one; addresses of the columns, of the entries of
maps and where those of each event end, of the dictionaries, of powers of ten and of the keys."""
N_FRAME = 21

LEFT, TAKEN = 0, 1
"""States of an event."""

_LABEL, _N_KEYS, _N_TEXTS = TEXTS.index("label"), len(KEYS), len(TEXTS)
_MODEL = TEXTS.index("model")
_ID, _TIME, _PREDICTED, _SCORE, _SCORES, _SEGMENTS, _ = (
    len(TEXTS) + i for i in range(len(OTHER_FIELDS))
)
_REQUIRED = 1 << _ID | 1 << _TIME | 1 << _LABEL | 1 << _MODEL
_NULL, _LOW4 = np.uint64(0x6C6C756E), np.uint64(0xFFFFFFFF)
_MAX_ENTRIES = 64
"""Entries of one map that are compared with each other, so that no key is there twice."""


def known_keys() -> np.ndarray:
    """Return the keys as the kernel compares them."""
    table = np.zeros((len(KEYS), KEY_BYTES), np.uint8)
    for row, name in zip(table, KEYS, strict=True):
        row[:8] = np.array([len(name)]).view(np.uint8)
        row[8 : 8 + len(name)] = np.frombuffer(name.encode(), np.uint8)
    return table


@kernel
def field_of(text: Address, n_bytes: int, keys: Address) -> int:
    """Index of a key in ``KEYS``; -1 if it is unknown."""
    for k in range(_N_KEYS):
        known = keys + KEY_BYTES * k
        if load_int(known) == n_bytes and is_literal(text, known + 8, n_bytes):
            return k
    return -1


@inlined
def time_value(p: Address, end: Address, powers: Address) -> int:
    """Value of the digits in [p, end)."""
    value = np.int64(0)
    at = p
    while at < end:
        some = min(end - at, 8)
        value = value * load_int(powers + 8 * some) + np.int64(digits_value(load_word(at), some))
        at += some
    return value


@kernel
def any_number(p: Address, powers: Address) -> tuple[float, Address]:
    """(value, address after it) of the number at p; address -1 where it is not certain."""
    value, after = parse_decimal(p, powers)
    if after < 0:
        value, after = parse_number(p, powers)
    return value, after


@kernel
def read_map(
    p: Address, end: Address, frame: Address, first: int, is_score: bool
) -> tuple[Address, int]:
    """(address after the object at p, entries so far) with its entries written behind ``first``.

    Address -1 where the kernel is not certain, -2 where a dictionary has no room.
    """
    state, powers = load_int(frame + DICTIONARIES), load_int(frame + POWERS)
    names = load_int(frame + (SCORE_NAMES if is_score else SEGMENT_NAMES))
    values = load_int(frame + (SCORE_VALUES if is_score else SEGMENT_TEXTS))
    keys = SCORE_KEYS if is_score else SEGMENT_KEYS
    n = first
    if load_byte(p) != 0x7B:
        return np.int64(-1), n
    p = blank_end(p + 1, end)
    if load_byte(p) == 0x7D:
        return p + 1, n
    while True:
        if load_byte(p) != 0x22 or n - first >= _MAX_ENTRIES:
            return np.int64(-1), n
        quote = string_end(p + 1, end)
        if quote < 0:
            return np.int64(-1), n
        name = add_text(state, keys, p + 1, quote - p - 1, NEW)
        if name == NO_ROOM:
            return np.int64(-2), n
        for k in range(first, n):
            if load_int(names + 8 * k) == name:
                return np.int64(-1), n
        p = blank_end(quote + 1, end)
        if load_byte(p) != 0x3A:
            return np.int64(-1), n
        p = blank_end(p + 1, end)
        if p >= end:
            return np.int64(-1), n
        if is_score:
            value, p = any_number(p, powers)
            if p < 0:
                return np.int64(-1), n
            store_float(values + 8 * n, value)
        else:
            code = np.int64(-1)
            if load_byte(p) == 0x22:
                quote = string_end(p + 1, end)
                if quote < 0:
                    return np.int64(-1), n
                code = add_text(state, SEGMENT_VALUES, p + 1, quote - p - 1, NEW)
                if code == NO_ROOM:
                    return np.int64(-2), n
                p = quote + 1
            elif load_word(p) & _LOW4 == _NULL:
                p += 4
            else:
                return np.int64(-1), n
            store_int(values + 8 * n, code)
        store_int(names + 8 * n, name)
        n += 1
        p = blank_end(p, end)
        byte = load_byte(p)
        if p >= end or (byte != 0x2C and byte != 0x7D):
            return np.int64(-1), n
        p = blank_end(p + 1, end) if byte == 0x2C else p + 1
        if byte == 0x7D:
            return p, n


@kernel
def read_label(
    p: Address, end: Address, frame: Address, i: int, n_scores: int, n_segments: int
) -> tuple[int, int, int]:
    """(state, score entries, segment entries) after the event in [p, end).

    State -2 where a dictionary has no room.
    """
    state, powers = load_int(frame + DICTIONARIES), load_int(frame + POWERS)
    codes, n_rows = load_int(frame + CODES), load_int(frame + N_ROWS)
    base, keys = load_int(frame + BASE), load_int(frame + KNOWN_KEYS)
    p = blank_end(p, end)
    if p >= end or load_byte(p) != 0x7B:
        return LEFT, n_scores, n_segments
    seen = np.int64(0)
    p = blank_end(p + 1, end)
    while True:
        if p >= end or load_byte(p) != 0x22:
            return LEFT, n_scores, n_segments
        quote = string_end(p + 1, end)
        if quote < 0 or quote >= end:
            return LEFT, n_scores, n_segments
        field = field_of(p + 1, quote - p - 1, keys)
        p = blank_end(quote + 1, end)
        if p >= end or load_byte(p) != 0x3A:
            return LEFT, n_scores, n_segments
        p = blank_end(p + 1, end)
        if p >= end:
            return LEFT, n_scores, n_segments
        if field < 0:
            p = skip_value(p, end)
        elif seen >> field & 1:
            p = np.int64(-1)
        elif field < _N_TEXTS or field == _ID:
            if load_byte(p) == 0x22:
                quote = string_end(p + 1, end)
                n_bytes = quote - p - 1
                if quote < 0:
                    p = np.int64(-1)
                elif field == _ID:
                    store_int(load_int(frame + IDS) + 16 * i, p + 1 - base)
                    store_int(load_int(frame + IDS) + 16 * i + 8, n_bytes)
                    p = quote + 1
                else:
                    code = add_text(state, field, p + 1, n_bytes, NEW)
                    if code == NO_ROOM:
                        return -2, n_scores, n_segments
                    store_code(codes + 4 * (field * n_rows + i), code)
                    p = quote + 1
            elif field == _LABEL:
                value, p = any_number(p, powers)
                store_float(load_int(frame + VALUES) + 8 * i, value)
            elif field > _LABEL and field != _ID and load_word(p) & _LOW4 == _NULL:
                p += 4
            else:
                p = np.int64(-1)
        elif field in (_TIME, _PREDICTED):
            after = integer_end(p)
            if after >= 0 and load_byte(p) != 0x2D:
                column = load_int(frame + (TIMES if field == _TIME else PREDICTED))
                store_int(column + 8 * i, time_value(p, after, powers))
                p = after
            elif field == _PREDICTED and load_word(p) & _LOW4 == _NULL:
                p += 4
            else:
                p = np.int64(-1)
        elif field == _SCORE:
            if load_word(p) & _LOW4 == _NULL:
                p += 4
            else:
                value, p = any_number(p, powers)
                store_float(load_int(frame + SCORES) + 8 * i, value)
        elif field == _SCORES:
            p, n_scores = read_map(p, end, frame, n_scores, True)
        elif field == _SEGMENTS:
            p, n_segments = read_map(p, end, frame, n_segments, False)
        else:  # an envelope
            p = np.int64(-1)
        if p < 0:
            return (LEFT if p == -1 else -2), n_scores, n_segments
        if field >= 0:
            seen |= np.int64(1) << field
        p = blank_end(p, end)
        byte = load_byte(p)
        if p >= end or (byte != 0x2C and byte != 0x7D):
            return LEFT, n_scores, n_segments
        if byte == 0x7D:
            break
        p = blank_end(p + 1, end)
    is_whole = blank_end(p + 1, end) == end and seen & _REQUIRED == _REQUIRED
    return (TAKEN if is_whole else LEFT), n_scores, n_segments


@kernel
def decode_labels(frame: Address, begin: int, n: int) -> int:
    """Decode events from ``begin`` on; return where a dictionary had no room, else n.

    Reads up to ``memory.PAD_BYTES`` past the last event's end.
    """
    base, starts, ends = load_int(frame + BASE), load_int(frame + STARTS), load_int(frame + ENDS)
    states, longest = load_int(frame + STATES), load_int(frame + MAX_EVENT)
    score_ends, segment_ends = load_int(frame + SCORE_ENDS), load_int(frame + SEGMENT_ENDS)
    for i in range(begin, n):
        start, end = load_int(starts + 8 * i), load_int(ends + 8 * i)
        n_scores = load_int(score_ends + 8 * i)  # those before event i
        n_segments = load_int(segment_ends + 8 * i)
        state, more_scores, more_segments = LEFT, n_scores, n_segments
        if end - start <= longest:
            state, more_scores, more_segments = read_label(
                base + start, base + end, frame, i, n_scores, n_segments
            )
        if state == -2:
            return i
        is_taken = state == TAKEN
        store_int(states + 8 * i, state)
        store_int(score_ends + 8 * i + 8, more_scores if is_taken else n_scores)
        store_int(segment_ends + 8 * i + 8, more_segments if is_taken else n_segments)
    return n
