"""Adjusted p-values, and parts of divergences, against scipy and statsmodels."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import rel_entr
from scipy.stats import false_discovery_control
from statsmodels.stats.multitest import multipletests

from detectors.explain.contributions import contributions
from detectors.statistics.multiple_tests import benjamini_yekutieli, holm
from schemas.errors import DomainError, ShapeError

pytestmark = pytest.mark.oracle

SEEDS = range(50)


def drawn(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    p = rng.random(int(rng.integers(1, 60))) ** rng.integers(1, 12)
    p[rng.random(len(p)) < 0.2] = rng.choice([0.0, 1.0, 0.03])  # ties and ends
    return p


@pytest.mark.parametrize("seed", SEEDS)
def test_holm_is_statsmodels(seed):
    p = drawn(seed)
    np.testing.assert_allclose(holm(p), multipletests(p, method="holm")[1], rtol=1e-12)


@pytest.mark.parametrize("seed", SEEDS)
def test_benjamini_yekutieli_is_scipy_and_statsmodels(seed):
    p = drawn(seed)
    np.testing.assert_allclose(
        benjamini_yekutieli(p), false_discovery_control(p, method="by"), rtol=1e-12
    )
    np.testing.assert_allclose(
        benjamini_yekutieli(p), multipletests(p, method="fdr_by")[1], rtol=1e-12
    )


@pytest.mark.parametrize("adjust", [holm, benjamini_yekutieli])
def test_tests_that_were_not_made_do_not_count(adjust):
    p = np.array([0.01, np.nan, 0.2, np.nan])
    found = adjust(p)
    assert np.isnan(found[[1, 3]]).all()
    np.testing.assert_array_equal(found[[0, 2]], adjust(p[[0, 2]]))
    assert adjust([]).shape == (0,)


@pytest.mark.parametrize("adjust", [holm, benjamini_yekutieli])
def test_what_is_no_p_value_is_refused(adjust):
    with pytest.raises(DomainError, match=r"a p-value is 1\.5"):
        adjust([0.1, 1.5])
    with pytest.raises(ShapeError, match=r"shape is \(1, 1\)"):
        adjust([[0.1]])


@pytest.mark.parametrize("seed", SEEDS)
def test_parts_are_those_of_scipys_relative_entropies(seed):
    rng = np.random.default_rng(seed)
    shape = int(rng.integers(1, 6)), int(rng.integers(2, 9))
    laws = rng.dirichlet(np.ones(shape[0] * shape[1]), 2)
    sides = zip((9_000, 700), laws, strict=True)
    before, now = (rng.multinomial(n, law).reshape(shape) for n, law in sides)
    p, q = before / before.sum(), now / now.sum()

    def js(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return (rel_entr(a, (a + b) / 2) + rel_entr(b, (a + b) / 2)) / 2

    parts, total = contributions(before, now), js(p, q).sum()
    np.testing.assert_allclose(parts.bins, js(p, q) / total, rtol=1e-8, atol=1e-12)
    mix = js(p.sum(axis=1), q.sum(axis=1))
    np.testing.assert_allclose(parts.mix, mix / total, rtol=1e-8, atol=1e-12)
    inside = js(p, q).sum(axis=1) - mix
    np.testing.assert_allclose(parts.inside, inside / total, rtol=1e-7, atol=1e-12)
