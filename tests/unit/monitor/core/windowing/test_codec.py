"""Panes as messages: keys, chunks, damage."""

import msgspec
import numpy as np
import pytest

from monitor.core.bounds import MAX_VALUE_BYTES
from monitor.core.windowing.codec import PaneAssembler, decode, encode, pane_key, read_header
from schemas.errors import ShapeError, TransportError
from schemas.panes import Pane, SeriesId, SeriesStats


def a_pane(version: int = 7, owner: str = "o", n_segments: int = 8) -> Pane:
    names = ("*", *(f"s={i}" for i in range(n_segments - 1)))
    stats = SeriesStats.empty(names, 11)
    # counters that do not compress
    stats.counts[...] = np.random.default_rng(version).integers(0, 2**62, stats.counts.shape)
    return Pane(SeriesId("t", "m", "1", "p"), 10, 20, "src", 2, owner, version, stats)


def test_the_key_names_everything_and_escapes_its_separator():
    pane = a_pane()
    assert pane_key(pane, 3) == "t|m|1|p|10|src|2|o|3"
    pane.owner = "a|b%"
    assert pane_key(pane, 0).endswith("|a%7Cb%25|0")


def test_a_large_pane_becomes_chunks_below_the_limit():
    values = encode(a_pane(n_segments=200))
    assert len(values) > 1
    assert max(map(len, values)) < MAX_VALUE_BYTES
    assert [read_header(v).chunk for v in values] == list(range(len(values)))


def test_an_unknown_encoding_is_named_with_the_first_hundred_characters_of_the_model():
    pane = a_pane()
    pane.series = SeriesId("t", "m" * 150, "1", "p")
    head, body = msgspec.msgpack.decode(encode(pane)[0])
    damaged = msgspec.msgpack.encode([[99, *head[1:]], body])
    with pytest.raises(TransportError, match="pane of encoding 99") as caught:
        read_header(damaged)
    assert caught.value.where == "panes of " + "m" * 100


def test_an_incomplete_set_never_counts():
    assembler = PaneAssembler()
    values = encode(a_pane(), 20_000)
    assert not any(assembler.add(v, i) for i, v in enumerate(values[1:]))
    assert assembler.first_offset == 0
    (done,) = assembler.add(values[0], 99)
    assert (done.pane.pane_version, done.first_offset, assembler.first_offset) == (7, 0, None)


def test_chunks_of_two_versions_or_owners_never_mix():
    assembler = PaneAssembler()
    old, new = encode(a_pane(7), 20_000), encode(a_pane(8), 20_000)
    foreign = encode(a_pane(8, "x"), 20_000)
    mixed = [*old[:-1], *new[1:], *foreign[1:], old[-1]]
    assert not any(assembler.add(v, i) for i, v in enumerate(mixed))
    assert assembler.first_offset == len(old) - 1
    (done,) = assembler.add(new[0], 99)
    assert (done.pane.pane_version, done.pane.owner) == (8, "o")
    assembler.forget(before_us=20)
    assert assembler.first_offset is None


def test_missing_and_foreign_chunks_are_refused():
    values, foreign = encode(a_pane(), 20_000), encode(a_pane(owner="x"), 20_000)
    for wrong in ([], values[1:], [*values, values[0]], [foreign[0], *values[1:]]):
        with pytest.raises(TransportError):
            decode(wrong)


@pytest.mark.parametrize("value", [b"", b"\xff", b"garbage", msgspec.msgpack.encode([1, 2])])
def test_what_is_no_pane_is_refused(value):
    with pytest.raises(TransportError, match="not a pane"):
        PaneAssembler().add(value, 0)


def test_damage_and_unknown_encodings_are_refused():
    head, part = msgspec.msgpack.decode(encode(a_pane())[0])
    with pytest.raises(TransportError, match="damaged"):
        decode([msgspec.msgpack.encode((head, part[:-100] + b"x" * 100))])
    with pytest.raises(TransportError, match="encoding 4, this version reads 1 to 3"):
        decode([msgspec.msgpack.encode(([4, *head[1:]], part))])


def test_a_limit_without_room_is_refused():
    with pytest.raises(ShapeError):
        encode(a_pane(), 5000)
