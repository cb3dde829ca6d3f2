"""Acceptance cases 1 to 6: the peers' numbers, to six digits, from raw samples.

The figures are those of evidently 0.7.23, nannyml 0.13.1 and scipy 1.17.1 on one
seeded draw; where the peer is installed, ``test_statistics_peers`` runs it as well.
"""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from detectors.statistics.chi_square import chi_square, chi_square_exact_reference
from detectors.statistics.energy import energy
from detectors.statistics.hellinger import hellinger
from detectors.statistics.histogram import atoms, doane, reference_quantiles, sturges
from detectors.statistics.jensen_shannon import js_distance
from detectors.statistics.kl import kl
from detectors.statistics.ks import ks, ks_p_value
from detectors.statistics.psi import psi
from detectors.statistics.wasserstein import normed, wasserstein

pytestmark = pytest.mark.oracle


@pytest.fixture(scope="module")
def drawn() -> SimpleNamespace:
    rng = np.random.default_rng(20240601)
    return SimpleNamespace(
        ref=rng.normal(0, 1, 5000),
        cur=rng.normal(0.2, 1.1, 4000),
        rs=rng.normal(0, 1, 800),
        cs=rng.normal(0.15, 1, 600),
        cr=rng.choice(4, 3000, p=[0.4, 0.3, 0.2, 0.1]),
        cc=rng.choice(5, 2000, p=[0.35, 0.3, 0.2, 0.1, 0.05]),
        cc4=rng.choice(4, 2000, p=[0.37, 0.3, 0.22, 0.11]),
    )


def digits(value: float) -> object:
    """Six significant digits."""
    return pytest.approx(value, rel=5e-7)


def test_case_1_psi_and_kl(drawn: SimpleNamespace) -> None:
    p, q, _ = sturges(drawn.ref, drawn.cur)
    assert psi(p, q) == digits(0.0485695565)
    assert kl(p, q) == digits(0.0223267770)
    p, q, _ = reference_quantiles(drawn.ref, drawn.cur, n_bins=10)
    assert psi(p, q) == digits(0.0428941426)


def test_case_2_jensen_shannon(drawn: SimpleNamespace) -> None:
    p, q, _ = sturges(drawn.ref, drawn.cur)
    assert js_distance(p, q) == digits(0.0780358064)
    p, q, _ = doane(drawn.ref, drawn.cur)
    assert js_distance(p, q, base=2.0) == digits(0.0938798585)
    p, q, _ = reference_quantiles(drawn.ref, drawn.cur, n_bins=10)
    assert js_distance(p, q, base=2.0) == digits(0.0876408463)


def test_case_3_wasserstein_and_energy(drawn: SimpleNamespace) -> None:
    p, q, values = atoms(drawn.ref, drawn.cur)
    distance = wasserstein(values, p, q)
    assert distance == digits(0.1899902727)
    assert normed(distance, drawn.ref.std()) == digits(0.1887350154)
    assert energy(values, p, q) == digits(0.1432581813)


def test_case_4_kolmogorov_smirnov(drawn: SimpleNamespace) -> None:
    p, q, _ = atoms(drawn.ref, drawn.cur)
    assert ks(p, q) == digits(0.08175)
    assert ks_p_value(ks(p, q), 5000, 4000, method="auto") == digits(2.3184734e-13)
    p, q, _ = atoms(drawn.rs, drawn.cs)
    assert ks(p, q) == digits(0.0854166667)
    assert ks_p_value(ks(p, q), 800, 600, method="exact") == digits(0.0127479913)


def test_case_5_hellinger(drawn: SimpleNamespace) -> None:
    p, q, _ = sturges(drawn.ref, drawn.cur, distinct=True)
    assert hellinger(p, q) == digits(0.0788943173)
    p, q, _ = doane(drawn.ref, drawn.cur)
    assert hellinger(p, q) == digits(0.0792558691)


def test_case_6_chi_square(drawn: SimpleNamespace) -> None:
    p, q, _ = atoms(drawn.cr, drawn.cc4)
    test = chi_square(p, q)
    assert test.statistic == digits(7.624468)
    assert test.p_value == digits(0.0544451237)
    assert chi_square_exact_reference(p, q).p_value == digits(0.0044906377)


def test_an_unseen_category_is_certain_drift_only_to_an_exact_reference(
    drawn: SimpleNamespace,
) -> None:
    p, q, _ = atoms(drawn.cr, drawn.cc)
    assert chi_square_exact_reference(p, q).p_value == 0.0
    assert 0.0 < chi_square(p, q).p_value < 1e-20
