"""Every form of a time, as a value and as a column; none of them is silently in 1970."""

from __future__ import annotations

import datetime as dt
import decimal

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from driftline.times import (
    form_of_moment,
    moment_text,
    time_of_moment,
    time_of_number,
    time_of_text,
)
from monitor.transport.canonical import canonical, times_us
from schemas.config.model import ModelConfig
from schemas.refused import REFUSED_COLUMN

US = 1_709_510_400_000_000
"""2024-03-04, midnight UTC."""
HALF = 500_000
FORMS = [
    *[("2024-03-04", 0), ("2024-03-04T00:00:00Z", 0), ("2024-03-04 00:00:00", 0)],
    *[("2024-03-04 00:00:00+00", 0), ("2024-03-04 05:30:00+0530", 0)],
    *[("2024-03-04T05:30:00+05:30", 0), ("2024-03-03T16:00:00-08", 0), ("20240304T000000Z", 0)],
    *[
        ("2024-03-04 00:00:00 UTC", 0),
        ("2024-03-04 00:00:00 +0000", 0),
        ("2024-03-04t00:00:00z", 0),
    ],
    *[("2024-03-04T01:00:00+01:00[Europe/Paris]", 0), ("2024/03/04 00:00:00", 0)],
    *[("2024-03-04T00:00", 0), ("20240304", 0), (" 2024-03-04 ", 0), ("2024-03-03T24:00:00", 0)],
    *[("2024-03-04T00:00:00.5", HALF), ("2024-03-04 00:00:00,5+00", HALF)],
    *[("2024-03-04T00:00:00.5000009Z", HALF), ("2024-03-04T00:00:00.500000000000", HALF)],
    *[("1709510400", 0), ("1709510400000", 0), ("1709510400000000", 0), ("1709510400000000000", 0)],
    *[("1709510400.5", HALF), ("1709510400500.0", HALF), ("1.7095104e9", 0), (" 1709510400 ", 0)],
]


@pytest.mark.parametrize(("text", "more"), FORMS)
def test_a_time_that_is_text_is_read_alone_and_in_a_column(text, more):
    assert time_of_text(text) == US + more
    assert times_us(pa.chunked_array([[text, None]])).to_pylist() == [US + more, None]
    mixed = ["2024-03-04", text, "2024-03-04T00:00:00Z"]
    assert times_us(pa.chunked_array([mixed])).to_pylist() == [US, US + more, US]


@pytest.mark.parametrize(
    "text",
    [
        "soon",
        "2024",
        "5",
        "0",
        "2024-13-01",
        "2024-02-30T00:00",
        "2024-03-04T25:00",
        "12:00",
        "2024-03-04T00:60",
        "03/04/2024",
        "1e400",
        "--5",
        "99999999999999999999999999",
    ],
)
def test_what_is_no_time_is_refused_and_never_1970(text):
    with pytest.raises(ValueError, match="no time|out of range|must be|month|day"):
        time_of_text(text)
    with pytest.raises(ValueError):
        times_us(pa.chunked_array([[text]]))


@pytest.mark.parametrize(
    "number",
    [
        1709510400,
        1709510400000,
        US,
        US * 1000,
        1709510400.0,
        20240304,
        decimal.Decimal("1709510400.000"),
    ],
)
def test_numbers_are_read_by_their_magnitude(number):
    assert time_of_number(float(number)) == time_of_number(int(number)) == US
    assert times_us(pa.chunked_array([[number, None]])).to_pylist() == [US, None]


@pytest.mark.parametrize(
    ("unit", "number"),
    [("s", 1_709_510_400), ("ms", 1_709_510_400_000), ("us", US), ("ns", US * 1_000)],
)
def test_a_declared_unit_holds_whatever_the_magnitude(unit, number):
    config = ModelConfig.model_validate(
        {
            "model": "m",
            "features": {"a": {"kind": "numeric"}},
            "columns": {"time": "ts", "time_unit": unit},
        }
    )
    for values in ([number, 5], [float(number), 5.0], [str(number), "5"]):
        read = canonical(pa.table({"a": [1, 2], "ts": values}), config, needs_time=True)
        per_unit = {"s": 10**6, "ms": 10**3, "us": 1, "ns": 0}[unit]
        assert read["time_us"].to_pylist() == [US, 5 * per_unit], values


def test_small_numbers_are_refused_row_by_row_with_what_to_declare():
    config = ModelConfig.model_validate(
        {"model": "m", "features": {"a": {"kind": "numeric"}}, "columns": {"time": "ts"}}
    )
    read = canonical(pa.table({"a": [1, 2], "ts": [1_709_510_400, 5]}), config, needs_time=True)
    assert read["time_us"].to_pylist() == [US, None]
    assert "5 is no value of time_us" in read[REFUSED_COLUMN].to_pylist()[1]


def test_a_column_called_time_us_holds_microseconds():
    config = ModelConfig.model_validate({"model": "m", "features": {"a": {"kind": "numeric"}}})
    read = canonical(pa.table({"a": [1, 2], "time_us": [5, US]}), config, needs_time=True)
    assert read["time_us"].to_pylist() == [5, US]


@pytest.mark.parametrize("kind", [int, float])
def test_only_numbers_below_1973_are_small_microseconds(kind):
    values = [kind(v) for v in (5, -7, 1_709_510_400, US)]
    small = pa.chunked_array([values[:2]])
    assert times_us(small, is_small_us=True).to_pylist() == [5, -7]
    mixed = pa.chunked_array([values])
    assert times_us(mixed, is_small_us=True).to_pylist() == [5, -7, US, US]


moments = st.datetimes(dt.datetime(1973, 6, 1), dt.datetime(2200, 1, 1))


@given(moments, st.sampled_from(["", "Z", "+00", "+0530", "-08:00", " UTC"]), st.integers(0, 6))
@settings(max_examples=200, deadline=None)
def test_python_and_arrow_read_the_same_times(moment, zone, n_digits):
    text = moment.strftime("%Y-%m-%d %H:%M:%S")
    if n_digits:
        text += f".{moment.microsecond:06d}"[: n_digits + 1]
    text += zone
    found = time_of_text(text)
    assert times_us(pa.chunked_array([[text]])).to_pylist() == [found]
    if zone == "" and n_digits == 6:
        assert found == time_of_moment(moment)
        form = moment_text(found, is_zoned=False)
        assert form_of_moment(form) in (form, None)  # None: midnight is a date
        assert time_of_text(form) == found
