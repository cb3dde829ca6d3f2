"""Mutated JSON events between pages without access: both decoders agree, and read no further.

DRIFTLINE_FUZZ_INPUTS and DRIFTLINE_FUZZ_SEED as for the others in this folder.
"""

from __future__ import annotations

import os
import random
from typing import Any

import pytest

from monitor.decode import Decoder, batches, fast
from monitor.decode.memory import PAD_BYTES
from schemas.events import RejectReason
from tests.fuzz.mutation import flip
from tests.support import decoding
from tests.support.guard_pages import guarded, guarded_chunk

N_INPUTS = int(os.environ.get("DRIFTLINE_FUZZ_INPUTS", "200"))
SEED = int(os.environ.get("DRIFTLINE_FUZZ_SEED", "1"))
N_EVENTS = 300
"""Of an input, at most."""
SCHEMAS = [decoding.SCHEMA, decoding.OTHER]


@pytest.fixture
def _guarded_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the columns that the kernel writes, and the tail it reads, between guard pages."""

    ordinary = batches.Scratch.__init__

    def columns(self: Any, n: int, n_numbers: int, n_codes: int) -> None:
        ordinary(self, n, n_numbers, n_codes)
        for name, column in list(vars(self).items()):
            moved = guarded(column.tobytes()).view(column.dtype).reshape(column.shape)
            setattr(self, name, moved)

    def tail_base(self: Any) -> int:
        buffer, units, _ = self._alive
        first = int(units.starts[self._n_direct])
        if self._tail is None:
            rest = buffer[first : int(units.ends[-1])].tobytes()
            self._tail = guarded(rest + bytes(PAD_BYTES))
        return int(self._tail.ctypes.data) - first

    monkeypatch.setattr(batches.Scratch, "__init__", columns)
    assert hasattr(fast.FastPath, "_tail_base")
    monkeypatch.setattr(fast.FastPath, "_tail_base", tail_base)


def messages_of(rng: random.Random) -> list[bytes]:
    """Ordinary, varied and spoiled events, some of them in arrays or envelopes."""
    messages: list[bytes] = []
    for _ in range(rng.choice((1, 2, N_EVENTS))):
        value = rng.choice((decoding.event, decoding.varied_event))(rng)
        if rng.random() < 0.1:
            value = decoding.enveloped(rng, value)
        payload = decoding.written(rng, value)
        choice = rng.random()
        if choice < 0.02:
            messages.append(decoding.doubled(rng, value))
        elif choice < 0.3:
            messages.append(payload)
        elif choice < 0.7:
            messages += decoding.spoiled(rng, payload)
        elif choice < 0.95:
            messages.append(flip(rng, payload))
        else:
            messages.append(b"[" + payload + b"," + flip(rng, payload) + b"]")
    return messages


@pytest.mark.usefixtures("_guarded_columns")
def test_both_decoders_agree_on_mutated_events_and_read_no_byte_beyond() -> None:
    quick, slow = Decoder(SCHEMAS, max_layouts=16), Decoder(SCHEMAS, fast=False)
    n_accepted = n_rejected = 0
    for i in range(max(30, N_INPUTS // 4)):
        rng = random.Random(f"{SEED}/{i}")
        chunk = guarded_chunk(messages_of(rng), at_start=rng.random() < 0.2)
        found, expected = quick.decode(chunk), slow.decode(chunk)
        where = f"{SEED}/{i}"
        assert decoding.rows_of(found) == decoding.rows_of(expected), where
        assert decoding.rejects_of(found) == decoding.rejects_of(expected), where
        assert all(r.reason is not RejectReason.DECODER_FAILED for r in found.rejects), where
        n_accepted += sum(map(len, found.batches))
        n_rejected += len(found.rejects)
    assert min(n_accepted, n_rejected) > 500
