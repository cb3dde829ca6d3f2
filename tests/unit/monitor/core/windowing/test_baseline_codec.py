"""Bytes of baselines that are well formed and say what none can say; and parts that never end."""

from __future__ import annotations

import hashlib
import resource
from collections.abc import Callable
from dataclasses import replace

import msgspec
import numpy as np
import pyarrow as pa
import pytest

from monitor.core.windowing import baseline_codec as baseline_codec
from monitor.core.windowing.baseline_codec import (
    MAX_WAITING,
    BaselineParts,
    decode,
    encode,
    parse_key,
    with_id,
)
from schemas.baselines import Baseline, Kind, SeasonalCounts, VariableBaseline
from schemas.errors import BaselineError
from schemas.panes import SeriesStats

VARIABLES = (
    VariableBaseline("a", Kind.NUMERIC, np.array([0.0, 1.0, 2.0])),
    VariableBaseline("c", Kind.CATEGORICAL, np.empty(0), ("x", "y", "other"), ("z", "w")),
    VariableBaseline("score", Kind.NUMERIC, np.array([0.0, 0.5, 1.0])),
)


def baseline() -> Baseline:
    reference = SeriesStats.empty(("*", "region=eu"), 3)
    reference.n_rows[:] = reference.counts[:, :, 0] = 100
    seasonal = SeasonalCounts(
        np.zeros((168, 2, 3, 64), np.int32), np.ones(168, np.int64), np.zeros((2, 3), np.bool_)
    )
    return with_id(
        Baseline(
            "",
            "default",
            "m",
            "",
            VARIABLES,
            reference,
            np.ones((2, 3)),
            np.zeros((2, 3)),
            0,
            "default",
            "",
            0,
            "here",
            seasonal,
        )
    )


def sealed(content: bytes, n_bytes: int | None = None) -> bytes:
    packed = pa.Codec("zstd").compress(content, asbytes=True)
    checksum = hashlib.sha256(packed).hexdigest().encode()
    return (
        b"driftline-profile 1 %d %s\n" % (len(content) if n_bytes is None else n_bytes, checksum)
        + packed
    )


def changed(change: Callable[[dict], None]) -> bytes:
    data = encode(baseline())
    _, _, packed = data.partition(b"\n")
    n_bytes = int(data.split(b" ")[2])
    content = msgspec.msgpack.decode(pa.Codec("zstd").decompress(packed, n_bytes, asbytes=True))
    change(content)
    return sealed(msgspec.msgpack.encode(content))


def f8(*values: float) -> list:
    return ["<f8", [len(values)], np.array(values).tobytes()]


def edges(*values: float) -> Callable[[dict], None]:
    return lambda c: c["variables"][0].__setitem__("edges", f8(*values))


def put(*path_and_value) -> Callable[[dict], None]:
    *path, last, value = path_and_value

    def change(content: dict) -> None:
        at = content
        for step in path:
            at = at[step]
        at[last] = value

    return change


CHANGES = {
    "edges that do not ascend": edges(0.0, 2.0, 1.0),
    "edges that are not numbers": edges(0.0, np.nan, 1.0),
    "edges without end": edges(0.0, 1.0, np.inf),
    "one edge": edges(0.0),
    "a hundred edges": edges(*range(100)),
    "edges of a category": put("variables", 1, "edges", f8(0.0, 1.0)),
    "categories of a number": put("variables", 0, "categories", ["x"]),
    "61 categories": put("variables", 1, "categories", [str(i) for i in range(61)]),
    "a category twice": put("variables", 1, "categories", ["x", "x"]),
    "a variable twice": put("variables", 1, "name", "a"),
    "no variables": put("variables", []),
    "a kind that is none": put("variables", 0, "kind", "text"),
    "edges of another type": put("variables", 0, "edges", ["|O", [1], b"12345678"]),
    "edges of text": put("variables", 0, "edges", ["<U1000000", [1], b""]),
    "edges of records": put("variables", 0, "edges", ["V8", [1], b"12345678"]),
    "edges of no type": put("variables", 0, "edges", ["<f8,<f8", [1], b"1234567812345678"]),
    "a shape of five": put("phi", ["<f8", [1, 1, 1, 1, 1], b"12345678"]),
    "a shape below 0": put("phi", ["<f8", [-2, -3], bytes(48)]),
    "a shape that overflows": put("phi", ["<f8", [1 << 62, 1 << 62], bytes(48)]),
    "a shape of another size": put("phi", ["<f8", [2, 3], bytes(40)]),
    "another shape": put("phi", ["<f8", [3, 2], np.ones(6).tobytes()]),
    "a design effect of 0": put("phi", ["<f8", [2, 3], bytes(48)]),
    "a tolerance below 0": put("eps_learned", ["<f8", [2, 3], np.full(6, -1.0).tobytes()]),
    "counts below 0": put("reference", "n_rows", ["<i8", [2], np.array([-1, 0]).tobytes()]),
    "counts of floats": put("reference", "n_rows", ["<f8", [2], np.zeros(2).tobytes()]),
    "sums without end": put("reference", "sums", ["<f8", [2, 3], np.full(6, np.inf).tobytes()]),
    "a reference of two arrays": put("reference", {}),
    "an array too many": put("reference", "more", ["<f8", [0], b""]),
    "a segment twice": put("segments", ["*", "*"]),
    "no segment of all rows": put("segments", ["a=1", "region=eu"]),
    "a segment of a megabyte": put("segments", ["*", "x" * (1 << 20)]),
    "seasons of 167 hours": put("seasonal", "n_weeks", ["<i8", [167], bytes(8 * 167)]),
    "seasons below 0": put("seasonal", "n_weeks", ["<i8", [168], np.full(168, -1).tobytes()]),
    "neither true nor false": put("seasonal", "is_seasonal", ["|b1", [2, 3], b"\x02" * 6]),
    "seasons of one array": put("seasonal", {}),
    "a time beyond any": put("active_from_us", (1 << 63) - 1),
    "windows below 0": put("n_reference_windows", -1),
    "an id with a separator": put("profile_id", "a|0|1"),
    "no id": put("profile_id", ""),
    "an unknown field": put("surprise", 1),
    "a name of the wrong type": put("model", 7),
    "a text of a megabyte": put("created_from", "x" * (1 << 20)),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_baseline_that_cannot_be_is_refused(name):
    with pytest.raises(BaselineError, match="is damaged"):
        decode(changed(CHANGES[name]))


def test_a_baseline_comes_back_as_it_was_and_under_the_same_id():
    back = decode(encode(baseline()))
    assert with_id(back).profile_id == back.profile_id == baseline().profile_id
    assert encode(back) == encode(baseline())


@pytest.mark.parametrize("content", [b"\x07", b"\xc1\xc1", b"\x91" * 9_000, b"", b"\x80"])
def test_content_that_is_no_map_is_refused(content):
    with pytest.raises(BaselineError, match="is damaged"):
        decode(sealed(content))


@pytest.mark.parametrize("n", [b"1" * 5_000, b"-1", b"1_0", "\u0661".encode(), b"", b"1e3"])
def test_a_header_without_a_length_is_refused(n):
    with pytest.raises(BaselineError, match="is not a Driftline baseline"):
        decode(b"driftline-profile 1 " + n + b" x\n")


def test_a_bomb_is_refused_for_what_it_claims_and_costs_nothing():
    bomb = b"driftline-profile 1 %d x\n" % (1 << 30) + bytes(1_000)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(100):
        with pytest.raises(BaselineError, match="claims 1073741824 bytes"):
            decode(bomb)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50 << 10


def test_a_baseline_of_more_names_than_memory_is_refused_before_they_are_read():
    names = b"\xdd" + (30_000_000).to_bytes(4, "big") + b"\xa0" * 30_000_000
    known = {**baseline_codec._content(baseline())["variables"][1], "known": msgspec.Raw(names)}
    content = baseline_codec._content(baseline())
    content["variables"][1] = known
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(BaselineError, match="is damaged"):
        decode(sealed(msgspec.msgpack.encode(content)))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 << 10


KEYS = [b"", b"|", b"|0|2", b"a|%s|2" % (b"9" * 5_000), b"a|-1|2", b"a|1|1", b"a|2|1", b"a|0|1001"]
KEYS += [b"a|0", b"a|0|1|2", b"a|x|2", "a|\u0661|2".encode(), b"x" * 5_000]


@pytest.mark.parametrize("key", KEYS, ids=range(len(KEYS)))
def test_a_key_that_is_none_is_refused(key):
    with pytest.raises(BaselineError, match="is not the key of a baseline"):
        parse_key(key)
    with pytest.raises(BaselineError):
        BaselineParts().add(key, b"x")


def test_baselines_that_never_become_whole_are_bounded():
    parts = BaselineParts()
    for i in range(2_000):
        assert parts.add(b"x%d|0|1000" % i, b"y" * 100) is None
    assert (parts.n_waiting, parts.n_dropped) == (MAX_WAITING, 2_000 - MAX_WAITING)
    whole = baseline()
    assert parts.add(whole.profile_id.encode(), encode(whole)) is not None
    parts.forget("x1999")
    assert parts.n_waiting == MAX_WAITING - 1


@pytest.mark.parametrize(
    ("key", "parsed"),
    [(b"0f3a", ("0f3a", 0, 1)), (b"0f3a|1|2", ("0f3a", 1, 2)), (b"a|999|1000", ("a", 999, 1_000))],
)
def test_a_key_names_the_baseline_the_part_and_how_many_there_are(key, parsed):
    assert parse_key(key) == parsed


def test_a_baseline_that_is_taken_back_is_forgotten_and_no_other():
    parts = BaselineParts()
    for key in (b"a|0|2", b"b|0|2", b"b|0|3", b"c|0|2"):
        assert parts.add(key, b"y") is None
    parts.forget("b")
    assert parts.n_waiting == 2
    parts.forget("a")
    parts.forget("d")
    assert parts.n_waiting == 1


def test_a_baseline_beyond_what_is_read_is_not_written(monkeypatch):
    monkeypatch.setattr(baseline_codec, "MAX_BASELINE_BYTES", 1_000)
    with pytest.raises(BaselineError, match="fewer segments or features"):
        encode(baseline())


def test_a_reference_whose_sums_left_float64_can_be_written_and_read():
    one = baseline()
    one.reference.sums[:] = np.inf
    assert np.isfinite(decode(encode(replace(one, profile_id="p"))).reference.sums).all()
