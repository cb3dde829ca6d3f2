"""Learned tolerance: what windows differ from their slot by, less two standard errors."""

from __future__ import annotations

import numpy as np
import pytest

from detectors.decision_rule.seasonal import learned_seasonal_eps
from detectors.decision_rule.sets import cell_sets
from schemas.baselines import Kind, VariableBaseline
from schemas.errors import DomainError

LAND = VariableBaseline("land", Kind.CATEGORICAL, np.empty(0), ("a", "b"))


def rows(a: int, b: int, n_windows: int = 336) -> np.ndarray:
    counts = np.zeros((n_windows, 64), np.int64)
    counts[:, :2] = a, b
    return counts


def eps_of(window: np.ndarray, others: np.ndarray, phi: float = 1.0) -> float:
    sets = cell_sets(LAND, others.sum(axis=0))
    return learned_seasonal_eps(window, window + others, sets, phi)


@pytest.mark.parametrize("phi", [1.0, 3.0])
@pytest.mark.parametrize(("n", "n0"), [(1_000, 4_000), (4_000, 1_000)])
def test_two_standard_errors_of_window_and_reference_are_taken_off(n, n0, phi):
    window, others = rows(7 * n // 10, 3 * n // 10), rows(n0 // 2, n0 // 2)
    noise = 2 * np.sqrt(phi * 0.25 * (1 / n + 1 / n0))
    assert eps_of(window, others, phi) == pytest.approx(0.2 - noise)


def test_what_noise_explains_is_no_tolerance():
    assert eps_of(rows(510, 490), rows(500, 500)) == 0.0


def test_bad_input_is_named():
    with pytest.raises(DomainError, match="phi is 0.5"):
        eps_of(rows(700, 300), rows(500, 500), 0.5)
    with pytest.raises(DomainError, match="without its own window"):
        eps_of(rows(700, 300), rows(-1, 500))
