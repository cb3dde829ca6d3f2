"""How many components are kept: as many as the share needs, and one fewer than columns at most."""

from __future__ import annotations

import numpy as np
import pytest

from detectors.multivariate.moments import SecondMoments
from detectors.multivariate.principal_components import PrincipalComponents

INDEPENDENT = SecondMoments.of(np.vstack([np.eye(4), -np.eye(4)]))


@pytest.mark.parametrize(
    ("share", "n_components"), [(0.2, 1), (0.3, 2), (0.6, 3), (0.8, 3), (0.999, 3)]
)
def test_of_independent_columns_each_component_has_the_same_share(share, n_components):
    plane = PrincipalComponents.fit(INDEPENDENT, share=share)
    assert plane.left_out.shape == (4, 4 - n_components)
    assert plane.share == pytest.approx(n_components / 4)


@pytest.mark.parametrize("n_components", [1, 2, 3])
def test_components_may_be_counted_instead(n_components):
    plane = PrincipalComponents.fit(INDEPENDENT, n_components=n_components)
    assert plane.share == pytest.approx(n_components / 4)
