"""Tails in the kernels against scipy's."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import chdtrc, kolmogorov, ndtr, ndtri

from detectors.kernels.tails import (
    chi_square_tail,
    kolmogorov_tail,
    two_sided,
    upper_normal_quantile,
)


def test_normal_tails_and_quantiles_are_scipys():
    tails = np.concatenate([np.logspace(-13, -1, 500), np.linspace(0.01, 0.5, 500)])
    found = [upper_normal_quantile(float(tail)) for tail in tails]
    np.testing.assert_allclose(found, -ndtri(tails), rtol=0, atol=1e-13)
    z = np.linspace(-40, 40, 1_001)
    found = [two_sided(float(each)) for each in z]
    np.testing.assert_allclose(found, 2 * ndtr(-np.abs(z)), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("dof", [1, 2, 3, 10, 11, 62, 63])
def test_the_chi_square_tail_is_scipys_at_every_size(dof):
    x = np.concatenate([[0.0], np.logspace(-10, 5, 800)])
    found = [chi_square_tail(dof, float(each)) for each in x]
    np.testing.assert_allclose(found, chdtrc(dof, x), rtol=1e-11, atol=1e-14)
    assert np.isnan(chi_square_tail(dof, float("nan")))


def test_kolmogorovs_tail_is_scipys_on_both_sides_of_its_change_of_series():
    x = np.concatenate([np.linspace(0, 6, 2_001), [1.0, np.nextafter(1.0, 0)]])
    found = [kolmogorov_tail(float(each)) for each in x]
    np.testing.assert_allclose(found, kolmogorov(x), rtol=0, atol=1e-14)
    assert np.isnan(kolmogorov_tail(float("nan")))
