"""Effects of distances over groups: bias is that of the groups with any row."""

from __future__ import annotations

import numpy as np
import pytest

from detectors.evaluate.families import _distances
from detectors.statistics.psi import psi, psi_bias


@pytest.mark.parametrize(
    ("p", "q", "n_groups"),
    [
        ([400, 60, 0], [300, 5, 0], 2),
        ([400, 60, 1], [300, 5, 0], 3),
        ([400, 60, 0], [300, 5, 1], 3),
    ],
)
def test_a_group_with_one_row_counts_for_the_bias(p, q, n_groups):
    blocks = {block.metric: block for block in _distances(np.array([p]), np.array([q]))}
    bias = psi_bias(n_groups, sum(p), sum(q))
    expected = np.sqrt(np.maximum(psi(np.array([p]), np.array([q])) - bias, 0))
    assert expected > 0
    assert blocks["psi"].effect == pytest.approx(expected)
