"""Values that are ignored, and times as text: compiled readers against those of Python."""

from __future__ import annotations

import json
import random

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from driftline.times import time_of_text
from monitor.decode.dictionaries import HAS_KERNELS
from monitor.decode.memory import PAD_BYTES
from monitor.decode.numbers import powers_of_ten
from monitor.decode.skip import MAX_DEPTH, skip_value
from monitor.decode.strict import nulled
from monitor.decode.strings import moment_end
from tests.support import decoding
from tests.support.guard_pages import guarded

pytestmark = pytest.mark.skipif(not HAS_KERNELS, reason="needs compiled kernels")

POWERS = powers_of_ten()
_SKIP = msgspec.json.Decoder(msgspec.Raw)


def skipped(value: bytes, behind: bytes = b"") -> int:
    """Return how many bytes of a value the kernel skips, -1 if it refuses it."""
    array = guarded(value + behind + bytes(PAD_BYTES))
    start = array.ctypes.data
    end = int(skip_value(start, start + len(value)))
    return end - start if end >= 0 else -1


def is_json(value: bytes) -> bool:
    """Whether msgspec skips exactly this, bare NaN and Infinity taken for null."""
    try:
        _SKIP.decode(nulled(value))
    except (msgspec.DecodeError, RecursionError):
        return False
    return value == value.strip(b" \t\r\n")


def depth_of(value: bytes) -> int:
    return max(value.count(b"["), value.count(b"{"))


TOKENS = [*decoding.NUMBERS, *decoding.BAD_NUMBERS, *decoding.MISSING, *decoding.TEXTS]
TOKENS += [*decoding.OTHERS, *decoding.NESTED]


@pytest.mark.parametrize(
    "value", [*(t.encode() for t in TOKENS), *decoding.BAD_TEXTS], ids=lambda v: repr(v[:30])
)
def test_a_value_is_skipped_whole_if_msgspec_skips_it(value: bytes) -> None:
    is_skipped = skipped(value) == len(value)
    assert is_skipped <= is_json(value)
    assert is_skipped or not is_json(value) or depth_of(value) > MAX_DEPTH


@pytest.mark.parametrize("behind", [b"1" * 100, b'"' * 100, b"]" * 100, b"\\" * 100, b" " * 100])
def test_a_value_never_ends_in_the_bytes_behind_it(behind: bytes) -> None:
    for whole in (b'[{"a": "x\\u00e9"}, -1.5e+3]', b'"' + b"a" * 70 + b'"', b"123.456e7", b"true"):
        for cut in range(len(whole)):
            value = whole[:cut]
            assert skipped(value, behind) in ((cut, -1) if is_json(value) else (-1,))


@settings(max_examples=500, deadline=None)
@given(st.integers(0, 2**32), st.booleans())
def test_spoiled_values_are_skipped_as_msgspec_skips_them(seed: int, is_ascii: bool) -> None:
    rng = random.Random(seed)
    value = json.dumps(decoding.any_json(rng), ensure_ascii=is_ascii).encode()
    assert skipped(value) == len(value)
    for spoiled in decoding.spoiled_bytes(rng, value):
        found = skipped(spoiled)
        assert (found == len(spoiled)) == is_json(spoiled)
        assert found <= len(spoiled)


@settings(max_examples=500, deadline=None)
@given(
    st.lists(st.integers(0, 80), min_size=1, max_size=40),
    st.sampled_from([",", ", ", " , ", ",  ", ",\n  "]),
    st.integers(0, 4_000),
    st.sampled_from([b'"', b",", b" ", b"\\", b"\n", b"]", b"[", b"x", b"1", b"\xff", b""]),
)
def test_lists_of_texts_are_checked_at_every_byte(
    lengths: list[int], separator: str, at: int, byte: bytes
) -> None:
    value = ("[" + separator.join(f'"{"x" * n}"' for n in lengths) + "]").encode()
    assert skipped(value) == len(value)
    at %= len(value)
    for spoiled in (value[:at] + byte + value[at + 1 :], value[:at] + byte + value[at:]):
        assert (skipped(spoiled) == len(spoiled)) == is_json(spoiled)


@pytest.mark.parametrize("n", [1, 30, 31, 32, 33, 63, 64, 65, 200])
def test_escapes_anywhere_in_a_text_are_skipped(n: int) -> None:
    for at in range(n):
        for escape in (b'\\"', b"\\\\", b"\\ud83d\\ude00"):
            value = b'"' + b"a" * at + escape + b"b" * (n - at) + escape + b'"'
            assert skipped(value) == len(value)


def moment_of(text: str) -> int | None:
    """Return the time that the kernel reads, None where it leaves the text to Python."""
    raw = json.dumps(text).encode()
    array = guarded(raw + bytes(PAD_BYTES))
    value, after = moment_end(array.ctypes.data, POWERS.ctypes.data)
    assert after in (-1, array.ctypes.data + len(raw))
    return int(value) if after >= 0 else None


@settings(max_examples=1_000, deadline=None)
@given(
    st.datetimes(),
    st.sampled_from("T t_"),
    st.sampled_from(
        ["", ".5", ",25", ".123456", ".123456789", ".1234567", ".", ".0000000000000001"]
    ),
    st.sampled_from(["", "Z", "z", "+00:00", "-05:30", "+14:00", "+25:00", "+0530", " Z", "[UTC]"]),
)
def test_a_time_as_text_is_read_as_python_reads_it(
    moment: object, between: str, fraction: str, zone: str
) -> None:
    text = f"{moment:%Y-%m-%d}{between}{moment:%H:%M:%S}{fraction}{zone}"
    found = moment_of(text)
    if found is not None:
        assert found == time_of_text(text, "us")


@pytest.mark.parametrize(
    "text",
    ["2024-02-29T23:59:59Z", "1970-01-01T00:00:00Z", "2000-02-29 00:00:00.000001",
     "9999-12-31T00:00:00Z",
     "2024-03-04T08:00:00.123456789+05:30", "2023-12-31T23:59:59-00:30"],
)  # fmt: skip
def test_usual_times_are_read_by_the_kernel(text: str) -> None:
    assert moment_of(text) == time_of_text(text, "us")


@pytest.mark.parametrize(
    "text",
    ["2023-02-29T00:00:00Z", "1900-02-29T00:00:00Z", "2024-04-31T00:00:00Z", "2024-13-01T00:00:00Z",
     "2024-00-01T00:00:00Z", "1969-12-31T23:59:59Z", "1970-01-01T00:00:00+01:00",
     "2024-01-01T24:00:00Z",
     "2024-01-01T00:60:00Z", "2024-01-01T00:00:60Z", "2024-01-01", "20240101", "1709510400000000",
     "2024-01-01T00:00:00Zx", "2024-01-01T00:00:0\\u0030Z", "２024-01-01T00:00:00Z"],
)  # fmt: skip
def test_other_times_are_left_to_python(text: str) -> None:
    assert moment_of(text) is None


def test_a_time_that_is_cut_off_is_none() -> None:
    text = b'"2024-03-04T08:00:00.123456+05:30"'
    for cut in range(len(text)):
        array = guarded(text[:cut] + bytes(PAD_BYTES))
        assert moment_end(array.ctypes.data, POWERS.ctypes.data)[1] == -1
    assert np.all(POWERS[:2] == [1, 10])
