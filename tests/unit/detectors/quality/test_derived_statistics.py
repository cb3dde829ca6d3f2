"""Text, vectors and dates as numbers: what each says, and what bad input gets."""

from __future__ import annotations

import math
import unicodedata
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from detectors.quality.date_statistics import age_days, hour_of_day, weekday
from detectors.quality.text_statistics import TrigramVocabulary, text_statistics
from detectors.quality.vector_statistics import Centroid, vector_statistics
from schemas.errors import DomainError, ShapeError
from schemas.time_units import DAY_US

TEXTS = [
    "Hello, World 42!",
    "Größe: 5 µm",
    "日本語のテキスト 123",
    "Привет МИР",
    "e\u0301te\u0301 À Bientôt",
    "\t \n",
    "🙂🙂",
    "",
    "a",
    "ǅ x",
    "\ud800b",
]


def plainly(text: str) -> list[float]:
    """The same numbers, character by character."""
    categories = ["Z" if c.isspace() else unicodedata.category(c) for c in text]
    n_letters = sum(c[0] in "LM" for c in categories)
    n_digits = sum(c[0] == "N" for c in categories)
    n_upper = sum(c in ("Lu", "Lt") for c in categories)
    is_word = [c[0] in "LMN" for c in categories]
    n_words = sum(
        now and not before for before, now in zip([False, *is_word], is_word, strict=False)
    )

    def ratio(part: int, whole: int) -> float:
        return part / whole if whole else math.nan

    n = len(text)
    return [
        n,
        ratio(n_letters, n),
        ratio(n_digits, n),
        ratio(sum(c[0] == "Z" for c in categories), n),
        ratio(sum(c[0] in "PS" for c in categories), n),
        ratio(n_upper, n_letters),
        ratio(n_letters + n_digits, n_words),
    ]


def test_text_statistics_are_those_of_counting_character_by_character():
    found = np.stack(text_statistics(TEXTS)[:7])
    expected = np.array([plainly(text) for text in TEXTS]).T
    np.testing.assert_array_equal(found, expected)


def test_pieces_of_a_column_have_the_numbers_of_the_whole():
    vocabulary = TrigramVocabulary.of(TEXTS[:4])
    whole = np.stack(text_statistics(TEXTS, vocabulary))
    pieces = [np.stack(text_statistics(TEXTS[i : i + 3], vocabulary)) for i in (0, 3, 6, 9)]
    np.testing.assert_array_equal(np.concatenate(pieces, axis=1), whole)


def test_a_missing_text_is_missing_in_every_variable():
    found = np.stack(text_statistics([None, "ab"], TrigramVocabulary.of(["ab"])))
    assert np.isnan(found[:, 0]).all()
    assert not np.isnan(found[:, 1]).any()


def test_trigrams_are_counted_by_text_not_by_occurrence():
    vocabulary = TrigramVocabulary.of(["abab abab", "ab"])
    # " ab" and "ab " stand in both, every other one in the first alone
    assert sorted(vocabulary.n_texts.tolist(), reverse=True)[:3] == [2, 2, 1]


def test_vocabularies_of_pieces_merge_to_that_of_the_whole():
    merged = TrigramVocabulary.of(TEXTS[:5]).merge(TrigramVocabulary.of(TEXTS[5:]))
    whole = TrigramVocabulary.of(TEXTS)
    np.testing.assert_array_equal(merged.keys, whole.keys)
    np.testing.assert_array_equal(merged.n_texts, whole.n_texts)
    same = whole.merge(TrigramVocabulary.of([]))
    np.testing.assert_array_equal(same.n_texts, whole.n_texts)


def test_trigrams_know_no_case():
    found = text_statistics(["HELLO"], TrigramVocabulary.of(["hello"]))
    assert found.out_of_vocabulary_share.tolist() == [0.0]


def sentences(rng: np.random.Generator, n: int, letters: str) -> list[str]:
    words = ["".join(rng.choice(list(letters), rng.integers(2, 9))) for _ in range(400)]
    return [" ".join(rng.choice(words, 6)) for _ in range(n)]


def test_without_drift_the_reference_is_as_new_to_itself_as_later_texts_are():
    rng = np.random.default_rng(0)
    texts = sentences(rng, 1_200, "abcdefghijklmnopqrstuvwxyz")
    before, later = texts[:600], texts[600:]
    vocabulary = TrigramVocabulary.of(before)
    own = text_statistics(before, vocabulary, is_reference=True).out_of_vocabulary_share
    new = text_statistics(later, vocabulary).out_of_vocabulary_share
    naive = text_statistics(before, vocabulary).out_of_vocabulary_share
    sd = np.sqrt(own.var() / len(own) + new.var() / len(new))
    assert abs(own.mean() - new.mean()) < 4 * sd
    assert not naive.any()


def test_another_alphabet_is_new():
    rng = np.random.default_rng(1)
    vocabulary = TrigramVocabulary.of(sentences(rng, 300, "abcdefghij"))
    other = text_statistics(sentences(rng, 50, "абвгдежзик"), vocabulary)
    assert other.out_of_vocabulary_share.min() == 1.0


@pytest.mark.parametrize(
    ("texts", "message"), [("abc", "one text"), ([3], "3 is no text"), ([b"a"], "b'a' is no text")]
)
def test_what_is_no_text_is_refused(texts, message):
    with pytest.raises(ShapeError, match=message):
        text_statistics(texts)


def test_a_reference_needs_its_vocabulary():
    with pytest.raises(DomainError, match="is_reference without a vocabulary"):
        text_statistics(["a"], is_reference=True)


def test_no_texts_give_no_numbers():
    assert [len(part) for part in text_statistics([], TrigramVocabulary.of([]))] == [0] * 8


def test_norm_and_cosine_are_those_of_their_formulas():
    rng = np.random.default_rng(2)
    reference, now = rng.normal(1, 1, (500, 300)), rng.normal(0.5, 2, (40, 300))
    found = vector_statistics(now, Centroid.of(reference))
    mean = reference.mean(axis=0)
    np.testing.assert_allclose(found.norm, np.linalg.norm(now, axis=1), rtol=1e-12)
    cosine = now @ mean / (np.linalg.norm(now, axis=1) * np.linalg.norm(mean))
    np.testing.assert_allclose(found.cosine, cosine, rtol=1e-10)


def test_centroids_of_pieces_merge_to_that_of_the_whole():
    vectors = np.arange(24.0).reshape(6, 4)
    merged = Centroid.of(vectors[:2]).merge(Centroid.of(vectors[2:]))
    assert merged.mean.tolist() == Centroid.of(vectors).mean.tolist()
    same = merged.merge(Centroid.of(np.empty((0, 4))))
    assert (same.mean.tolist(), same.n) == (merged.mean.tolist(), 6)


def test_huge_and_tiny_vectors_keep_their_direction():
    centroid = Centroid.of([[1.0, 1.0]])
    found = vector_statistics([[1e300, 1e300], [1e-300, 1e-300]], centroid)
    np.testing.assert_allclose(found.norm, [np.sqrt(2) * 1e300, np.sqrt(2) * 1e-300], rtol=1e-12)
    np.testing.assert_allclose(found.cosine, 1.0, rtol=1e-12)


def test_a_vector_with_a_hole_is_missing_and_zero_has_no_direction():
    centroid = Centroid.of([[1.0, 0.0]])
    found = vector_statistics([[np.nan, 1.0], [np.inf, 0.0], [0.0, 0.0]], centroid)
    assert np.isnan(found.norm).tolist() == [True, True, False]
    assert np.isnan(found.cosine).all()
    assert np.isnan(vector_statistics([[1.0, 0.0]], Centroid.of(np.empty((0, 2)))).cosine).all()


def test_vectors_of_another_form_are_refused():
    centroid = Centroid.of([[1.0, 0.0]])
    with pytest.raises(ShapeError, match="vectors of 3 dimensions, a centroid of 2"):
        vector_statistics([[1.0, 2.0, 3.0]], centroid)
    with pytest.raises(ShapeError, match="rows differ in length"):
        vector_statistics([[1.0], [1.0, 2.0]], centroid)
    with pytest.raises(ShapeError, match=r"shape \(2,\)"):
        vector_statistics([1.0, 2.0], centroid)
    with pytest.raises(DomainError, match="the centroid is not finite"):
        vector_statistics([[1.0, 2.0]], Centroid(np.array([np.nan, 1.0]), 1))
    with pytest.raises(ShapeError, match="2 and 3 dimensions"):
        centroid.merge(Centroid.of([[1.0, 0.0, 0.0]]))


def test_hours_and_weekdays_are_those_of_the_calendar():
    start = datetime(1969, 12, 20, 7, 30, tzinfo=UTC)
    moments = [start + timedelta(hours=13 * i) for i in range(500)]
    times_us = np.array([round(moment.timestamp()) * 1_000_000 for moment in moments])
    assert hour_of_day(times_us).tolist() == [moment.hour for moment in moments]
    assert weekday(times_us).tolist() == [moment.weekday() for moment in moments]


def test_ages_are_counted_from_each_event():
    assert age_days([0, DAY_US], [DAY_US, 0]).tolist() == [1.0, -1.0]
    assert np.isnan(age_days([np.nan, np.inf], 0)).all()


def test_times_of_another_form_are_refused():
    with pytest.raises(ShapeError, match="pass microseconds"):
        weekday(["2016-01-01"])
    with pytest.raises(ShapeError, match=r"\(2,\) times and \(3,\) event times"):
        age_days([0, 1], [0, 1, 2])
