"""Values of Arrow columns as text: the canonical form of each type."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pyarrow as pa
import pytest

from driftline.canonical import category_of_text
from monitor.core.column_values import as_text


def texts(values: list[object], kind: pa.DataType | None = None) -> list[str | None]:
    return as_text(pa.chunked_array([pa.array(values, kind)])).to_pylist()


def test_decimals_have_the_form_of_their_number():
    values = [Decimal("1.50"), Decimal("-2.00"), Decimal("12"), None]
    assert texts(values, pa.decimal128(10, 2)) == ["1.5", "-2", "12", None]


@pytest.mark.parametrize("number", ["-1E+4", "1E+4", "-12E+4", "1.2E+5", "0"])
def test_decimals_that_arrow_spells_with_an_exponent_have_it_too(number):
    exact = f"{int(Decimal(number))}"
    assert texts([Decimal(number)], pa.decimal128(5, -4)) == [category_of_text(exact)]


def test_times_of_day_have_no_fraction_without_digits():
    values = [dt.time(1, 2, 3), dt.time(1, 2, 3, 500_000), dt.time(10, 20), None]
    assert texts(values, pa.time64("us")) == ["01:02:03", "01:02:03.5", "10:20:00", None]
    assert texts([dt.time(1, 2, 30)], pa.time32("s")) == ["01:02:30"]


def test_dates_are_their_days():
    assert texts([dt.date(2016, 1, 20), None], pa.date32()) == ["2016-01-20", None]
