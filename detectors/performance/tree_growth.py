"""Growth of a regression tree over binned features, the best leaf first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

N_BINS = 64
"""Candidate splits of a feature: quantiles of the reference. Missing values are a bin more."""


@dataclass(slots=True)
class Node:
    """A leaf that may still be split."""

    rows: NDArray[np.int64]
    number: int
    gain: float = 0.0
    feature: int = -1
    cut: int = 0
    is_missing_left: bool = False


def edges_of(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the candidate thresholds of a feature."""
    finite = values[np.isfinite(values)]
    if not len(finite):
        return np.zeros(0)
    shares = np.arange(1, N_BINS) / N_BINS
    found = np.unique(np.quantile(finite, shares, method="inverted_cdf"))
    return np.asarray(found[found < finite.max()])


def binned(values: NDArray[np.float64], edges: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the bin of each value; ``N_BINS`` if it is missing."""
    found = np.searchsorted(edges, values, side="left")
    return np.where(np.isnan(values), N_BINS, found)


class Growth:
    """Grows one tree, leaf by leaf."""

    def __init__(
        self,
        binned: NDArray[np.int64],
        target: NDArray[np.float64],
        rows: NDArray[np.int64],
        min_leaf_rows: int,
    ) -> None:
        self._binned, self._target, self._min = binned, target, min_leaf_rows
        self.nodes: list[Node] = []
        self.children: dict[int, tuple[int, int]] = {}
        self._add(rows)

    def _add(self, rows: NDArray[np.int64]) -> int:
        node = Node(rows, len(self.nodes))
        self.nodes.append(node)
        if len(rows) >= 2 * self._min:
            for feature in range(self._binned.shape[1]):
                self._try(node, feature)
        return node.number

    def _try(self, node: Node, feature: int) -> None:
        """Keep the best split of a node by one feature."""
        bins, loss = self._binned[node.rows, feature], self._target[node.rows]
        n = np.bincount(bins, minlength=N_BINS + 1).astype(np.float64)
        s = np.bincount(bins, loss, N_BINS + 1)
        total_n, total = n.sum(), s.sum()
        below_n, below = np.cumsum(n[:N_BINS]), np.cumsum(s[:N_BINS])
        for is_left in (False, True) if n[N_BINS] else (False,):
            left_n = below_n + n[N_BINS] * is_left
            left = below + s[N_BINS] * is_left
            right_n, right = total_n - left_n, total - left
            is_open = (left_n >= self._min) & (right_n >= self._min)
            if not is_open.any():
                continue
            with np.errstate(divide="ignore", invalid="ignore"):
                gain = left**2 / left_n + right**2 / right_n - total**2 / total_n
            gain = np.where(is_open, gain, 0.0)
            cut = int(np.argmax(gain))
            if gain[cut] > node.gain:
                node.gain, node.feature, node.cut = float(gain[cut]), feature, cut
                node.is_missing_left = is_left

    def splits(self) -> Iterator[tuple[int, int, int]]:
        """Split the best leaf, again and again; yields the node and its children."""
        while True:
            leaves = [node for node in self.nodes if node.number not in self.children]
            best = max(leaves, key=lambda node: node.gain)
            if best.gain <= 0:
                return
            goes_left = self.goes_left(best, best.rows)
            pair = self._add(best.rows[goes_left]), self._add(best.rows[~goes_left])
            self.children[best.number] = pair
            yield best.number, *pair

    def goes_left(self, node: Node, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return which rows a split sends to the left."""
        bins = self._binned[rows, node.feature]
        return np.where(bins == N_BINS, node.is_missing_left, bins <= node.cut)

    def mean(self, number: int) -> float:
        """Return the mean loss of a node."""
        return float(self._target[self.nodes[number].rows].mean())
