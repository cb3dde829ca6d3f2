"""Intake panes on their topic: what none can have written is refused."""

from __future__ import annotations

import msgspec
import pytest

from monitor.core.bounds import MAX_AHEAD_US, MAX_COUNT, MAX_NAME_CHARS, MAX_PARTITIONS
from monitor.core.windowing.intake_message import encode_intake, intake_key, read_intake
from schemas.errors import TransportError
from schemas.events import RejectReason
from schemas.intake import IntakePane

PANE = IntakePane(
    tenant="t",
    model="m",
    start_us=10,
    end_us=20,
    source="s",
    partition=0,
    owner="o",
    pane_version=7,
    n_late=3,
    rejected={reason.value: 1 for reason in RejectReason},
)


def changed(**values: object) -> IntakePane:
    return msgspec.structs.replace(PANE, **values)


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"tenant": "é" * MAX_NAME_CHARS, "model": "", "owner": "a|b"},
        {"partition": MAX_PARTITIONS - 1, "pane_version": 0, "n_late": 0, "rejected": {}},
        {"n_late": MAX_COUNT, "rejected": {"future": MAX_COUNT}},
        {"start_us": 19},
    ],
)
def test_a_pane_is_read_as_it_was_written(values):
    assert read_intake(encode_intake(changed(**values))) == changed(**values)


@pytest.mark.parametrize(
    ("values", "detail"),
    [
        *(
            ({name: "x" * (MAX_NAME_CHARS + 1)}, f"{name} has 1101 characters")
            for name in ("tenant", "model", "source", "owner")
        ),
        ({"partition": -1}, "partition is -1"),
        ({"partition": MAX_PARTITIONS}, "partition is 16384"),
        ({"pane_version": -1}, "pane_version is -1"),
        ({"end_us": 10}, "length is 0"),
        ({"n_late": -1}, "n_late is -1"),
        ({"n_late": MAX_COUNT + 1}, "n_late is"),
        ({"rejected": {"future": -1}}, "future is -1"),
        ({"rejected": {"future": 1, "unheard": 1}}, "'unheard' is not a reject reason"),
    ],
)
def test_a_value_that_no_pane_has_is_named(values, detail):
    with pytest.raises(TransportError, match=detail):
        read_intake(encode_intake(changed(**values)))


def test_a_pane_starts_at_most_a_day_ahead_of_its_record():
    value = encode_intake(changed(start_us=MAX_AHEAD_US + 5, end_us=MAX_AHEAD_US * 9))
    assert read_intake(value, 5).start_us == MAX_AHEAD_US + 5
    with pytest.raises(TransportError, match="start_us"):
        read_intake(value, 4)


@pytest.mark.parametrize("value", [b"", b"junk", msgspec.msgpack.encode([2, PANE])])
def test_bytes_of_something_else_are_refused(value):
    with pytest.raises(TransportError):
        read_intake(value)


def test_a_key_names_the_place_of_the_pane():
    assert intake_key(changed(model="a|b")) == b"in|t|a%7Cb|10|s|0|o"
