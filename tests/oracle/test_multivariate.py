"""Multivariate detectors against numpy, scipy, sklearn and evidently themselves."""

from __future__ import annotations

import warnings
from itertools import combinations
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats
from scipy.spatial.distance import cdist, pdist

from detectors.multivariate.band import band_of_windows
from detectors.multivariate.bandwidth import median_bandwidth
from detectors.multivariate.correlation import correlation_change, correlations
from detectors.multivariate.directions import Directions
from detectors.multivariate.domain_classifier import (
    _auc,
    _terms,
    domain_classifier,
)
from detectors.multivariate.embedding import EmbeddingMoments, centroid_shift
from detectors.multivariate.fourier_features import FourierFeatures
from detectors.multivariate.jennrich import jennrich
from detectors.multivariate.logistic_regression import logistic_regression
from detectors.multivariate.mmd import mmd_squared
from detectors.multivariate.moments import SecondMoments
from detectors.multivariate.principal_components import PrincipalComponents
from detectors.multivariate.sliced_energy import energy_of_counts, sliced_energy
from detectors.statistics.normal import normal_scores

pytestmark = pytest.mark.oracle

SEEDS = range(8)


@pytest.fixture(scope="module")
def sklearn() -> SimpleNamespace:
    """The estimators that nannyml and evidently put together."""
    pytest.importorskip("sklearn")
    from sklearn.decomposition import PCA
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score
    from sklearn.metrics.pairwise import rbf_kernel
    from sklearn.model_selection import StratifiedKFold, cross_val_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import PolynomialFeatures, StandardScaler

    return SimpleNamespace(
        PCA=PCA,
        LogisticRegression=LogisticRegression,
        roc_auc_score=roc_auc_score,
        rbf_kernel=rbf_kernel,
        StratifiedKFold=StratifiedKFold,
        cross_val_score=cross_val_score,
        make_pipeline=make_pipeline,
        PolynomialFeatures=PolynomialFeatures,
        StandardScaler=StandardScaler,
    )


@pytest.fixture(scope="module")
def evidently() -> SimpleNamespace:
    """Its drift methods for embeddings, by name."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip("evidently")
        import pandas as pd
        from evidently.legacy.metrics.data_drift import embedding_drift_methods as methods

    def score(method: str, reference: np.ndarray, current: np.ndarray, **options: str) -> float:
        # Current comes first there.
        judge = getattr(methods, method)(**options)
        return float(judge(pd.DataFrame(current), pd.DataFrame(reference))[0])

    return SimpleNamespace(score=score)


def rows(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Correlated columns of many units: normal, heavy-tailed, few-valued, far from 0, few rows."""
    rng = np.random.default_rng(seed)
    d = int(rng.integers(3, 9))
    mixing = rng.normal(size=(d, d))
    n0, n = (int(k) for k in rng.integers(20, 900, 2))
    if seed % 4 == 1:
        x, y = rng.standard_t(3, (n0, d)), rng.standard_t(3, (n, d))
    elif seed % 4 == 2:
        x, y = (rng.poisson(3, (k, d)).astype(float) for k in (n0, n))
    else:
        x, y = rng.normal(size=(n0, d)), rng.normal(0.3, 1.2, (n, d))
    units = 10.0 ** rng.uniform(-3, 3, d)
    far = 1e6 if seed % 4 == 3 else 1.0
    return (x @ mixing + far) * units, (y @ mixing + far) * units


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_second_moments_are_numpys(seed: int, dtype: type) -> None:
    x = rows(seed)[0].astype(dtype)
    wide = x.astype(np.float64)
    cuts = sorted(np.random.default_rng(seed).integers(0, len(x), 5))
    parts = SecondMoments.empty(x.shape[1])
    for part in np.split(x, cuts):
        parts = parts.merge(SecondMoments.of(part))
    # numpy's own covariance about 1e6 sd keeps no more digits.
    covariance = np.cov(wide - wide[0], rowvar=False)
    sd = np.sqrt(np.diagonal(covariance))
    for mine in (SecondMoments.of(x), parts):
        assert mine.mean == pytest.approx(wide.mean(axis=0), rel=1e-12)
        gap = np.abs(mine.covariance() - covariance) / np.outer(sd, sd)
        assert gap.max() < 1e-9
        assert np.abs(correlations(mine) - np.corrcoef(wide - wide[0], rowvar=False)).max() < 1e-9


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("share", [0.65, 0.9])
def test_reconstruction_error_is_that_of_sklearns_raw_rows(
    sklearn: SimpleNamespace, seed: int, share: float
) -> None:
    x, y = rows(seed)
    scaler = sklearn.StandardScaler().fit(x)
    theirs = sklearn.PCA(n_components=share).fit(scaler.transform(x))
    plane = PrincipalComponents.fit(SecondMoments.of(x), share=share)
    assert plane.n_components == min(theirs.n_components_, x.shape[1] - 1)
    theirs = sklearn.PCA(n_components=plane.n_components).fit(scaler.transform(x))
    assert plane.share == pytest.approx(theirs.explained_variance_ratio_.sum(), rel=1e-9)
    for sample in (x, y, y[:1], y[:2]):
        z = scaler.transform(sample)
        left = z - theirs.inverse_transform(theirs.transform(z))
        window = SecondMoments.of(sample)
        # Squares that are small beside the row's own keep fewer digits, there and here.
        rounding = 1e-9 * (z**2).sum(axis=1).mean()
        mine = plane.reconstruction_error(window)
        assert mine == pytest.approx((left**2).sum(axis=1).mean(), rel=1e-9, abs=rounding)
        assert plane.contributions(window) == pytest.approx(
            (left**2).mean(axis=0), rel=1e-9, abs=rounding
        )
        # nannyml's number is the mean distance, which no moments give: Jensen's side of it.
        assert np.linalg.norm(left, axis=1).mean() <= np.sqrt(mine) + np.sqrt(rounding)


def test_the_band_is_nannymls() -> None:
    values = np.random.default_rng(0).normal(5, 2, 40)
    low, high = band_of_windows(np.append(values, np.nan))
    assert low == pytest.approx(np.mean(values) - 3 * np.std(values), rel=1e-12)
    assert high == pytest.approx(np.mean(values) + 3 * np.std(values), rel=1e-12)


@pytest.mark.parametrize("seed", SEEDS)
def test_correlation_change_is_fishers_z_of_every_pair(seed: int) -> None:
    x, y = rows(seed)
    change = correlation_change(SecondMoments.of(x), SecondMoments.of(y))
    pairs = list(combinations(range(x.shape[1]), 2))
    changes, tails = [], []
    for i, j in pairs:
        before, now = (np.corrcoef(side[:, i], side[:, j])[0, 1] for side in (x, y))
        changes.append(abs(now - before))
        z = (np.arctanh(now) - np.arctanh(before)) / np.sqrt(1 / (len(x) - 3) + 1 / (len(y) - 3))
        tails.append(2 * stats.norm.sf(abs(z)))
    assert change.n_pairs == len(pairs)
    assert change.largest == pytest.approx(max(changes), rel=1e-9, abs=1e-9)
    assert change.pair == pairs[int(np.argmax(changes))]
    both = np.corrcoef(x, rowvar=False) - np.corrcoef(y, rowvar=False)
    assert change.frobenius == pytest.approx(np.linalg.norm(both), rel=1e-8)
    assert change.p_value == pytest.approx(min(1, len(pairs) * min(tails)), rel=1e-6, abs=1e-300)


def covariance_of_correlations(r: np.ndarray) -> np.ndarray:
    """n cov(r_ij, r_kl) of normal data, written out pair by pair (Pearson and Filon, 1898)."""
    pairs = list(combinations(range(len(r)), 2))
    out = np.empty((len(pairs), len(pairs)))
    for a, (i, j) in enumerate(pairs):
        for b, (k, m) in enumerate(pairs):
            squares = r[i, k] ** 2 + r[i, m] ** 2 + r[j, k] ** 2 + r[j, m] ** 2
            triples = (
                r[i, j] * r[i, k] * r[i, m]
                + r[j, i] * r[j, k] * r[j, m]
                + r[k, i] * r[k, j] * r[k, m]
                + r[m, i] * r[m, j] * r[m, k]
            )
            crossed = r[i, k] * r[j, m] + r[i, m] * r[j, k]
            out[a, b] = r[i, j] * r[k, m] * squares / 2 + crossed - triples
    return out


@pytest.mark.parametrize("seed", SEEDS)
def test_jennrich_is_the_quadratic_form_in_the_covariance_of_correlations(seed: int) -> None:
    x, y = rows(seed)
    n0, n = len(x), len(y)
    first, second = (np.corrcoef(side, rowvar=False) for side in (x, y))
    upper = np.triu_indices(len(first), 1)
    gap = (first - second)[upper]
    covariance = covariance_of_correlations((n0 * first + n * second) / (n0 + n))
    expected = n0 * n / (n0 + n) * gap @ np.linalg.solve(covariance, gap)
    test = jennrich(SecondMoments.of(x), SecondMoments.of(y))
    assert test.dof == len(gap)
    # The condition of this matrix of pairs is the square of that of the correlations.
    assert test.statistic == pytest.approx(expected, rel=1e-5)
    assert test.p_value == pytest.approx(
        stats.chi2.sf(test.statistic, test.dof), rel=1e-9, abs=1e-300
    )


def test_without_change_both_tests_reject_as_often_as_they_say() -> None:
    n_windows, rng = 1500, np.random.default_rng(3)
    mixing = np.linalg.cholesky(0.5 * np.eye(4) + 0.5)
    found = np.empty((n_windows, 2))
    for k in range(n_windows):
        before, now = (SecondMoments.of(rng.normal(size=(n, 4)) @ mixing.T) for n in (500, 300))
        found[k] = jennrich(before, now).p_value, correlation_change(before, now).p_value
    for level in (0.05, 0.2):
        sd = np.sqrt(level * (1 - level) / n_windows)
        by_jennrich, by_fisher = (found <= level).mean(axis=0)
        assert abs(by_jennrich - level) < 4 * sd + 0.01  # an asymptotic law
        assert level / 4 < by_fisher < level + 4 * sd  # Bonferroni is conservative


def squared_discrepancies(kernel: np.ndarray, n0: int) -> tuple[float, float]:
    """Unbiased and plain squared MMD of a kernel matrix over both samples, every pair."""
    before, now, between = kernel[:n0, :n0], kernel[n0:, n0:], kernel[:n0, n0:]
    n = len(now)
    pairs = [(k.sum() - np.trace(k)) / (m * (m - 1)) for k, m in ((before, n0), (now, n))]
    plain = before.mean() + now.mean() - 2 * between.mean()
    return sum(pairs) - 2 * between.mean(), plain


@pytest.mark.parametrize("seed", SEEDS)
def test_mmd_is_the_statistic_of_every_pair_for_the_kernel_as_approximated(seed: int) -> None:
    x, y = rows(seed)
    features = FourierFeatures.fit(x, n_frequencies=32, seed=seed)
    angles = (np.vstack([x, y]) - features.centre) / features.scale @ features.frequencies
    phi = np.hstack([np.cos(angles), np.sin(angles)]) / np.sqrt(32)
    mine = mmd_squared(features.sums_of(x), features.sums_of(y))
    assert mine == pytest.approx(squared_discrepancies(phi @ phi.T, len(x))[0], abs=1e-9)


def test_mmd_nears_the_exact_kernel_with_the_root_of_frequencies(sklearn: SimpleNamespace) -> None:
    rng = np.random.default_rng(5)
    x, y = rng.normal(size=(300, 4)), rng.normal(0.4, 1.3, (200, 4))
    errors = {}
    for n_frequencies in (64, 1024):
        found = []
        for seed in range(30):
            features = FourierFeatures.fit(
                x, n_frequencies=n_frequencies, bandwidth=2.0, standardise=False, seed=seed
            )
            found.append(mmd_squared(features.sums_of(x), features.sums_of(y)))
        kernel = sklearn.rbf_kernel(np.vstack([x, y]), gamma=1 / (2 * 2.0**2))
        exact, plain = squared_discrepancies(kernel, len(x))
        errors[n_frequencies] = np.array(found) - exact
        # Four of the largest standard deviations there can be, and Hoeffding's bound.
        assert np.abs(errors[n_frequencies]).max() < 8 * np.sqrt(plain / n_frequencies)
        worst = 4 * np.sqrt(np.log(2 / 1e-6) / (2 * n_frequencies))
        assert np.abs(errors[n_frequencies]).max() < worst
    ratio = errors[64].std() / errors[1024].std()
    assert 2.5 < ratio < 6.4  # 4, with 30 draws each


def test_mmd_nears_evidentlys(evidently: SimpleNamespace) -> None:
    rng = np.random.default_rng(6)
    x, y = rng.normal(size=(250, 20)), rng.normal(0.25, 1, (200, 20))
    theirs = evidently.score("mmd", x, y)
    # Their width: the median distance between the sides, over the root of two.
    width = float(np.median(cdist(x, y))) / np.sqrt(2)
    features = FourierFeatures.fit(x, n_frequencies=20_000, bandwidth=width, standardise=False)
    mine = mmd_squared(features.sums_of(x), features.sums_of(y))
    assert mine == pytest.approx(theirs, abs=8 * np.sqrt(theirs / 20_000))


def test_the_bandwidth_is_the_median_distance() -> None:
    x = np.random.default_rng(7).normal(size=(400, 5))
    assert median_bandwidth(x) == pytest.approx(np.median(pdist(x)), rel=1e-12)
    assert median_bandwidth(x, max_rows=200) == pytest.approx(np.median(pdist(x)), rel=0.1)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("ridge", [1.0, 0.05])
def test_logistic_regression_is_sklearns(sklearn: SimpleNamespace, seed: int, ridge: float) -> None:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(60 + 40 * seed, 6))
    x[:, 5] = x[:, 4]  # a copy: only the ridge makes the answer unique
    labels = rng.random(len(x)) < 1 / (1 + np.exp(-x @ [1, -2, 0, 0.5, 0.2, 0]))
    theirs = sklearn.LogisticRegression(C=1 / ridge, tol=1e-10, max_iter=10_000).fit(x, labels)
    mine = logistic_regression(x, labels, ridge=ridge)
    assert mine.weights == pytest.approx(theirs.coef_[0], rel=1e-4, abs=1e-5)
    assert mine.intercept == pytest.approx(float(theirs.intercept_[0]), rel=1e-4, abs=1e-5)
    assert mine.score(x) == pytest.approx(theirs.decision_function(x), rel=1e-4, abs=1e-4)


@pytest.mark.parametrize("seed", range(4))
def test_domain_classifier_is_sklearns_pipeline(sklearn: SimpleNamespace, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(300, 4)), rng.normal(0.1 * seed, 1 + 0.1 * seed, (200, 4))
    pooled, is_current = np.vstack([x, y]), np.arange(500) >= 300
    scores = stats.norm.ppf((stats.rankdata(pooled, axis=0) - 0.5) / 500)
    assert normal_scores(pooled) == pytest.approx(scores, rel=1e-9)
    polynomial = sklearn.PolynomialFeatures(2, include_bias=False).fit_transform(scores)
    theirs = sklearn.StandardScaler().fit_transform(polynomial)
    terms = _terms(normal_scores(pooled), True)
    assert terms == pytest.approx(theirs, rel=1e-9, abs=1e-9)
    model = sklearn.LogisticRegression(tol=1e-10, max_iter=10_000)
    folds = sklearn.StratifiedKFold(5, shuffle=True, random_state=seed)
    by_fold = []
    for train, test in folds.split(theirs, is_current):
        model.fit(theirs[train], is_current[train])
        auc = sklearn.roc_auc_score(is_current[test], model.decision_function(theirs[test]))
        # Two rows whose scores agree to 1e-6 may change places: one pair of 2,400.
        left_out = np.isin(np.arange(500), test)
        assert _auc(terms, is_current, left_out) == pytest.approx(auc, abs=1 / 2400 + 1e-9)
        by_fold.append(auc)
    # Other folds: the spread of an AUC at these numbers of rows.
    found = domain_classifier(x, y, seed=seed)
    assert found.auc == pytest.approx(np.mean(by_fold), abs=2 * found.null_sd)


@pytest.mark.parametrize("seed", SEEDS)
def test_centroid_distances_are_evidentlys(evidently: SimpleNamespace, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, y = rng.normal(0.5, 1, (300, 128)), rng.normal(0.4, 1, (150, 128))
    moved = centroid_shift(EmbeddingMoments.of(x), EmbeddingMoments.of(y))
    euclidean = evidently.score("distance", x, y, dist="euclidean")
    assert moved.euclidean == pytest.approx(euclidean, rel=1e-9)
    assert moved.cosine == pytest.approx(evidently.score("distance", x, y, dist="cosine"), rel=1e-9)


def test_without_drift_the_centroid_moves_as_expected_and_the_effect_is_nought() -> None:
    rng = np.random.default_rng(9)
    squares, effects = [], []
    for _ in range(200):
        before, now = (EmbeddingMoments.of(rng.normal(size=(n, 300))) for n in (120, 40))
        moved = centroid_shift(before, now)
        squares.append(moved.euclidean**2 / moved.expected**2)
        effects.append(moved.effect)
    assert np.mean(squares) == pytest.approx(1.0, abs=5 * np.std(squares) / np.sqrt(200))
    assert np.mean(effects) == pytest.approx(0.0, abs=5 * np.std(effects) / np.sqrt(200))


@pytest.mark.parametrize("seed", SEEDS)
def test_energy_of_one_dimension_is_scipys(seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, y = rng.standard_t(3, 200), rng.normal(0.3, 1, 150).round(1)
    theirs = stats.energy_distance(x, y)
    assert sliced_energy(x[:, None], y[:, None], n_directions=3) == pytest.approx(theirs, rel=1e-9)


def exact_energy(x: np.ndarray, y: np.ndarray) -> float:
    return float(np.sqrt(2 * cdist(x, y).mean() - cdist(x, x).mean() - cdist(y, y).mean()))


@pytest.mark.parametrize("case", ["moved", "wider", "unchanged"])
def test_sliced_energy_nears_that_of_the_vectors(case: str) -> None:
    rng = np.random.default_rng(10)
    x, y = rng.normal(size=(200, 50)), rng.normal(size=(150, 50))
    y = {"moved": y + np.eye(50)[0] * 3, "wider": 1.5 * y, "unchanged": y}[case]
    exact, errors = exact_energy(x, y) ** 2, {}
    for n_directions in (32, 512):
        found = np.array(
            [sliced_energy(x, y, n_directions=n_directions, seed=k) ** 2 for k in range(12)]
        )
        errors[n_directions] = found / exact - 1
        assert np.abs(errors[n_directions]).max() < 4 * np.sqrt(2 / n_directions)
    assert np.sqrt((errors[512] ** 2).mean()) < 0.6 * np.sqrt((errors[32] ** 2).mean())


@pytest.mark.parametrize("seed", SEEDS)
def test_energy_of_counts_bounds_that_of_the_vectors(seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(400, 30))
    y = [rng.normal(0.2, 1, (90, 30)), rng.standard_t(2, (90, 30)), x[:90].round(), x][seed % 4]
    raw = sliced_energy(x, y, n_directions=40, seed=seed)
    widths = []
    for n_bins in (10, 60):
        directions = Directions.fit(x, n_directions=40, n_bins=n_bins, seed=seed)
        near = energy_of_counts(directions.counts_of(x), directions.counts_of(y), directions)
        assert near.low - 1e-9 <= raw <= near.high + 1e-9
        assert near.low <= near.value <= near.high
        widths.append(float(near.high) - float(near.low))
    assert widths[1] < widths[0]
    # Drawn straight between sixty quantiles, far nearer than the bounds say.
    assert near.value == pytest.approx(raw, rel=0.1, abs=0.05)
