"""Centroids of few vectors: what has no number is NaN, on either side."""

from __future__ import annotations

import numpy as np
import pytest

from detectors.multivariate.embedding import EmbeddingMoments, centroid_shift
from schemas.errors import ShapeError

NOTHING = EmbeddingMoments.of(np.empty((0, 2)))
ONE = EmbeddingMoments.of([[3.0, 4.0]])
TWO = EmbeddingMoments.of([[0.0, 1.0], [0.0, 3.0]])


@pytest.mark.parametrize(("before", "now"), [(NOTHING, TWO), (TWO, NOTHING), (NOTHING, NOTHING)])
def test_a_side_without_vectors_has_no_centroid(before, now):
    found = centroid_shift(before, now)
    assert np.isnan([found.euclidean, found.expected, found.effect, found.cosine]).all()


@pytest.mark.parametrize(("before", "now"), [(ONE, TWO), (TWO, ONE)])
def test_one_vector_has_a_distance_and_no_expectation(before, now):
    found = centroid_shift(before, now)
    assert found.euclidean == pytest.approx(np.hypot(3, 2))
    assert found.cosine == pytest.approx(1 - 4 / 5)
    assert np.isnan([found.expected, found.effect]).all()


def test_vectors_that_are_all_alike_have_no_effect():
    alike = EmbeddingMoments.of([[1.0, 0.0], [1.0, 0.0]])
    found = centroid_shift(alike, TWO)
    assert found.expected == pytest.approx(np.sqrt(2.0 / 2))
    assert np.isnan(found.effect)


@pytest.mark.parametrize("order", [1, -1])
def test_vectors_of_other_dimensions_are_refused_in_either_order(order):
    pair = [TWO, EmbeddingMoments.of([[0.0, 1.0, 2.0], [1.0, 1.0, 2.0]])][::order]
    with pytest.raises(ShapeError, match=r"[23] and [32] dimensions"):
        centroid_shift(*pair)
