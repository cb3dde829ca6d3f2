"""The table behind the dictionaries: no choice of texts makes it slow."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from monitor.decode import interning
from monitor.decode.dictionaries import HAS_KERNELS, MAX_VALUES, Dictionaries

PRINTABLE = [chr(c) for c in range(0x21, 0x7F) if chr(c) not in '"\\']
FLOODS = {
    "last two of eight bytes": [
        "AAAAAA" + a + b for a, b in itertools.product(PRINTABLE, repeat=2)
    ],
    "first two of eight bytes": [
        a + b + "AAAAAA" for a, b in itertools.product(PRINTABLE, repeat=2)
    ],
    "one byte of each word": [
        f"AAAA{a}AAAAAAA{b}AAA" for a, b in itertools.product(PRINTABLE, repeat=2)
    ],
    "last byte of two words": [
        f"AAAAAAA{a}AAAAAAA{b}" for a, b in itertools.product(PRINTABLE, repeat=2)
    ],
    "single bits": ["".join("p" if n >> k & 1 else "P" for k in range(13)) for n in range(1 << 13)],
    "counted": [f"{n:08d}" for n in range(9_000)],
    "lengths": ["A" * n for n in range(4_000)],
}

NEAR = 16
"""Of 150 secrets each, the worst flood had a median of .06, 3.7 in the 99th percentile and
5.0 at most: one product leaves a lattice. Texts that share one place give thousands."""


def mean_distance(known: Dictionaries) -> float:
    """Return how far entries lie from their own place, on average: what a lookup walks."""
    table = known._table
    places = np.flatnonzero(table)
    entries = (table[places] - known._entries.ctypes.data) // interning.ENTRY_BYTES
    home = known._entries[entries, 0].view(np.uint64) & np.uint64(len(table) - 1)
    return float(((places - home.astype(np.int64)) % len(table)).mean())


@pytest.mark.skipif(not HAS_KERNELS, reason="not permitted here: kernels are not compiled")
@pytest.mark.parametrize("name", FLOODS)
def test_texts_that_differ_anywhere_do_not_share_places(name: str) -> None:
    for _ in range(5):  # the secrets differ
        known = Dictionaries(1)
        known.encode(0, FLOODS[name])
        assert mean_distance(known) < NEAR


@pytest.mark.skipif(not HAS_KERNELS, reason="not permitted here: kernels are not compiled")
def test_one_text_in_many_dictionaries_does_not_share_places() -> None:
    known = Dictionaries(5_000)
    for dictionary in range(5_000):
        known.encode(dictionary, ["v1"])
    assert mean_distance(known) < NEAR


@pytest.mark.skipif(not HAS_KERNELS, reason="kernels add nothing")
def test_texts_of_a_message_that_failed_outlast_another_dictionarys_renewal():
    d = Dictionaries(2)
    d.encode(0, [f"v{i}" for i in range(MAX_VALUES)])
    d.grow()
    text = np.frombuffer(b"x" + bytes(15), np.uint8)
    added = interning.add_text(d.state, 1, text.ctypes.data, 1, interning.NEW)
    d.renew(1)
    assert (added, d.values) == (0, [[], ["x"]])
    assert d.encode(1, ["y", "x"]).tolist() == [1, 0]
