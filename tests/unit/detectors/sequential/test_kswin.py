"""KSWIN draws what ``random.Random.sample`` draws, whichever way that draws."""

from __future__ import annotations

import random

import numpy as np
import pytest

from detectors.sequential.kswin import _HAS_POOL, _WINDOW, KSWIN, mark

SIZES = [(n, k) for n in (21, 22, 85, 86, 277, 278, 300, 700) for k in (1, 5, 6, 30) if n >= k]


@pytest.mark.parametrize(("n", "n_drawn"), SIZES)
def test_draws_are_those_of_the_standard_library(n, n_drawn):
    """Python keeps a pool of up to 21 numbers, or of as many as a set of the draws takes."""
    size = n + n_drawn
    detector = KSWIN(window_size=size, stat_size=n_drawn, seed=7)
    state, marks = detector._state, _WINDOW + 2 * size
    mark(n, n_drawn, bool(detector._settings[_HAS_POOL]), state, marks)
    drawn = np.flatnonzero(state[marks : marks + n] == -1.0)
    assert drawn.tolist() == sorted(random.Random(7).sample(range(n), n_drawn))
