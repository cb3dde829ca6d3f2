"""What a column is taken for, and why; and what is refused."""

from __future__ import annotations

import uuid
from datetime import date, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from monitor.baseline.decisions import KindDecision, Shape
from monitor.baseline.kinds import infer_kind
from schemas.baselines import Kind

N = 1_000
RNG = np.random.default_rng(0)
DAYS = [date(2020, 1, 1) + timedelta(days=i) for i in range(N)]
UUIDS = [str(uuid.UUID(int=int(i), version=4)) for i in RNG.integers(1 << 62, size=N)]
HASHES = [f"{int(i):040x}" for i in RNG.integers(1 << 62, size=N)]
PROSE = [" ".join(RNG.choice(["the", "car", "is", "red", "my", "old", "it"], 8)) for _ in range(N)]


def decide(values: object, kind: pa.DataType | None = None) -> KindDecision:
    return infer_kind(pa.chunked_array([pa.array(values, kind)]))


def as_bytes(values: object) -> pa.ChunkedArray:
    """A column of a CSV file."""
    texts = [None if v is None else str(v).encode() for v in values]
    return pa.chunked_array([pa.array(texts, pa.binary())])


KEPT = [
    ("fractions", RNG.normal(size=N), Shape.NUMBER, Kind.NUMERIC),
    ("fractions of few values", RNG.choice([0.5, 1.0], N), Shape.NUMBER, Kind.NUMERIC),
    ("many whole numbers", RNG.integers(0, 96, N), Shape.NUMBER, Kind.NUMERIC),
    ("sparse whole numbers", RNG.integers(0, 10**9, N), Shape.NUMBER, Kind.NUMERIC),
    ("codes", RNG.integers(1, 10, N), Shape.CATEGORY, Kind.CATEGORICAL),
    ("zero and one", RNG.integers(0, 2, N), Shape.BOOLEAN, Kind.CATEGORICAL),
    ("truth values", RNG.random(N) < 0.5, Shape.BOOLEAN, Kind.CATEGORICAL),
    ("one number", np.full(N, 2015), Shape.CONSTANT, Kind.NUMERIC),
    ("one text", ["x"] * N, Shape.CONSTANT, Kind.CATEGORICAL),
    ("one truth value", [True] * N, Shape.CONSTANT, Kind.CATEGORICAL),
    ("one date", [DAYS[0]] * N, Shape.CONSTANT, Kind.CATEGORICAL),
    ("texts", RNG.choice(["a", "b b", "c"], N), Shape.CATEGORY, Kind.CATEGORICAL),
    ("few dates", [DAYS[i % 12] for i in range(N)], Shape.TIME, Kind.CATEGORICAL),
    ("numbers and text", RNG.choice(["1", "2", "3+"], N), Shape.MIXED, Kind.CATEGORICAL),
    ("a long tail", [f"z{i}" for i in RNG.zipf(1.3, N)], Shape.CATEGORY, Kind.CATEGORICAL),
    ("a product's UUID", [UUIDS[i % 90] for i in range(N)], Shape.CATEGORY, Kind.CATEGORICAL),
    ("sentences from a list", PROSE[:30] * 30, Shape.CATEGORY, Kind.CATEGORICAL),
    ("few values, all different", list("abcdefghij"), Shape.CATEGORY, Kind.CATEGORICAL),
    ("sorted ages", np.sort(RNG.integers(18, 80, N)), Shape.NUMBER, Kind.NUMERIC),
    ("sorted amounts", np.sort(RNG.gamma(2, 900, N)), Shape.NUMBER, Kind.NUMERIC),
]
REFUSED = [
    ("row numbers", np.arange(N), Shape.IDENTIFIER, "1,000 whole numbers, each larger than"),
    ("row numbers as floats", np.arange(N) * 1.0, Shape.IDENTIFIER, "each larger than the one"),
    ("falling numbers", -np.arange(N) * 7, Shape.IDENTIFIER, "each smaller than the one before"),
    ("epoch seconds", 1_700_000_000 + 37 * np.arange(N), Shape.IDENTIFIER, "a key or a time"),
    ("shuffled numbers", RNG.permutation(N), Shape.IDENTIFIER, "fill 0 to 999: a shuffled key"),
    ("households", np.arange(N) // 2, Shape.IDENTIFIER, "fill 0 to 499, 2.0 rows each: a key"),
    ("huge numbers", RNG.integers(1 << 62, size=N), Shape.IDENTIFIER, "1,000 different whole"),
    ("UUIDs", UUIDS, Shape.IDENTIFIER, "1,000 different UUIDs in 1,000 rows"),
    ("UUIDs, each twice", UUIDS[:500] * 2, Shape.IDENTIFIER, "500 different UUIDs in 1,000 rows"),
    ("hashes", HASHES, Shape.IDENTIFIER, "hexadecimal hashes"),
    ("addresses", [f"u{i}@x.org" for i in range(N)], Shape.IDENTIFIER, "e-mail addresses"),
    ("names", [f"user-{i}" for i in range(N)], Shape.IDENTIFIER, "1,000 different values in 1,000"),
    ("prose", PROSE, Shape.TEXT, "derive: length"),
    ("days", DAYS, Shape.TIME, "1,000 times like '2020-01-01': times grow without limit"),
    (
        "moments",
        [datetime(2020, 1, 1, i % 24, i // 24) for i in range(N)],
        Shape.TIME,
        "derive: age_days",
    ),
    ("ISO text", [day.isoformat() for day in DAYS], Shape.TIME, "derive: age_days"),
    ("vectors", [[1.0, 2.0]] * N, Shape.VECTOR, "vectors of 2 numbers: send their norm"),
    ("ragged vectors", [[1.0], [1.0, 2.0]], Shape.VECTOR, "vectors of 1 to 2 numbers"),
    ("lists of text", [["a"]] * N, Shape.UNSUPPORTED, "is neither numbers nor categories"),
    ("nothing", [None] * N, Shape.EMPTY, "it has no value at all"),
    ("only NaN", [float("nan")] * N, Shape.EMPTY, "it has no value at all"),
    ("words for nothing", ["NA", "null", " "] * 9, Shape.EMPTY, "it has no value at all"),
    ("bytes", [b"\xff\xfe"] * N, Shape.UNSUPPORTED, "bytes that are not UTF-8"),
    (
        "numbers with a few words",
        [str(i / 8) for i in range(N - 5)] + ["unknown"] * 5,
        Shape.MIXED,
        "99.5 % of the rows are numbers, others are text like 'unknown': correct",
    ),
]


@pytest.mark.parametrize(
    ("values", "shape", "kind"), [k[1:] for k in KEPT], ids=[k[0] for k in KEPT]
)
def test_what_repeats_is_kept(values, shape, kind):
    found = decide(values)
    assert (found.shape, found.kind) == (shape, kind), found.reason


@pytest.mark.parametrize(
    ("values", "shape", "reason"), [r[1:] for r in REFUSED], ids=[r[0] for r in REFUSED]
)
def test_what_cannot_be_compared_is_refused_with_its_reason(values, shape, reason):
    found = decide(values)
    assert (found.shape, found.kind) == (shape, None)
    assert reason in found.reason


@pytest.mark.parametrize(
    ("values", "shape", "kind"),
    [
        (RNG.normal(size=N).round(3), Shape.NUMBER, Kind.NUMERIC),
        (RNG.integers(0, 5, N), Shape.CATEGORY, Kind.CATEGORICAL),
        (RNG.integers(0, 5, N) * 1.0, Shape.NUMBER, Kind.NUMERIC),
        (np.arange(N), Shape.IDENTIFIER, None),
        (["true", "FALSE"] * 9, Shape.BOOLEAN, Kind.CATEGORICAL),
        (["1.5", "", None, "NA", "2e3", " 7 "] * 9, Shape.NUMBER, Kind.NUMERIC),
        (["01", "02", "17"] * 9, Shape.CATEGORY, Kind.CATEGORICAL),
        (DAYS, Shape.TIME, None),
        (["2016-01-01 00:00:01.5+01:00", "2016-01-01T00:00Z"], Shape.TIME, Kind.CATEGORICAL),
        (["2016-01-01", "soon"], Shape.CATEGORY, Kind.CATEGORICAL),
        (UUIDS, Shape.IDENTIFIER, None),
    ],
    ids=str,
)
def test_a_csv_column_is_judged_by_what_its_text_says(values, shape, kind):
    found = infer_kind(as_bytes(values))
    assert (found.shape, found.kind) == (shape, kind), found.reason


def test_pandas_categories_of_numbers_stay_categories():
    codes = pa.array(RNG.integers(0, 25, N)).dictionary_encode()
    found = infer_kind(pa.chunked_array([codes]))
    assert (found.shape, found.kind) == (Shape.CATEGORY, Kind.CATEGORICAL)
    assert found.reason == "25 categories, by the column's type"
    alone = infer_kind(pa.chunked_array([pa.array([7] * N).dictionary_encode()]))
    assert alone.reason == "always 7: any other value is unseen"


def test_a_dictionary_of_keys_is_refused_like_the_keys():
    found = infer_kind(pa.chunked_array([pa.array(UUIDS).dictionary_encode()]))
    assert (found.shape, found.kind) == (Shape.IDENTIFIER, None)


def test_missing_rows_change_no_decision():
    with_holes = [None if i % 3 == 0 else i for i in range(N)]
    assert decide(with_holes).shape is Shape.IDENTIFIER
    assert decide([None, 1.5, None]).shape is Shape.CONSTANT
    assert decide([None, True, False]).shape is Shape.BOOLEAN


def test_many_categories_are_described_with_what_the_commonest_hold():
    values = ["a"] * 900 + [f"r{i % 99}" for i in range(198)]
    found = decide(values)
    assert found.kind is Kind.CATEGORICAL
    assert found.reason == "100 categories: the 59 commonest hold 92.5 %, other the rest"


def test_independent_draws_are_never_taken_for_shuffled_keys():
    rng = np.random.default_rng(3)
    for n_values in (300, 1_000, 2_000, 5_000):
        drawn = rng.integers(0, n_values, N)
        assert decide(drawn).shape is Shape.NUMBER


@pytest.mark.parametrize("kind", [pa.uint64(), pa.int8(), pa.float32(), pa.decimal128(9, 2)])
def test_numbers_of_every_type_are_numbers(kind):
    found = decide([i % 41 for i in range(N)], kind)
    assert (found.shape, found.kind) == (Shape.NUMBER, Kind.NUMERIC)
    assert found.reason == "41 different numbers from 0 to 40"


# --- numbers beyond what a double counts one by one ----------------------------------


@pytest.mark.parametrize("scale", [1e16, 1e18, 1e300])
@pytest.mark.parametrize("is_sorted", [False, True])
def test_large_fractions_are_amounts_and_no_keys(scale, is_sorted):
    amounts = np.random.default_rng(0).lognormal(0, 1, 1_000) * scale
    found = infer_kind(pa.chunked_array([np.sort(amounts) if is_sorted else amounts]))
    assert found.kind is Kind.NUMERIC


def test_large_floats_are_amounts_however_they_are_written():
    amounts = np.floor(np.random.default_rng(0).lognormal(0, 1, 1_000) * 1e16)
    digits = [str(int(value)) for value in amounts]
    for written in (amounts, digits, [int(text) for text in digits], [*map(str, amounts)]):
        assert infer_kind(pa.chunked_array([written])).kind is Kind.NUMERIC


@pytest.mark.parametrize("step", [1, 1 << 12, 1 << 22])
def test_large_integers_that_are_no_floats_are_keys_however_they_are_written(step):
    rng = np.random.default_rng(0)
    keys = rng.permutation(2**60 + step * rng.integers(0, 2**30, 1_000))
    for written in (keys, [*map(str, keys)]):
        found = infer_kind(pa.chunked_array([written]))
        assert found.shape is Shape.IDENTIFIER, found.reason


def test_reasons_never_repeat_hundreds_of_digits_or_letters():
    rng = np.random.default_rng(0)
    huge = [str(10**299 + int(i)) for i in rng.integers(0, 2**62, 500)]
    for values in (huge, ["x" * 5_000] * 300, [f"0{7 * 10**200 + i}" for i in range(3)] * 99):
        assert len(infer_kind(pa.chunked_array([values])).reason) < 200
