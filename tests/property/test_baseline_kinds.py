"""Whatever a column holds there is a decision, and what was decided can be read so."""

from __future__ import annotations

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.baseline.kinds import infer_kind
from monitor.transport.canonical import canonical
from schemas.baselines import Kind
from schemas.config.model import ModelConfig
from schemas.refused import REFUSED_COLUMN

laws = settings(max_examples=200, deadline=None)
number_words = st.sampled_from(
    ["1", "-2.5", "1e3", ".5", "5.", "+3", "+.5", " 4 ", "-0", "1E-9", "1e999", "9" * 30, "NA", ""]
) | st.floats(allow_nan=False, allow_infinity=False).map(repr)
other_words = st.sampled_from(
    ["007", "0x1F", "1_000", "1,5", "inf", "nan", " ", "None", "true", "FALSE", "yes", "2016-01-01"]
) | st.sampled_from(
    ["2016-01-01T00:00Z", "2016-13-45", "é", "日本", "a b", "\u0000", "٣", "²", "-", "+", "1\n"]
)
tricky = number_words | other_words
texts = st.lists(st.none() | number_words, min_size=1, max_size=12) | st.lists(
    st.none() | tricky | st.text(max_size=4), min_size=1, max_size=12
)
numbers = st.lists(st.none() | st.floats(), min_size=1, max_size=12)
wholes = st.lists(st.none() | st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=12)


def decided_and_read(column: pa.Array) -> None:
    found = infer_kind(pa.chunked_array([column]))
    assert found.reason
    if found.kind is None:
        return
    config = ModelConfig.model_validate({"model": "m", "features": {"x": {"kind": found.kind}}})
    read = canonical(pa.table({"x": column}), config)
    assert REFUSED_COLUMN not in read.column_names, (found, column.to_pylist())
    wanted = pa.float64() if found.kind is Kind.NUMERIC else pa.string()
    assert read["features.x"].type in (wanted, pa.large_string())


@given(texts, st.sampled_from([pa.string(), pa.large_string(), pa.binary()]), st.integers(1, 40))
@laws
def test_text_is_read_as_it_was_decided(values, kind, n_repeats):
    encoded = [v.encode() if v is not None and kind == pa.binary() else v for v in values]
    decided_and_read(pa.array(encoded * n_repeats, kind))


@given(numbers, st.integers(1, 40))
@laws
def test_numbers_are_read_as_it_was_decided(values, n_repeats):
    decided_and_read(pa.array(values * n_repeats, pa.float64()))


@given(wholes, st.integers(1, 40))
@laws
def test_whole_numbers_are_read_as_it_was_decided(values, n_repeats):
    decided_and_read(pa.array(values * n_repeats, pa.int64()))


@given(texts | wholes.map(lambda values: [None if v is None else str(v) for v in values]))
@laws
def test_dictionaries_are_decided_like_what_they_stand_for(values):
    plain = pa.array(values, pa.string())
    coded = infer_kind(pa.chunked_array([plain.dictionary_encode()]))
    assert (coded.kind is None) == (infer_kind(pa.chunked_array([plain])).kind is None)
    assert coded.kind in (Kind.CATEGORICAL, None)
    decided_and_read(plain.dictionary_encode())
