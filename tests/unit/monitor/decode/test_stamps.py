"""The time of a rejected event: every form that files have, and none that is made up."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftline.times import EARLIEST, moment_text
from monitor.decode.stamps import stamp_of

T_US = 1_709_539_200_000_000


def event(time: object) -> bytes:
    return json.dumps({"model": "m", "time_us": time, "features": {"a": ["?"]}}).encode()


@pytest.mark.parametrize(
    "written",
    [
        T_US,
        str(T_US),
        "2024-03-04T08:00:00Z",
        "2024-03-04 09:00+01",
        "2024-03-04T08:00:00.000000000Z",
        1_709_539_200_000_000.0,
    ],
)
def test_a_time_is_read_in_every_form_that_files_have(written):
    assert stamp_of(event(written)) == T_US


@pytest.mark.parametrize(
    "written", ["then", "", None, True, [], {}, -5, -5.0, 2**63, 1e300, "9" * 5000]
)
def test_what_is_no_time_is_none(written):
    assert stamp_of(event(written)) is None


def test_bare_nan_beside_it_changes_nothing():
    payload = b'{"model": "m", "time_us": 1709539200000000, "features": {"a": NaN, "b": []}}'
    assert stamp_of(payload) == T_US


@pytest.mark.parametrize(
    ("data", "expected"),
    [({"time_us": 7}, 7), ({}, T_US), ({"time_us": "then"}, None), ([], None)],
)
def test_in_an_envelope_the_event_comes_first_then_the_envelope(data, expected):
    envelope = {"specversion": "1.0", "id": "1", "source": "s", "type": "t", "data": data}
    found = stamp_of(json.dumps(envelope | {"time": "2024-03-04T08:00:00Z"}).encode())
    assert found == expected


@given(st.integers(EARLIEST * 1_000_000, 10**17 - 1))
def test_text_numbers_and_moments_agree(time_us):
    assert stamp_of(event(time_us)) == time_us
    assert stamp_of(event(str(time_us))) == time_us
    assert stamp_of(event(moment_text(time_us, is_zoned=True))) == time_us
