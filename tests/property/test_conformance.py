"""One suite that every detector of the registry passes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.conventions import _TABLES
from detectors.kernels.binning import bin_values, make_grid
from detectors.registry import DETECTORS, Detector, Score
from detectors.statistics.histogram import atoms
from schemas.errors import DomainError, ShapeError

N_BINS = 6
POINTS = np.array([-2.0, -0.5, 0.0, 0.25, 1.0, 4.0])
all_detectors = pytest.mark.parametrize("detector", DETECTORS.values(), ids=list(DETECTORS))
all_tests = pytest.mark.parametrize(
    "detector",
    [d for d in DETECTORS.values() if d.quantity == "test"],
    ids=[d.name for d in DETECTORS.values() if d.quantity == "test"],
)
laws = settings(max_examples=40, deadline=None)
seeds = st.integers(0, 2**32 - 1)


def stack(seed: int) -> np.ndarray:
    """Ten histograms with many and with few rows, most with empty bins, none empty."""
    rng = np.random.default_rng(seed)
    most = rng.choice([1, 3, 50, 400], (2, 5, 1))
    counts = rng.integers(0, most + 1, (2, 5, N_BINS)) * (rng.random((2, 5, N_BINS)) < 0.8)
    counts[..., 0] += counts[..., :2].sum(axis=-1) == 0
    return counts


# Drawing 60 numbers one by one takes ten times as long as all of the rest.
stacks = seeds.map(stack)


def sized(detector: Detector, counts: np.ndarray) -> np.ndarray:
    """As many bins as the detector takes."""
    return counts[..., :2] if detector.takes == "pair" else counts


def points_of(detector: Detector, n_bins: int = N_BINS) -> np.ndarray | None:
    return POINTS[:n_bins] if detector.takes in ("points", "moments") else None


def measured(detector: Detector, p: Any, q: Any) -> Score:
    return detector.measure(p, q, points_of(detector, np.shape(p)[-1]))


def numbers(score: Score) -> list[np.ndarray]:
    return [np.asarray(part) for part in score if part is not None]


def assert_same(one: Score, other: Score, rel: float = 1e-9) -> None:
    for a, b in zip(numbers(one), numbers(other), strict=True):
        np.testing.assert_allclose(a, b, rtol=rel, atol=1e-11)


@all_detectors
@given(seeds, st.lists(st.integers(0, 300), max_size=4))
@laws
def test_summed_panes_have_the_statistic_of_all_their_rows(
    detector: Detector, seed: int, cuts: list[int]
) -> None:
    assert detector.is_mergeable
    n_bins = 2 if detector.takes == "pair" else N_BINS
    rng = np.random.default_rng(seed)
    before, now = rng.integers(0, n_bins, 500), rng.integers(0, n_bins, 300)
    reference, whole = (np.bincount(rows, minlength=n_bins) for rows in (before, now))
    panes = [np.bincount(part, minlength=n_bins) for part in np.split(now, sorted(cuts))]
    there = measured(detector, reference, sum(panes))
    back = measured(detector, reference, sum(reversed(panes)) + np.zeros(n_bins, np.int64))
    assert_same(there, measured(detector, reference, whole), rel=0)
    assert_same(there, back, rel=0)


@all_detectors
@given(seeds)
@laws
def test_the_order_of_rows_does_not_matter(detector: Detector, seed: int) -> None:
    rng = np.random.default_rng(seed)
    highest = 2 if detector.takes == "pair" else 9
    x, y = rng.integers(0, highest, 80).astype(float), rng.integers(0, highest, 60).astype(float)
    scores = []
    for before, now in ((x, y), (rng.permutation(x), y[::-1])):
        p, q, values = atoms(before, now)
        scores.append(detector.measure(p, q, values))
    assert_same(scores[0], scores[1], rel=0)


@all_detectors
@given(stacks, st.permutations(range(N_BINS)))
@laws
def test_the_order_of_bins_matters_only_where_they_are_ordered(
    detector: Detector, counts: np.ndarray, order: list[int]
) -> None:
    p, q = sized(detector, counts)
    if detector.is_ordered:
        # What is ordered looks the same from the other end, or with its sign turned.
        values = points_of(detector)
        there = detector.measure(p, q, values)
        back = detector.measure(p[:, ::-1], q[:, ::-1], None if values is None else -values[::-1])
        if there.p_value is not None:
            np.testing.assert_allclose(back.p_value, there.p_value, rtol=1e-9, atol=1e-12)
        if detector.name not in ("mann_whitney", "quantile_shift"):
            np.testing.assert_allclose(back.effect, there.effect, rtol=1e-9, atol=1e-12)
        return
    if detector.takes == "pair":
        flipped = measured(detector, p[:, ::-1], q[:, ::-1])
        np.testing.assert_allclose(flipped.p_value, measured(detector, p, q).p_value, rtol=1e-9)
        return
    values = points_of(detector)
    mixed = detector.measure(p[:, order], q[:, order], None if values is None else values[order])
    assert_same(mixed, measured(detector, p, q))


@all_detectors
@given(stacks, st.integers(3, 1000))
@laws
def test_more_rows_of_the_same_shares_change_the_p_value_and_not_the_effect(
    detector: Detector, counts: np.ndarray, times: int
) -> None:
    p, q = sized(detector, counts)
    few, many = measured(detector, p, q), measured(detector, p * times, q * times)
    np.testing.assert_allclose(many.effect, few.effect, rtol=1e-8, atol=1e-11)
    if few.p_value is None or many.p_value is None:
        return
    differs = (np.abs(p / p.sum(-1, keepdims=True) - q / q.sum(-1, keepdims=True)) > 0.02).any(-1)
    low, high = np.asarray(many.p_value)[differs], np.asarray(few.p_value)[differs]
    if detector.takes == "histogram" and detector.quantity == "test":
        # Too few rows for a number become enough.
        assert (np.isnan(high) | (low <= high * (1 + 1e-9))).all()
        clear = (high < 0.2) & (high > 1e-250)
        assert (low[clear] < high[clear]).all()


@all_detectors
@given(stacks)
@laws
def test_equal_shares_are_no_drift(detector: Detector, counts: np.ndarray) -> None:
    p = sized(detector, counts)[0] * 10
    # A single value has no spread to weigh a gap by.
    p = p[(p > 0).sum(axis=-1) > 1]
    same = measured(detector, p, p)
    if detector.quantity == "distance":
        np.testing.assert_allclose(same.statistic, 0.0, atol=1e-7)
    elif detector.quantity == "test":
        np.testing.assert_allclose(same.p_value, 1.0, rtol=1e-9)


@all_detectors
@given(stacks)
@laws
def test_a_stack_is_each_histogram_alone(detector: Detector, counts: np.ndarray) -> None:
    p, q = (sized(detector, c).reshape(5, 1, -1) for c in counts)
    together = measured(detector, p, np.swapaxes(q, 0, 1))
    for i, j in np.ndindex(5, 5):
        alone = measured(detector, p[i, 0], q[j, 0])
        for part, whole in zip(numbers(alone), numbers(together), strict=True):
            assert whole.shape == (5, 5)
            assert part.shape == ()
            np.testing.assert_allclose(whole[i, j], part, rtol=1e-12, atol=1e-300)


@all_detectors
def test_an_empty_side_has_no_number(detector: Detector) -> None:
    some = sized(detector, np.array([3, 4, 5, 1, 2, 9]))
    for p, q in ((0 * some, some), (some, 0 * some), (0 * some, 0 * some)):
        for part in numbers(measured(detector, p, q)):
            assert np.isnan(part)


@all_detectors
def test_a_single_row_gives_a_number_or_says_that_it_is_too_few(detector: Detector) -> None:
    one = sized(detector, np.array([1, 0, 0, 0, 0, 0]))
    other = sized(detector, np.array([0, 1, 0, 0, 0, 0]))
    for q in (one, other):
        score = measured(detector, one, q)
        if detector.min_rows > 1:
            assert np.isnan(score.statistic)
        elif detector.name != "fisher_exact":  # an odds ratio of 0 / 0 is none
            assert not np.isnan(score.statistic)
        if detector.quantity == "test" and detector.min_rows == 1:
            assert score.p_value is not None
            assert 0 <= score.p_value <= 1
    enough = measured(detector, one * detector.min_rows, other * detector.min_rows)
    assert not np.isnan(enough.statistic)


@all_detectors
@pytest.mark.parametrize("times", [10**12, 10**15])
def test_huge_counts_do_not_overflow(detector: Detector, times: int) -> None:
    p = sized(detector, np.array([3, 4, 5, 1, 2, 9]))
    q = sized(detector, np.array([5, 4, 4, 2, 3, 5]))
    few, huge = measured(detector, p * 100, q * 100), measured(detector, p * times, q * times)
    np.testing.assert_allclose(huge.effect, few.effect, rtol=1e-9)
    assert np.isfinite(huge.statistic)
    if huge.p_value is not None:
        assert 0 <= huge.p_value < 1e-100
        tiny = measured(detector, p * times, p * times + (np.arange(len(p)) == 0))
        assert 0.9 < float(tiny.p_value) <= 1  # type: ignore[arg-type]


@all_detectors
def test_input_is_only_read(detector: Detector) -> None:
    p, q = (sized(detector, np.arange(6) * k + 1) for k in (3, 5))
    values = points_of(detector)
    values = None if values is None else values.copy()
    given_arrays = [a for a in (p, q, values) if a is not None]
    before = [a.copy() for a in given_arrays]
    for array in given_arrays:
        array.flags.writeable = False
    detector.measure(p, q, values)
    for array, copy in zip(given_arrays, before, strict=True):
        np.testing.assert_array_equal(array, copy)


@all_detectors
def test_missing_numbers_are_dropped_from_rows_and_refused_in_histograms(
    detector: Detector,
) -> None:
    x = np.array([0.0, 1.0, 1.0, 0.0, 1.0])
    with_missing = np.insert(x, [1, 4], np.nan)
    scores = [
        detector.measure(p, q, v) for p, q, v in (atoms(x, x[:3]), atoms(with_missing, x[:3]))
    ]
    assert_same(scores[0], scores[1], rel=0)
    p = np.full(2, 0.5)
    for bad in (np.array([0.5, np.nan]), np.array([np.nan, 1.0])):
        with pytest.raises((ShapeError, DomainError)):
            measured(detector, p, bad)
    if detector.takes in ("points", "moments"):
        with pytest.raises(DomainError):
            detector.measure([1, 2], [2, 1], [0.0, np.nan])


@all_detectors
@pytest.mark.parametrize(
    ("reference", "current", "error"),
    [
        ([1, 2], [1, 2, 3], ShapeError),
        ([1, 2], [1, -2], DomainError),
        (["a", "b"], [1, 2], ShapeError),
        ([True, False], [1, 2], ShapeError),
        ([], [], ShapeError),
    ],
)
def test_bad_counts_are_refused(
    detector: Detector, reference: Any, current: Any, error: type[Exception]
) -> None:
    with pytest.raises(error):
        detector.measure(reference, current, POINTS[: len(reference)])


def test_points_are_asked_for_by_name() -> None:
    with pytest.raises(ShapeError, match="values are missing"):
        DETECTORS["wasserstein"].measure([1, 2], [2, 1])


def fixed_scores() -> dict[str, list[Any]]:
    """Scores of every detector on seeded rows that the kernel of the panes has binned."""
    rng = np.random.default_rng(5)
    grid = make_grid(np.linspace(-2, 2, N_BINS + 1))
    rows = rng.normal(0, 1, (2, 12, 150))
    bins = [bin_values(window, grid) for window in rows.reshape(24, 150)]
    counts = np.array([np.bincount(b, minlength=64)[:N_BINS] for b in bins]).reshape(2, 12, -1)
    found = {}
    for name, detector in DETECTORS.items():
        p, q = sized(detector, counts)
        found[name] = [part.tolist() for part in numbers(measured(detector, p, q))]
    return found


def test_threads_at_once_find_what_one_finds() -> None:
    alone = fixed_scores()
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(lambda _: fixed_scores(), range(8)):
            assert found == alone


def test_without_the_compiler_every_number_is_the_same() -> None:
    program = f"import json; from {__name__} import fixed_scores;print(json.dumps(fixed_scores()))"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "NUMBA_DISABLE_JIT": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    # Through JSON here too: it keeps every digit, and infinities.
    assert json.loads(done.stdout) == json.loads(json.dumps(fixed_scores()))


@all_tests
def test_a_test_without_drift_rejects_as_often_as_it_says(detector: Detector) -> None:
    n_windows, n_bins = 3000, 2 if detector.takes == "pair" else 20
    rng = np.random.default_rng(11)
    shares = np.full(n_bins, 1 / n_bins)
    p, q = rng.multinomial(700, shares, n_windows), rng.multinomial(400, shares, n_windows)
    p_values = np.asarray(detector.measure(p, q, np.linspace(-1, 1, n_bins) ** 3).p_value)
    for level in (0.05, 0.2):
        sd = np.sqrt(level * (1 - level) / n_windows)
        share = (p_values <= level).mean()
        # Bins make the tests of a largest gap conservative, and Fisher's always is.
        assert level / 5 < share < level + 4 * sd


def test_the_registry_names_exactly_the_conventions_there_are() -> None:
    offered = {(name, peer) for (peer, _), table in _TABLES.items() for name in table}
    named = {(d.name, peer) for d in DETECTORS.values() for peer in d.conventions}
    assert named == offered


def test_looking_into_the_registry_imports_no_engine() -> None:
    program = (
        "import sys, detectors.registry;"
        "print([m for m in ('numpy', 'numba', 'scipy') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
