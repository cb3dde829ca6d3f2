"""The table of canonical values, form by form: texts, numbers, Python objects, columns."""

from __future__ import annotations

import datetime as dt
import decimal
import enum
import fractions
import uuid

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from detectors.kernels.narrow import widened
from driftline.canonical import (
    category_of,
    category_of_json_number,
    category_of_text,
    number_of,
    number_of_text,
)
from driftline.scalars import narrowest, plain
from monitor.transport.canonical import as_number, as_text, canonical
from schemas.config.model import ModelConfig
from schemas.errors import ConfigError

TEXTS = {
    **{"True": "true", "TRUE": "true", " false ": "false", "t": "t", "yes": "yes"},
    **{"7": "7", "7.0": "7", "7.00": "7", " 7 ": "7", "-0": "0", "-0.0": "0", "0.50": "0.5"},
    **{"007": "007", "-07": "-07", "00": "00", "1e2": "1e2", "1E5": "1E5", "+7": "+7", "7.": "7."},
    **{"1e-05": "1e-05", "0.00001": "1e-05", "1e+16": "10000000000000000", ".5": "0.5"},
    **{"12345678901234567890.0": "12345678901234567890", "1.2.3": "1.2.3", "1,5": "1,5"},
    **{"0.1000000000000000055511151231257827": "0.1", "1e+999": "1e+999", "-": "-", ".": "."},
    **{"NA": None, "n/a": None, "": None, "  ": None, "NaN": None, "None": None, "null": None},
    **{"<NA>": None, "NaT": None, "\\N": None, "-inf": None, "Infinity": None, "NAM": "NAM"},
    **{"2024-03-04": "2024-03-04", "2024-03-04 00:00:00": "2024-03-04", "20240304": "20240304"},
    **{
        "2024-03-04 10:00:00+01": "2024-03-04T09:00:00Z",
        "2024-03-04 00:00:00+00": "2024-03-04T00:00:00Z",
        "2024-13-45": "2024-13-45",
    },
    **{"2024-03-04T10:00:00.500Z": "2024-03-04T10:00:00.5Z", "10:00:00": "10:00:00"},
    **{" web ": " web ", "\u00e9": "\u00e9", "e\u0301": "e\u0301", "\u0663": "\u0663"},
}


@pytest.mark.parametrize(("text", "form"), TEXTS.items())
def test_a_text_has_one_form_which_is_its_own_form(text, form):
    assert category_of_text(text) == form
    if form is not None:
        assert category_of_text(form) == form
    column = pa.chunked_array([[text, None, text]])
    assert as_text(column).to_pylist() == [form, None, form]
    assert as_text(column, is_verbatim=True).to_pylist() == [text, None, text]


@pytest.mark.parametrize(
    ("token", "form"),
    [
        ("3.0", "3"),
        ("1e2", "100"),
        ("-0", "0"),
        ("-0.0", "0"),
        ("0.10", "0.1"),
        ("1e-7", "1e-07"),
        ("9" * 30, "9" * 30),
        ("1e300", "1e+300"),
        ("1.5E3", "1500"),
    ],
)
def test_a_json_number_is_the_number_it_spells(token, form):
    assert category_of_json_number(token) == form
    assert category_of_text(form) == form


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("12.50", 12.5),
        (" +3 ", 3.0),
        ("1e2", 100.0),
        ("TRUE", 1.0),
        ("False", 0.0),
        ("5.", 5.0),
        ("NA", None),
        ("inf", None),
        ("1e999", None),
        ("", None),
        ("007", 7.0),
        ("-0", 0.0),
    ],
)
def test_text_that_spells_a_number_is_one_for_a_value_and_for_a_column(text, number):
    assert number_of_text(text) == number
    assert as_number(pa.chunked_array([[text]])).to_pylist() == [number]


@pytest.mark.parametrize("text", ["two", "1,5", "0x1F", "1_000", "\u0663", "1 2", "2024-03-04"])
def test_text_that_spells_no_number_is_refused(text):
    with pytest.raises(ValueError, match="is no number"):
        number_of_text(text)
    with pytest.raises(ValueError):
        as_number(pa.chunked_array([[text]]))


class _Colour(enum.Enum):
    RED = "red"
    THREE = 3
    OBJECT = object()


class _Level(enum.IntEnum):
    HIGH = 3


class _Name(str, enum.Enum):  # noqa: UP042 - the older way
    A = "a"


class _Broken:
    def __str__(self) -> str:
        raise RuntimeError("no text")


class _BrokenItem:
    def item(self) -> float:
        raise RuntimeError("no item")


MOMENT = dt.datetime(2024, 3, 1, 10, tzinfo=dt.UTC)
OBJECTS = [
    *[(None, None), (True, True), (7, 7), (0.5, 0.5), ("web", "web")],
    *[(np.float16(0.1), 0.1), (np.float32(0.1), 0.1), (np.float64(0.1), 0.1)],
    *[
        (np.longdouble(0.5), 0.5),
        (np.int8(3), 3),
        (np.uint64(2**63), 2**63),
        (np.bool_(True), True),
    ],
    *[(np.str_("a"), "a"), (np.bytes_(b"a"), "a"), (np.void(b"abc"), "abc"), (np.array([3]), 3)],
    *[
        (np.datetime64("2024-03-01T10:00", "ns"), "2024-03-01T10:00:00"),
        (np.datetime64("NaT"), None),
    ],
    *[(np.datetime64("2024-03"), "2024-03-01"), (np.timedelta64(90, "s"), 90.0)],
    *[(np.timedelta64("NaT"), None), (np.ma.masked, None), (pd.NA, None), (pd.NaT, None)],
    *[(pd.Timestamp(MOMENT), "2024-03-01T10:00:00Z"), (pd.Timedelta("1min"), 60.0)],
    *[
        (pd.Interval(0, 10), "(0, 10]"),
        (pd.Period("2024-03"), "2024-03"),
    ],
    *[
        (decimal.Decimal("12.50"), 12.5),
        (decimal.Decimal("7.00"), 7),
        (decimal.Decimal("NaN"), None),
    ],
    *[(fractions.Fraction(1, 2), 0.5), (MOMENT, "2024-03-01T10:00:00Z")],
    *[(MOMENT.replace(tzinfo=None), "2024-03-01T10:00:00"), (dt.date(2024, 3, 1), "2024-03-01")],
    *[(dt.time(10, 0, 0, 500_000, dt.UTC), "10:00:00.5+00:00")],
    *[(dt.time(10, 0, 0, 500_000), "10:00:00.5"), (dt.timedelta(minutes=1), 60.0)],
    *[(_Colour.RED, "red"), (_Colour.THREE, 3), (_Colour.OBJECT, "OBJECT"), (_Level.HIGH, 3)],
    *[(_Name.A, "a"), (b"web", "web"), (bytearray(b"a"), "a"), (memoryview(b"a"), "a")],
    *[(uuid.UUID(int=5), "00000000-0000-0000-0000-000000000005")],
]


@pytest.mark.parametrize(("value", "form"), OBJECTS, ids=[type(v).__name__ for v, _ in OBJECTS])
def test_an_object_has_a_plain_form(value, form):
    found = plain(value)
    assert (found, type(found)) == (form, type(form))


@pytest.mark.parametrize(
    "value",
    [
        _Broken(),
        _BrokenItem(),
        object(),
        [1],
        {"a": 1},
        (1,),
        b"\xff",
        1j,
        np.complex64(1j),
        np.array([1, 2]),
        decimal.Decimal("1e999999"),
        print,
        np.void((1,), dtype=[("a", "i4")]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_object_without_a_form_raises_and_is_never_spelled_by_its_address(value):
    with pytest.raises(Exception):  # noqa: B017 - whatever the object raises
        plain(value)


@pytest.mark.parametrize(
    ("values", "form"),
    [
        (pa.array([decimal.Decimal("7.00"), decimal.Decimal("0.50")]), ["7", "0.5"]),
        (pa.array([0.1], pa.float32()), ["0.1"]),
        (pa.array(np.array([0.1], np.float16)), ["0.1"]),
        (pa.array([2**60], pa.int64()), [str(2**60)]),
        (pa.array([float(2**60), 1e22, 1e-7]), [str(2**60), "1" + "0" * 22, "1e-07"]),
        (pa.array([dt.date(2024, 3, 1)]), ["2024-03-01"]),
        (pa.array([MOMENT], pa.timestamp("ns", "Europe/Paris")), ["2024-03-01T10:00:00Z"]),
        (pa.array([dt.datetime(2024, 3, 1)], pa.timestamp("s")), ["2024-03-01"]),
        (pa.array([dt.time(10, 0, 0, 500_000), dt.time(9)]), ["10:00:00.5", "09:00:00"]),
        (pa.array([dt.timedelta(seconds=90)]), ["90"]),
        (pa.array([b"True"]), ["true"]),
        (pa.array(["7.0", "7"]).dictionary_encode(), ["7", "7"]),
        (pa.array([False, None]), ["false", None]),
        (pa.nulls(1), [None]),
    ],
    ids=lambda value: str(getattr(value, "type", "")),
)
def test_a_column_of_any_type_names_the_same_categories(values, form):
    assert as_text(pa.chunked_array([values])).to_pylist() == form
    assert [None if v is None else category_of_text(v) for v in form] == form


def test_plain_values_are_categories_and_numbers_like_columns():
    assert [category_of(v) for v in (True, 7.0, 2**70, "7.0", None)] == [
        *("true", "7", str(2**70), "7", None)
    ]
    assert [number_of(v) for v in (False, 3, "3.5", None, float("inf"))] == [0, 3, 3.5, None, None]
    with pytest.raises(ValueError, match="beyond the largest float"):
        number_of(10**400)


def test_narrow_floats_are_the_numbers_that_were_meant():
    rng = np.random.default_rng(1)
    bits = rng.integers(0, 2**32, 5_000, dtype=np.uint64).astype(np.uint32).view(np.float32)
    meant = np.round(rng.normal(size=5_000) * 100, 3)
    bits[np.isnan(bits)] = 0.5
    ends = np.array([0.0, -0.0, np.inf, np.nan], np.float32)
    column = np.concatenate([bits, meant.astype(np.float32), ends])
    found = widened(column)
    assert np.array_equal(found.astype(np.float32), column, equal_nan=True)
    assert found[5_000:10_000].tolist() == meant.tolist()
    finite = np.isfinite(column)
    assert found[finite].tolist() == [narrowest(float(x), "float32") for x in column[finite]]


@pytest.mark.parametrize(("kind", "n_digits"), [("float16", 3), ("bfloat16", 2), ("float32", 6)])
def test_digits_that_a_narrow_float_holds_come_back(kind, n_digits):
    rounded = {
        "float16": lambda x: float(np.float16(x)),
        "float32": lambda x: float(np.float32(x)),
        "bfloat16": lambda x: float(
            np.uint32((np.float32(x).view(np.uint32) + 0x8000) & 0xFFFF0000).view(np.float32)
        ),
    }[kind]
    for k in range(1, 100):
        meant = float(f"{k / 7:.{n_digits - 1}e}")
        assert narrowest(rounded(meant), kind) == meant


def test_what_a_model_lists_as_verbatim_keeps_its_texts():
    config = ModelConfig.model_validate(
        {
            "model": "m",
            "features": {"land": {"kind": "categorical"}, "app": {"kind": "categorical"}},
            "segments": ["land"],
            "verbatim": ["land"],
        }
    )
    rows = pa.table({"land": ["NA", "True"], "app": ["NA", "True"], "id": ["NA", "7.0"]})
    read = canonical(rows, config).to_pydict()
    assert read["features.land"] == ["NA", "True"]
    assert read["features.app"] == [None, "true"]
    assert read["id"] == ["NA", "7.0"]


def test_only_texts_of_the_model_can_be_verbatim():
    features = {"age": {"kind": "numeric"}}
    for name in ("age", "land", "host"):
        with pytest.raises((ConfigError, ValueError), match="not a categorical feature"):
            ModelConfig.model_validate({"model": "m", "features": features, "verbatim": [name]})
