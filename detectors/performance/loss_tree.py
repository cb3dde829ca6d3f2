"""Expected loss of rows without labels: a small regression tree whose leaves are counted.

The tree is fitted on the reference, where labels are known; in production a row's leaf is
counted like a category, and the estimated mean loss is the sum of leaf shares times leaf means.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from detectors.performance.tree_growth import Growth, Node, binned, edges_of
from schemas.errors import DomainError, ShapeError

MAX_LEAVES = 60
MIN_LEAF_ROWS = 200
N_FOLDS = 5
_SEED = 0
"""Of the folds: the same reference gives the same tree."""


@dataclass(frozen=True, slots=True)
class LossTree:
    """A fitted tree as arrays over nodes; node 0 is the root.

    Attributes
    ----------
    feature : ndarray of int64
        Of the split; -1 in a leaf.
    threshold : ndarray of float64
        Rows at or below it go to ``left``.
    left, right : ndarray of int64
        Children.
    is_missing_left : ndarray of bool
        Where rows without the feature go.
    leaf : ndarray of int64
        Number of a leaf, from 0; -1 of an inner node.
    means : ndarray of float64, shape (n_leaves,)
        Mean loss of the reference in each leaf.
    """

    feature: NDArray[np.int64]
    threshold: NDArray[np.float64]
    left: NDArray[np.int64]
    right: NDArray[np.int64]
    is_missing_left: NDArray[np.bool_]
    leaf: NDArray[np.int64]
    means: NDArray[np.float64]

    def leaves(self, rows: ArrayLike) -> NDArray[np.int64]:
        """Return the leaf of each row.

        Parameters
        ----------
        rows : array_like of float, shape (n, n_features)
            NaN where a feature is missing.

        Notes
        -----
        O(n x depth).
        """
        values = np.asarray(rows, np.float64)
        node = np.zeros(len(values), np.int64)
        inner = np.flatnonzero(self.feature[node] >= 0)
        while len(inner):
            at = node[inner]
            value = values[inner, self.feature[at]]
            to_left = np.where(
                np.isnan(value), self.is_missing_left[at], value <= self.threshold[at]
            )
            node[inner] = np.where(to_left, self.left[at], self.right[at])
            inner = inner[self.feature[node[inner]] >= 0]
        return self.leaf[node]

    def expected(self, counts: ArrayLike) -> float | None:
        """Return the expected mean loss of rows counted by leaf; None without rows.

        Examples
        --------
        >>> tree = fit_loss_tree(np.arange(800.0)[:, None], np.repeat([1.0, 3.0], 400))
        >>> tree.expected([300, 100])
        1.5
        """
        n = np.asarray(counts, np.float64)
        if n.shape != self.means.shape:
            what = f"{n.shape} counts, {len(self.means)} leaves"
            raise ShapeError(what, where="LossTree.expected", fix="count rows by leaf")
        return float((n * self.means).sum() / n.sum()) if n.sum() > 0 else None


def fit_loss_tree(
    rows: ArrayLike,
    losses: ArrayLike,
    *,
    max_leaves: int = MAX_LEAVES,
    min_leaf_rows: int = MIN_LEAF_ROWS,
) -> LossTree:
    """Fit a tree, whose size is chosen by cross-validation.

    Parameters
    ----------
    rows : array_like of float, shape (n, n_features)
        Features and score of the reference; NaN where one is missing.
    losses : array_like of float, shape (n,)
        Loss of each row: absolute error, or whether the prediction was wrong.
    max_leaves : int, default 60
        More leaves are not better: their means are noise.
    min_leaf_rows : int, default 200
        Reference rows of each leaf.

    Returns
    -------
    LossTree
        A single leaf where no split helps.

    Raises
    ------
    ShapeError
        If there is not one loss for each row.
    DomainError
        If a loss is not finite, or there are no rows.

    Notes
    -----
    Splits are the quantiles of a feature that reduce the squared error most, the best leaf
    first; missing values go to the side that gains more. The number of leaves is the one with
    the least squared error over five folds. O(n x features x depth).

    References
    ----------
    Breiman, Friedman, Olshen, Stone, Classification and Regression Trees (1984).
    """
    values, target = np.asarray(rows, np.float64), np.asarray(losses, np.float64)
    if values.ndim != 2 or target.shape != values.shape[:1]:
        what = f"rows of shape {values.shape} and losses of shape {target.shape}"
        raise ShapeError(what, where="fit_loss_tree", fix="pass one loss for each row")
    if not len(target) or not np.isfinite(target).all():
        raise DomainError("a loss is not finite, or there is none", where="fit_loss_tree")
    edges = [edges_of(values[:, j]) for j in range(values.shape[1])]
    bins = np.stack([binned(values[:, j], edge) for j, edge in enumerate(edges)], axis=1)
    fold = np.random.default_rng(_SEED).integers(0, N_FOLDS, len(target))
    errors = np.zeros(max_leaves)
    for k in range(N_FOLDS):
        least = max(1, min_leaf_rows * (N_FOLDS - 1) // N_FOLDS)
        errors += _errors_by_size(bins, target, fold == k, max_leaves, least)
    n_leaves = int(np.argmin(errors)) + 1
    grown = Growth(bins, target, np.arange(len(target)), min_leaf_rows)
    for _ in zip(range(n_leaves - 1), grown.splits(), strict=False):
        pass
    return _tree(grown, edges)


def _tree(grown: Growth, edges: list[NDArray[np.float64]]) -> LossTree:
    """Return what has grown, with thresholds in place of bins."""
    nodes = grown.nodes
    is_inner = np.array([node.number in grown.children for node in nodes])
    pairs = [grown.children.get(node.number, (0, 0)) for node in nodes]
    return LossTree(
        feature=np.where(is_inner, [node.feature for node in nodes], -1),
        threshold=np.array([_threshold(node, edges) for node in nodes]),
        left=np.array([left for left, _ in pairs]),
        right=np.array([right for _, right in pairs]),
        is_missing_left=np.array([node.is_missing_left for node in nodes]),
        leaf=np.where(is_inner, -1, np.cumsum(~is_inner) - 1),
        means=np.array([grown.mean(n) for n in np.flatnonzero(~is_inner).tolist()]),
    )


def _threshold(node: Node, edges: list[NDArray[np.float64]]) -> float:
    """Return the value at which a node splits; infinite if it splits off missing values."""
    if node.feature < 0:
        return 0.0
    edge = edges[node.feature]
    return float(edge[node.cut]) if node.cut < len(edge) else float("inf")


def _errors_by_size(
    bins: NDArray[np.int64],
    target: NDArray[np.float64],
    is_out: NDArray[np.bool_],
    max_leaves: int,
    min_leaf_rows: int,
) -> NDArray[np.float64]:
    """Return the squared error of the rows left out, by number of leaves."""
    if is_out.all() or not is_out.any():
        return np.zeros(max_leaves)
    grown = Growth(bins, target, np.flatnonzero(~is_out), min_leaf_rows)
    out = {0: np.flatnonzero(is_out)}
    error = float(((target[out[0]] - grown.mean(0)) ** 2).sum())
    errors = [error]
    for number, left, right in grown.splits():
        rows = out[number]
        goes_left = grown.goes_left(grown.nodes[number], rows)
        out[left], out[right] = rows[goes_left], rows[~goes_left]
        error -= float(((target[rows] - grown.mean(number)) ** 2).sum())
        for side in (left, right):
            error += float(((target[out[side]] - grown.mean(side)) ** 2).sum())
        errors.append(error)
        if len(errors) == max_leaves:
            break
    return np.array(errors + errors[-1:] * (max_leaves - len(errors)))
