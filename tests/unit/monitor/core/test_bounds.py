"""Bounds of messages: both ends are inside, and texts must be writable as UTF-8."""

from __future__ import annotations

import pytest

from monitor.core.bounds import (
    MAX_COUNT,
    MAX_NAME_CHARS,
    MAX_OFFSET,
    MAX_PARTITIONS,
    MAX_VALUE_BYTES,
    check_names,
    check_number,
    check_text,
)
from monitor.core.windowing.codec import MAX_BODY_BYTES, MAX_CHUNKS
from schemas.errors import DomainError


@pytest.mark.parametrize("value", [2, 3, 5])
def test_both_ends_of_a_range_are_inside(value):
    assert check_number("n", value, 2, 5) == value


@pytest.mark.parametrize("value", [1, 6, -5])
def test_a_number_outside_its_range_is_named_with_the_range(value):
    with pytest.raises(DomainError, match=rf"n is {value}, not in 2\.\.5"):
        check_number("n", value, 2, 5)


def test_a_text_may_be_as_long_as_its_bound():
    assert check_text("host", "é" * MAX_NAME_CHARS) == "é" * MAX_NAME_CHARS
    with pytest.raises(DomainError, match="host has 1101 characters, more than 1100"):
        check_text("host", "x" * (MAX_NAME_CHARS + 1))


@pytest.mark.parametrize("half", ["\ud800", "a\udfff", "é\udc80é"])
def test_half_a_surrogate_pair_is_refused(half):
    with pytest.raises(DomainError, match="host holds half a surrogate pair"):
        check_text("host", half)


def test_names_are_different_and_at_most_as_many_as_allowed():
    check_names("segments", ["*", "a=1"], 2)
    with pytest.raises(DomainError, match="holds '\\*' twice"):
        check_names("segments", ["*", "a=1", "*"], 3)
    with pytest.raises(DomainError, match="segments holds 3 names, more than 2"):
        check_names("segments", ["a", "b", "c"], 2)


def test_bounds_allow_what_a_large_cluster_has_and_leave_room_in_64_bits():
    assert MAX_COUNT * 1_000_000 < 1 << 63
    assert 1 << 61 <= MAX_OFFSET < 1 << 63
    assert MAX_PARTITIONS == 16_384
    assert MAX_VALUE_BYTES < 1_048_588
    assert MAX_BODY_BYTES == 1 << 28
    assert -(-MAX_BODY_BYTES // MAX_VALUE_BYTES) < MAX_CHUNKS
