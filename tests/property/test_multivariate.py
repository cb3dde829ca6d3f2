"""Laws of the multivariate detectors: merging, order, gaps, units, few rows, refusals."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from functools import partial
from importlib import import_module
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.multivariate.band import Band, band_of_windows
from detectors.multivariate.bandwidth import median_bandwidth
from detectors.multivariate.correlation import correlation_change, correlations
from detectors.multivariate.directions import Directions
from detectors.multivariate.domain_classifier import USUAL_BAND, domain_classifier
from detectors.multivariate.embedding import EmbeddingMoments, centroid_shift
from detectors.multivariate.fourier_features import FourierFeatures
from detectors.multivariate.jennrich import jennrich
from detectors.multivariate.logistic_regression import logistic_regression
from detectors.multivariate.mmd import mmd_squared
from detectors.multivariate.moments import SecondMoments
from detectors.multivariate.principal_components import PrincipalComponents
from detectors.multivariate.registry import MULTIVARIATE, RowDetector
from detectors.multivariate.rows import rows_of
from detectors.multivariate.sliced_energy import energy_of_counts, sliced_energy
from detectors.statistics.histogram import atoms
from detectors.statistics.ks import ks_test
from schemas.errors import DomainError, DriftlineError, ShapeError

D = 4
REFERENCE = np.random.default_rng(0).normal(size=(300, D)) @ np.triu(np.ones((D, D)))
FEATURES = FourierFeatures.fit(REFERENCE, n_frequencies=16)
DIRECTIONS = Directions.fit(REFERENCE, n_directions=8, n_bins=12)
PLANE = PrincipalComponents.fit(SecondMoments.of(REFERENCE))
SUMMARIES: dict[str, Callable[[Any], Any]] = {
    "SecondMoments": SecondMoments.of,
    "EmbeddingMoments": EmbeddingMoments.of,
    "FeatureSums": FEATURES.sums_of,
    "ProjectedCounts": DIRECTIONS.counts_of,
}
_OPTIONS: dict[str, dict[str, Any]] = {
    "mmd": {"n_frequencies": 16},
    "binned_energy": {"n_directions": 8, "n_bins": 12},
    "sliced_energy": {"n_directions": 8},
}


def detector_of(name: str) -> Callable[[Any, Any], Any]:
    """The function itself, with the whole of its answer."""
    return partial(MULTIVARIATE[name].load(), **_OPTIONS.get(name, {}))


DETECTORS = {name: detector_of(name) for name in MULTIVARIATE}
all_summaries = pytest.mark.parametrize("of", SUMMARIES.values(), ids=SUMMARIES)
all_detectors = pytest.mark.parametrize("detector", DETECTORS.values(), ids=DETECTORS)
laws = settings(max_examples=40, deadline=None)
seeds = st.integers(0, 2**32 - 1)


def draw(seed: int, n: int | None = None) -> np.ndarray:
    """Rows of mixed units, some few-valued, with a mean far from 0, none missing."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(0, 60)) if n is None else n
    x = rng.normal(size=(n, D)) * [1.0, 1e-3, 50.0, 1.0] + [0.0, 0.1, 1e3, -2.0]
    x[:, 3] = rng.integers(0, 3, n)
    return x


def assert_same(one: Any, other: Any, rel: float = 1e-9) -> None:
    """All fields alike; means to the spread they are taken about."""
    for field in fields(one):
        a, b = getattr(one, field.name), getattr(other, field.name)
        if isinstance(a, str | int):
            assert a == b, field.name
        else:
            scale = np.abs(np.where(np.isfinite(a), a, 0.0)).max(initial=1e-300)
            np.testing.assert_allclose(a, b, rtol=rel, atol=1e-12 * scale, err_msg=field.name)


def numbers(answer: Any) -> np.ndarray:
    """A detector's answer as one array; None, a pair that is not there, as NaN."""
    flat = answer if isinstance(answer, tuple) else (answer,)
    return np.hstack([np.nan if part is None else np.asarray(part, float) for part in flat])


@all_summaries
@given(seeds, st.lists(st.integers(0, 60), max_size=4))
@laws
def test_merged_parts_are_the_whole(of: Callable[[Any], Any], seed: int, cuts: list[int]) -> None:
    x = draw(seed)
    parts = [of(part) for part in np.split(x, sorted(min(c, len(x)) for c in cuts))]
    forward = parts[0]
    for part in parts[1:]:
        forward = forward.merge(part)
    backward = parts[-1]
    for part in parts[-2::-1]:
        backward = part.merge(backward)
    assert_same(forward, of(x))
    assert_same(backward, of(x))


@all_summaries
@given(seeds)
@laws
def test_merging_commutes_and_has_an_identity(of: Callable[[Any], Any], seed: int) -> None:
    a, b, nothing = of(draw(seed)), of(draw(seed + 1)), of(np.empty((0, D)))
    assert_same(a.merge(b), b.merge(a), rel=1e-12)
    assert_same(a.merge(nothing), a, rel=0)
    assert_same(nothing.merge(a), a, rel=0)


@all_summaries
@given(seeds)
@laws
def test_the_order_of_rows_does_not_matter_to_a_summary(
    of: Callable[[Any], Any], seed: int
) -> None:
    x = draw(seed)
    assert_same(of(np.random.default_rng(seed).permutation(x)), of(x))


@all_summaries
def test_a_row_with_a_gap_is_left_out_and_counted(of: Callable[[Any], Any]) -> None:
    x = draw(1, 30)
    with_gaps = np.insert(x, [0, 7, 30], np.nan, axis=0)
    with_gaps[0, 1:] = 5.0  # one value missing is enough
    found, whole = of(with_gaps), of(x)
    assert (found.n, found.n_missing) == (30, 3)
    for field in fields(found):
        if field.name != "n_missing":
            np.testing.assert_array_equal(getattr(found, field.name), getattr(whole, field.name))
    assert found.merge(found).n_missing == 6
    only_gaps = of(np.full((2, D), np.nan))
    assert (only_gaps.n, only_gaps.n_missing) == (0, 2)
    assert only_gaps.merge(whole).n_missing == whole.merge(only_gaps).n_missing == 2


@all_summaries
@pytest.mark.parametrize("dtype", [np.float32, np.int16, np.bool_, ">f8"])
def test_other_dtypes_are_their_values_as_float64(of: Callable[[Any], Any], dtype: Any) -> None:
    x = (draw(2, 20) * 3).astype(dtype)
    assert_same(of(x), of(x.astype(np.float64)), rel=0)


@all_summaries
@pytest.mark.parametrize(
    ("rows", "error", "says"),
    [
        ([1.0, 2.0], ShapeError, r"\(2,\)"),
        (np.empty((3, 0)), ShapeError, r"\(3, 0\)"),
        ([["a"] * D], ShapeError, "dtype"),
        ([[1.0, 2.0, -np.inf, 4.0]], DomainError, "-inf in column 2"),
    ],
)
def test_what_is_no_row_of_numbers_is_refused(
    of: Callable[[Any], Any], rows: Any, error: type[DriftlineError], says: str
) -> None:
    with pytest.raises(error, match=says):
        of(rows)


@all_summaries
def test_large_values_stay_finite_and_too_large_ones_are_refused(of: Callable[[Any], Any]) -> None:
    large = of(np.array([[1e150], [-1e150]]) * np.ones(D))
    for field in fields(large):
        part = getattr(large, field.name)
        assert isinstance(part, str) or np.isfinite(part).all()
    if large.__class__.__name__ == "FeatureSums":  # in units of its reference's spread
        of = FourierFeatures.fit(REFERENCE * 1e-6, n_frequencies=16).sums_of
    with pytest.raises(DomainError, match="overflow"):
        of(np.array([[1.7e308], [-1.7e308]]) * np.ones(D))


def test_means_too_far_apart_are_refused() -> None:
    for of in (SecondMoments.of, EmbeddingMoments.of):
        with pytest.raises(DomainError, match="overflow"):
            of([[1e200]]).merge(of([[-1e200]]))


def test_a_constant_column_has_no_spread_at_all() -> None:
    x = draw(3, 50)
    x[:, 1] = 0.1
    moments = SecondMoments.empty(D)
    for row in x:
        moments = moments.add(row[None])
    assert moments.mean[1] == 0.1
    assert (moments.comoment[1] == 0).all()
    assert (moments.comoment == moments.comoment.T).all()


def test_a_large_common_part_costs_no_digits() -> None:
    x = np.random.default_rng(4).integers(0, 8, (200, 3)).astype(float)
    near, far = SecondMoments.of(x), SecondMoments.of(x[:70] + 2.0**40)
    far = far.merge(SecondMoments.of(x[70:] + 2.0**40))
    assert far.covariance() == pytest.approx(near.covariance(), abs=1e-3)
    sums = (x + 2.0**40).T @ (x + 2.0**40) / 200 - np.outer(*[(x + 2.0**40).mean(axis=0)] * 2)
    assert np.abs(sums / near.covariance(0) - 1).max() > 0.1


@given(seeds)
@laws
def test_moments_survive_as_bytes_to_the_last_bit(seed: int) -> None:
    for moments in (SecondMoments.of(draw(seed)), SecondMoments.of([[np.nan] * D])):
        back = SecondMoments.from_bytes(moments.to_bytes())
        assert (back.n, back.n_missing) == (moments.n, moments.n_missing)
        np.testing.assert_array_equal(back.mean, moments.mean)
        np.testing.assert_array_equal(back.comoment, moments.comoment)
        assert back.to_bytes() == moments.to_bytes()


@pytest.mark.parametrize("at", [0, 3, 8, 15, 30, 100])
def test_damaged_bytes_are_refused(at: int) -> None:
    whole = SecondMoments.of(draw(5, 10)).to_bytes()
    with pytest.raises((DomainError, ShapeError), match="from_bytes"):
        SecondMoments.from_bytes(whole[:at])
    with pytest.raises((DomainError, ShapeError), match="from_bytes"):
        SecondMoments.from_bytes(whole + b"\0" * 8)
    with pytest.raises((DomainError, ShapeError), match="from_bytes"):
        SecondMoments.from_bytes(whole[:8] + b"\xff" * 8 + whole[16:])  # n = -1


def test_bytes_of_no_rows_are_refused() -> None:
    whole = bytearray(SecondMoments.of(draw(5, 10)).to_bytes())
    whole[24 + 8 * D : 32 + 8 * D] = np.array([-1.0]).tobytes()  # a variance below 0
    with pytest.raises(DomainError, match="no rows"):
        SecondMoments.from_bytes(bytes(whole))


@all_detectors
def test_input_is_only_read(detector: Callable[[Any, Any], Any]) -> None:
    x, y = draw(6, 40), draw(7, 30)
    y[3, 1] = np.nan
    copies = x.copy(), y.copy()
    for array in (x, y):
        array.flags.writeable = False
    found = numbers(detector(x, y))
    for array, copy in zip((x, y), copies, strict=True):
        np.testing.assert_array_equal(array, copy)
    np.testing.assert_array_equal(found, numbers(detector(*copies)))


@all_detectors
@given(seeds)
@settings(max_examples=8, deadline=None)
def test_the_order_of_rows_does_not_matter(detector: Callable[[Any, Any], Any], seed: int) -> None:
    x, y = draw(seed, 60), draw(seed + 1, 50)
    rng = np.random.default_rng(seed)
    mixed = numbers(detector(rng.permutation(x), rng.permutation(y)))
    np.testing.assert_allclose(mixed, numbers(detector(x, y)), rtol=1e-6, atol=1e-9)


@all_detectors
@pytest.mark.parametrize("n", [0, 1, 2])
def test_few_rows_give_a_number_or_say_that_they_are_too_few(
    detector: Callable[[Any, Any], Any], n: int
) -> None:
    found = numbers(detector(REFERENCE, draw(8, n)))
    if n == 0:
        assert np.isnan(found).any()
    assert not np.isinf(found).any()


registered = pytest.mark.parametrize("member", MULTIVARIATE.values(), ids=MULTIVARIATE)


def measured(member: RowDetector, x: Any, y: Any) -> Any:
    return member.measure(x, y, **_OPTIONS.get(member.name, {}))


@registered
def test_the_registry_says_how_few_rows_give_a_number(member: RowDetector) -> None:
    enough = measured(member, REFERENCE, draw(8, member.min_rows)).statistic
    one_less = measured(member, REFERENCE, draw(8, member.min_rows - 1)).statistic
    assert np.isfinite(enough)
    assert np.isnan(one_less)


@registered
def test_the_registry_says_what_no_drift_looks_like(member: RowDetector) -> None:
    rng = np.random.default_rng(12)
    x, y, z = rng.normal(size=(3, 3000, D)) @ np.triu(np.ones((D, D)))
    near, far = measured(member, x, y), measured(member, x, rng.permuted(z, axis=0) + 1)
    assert far.statistic > near.statistic + 0.1
    if member.no_drift is not None:
        assert abs(near.statistic - member.no_drift) < 0.1
    if member.p_value:
        assert far.p_value < 1e-6 < 0.001 < near.p_value


def test_the_registry_names_the_summaries_whose_laws_are_tested_here_and_no_others() -> None:
    named = {member.summary for member in MULTIVARIATE.values() if member.is_mergeable}
    assert {summary.split(":")[1] for summary in named} == set(SUMMARIES)
    for module, name in (summary.split(":") for summary in named):
        assert hasattr(getattr(import_module(f"detectors.multivariate.{module}"), name), "merge")


def test_looking_into_the_registries_imports_no_engine() -> None:
    program = (
        "import sys, detectors.multivariate.registry, detectors.sequential.registry;"
        "print([m for m in ('numpy', 'numba', 'scipy') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def fixed_scores() -> dict[str, Any]:
    """What every detector finds in seeded rows."""
    rng = np.random.default_rng(5)
    x, y = rng.normal(size=(2, 80, 3))
    found = {name: measured(member, x, y) for name, member in MULTIVARIATE.items()}
    return {name: [s.statistic, s.p_value] for name, s in found.items()}


def test_without_the_compiler_every_number_is_the_same() -> None:
    program = f"import json; from {__name__} import fixed_scores;print(json.dumps(fixed_scores()))"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "NUMBA_DISABLE_JIT": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout) == json.loads(json.dumps(fixed_scores()))


def test_what_a_few_rows_give() -> None:
    one, two = SecondMoments.of(draw(8, 1)), SecondMoments.of(draw(8, 2))
    assert np.isnan(SecondMoments.empty(D).sd).all()
    assert np.isnan(one.covariance()).all()
    assert np.isfinite(two.covariance()).all()
    assert np.isnan(correlations(one)).all()
    assert correlation_change(SecondMoments.of(REFERENCE), one).pair is None
    change = correlation_change(SecondMoments.of(REFERENCE), two)
    assert np.isfinite(change.largest)
    assert np.isnan(change.p_value)
    assert np.isnan(PLANE.reconstruction_error(SecondMoments.empty(D)))
    assert PLANE.reconstruction_error(one) >= 0
    sums = FEATURES.sums_of
    assert np.isnan(mmd_squared(sums(REFERENCE), sums(draw(8, 1))))
    assert np.isfinite(mmd_squared(sums(REFERENCE), sums(draw(8, 2))))
    assert np.isnan(domain_classifier(REFERENCE, draw(8, 4)).auc)
    assert np.isfinite(domain_classifier(REFERENCE, draw(8, 5)).auc)
    assert sliced_energy(REFERENCE, draw(8, 1), n_directions=4) > 0
    shift = centroid_shift(EmbeddingMoments.of(REFERENCE), EmbeddingMoments.of(draw(8, 1)))
    assert shift.euclidean > 0
    assert np.isnan([shift.expected, shift.effect]).all()


def test_columns_that_are_constant_copied_or_sums_of_others() -> None:
    x, y = draw(9, 80), draw(10, 70)
    for side in (x, y):
        side[:, 1] = 7.0
        side[:, 2] = 3 * side[:, 0]
    before, now = SecondMoments.of(x), SecondMoments.of(y)
    r = correlations(before)
    assert np.isnan(r[1]).all()
    assert r[0, 2] == pytest.approx(1.0, abs=1e-12)
    change = correlation_change(before, now)
    assert (change.n_pairs, jennrich(before, now).dof) == (3, 3)
    assert change.largest < 0.5
    assert change.p_value > 0.001  # a copy that rounds otherwise is no drift
    assert np.isnan(jennrich(before, now).statistic)  # singular
    plane = PrincipalComponents.fit(before, share=0.9)
    quiet = plane.reconstruction_error(now)
    assert quiet < 2
    y[:, 1] = 9.0
    assert plane.reconstruction_error(SecondMoments.of(y)) == pytest.approx(quiet + 4, rel=1e-6)
    assert domain_classifier(x[:, 1:2], x[:, 1:2]).auc == 0.5
    constant = np.full((9, 3), 2.0)
    with pytest.raises(DomainError, match="no column varies"):
        PrincipalComponents.fit(SecondMoments.of(constant))
    with pytest.raises(DomainError, match="0 pairs"):
        FourierFeatures.fit(constant)
    features = FourierFeatures.fit(constant, bandwidth=1.0)
    assert mmd_squared(*(features.sums_of(constant),) * 2) == pytest.approx(0.0, abs=1e-12)
    assert sliced_energy(constant, constant, n_directions=4) == 0.0
    assert np.isnan(jennrich(*(SecondMoments.of(constant),) * 2).statistic)


@given(seeds)
@settings(max_examples=15, deadline=None)
def test_units_do_not_matter_where_columns_are_scaled(seed: int) -> None:
    x, y = draw(seed, 200), draw(seed + 1, 90)
    rng = np.random.default_rng(seed)
    units, zero = 10.0 ** rng.uniform(-4, 4, D), rng.normal(size=D)

    def found(before: np.ndarray, now: np.ndarray) -> np.ndarray:
        a, b = SecondMoments.of(before), SecondMoments.of(now)
        features = FourierFeatures.fit(before, n_frequencies=16)
        return np.hstack(
            [
                PrincipalComponents.fit(a, n_components=2).reconstruction_error(b),
                numbers(correlation_change(a, b)),
                numbers(jennrich(a, b)),
                mmd_squared(features.sums_of(before), features.sums_of(now)),
            ]
        )

    moved = found(x * units + zero, y * units + zero)
    np.testing.assert_allclose(moved, found(x, y), rtol=1e-6, atol=1e-8)


def test_the_classifier_sees_ranks_only() -> None:
    x, y = draw(11, 120), draw(12, 100)
    one = domain_classifier(x, y)
    scale = np.abs(np.vstack([x, y])).max(axis=0)
    for raised in (lambda rows: np.exp(rows / scale), lambda rows: 1e300 * rows / scale):
        assert domain_classifier(raised(x), raised(y)) == one


def test_beyond_its_bound_the_classifier_takes_a_seeded_sample() -> None:
    x, y = draw(13, 500), draw(14, 40)
    found = [domain_classifier(x, y, max_rows=100, seed=k) for k in (0, 0, 1)]
    assert (found[0].n_reference, found[0].n_current) == (100, 40)
    assert found[0] == found[1]
    assert found[0].auc != found[2].auc


def test_turning_vectors_turns_no_distance() -> None:
    rng = np.random.default_rng(15)
    x, y = rng.normal(1, 1, (80, 20)), rng.normal(1.2, 1, (60, 20))
    turn = np.linalg.qr(rng.normal(size=(20, 20)))[0]
    here = centroid_shift(EmbeddingMoments.of(x), EmbeddingMoments.of(y))
    there = centroid_shift(EmbeddingMoments.of(x @ turn), EmbeddingMoments.of(y @ turn))
    np.testing.assert_allclose(there, here, rtol=1e-9)
    back = centroid_shift(EmbeddingMoments.of(y), EmbeddingMoments.of(x))
    assert (back.euclidean, back.cosine) == (here.euclidean, here.cosine)


def test_small_angles_between_centroids_keep_their_digits() -> None:
    a, b = (EmbeddingMoments.of([v]) for v in ([1e200, 0.0], [1e200, 1e190]))
    # 1 - cos of an angle of 1e-10 is 5e-21, which 1 - a product would round to 0.
    assert centroid_shift(a, b).cosine == pytest.approx(5e-21, rel=1e-6)
    assert centroid_shift(a, b).euclidean == pytest.approx(1e190, rel=1e-6)
    opposite = centroid_shift(EmbeddingMoments.of([[2.0, 0.0]]), EmbeddingMoments.of([[-1.0, 0.0]]))
    assert opposite.cosine == pytest.approx(2.0)
    assert np.isnan(centroid_shift(a, EmbeddingMoments.of([[0.0, 0.0]])).cosine)


@given(seeds)
@settings(max_examples=20, deadline=None)
def test_energy_is_symmetric_and_nought_of_a_sample_with_itself(seed: int) -> None:
    x, y = draw(seed, 40), draw(seed + 1, 30)
    there, back = (sliced_energy(a, b, n_directions=6) for a, b in ((x, y), (y, x)))
    assert there == pytest.approx(back, rel=1e-9)
    assert sliced_energy(x, x, n_directions=6) == 0.0
    p, q = DIRECTIONS.counts_of(x), DIRECTIONS.counts_of(y)
    a, b = (numbers(energy_of_counts(*pair, DIRECTIONS)) for pair in ((p, q), (q, p)))
    np.testing.assert_allclose(a, b, rtol=1e-12)
    assert a[1] <= a[0] <= a[2]
    assert energy_of_counts(p, p, DIRECTIONS).value == 0.0


def test_two_projections_do_not_mix() -> None:
    other = FourierFeatures.fit(REFERENCE, n_frequencies=16, seed=1)
    same = FourierFeatures.fit(REFERENCE, n_frequencies=16)
    sums = FEATURES.sums_of(REFERENCE)
    assert sums.merge(same.sums_of(REFERENCE)).n == 600
    for join in (sums.merge, lambda theirs: mmd_squared(sums, theirs)):
        with pytest.raises(DomainError, match="projections are"):
            join(other.sums_of(REFERENCE))
    turned = Directions.fit(REFERENCE, n_directions=8, n_bins=12, seed=1)
    counts = DIRECTIONS.counts_of(REFERENCE)
    with pytest.raises(DomainError, match="projections are"):
        counts.merge(turned.counts_of(REFERENCE))
    with pytest.raises(DomainError, match="projections are"):
        energy_of_counts(counts, counts, turned)


def test_threads_at_once_find_what_one_finds() -> None:
    x, y = draw(16, 80), draw(17, 60)

    def all_of_them(_: int = 0) -> list[bytes]:
        return [numbers(detector(x, y)).tobytes() for detector in DETECTORS.values()]

    alone = all_of_them()
    with ThreadPoolExecutor(4) as pool:
        assert all(found == alone for found in pool.map(all_of_them, range(8)))


def correlated(rng: np.random.Generator, n: int, rho: float) -> np.ndarray:
    """Six standard normal columns, of which the first four have correlation ``rho``."""
    x = rng.normal(size=(n, 6))
    x[:, :4] = np.sqrt(1 - rho) * x[:, :4] + np.sqrt(rho) * rng.normal(size=(n, 1))
    return x


def test_a_change_of_correlation_alone_is_seen_here_and_by_no_marginal() -> None:
    rng = np.random.default_rng(18)
    reference = correlated(rng, 4000, 0.6)
    quiet, changed = correlated(rng, 1000, 0.6), correlated(rng, 1000, 0.0)
    for column in range(6):
        p, q, _ = atoms(reference[:, column], changed[:, column])
        assert ks_test(p, q).p_value > 0.05 / 6

    before = SecondMoments.of(reference)
    plane = PrincipalComponents.fit(before)
    features = FourierFeatures.fit(reference[:1000])
    sums = features.sums_of(reference)
    windows = [correlated(rng, 1000, 0.6) for _ in range(40)]
    errors = band_of_windows([plane.reconstruction_error(SecondMoments.of(w)) for w in windows])
    gaps = band_of_windows([mmd_squared(sums, features.sums_of(w)) for w in windows])
    for window, is_drift in ((quiet, False), (changed, True)):
        now = SecondMoments.of(window)
        assert errors.is_outside(plane.reconstruction_error(now)) == is_drift
        assert gaps.is_outside(mmd_squared(sums, features.sums_of(window))) == is_drift
        assert (jennrich(before, now).p_value < 1e-9) == is_drift
        assert (correlation_change(before, now).p_value < 1e-9) == is_drift
        assert USUAL_BAND.is_outside(domain_classifier(reference, window).auc) == is_drift
    # Of one unit and one mean, without dependence the classifier is as blind as a marginal.
    linear = domain_classifier(reference, changed, products=False)
    assert not USUAL_BAND.is_outside(linear.auc)
    assert correlation_change(before, SecondMoments.of(changed)).pair in {
        (i, j) for i in range(4) for j in range(i + 1, 4)
    }
    parts = plane.contributions(SecondMoments.of(changed)) - plane.contributions(before)
    assert set(np.argsort(parts)[-4:]) == {0, 1, 2, 3}


def test_without_drift_bands_are_rarely_left() -> None:
    rng = np.random.default_rng(19)
    reference = correlated(rng, 3000, 0.5)
    plane = PrincipalComponents.fit(SecondMoments.of(reference))
    features = FourierFeatures.fit(reference[:800], n_frequencies=128)
    sums = features.sums_of(reference)
    found = np.empty((300, 2))
    for k in range(300):
        window = correlated(rng, 300, 0.5)
        found[k, 0] = plane.reconstruction_error(SecondMoments.of(window))
        found[k, 1] = mmd_squared(sums, features.sums_of(window))
    for column in found.T:
        band = band_of_windows(column[:100])
        # A normal leaves 3 sd once in 370 windows, a sum of squares more often.
        assert sum(band.is_outside(value) for value in column[100:]) <= 8


def test_spread_around_one_centre_is_seen_by_energy_and_not_by_centroids() -> None:
    rng = np.random.default_rng(20)
    reference = rng.normal(1, 1, (600, 256))
    apart = rng.normal(1, 1.3, (300, 256)).astype(np.float32)
    same = rng.normal(1, 1, (300, 256)).astype(np.float32)
    directions = Directions.fit(reference, n_directions=64)
    counts = directions.counts_of(reference)
    near, far = (
        energy_of_counts(counts, directions.counts_of(w), directions) for w in (same, apart)
    )
    assert far.low > 1.5 * near.value
    before = EmbeddingMoments.of(reference)
    effects = [abs(centroid_shift(before, EmbeddingMoments.of(w)).effect) for w in (same, apart)]
    assert max(effects) < 0.005
    moved = centroid_shift(before, EmbeddingMoments.of(same + np.float32(0.3)))
    assert moved.effect == pytest.approx(0.09, abs=0.01)


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: rows_of([[1.0, 2.0]], "x", 3), ShapeError, "2 columns, not 3"),
        (lambda: SecondMoments.empty(0), DomainError, "n_features is 0"),
        (lambda: EmbeddingMoments.empty(0), DomainError, "n_features is 0"),
        (lambda: SecondMoments.empty(2).add([[1.0]]), ShapeError, "1 columns, not 2"),
        (lambda: SecondMoments.empty(2).merge(SecondMoments.empty(3)), ShapeError, "3 columns"),
        (lambda: EmbeddingMoments.empty(2).add([[1.0]]), ShapeError, "2 and 1 dimensions"),
        (lambda: band_of_windows([1.0, np.nan]), DomainError, "1 of 2 values"),
        (lambda: band_of_windows([1.0, np.inf]), DomainError, "1 infinite"),
        (lambda: band_of_windows([[1.0]]), ShapeError, r"\(1, 1\)"),
        (lambda: band_of_windows([1.0, 2.0], n_sd=0), DomainError, "n_sd is 0"),
        (lambda: PrincipalComponents.fit(SecondMoments.empty(3)), DomainError, "0 rows of 3"),
        (
            lambda: PrincipalComponents.fit(SecondMoments.of(REFERENCE[:, :1])),
            DomainError,
            "300 rows of 1 columns",
        ),
        (
            lambda: PrincipalComponents.fit(SecondMoments.of(REFERENCE), share=1.0),
            DomainError,
            "share is 1.0",
        ),
        (
            lambda: PrincipalComponents.fit(SecondMoments.of(REFERENCE), n_components=D),
            DomainError,
            "n_components is 4",
        ),
        (lambda: PLANE.reconstruction_error(SecondMoments.empty(2)), ShapeError, "2 columns"),
        (
            lambda: correlation_change(SecondMoments.empty(2), SecondMoments.empty(3)),
            ShapeError,
            "2 and 3 columns",
        ),
        (
            lambda: jennrich(SecondMoments.empty(2), SecondMoments.empty(3)),
            ShapeError,
            "2 and 3 columns",
        ),
        (lambda: median_bandwidth([[1.0]], max_rows=1), DomainError, "max_rows is 1"),
        (lambda: median_bandwidth([[1.0]]), DomainError, "1 rows"),
        (lambda: FourierFeatures.fit(REFERENCE, n_frequencies=0), DomainError, "is 0"),
        (lambda: FourierFeatures.fit(REFERENCE, bandwidth=-1.0), DomainError, "-1.0"),
        (lambda: FourierFeatures.fit(REFERENCE[:0]), DomainError, "no row"),
        (lambda: FEATURES.sums_of([[1.0]]), ShapeError, "1 columns, not 4"),
        (lambda: Directions.fit(REFERENCE, n_bins=0), DomainError, "n_bins 0"),
        (lambda: Directions.fit(REFERENCE[:0]), DomainError, "no vector"),
        (lambda: sliced_energy(REFERENCE, [[1.0]]), ShapeError, "1 columns, not 4"),
        (
            lambda: sliced_energy(REFERENCE, REFERENCE, n_directions=0),
            DomainError,
            "n_directions is 0",
        ),
        (lambda: domain_classifier(REFERENCE, [[1.0]]), ShapeError, "1 columns, not 4"),
        (lambda: domain_classifier(REFERENCE, REFERENCE, n_folds=1), DomainError, "n_folds is 1"),
        (lambda: domain_classifier(REFERENCE, REFERENCE, max_rows=3), DomainError, "max_rows 3"),
        (
            lambda: domain_classifier(np.ones((9, 62)), np.ones((9, 62))),
            DomainError,
            "62 columns give 2015 terms",
        ),
        (
            lambda: logistic_regression(np.ones((2, 1)), np.array([True, True])),
            DomainError,
            "2 of 2 labels",
        ),
        (
            lambda: logistic_regression(np.ones((2, 1)), np.array([True])),
            ShapeError,
            r"\(1,\)",
        ),
        (
            lambda: logistic_regression(np.ones((2, 1)), np.array([True, False]), ridge=0.0),
            DomainError,
            "ridge is 0.0",
        ),
    ],
)
def test_bad_options_are_refused_with_their_value(
    call: Callable[[], Any], error: type[DriftlineError], says: str
) -> None:
    with pytest.raises(error, match=says):
        call()


def test_half_of_all_rows_alike_leave_a_width() -> None:
    x = np.zeros((20, 1))
    x[:3, 0] = [1.0, 2.0, 4.0]
    assert median_bandwidth(x) > 0


def test_a_window_without_rows_is_no_drift_and_an_overflow_is() -> None:
    band = Band(0.0, 1.0)
    assert not band.is_outside(float("nan"))
    assert band.is_outside(float("inf"))
    tiny = PrincipalComponents.fit(SecondMoments.of(REFERENCE * 1e-12))
    assert tiny.reconstruction_error(SecondMoments.of([[1e305, -1e305, 1e305, 0.0]])) == np.inf
