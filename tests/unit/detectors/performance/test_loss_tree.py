"""The tree of expected losses: where its leaves are, and what they estimate."""

from __future__ import annotations

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.tree import DecisionTreeRegressor

from detectors.performance.loss_tree import MIN_LEAF_ROWS, fit_loss_tree
from schemas.errors import DomainError, ShapeError
from tests.support.data import SHARED, needs_shared_data


def world(seed, n=4_000):
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(n, 3))
    rows[rng.random(n) < 0.2, 1] = np.nan
    losses = np.where(rows[:, 0] > 0.5, 3.0, 1.0) + 2.0 * np.isnan(rows[:, 1])
    return rows, losses + rng.exponential(0.5, n)


def test_every_leaf_has_enough_rows_and_their_mean_loss():
    rows, losses = world(1)
    tree = fit_loss_tree(rows, losses)
    leaf = tree.leaves(rows)
    n = np.bincount(leaf, minlength=len(tree.means))
    assert n.min() >= MIN_LEAF_ROWS
    assert tree.means == pytest.approx(np.bincount(leaf, losses) / n)
    assert tree.expected(n) == pytest.approx(losses.mean())


def test_missing_values_have_a_branch_where_they_matter():
    rows, losses = world(2)
    tree = fit_loss_tree(rows, losses)
    known, missing = np.array([[0.0, 0.0, 0.0]]), np.array([[0.0, np.nan, 0.0]])
    gap = tree.means[tree.leaves(missing)] - tree.means[tree.leaves(known)]
    assert gap[0] == pytest.approx(2.0, abs=0.3)


def test_losses_that_depend_on_nothing_keep_the_tree_small():
    rng = np.random.default_rng(3)
    sizes = [
        len(fit_loss_tree(rng.normal(size=(3_000, 4)), rng.exponential(size=3_000)).means)
        for _ in range(20)
    ]
    assert np.median(sizes) <= 2


def test_a_single_split_is_that_of_sklearn():
    rng = np.random.default_rng(4)
    rows = rng.integers(0, 40, (2_000, 2)).astype(float)
    losses = 0.1 * rows[:, 0] + rng.normal(size=2_000)
    tree = fit_loss_tree(rows, losses, max_leaves=2)
    peer = DecisionTreeRegressor(max_leaf_nodes=2, min_samples_leaf=MIN_LEAF_ROWS)
    assert tree.means[tree.leaves(rows)] == pytest.approx(peer.fit(rows, losses).predict(rows))


@settings(max_examples=25)
@given(st.integers(0, 2**32 - 1), st.sampled_from([np.nan, np.inf, -np.inf, 1e300]))
def test_any_row_has_a_leaf(seed, odd):
    rows, losses = world(seed, 1_200)
    tree = fit_loss_tree(rows, losses)
    strange = rows[:50].copy()
    strange[::2, seed % 3] = odd
    leaf = tree.leaves(strange)
    assert leaf.min() >= 0
    assert leaf.max() < len(tree.means)


def test_the_same_reference_gives_the_same_tree():
    first, second = (fit_loss_tree(*world(5)) for _ in range(2))
    assert np.array_equal(first.threshold, second.threshold)
    assert np.array_equal(first.means, second.means)


def test_few_rows_are_one_leaf():
    tree = fit_loss_tree([[1.0], [2.0]], [0.0, 1.0])
    assert tree.means.tolist() == [0.5]
    assert tree.expected([0]) is None


def test_losses_that_are_no_numbers_are_refused():
    for losses in ([np.nan, 1.0], []):
        with pytest.raises(DomainError):
            fit_loss_tree(np.zeros((len(losses), 1)), losses)
    with pytest.raises(ShapeError):
        fit_loss_tree(np.zeros((2, 1)), [1.0])
    with pytest.raises(ShapeError):
        fit_loss_tree([[1.0], [2.0]], [0.0, 1.0]).expected([1, 2])


@needs_shared_data
def test_the_error_of_car_price_is_estimated_better_than_by_nannyml():
    """NannyML's DLE is off by 9.0 on average, a constant by 76.6."""
    reference, analysis = (
        pq.read_table(SHARED / f"car_price_{part}.parquet") for part in ("reference", "analysis")
    )
    target = pq.read_table(SHARED / "car_price_analysis_target.parquet")["y_true"].to_numpy()
    losses = np.abs(reference["y_true"].to_numpy() - reference["y_pred"].to_numpy())
    names = ["car_age", "km_driven", "price_new", "accident_count", "door_count", "y_pred"]

    def rows(table):
        columns = [table[name].to_numpy().astype(float) for name in names]
        is_kind = [
            np.asarray(table[name].to_pylist(), object) == kind
            for name in ("fuel", "transmission")
            for kind in sorted(set(reference[name].to_pylist()))
        ]
        return np.stack([*columns, *is_kind], axis=1).astype(float)

    tree = fit_loss_tree(rows(reference), losses)
    leaf, realised = tree.leaves(rows(analysis)), np.abs(target - analysis["y_pred"].to_numpy())
    errors = []
    for chunk in range(10):
        part = slice(chunk * 6_000, (chunk + 1) * 6_000)
        counts = np.bincount(leaf[part], minlength=len(tree.means))
        errors.append(abs(tree.expected(counts) - realised[part].mean()))
    assert np.mean(errors) <= 9.0
