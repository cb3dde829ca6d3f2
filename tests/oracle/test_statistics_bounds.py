"""What sixty bins may hide of the raw rows' statistics: the documented bounds hold."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats

from detectors.statistics.anderson_darling import anderson_darling
from detectors.statistics.cramer_von_mises import cramer_von_mises
from detectors.statistics.gap_bounds import anderson_darling_bounds, cramer_von_mises_bounds
from detectors.statistics.histogram import atoms
from detectors.statistics.ks import ks
from detectors.statistics.kuiper import kuiper
from detectors.statistics.mann_whitney import mann_whitney
from detectors.statistics.quantile_shift import quantile_shift, quantile_shift_binned
from tests.support.binned import quantile_edges

pytestmark = pytest.mark.oracle

SEEDS = range(40)


def drawn(seed: int, n_bins: int = 60) -> SimpleNamespace:
    """Raw rows without ties, and their counts between open reference quantiles."""
    rng = np.random.default_rng(seed)
    n0, n = int(rng.integers(100, 8000)), int(rng.integers(5, 3000))
    draws: list[Callable[[], tuple[np.ndarray, np.ndarray]]] = [
        lambda: (rng.normal(0, 1, n0), rng.normal(rng.uniform(-0.5, 0.5), 1, n)),
        lambda: (rng.standard_t(2, n0), 2 * rng.standard_t(2, n)),
        lambda: (rng.uniform(0, 1, n0), rng.beta(1.3, 1, n)),
        lambda: (rng.normal(0, 1, n0), rng.normal(4, 0.1, n)),
    ]
    x, y = draws[seed % 4]()
    inner = quantile_edges(x, n_bins)[1:-1]
    p, q = (np.bincount(np.searchsorted(inner, s), minlength=len(inner) + 1) for s in (x, y))
    return SimpleNamespace(x=x, y=y, inner=inner, p=p, q=q, atoms=atoms(x, y))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("n_bins", [4, 60])
def test_gaps_of_rows_exceed_those_of_bins_by_at_most_the_largest_reference_bin(
    seed: int, n_bins: int
) -> None:
    d = drawn(seed, n_bins)
    largest = d.p.max() / len(d.x)
    raw = stats.ks_2samp(d.x, d.y, method="asymp").statistic
    assert ks(d.p, d.q) <= raw + 1e-12
    assert raw <= ks(d.p, d.q) + largest + 1e-12
    raw_v, v = kuiper(*d.atoms[:2]).statistic, kuiper(d.p, d.q).statistic
    assert v <= raw_v + 1e-12
    assert raw_v <= v + 2 * largest + 1e-12


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("n_bins", [4, 60])
def test_squared_gaps_of_rows_lie_between_their_bounds(seed: int, n_bins: int) -> None:
    d = drawn(seed, n_bins)
    raw = stats.cramervonmises_2samp(d.x, d.y, method="asymptotic").statistic
    low, high = cramer_von_mises_bounds(d.p, d.q)
    # Of scipy's statistic and ours alike: no two rows are tied.
    assert low - 1e-9 <= raw <= high + 1e-9
    assert low - 1e-9 <= cramer_von_mises(d.p, d.q).statistic <= high + 1e-9
    raw_a = anderson_darling(*d.atoms[:2], variant="right").a_squared
    low, high = anderson_darling_bounds(d.p, d.q)
    assert low - 1e-9 <= raw_a <= high + 1e-9


@pytest.mark.parametrize("seed", SEEDS)
def test_ranks_of_bins_are_off_by_half_the_pairs_that_share_one(seed: int) -> None:
    d = drawn(seed)
    raw = mann_whitney(*d.atoms[:2]).effect
    off = (d.p / len(d.x) * d.q / len(d.y)).sum() / 2
    assert abs(mann_whitney(d.p, d.q).effect - raw) <= off + 1e-12
    assert off <= (d.p.max() / len(d.x)) / 2 + 1e-12


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("quantile", [0.05, 0.5, 0.9])
def test_quantiles_of_rows_lie_within_the_edges_of_their_bins(seed: int, quantile: float) -> None:
    d = drawn(seed)
    outer = min(d.x.min(), d.y.min()), max(d.x.max(), d.y.max())
    edges = np.concatenate([[outer[0]], d.inner, [outer[1]]])
    values, p, q = d.atoms[2], *d.atoms[:2]
    raw = quantile_shift(values, p, q, quantile=quantile)
    moved = quantile_shift_binned(edges, d.p, d.q, quantile=quantile)
    assert moved.low - 1e-12 <= raw <= moved.high + 1e-12
    assert moved.low <= moved.value <= moved.high


def test_sixty_bins_find_the_statistics_of_the_rows_nearly() -> None:
    rng = np.random.default_rng(1)
    x, y = rng.normal(0, 1, 20_000), rng.normal(0.1, 1, 5000)
    inner = quantile_edges(x, 60)[1:-1]
    p, q = (np.bincount(np.searchsorted(inner, s), minlength=60) for s in (x, y))
    raw = atoms(x, y)[:2]
    assert cramer_von_mises(p, q).statistic == pytest.approx(
        float(cramer_von_mises(*raw).statistic), rel=0.01
    )
    assert mann_whitney(p, q).effect == pytest.approx(float(mann_whitney(*raw).effect), abs=2e-4)
    assert anderson_darling(p, q).a_squared == pytest.approx(
        float(anderson_darling(*raw).a_squared), rel=0.05
    )
