"""Splits a reference into blocks and windows, and estimates design effect and tolerance."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from detectors.decision_rule.design_effect import MIN_WINDOWS, design_effect, learned_eps
from detectors.decision_rule.sets import cell_sets
from monitor.core.windowing.accumulators import summarize, take
from monitor.core.windowing.layout import Layout
from schemas.baselines import Baseline
from schemas.batch import EventBatch, Int64Array
from schemas.panes import N_COUNTERS

BLOCK_ROWS = 500
MIN_BLOCK_ROWS = 50
"""Smallest block; well above the largest household."""
BLOCKS_PER_WINDOW = 4
"""Blocks must be shorter than the natural movement that they must not contain.

With blocks of 500 rows over windows of 200, a daily cycle of .3 was estimated as phi = 40 and
masked itself.
"""
MAX_BLOCKS = 400
MAX_WINDOWS = 1_000
"""More blocks would add needless precision and use memory: S x V x 256 bytes each."""
MIN_BLOCKS = 40
COUNTER_BYTES = 1 << 30
"""Memory bound of the counters of blocks or windows of one baseline."""

Range = tuple[int, int]


def block_rows(windows: Sequence[Range]) -> int:
    """Return the rows of a block: 500, or a quarter of the median window if that is less.

    Parameters
    ----------
    windows : sequence of (start, stop)
        The reference's windows; empty without times.

    Returns
    -------
    int
        50 to 500.

    Examples
    --------
    >>> block_rows([]), block_rows([(0, 1000), (1000, 2000)]), block_rows([(0, 9)])
    (500, 250, 50)
    """
    if not windows:
        return BLOCK_ROWS
    middle = sorted(stop - start for start, stop in windows)[len(windows) // 2]
    return max(MIN_BLOCK_ROWS, min(BLOCK_ROWS, middle // BLOCKS_PER_WINDOW))


def affordable(n_cells: int, n_most: int, n_least: int) -> int:
    """Return how many blocks or windows of the given number of cells fit into the memory bound.

    Examples
    --------
    >>> affordable(200, 400, 40), affordable(30_000, 400, 40)
    (400, 139)
    """
    n_fitting = COUNTER_BYTES // (4 * N_COUNTERS * max(n_cells, 1))
    return max(n_least, min(n_most, n_fitting))


def row_blocks(n_rows: int, size: int = BLOCK_ROWS, n_most: int = MAX_BLOCKS) -> list[Range]:
    """Split rows into adjacent blocks.

    Parameters
    ----------
    size : int
        Rows of a block; remaining rows are not used.
    n_most : int
        Maximum number of blocks.

    Returns
    -------
    list of (start, stop)
        If there are more blocks, evenly spread pairs of neighbours, separated by an empty block, so
        that only neighbours are compared.

    Examples
    --------
    >>> row_blocks(1_200)
    [(0, 500), (500, 1000)]
    """
    n_blocks = n_rows // size
    if n_blocks <= n_most:
        return [(i * size, (i + 1) * size) for i in range(n_blocks)]
    blocks: list[Range] = []
    for first in np.linspace(0, n_blocks - 2, n_most // 2).astype(int).tolist():
        middle = (first + 1) * size
        blocks += [(middle - size, middle), (middle, middle + size), (0, 0)]
    return blocks


def time_windows(time_us: Int64Array, length_us: int) -> tuple[Int64Array, list[Range]]:
    """Sort rows by time and split them into tumbling windows aligned to the epoch.

    Parameters
    ----------
    length_us : int
        Window length.

    Returns
    -------
    order : ndarray of int64, shape (n,)
        Rows by time.
    list of (start, stop)
        Non-empty windows, as ranges of ``order``.

    Examples
    --------
    >>> order, windows = time_windows(np.array([25, 3, 21]), 10)
    >>> order.tolist(), windows
    ([1, 2, 0], [(0, 1), (1, 3)])
    """
    order = np.argsort(time_us, kind="stable")
    window = time_us[order] // length_us
    starts = np.flatnonzero(np.concatenate(([True], window[1:] != window[:-1])))
    stops = [*starts[1:].tolist(), len(order)]
    return order, list(zip(starts.tolist(), stops, strict=True))


def count_ranges(
    batch: EventBatch, layout: Layout, segments: Sequence[str], ranges: Sequence[Range]
) -> NDArray[np.int32]:
    """Return the counters of each range of rows.

    Parameters
    ----------
    layout : Layout
        Bins and categories.
    segments : sequence of str
        S segments, in output order.

    Returns
    -------
    ndarray of int32, shape (len(ranges), S, V, 64)
        Zeros if a range has no rows of a segment.
    """
    position = {name: s for s, name in enumerate(segments)}
    out = np.zeros((len(ranges), len(segments), layout.n_variables, N_COUNTERS), np.int32)
    for i, (start, stop) in enumerate(ranges):
        if stop > start:
            part = summarize(take(batch, np.arange(start, stop)), layout)[0]
            out[i, [position[name] for name in part.segments]] = part.counts
    return out


def count_windows(
    baseline: Baseline,
    batch: EventBatch,
    layout: Layout,
    order: Int64Array,
    windows: Sequence[Range],
) -> tuple[list[Range], NDArray[np.int32]]:
    """Return the counters of windows; of evenly spaced ones if not all fit into memory.

    Returns
    -------
    ranges : list of (start, stop)
        The counted windows.
    counts : ndarray of int32, shape (W, S, V, 64)
        As :func:`count_ranges` returns them.
    """
    n_most = affordable(baseline.phi.size, MAX_WINDOWS, MIN_WINDOWS)
    chosen = np.unique(np.linspace(0, len(windows) - 1, n_most).astype(int))
    ranges = [windows[i] for i in chosen]
    counts = count_ranges(take(batch, order), layout, baseline.reference.segments, ranges)
    return ranges, counts


def design_effects(baseline: Baseline, blocks: NDArray[np.int32]) -> NDArray[np.float64]:
    """Estimate phi of every cell.

    Parameters
    ----------
    baseline : Baseline
        Baseline with counted reference.

    Returns
    -------
    ndarray of float64, shape (S, V)
        1 if a segment has no rows or there are fewer than two blocks.
    """
    phi = np.ones(baseline.phi.shape)
    for s, v in _cells(baseline):
        counts = baseline.reference.counts[s, v]
        sets = cell_sets(baseline.variables[v], counts)
        phi[s, v] = design_effect(blocks[:, s, v].astype(np.int64), sets, counts)
    return phi


def learned_tolerances(
    baseline: Baseline,
    batch: EventBatch,
    layout: Layout,
    order: Int64Array,
    windows: Sequence[Range],
) -> NDArray[np.float64] | None:
    """Learn eps of every cell from the reference's windows.

    Parameters
    ----------
    baseline : Baseline
        Baseline with reference and phi.
    order : ndarray of int64
        Rows by time.
    windows : sequence of (start, stop)
        Ranges of ``order``.

    Returns
    -------
    ndarray of float64, shape (S, V), or None
        None with fewer than 168 windows.
    """
    if len(windows) < MIN_WINDOWS:
        return None
    _, counts = count_windows(baseline, batch, layout, order, windows)
    eps = np.zeros(baseline.phi.shape)
    for s, v in _cells(baseline):
        reference = baseline.reference.counts[s, v]
        sets = cell_sets(baseline.variables[v], reference)
        eps[s, v] = learned_eps(
            counts[:, s, v].astype(np.int64), sets, reference, float(baseline.phi[s, v])
        )
    return eps


def _cells(baseline: Baseline) -> list[tuple[int, int]]:
    """Cells with their own reference."""
    return [
        (int(s), v)
        for s in np.flatnonzero(baseline.reference.n_rows)
        for v in range(len(baseline.variables))
    ]
