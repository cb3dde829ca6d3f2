"""Text, vectors and times are compared by what is made of them."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pyarrow as pa
import pytest

from monitor.baseline.decisions import Shape
from monitor.compare.comparison import compare
from monitor.compare.derived import MAX_TEXTS, derive, sampled
from schemas.baselines import Kind

ENGLISH = ["the", "parcel", "came", "late", "and", "its", "box", "was", "torn", "please", "send"]
GERMAN = ["das", "Paket", "kam", "zu", "spät", "und", "der", "Karton", "war", "zerrissen", "neu"]


def texts(words: list[str], seed: int, n: int = 400) -> pa.Table:
    rng = np.random.default_rng(seed)
    made = [
        " ".join(rng.choice(words, rng.integers(5, 14))) + f" {rng.integers(1000)}"
        for _ in range(n)
    ]
    return pa.table({"note": made})


def vectors(seed: int, toward: float = 0.0, n: int = 400) -> pa.Table:
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(n, 16)) + 1.0
    rows[:, 0] += toward
    return pa.table({"embedding": pa.array(rows.tolist())})


def times(hours: range, seed: int, n: int = 400) -> pa.Table:
    rng = np.random.default_rng(seed)
    monday = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)
    made = [
        monday + dt.timedelta(days=int(d), hours=int(h), seconds=int(s))
        for d, h, s in zip(
            rng.integers(0, 364, n), rng.choice(hours, n), rng.integers(0, 3600, n), strict=True
        )
    ]
    return pa.table({"asked": pa.array(made, pa.timestamp("us", tz="UTC"))})


def drifted(reference: pa.Table, current: pa.Table) -> set[str]:
    return set(compare(reference, current).drifted)


def test_another_language_shows_and_other_words_of_the_same_do_not():
    assert not drifted(texts(ENGLISH, 1), texts(ENGLISH, 2))
    found = compare(texts(ENGLISH, 1), texts(GERMAN, 3))
    assert "note.out_of_vocabulary_share" in found.drifted
    assert len(found.variables) == 8
    assert not found.omitted


def test_texts_that_are_cut_off_show_in_their_length():
    whole = texts(ENGLISH, 2)["note"].to_pylist()
    cut = pa.table({"note": [text[:20] for text in whole]})
    assert "note.length" in drifted(texts(ENGLISH, 1), cut)


def test_vectors_of_another_encoder_show_and_others_of_the_same_do_not():
    assert not drifted(vectors(1), vectors(2))
    assert {"embedding.norm", "embedding.cosine"} <= drifted(vectors(1), vectors(2, toward=6.0))


def test_times_of_another_part_of_the_day_show_in_their_hour_alone():
    assert not drifted(times(range(8, 18), 1), times(range(8, 18), 2))
    assert drifted(times(range(8, 18), 1), times(range(12, 22), 2)) == {"asked.hour"}


def test_dates_have_no_hour():
    days = [dt.date(2024, 1, 1) + dt.timedelta(days=i) for i in range(300)]
    column = pa.chunked_array([days])
    (only,) = derive("day", Shape.TIME, column, column)
    assert (only.name, only.kind) == ("day.weekday", Kind.CATEGORICAL)
    assert only.reference.to_pylist()[:3] == [0.0, 1.0, 2.0]


def test_vectors_of_another_length_and_what_is_no_vector_are_missing():
    reference = pa.chunked_array([[[1.0, 2.0], [2.0, 1.0], None, [1.0, 2.0, 3.0]]])
    norm, cosine = derive("v", Shape.VECTOR, reference, pa.chunked_array([["x", None]]))
    assert norm.reference.null_count == 2
    assert norm.current.null_count == cosine.current.null_count == 2
    fixed = pa.chunked_array([pa.array([[3.0, 4.0], None], pa.list_(pa.float32(), 2))])
    norm, _ = derive("v", Shape.VECTOR, fixed, fixed)
    assert norm.reference.to_pylist() == [5.0, None]


@pytest.mark.parametrize(
    "other", [pa.list_(pa.string()), pa.large_list(pa.string()), pa.list_(pa.string(), 2)]
)
def test_lists_of_anything_but_numbers_are_missing(other):
    reference = pa.chunked_array([[[1.0, 2.0], [2.0, 1.0]]])
    words = pa.chunked_array([pa.array([["a", "b"], ["c", "d"]], other)])
    made = derive("v", Shape.VECTOR, reference, words)
    assert [d.current.null_count for d in made] == [2] * len(made)
    assert [d.reference.null_count for d in made] == [0] * len(made)


def test_texts_on_one_side_only_are_missing_on_the_other():
    said = texts(ENGLISH, 1)["note"]
    nothing = pa.chunked_array([pa.nulls(3, pa.string())])
    made = derive("note", Shape.TEXT, said, nothing)
    assert all(variable.current.null_count == 3 for variable in made)


@pytest.mark.parametrize("shape", [Shape.IDENTIFIER, Shape.EMPTY, Shape.UNSUPPORTED])
def test_nothing_is_made_of_what_says_nothing(shape):
    assert derive("id", shape, *(pa.chunked_array([["a"]]),) * 2) == []


def test_a_sample_is_spread_over_all_rows_and_the_same_each_time():
    column = pa.chunked_array([np.arange(3 * MAX_TEXTS)])
    first = sampled(column, MAX_TEXTS)
    assert len(first) == MAX_TEXTS
    assert first == sampled(column, MAX_TEXTS)
    assert (first[0].as_py(), first[-1].as_py()) == (0, 3 * MAX_TEXTS - 1)
    assert len(set(first.to_pylist())) == MAX_TEXTS
