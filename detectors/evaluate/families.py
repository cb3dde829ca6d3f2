"""Which statistics each kind of variable gets: aligned cells in, blocks of numbers out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from detectors.evaluate.cells import Block, Cells, FloatArray, IntArray
from detectors.quality.checks import (
    ShareChange,
    missing_share,
    out_of_range_share,
    range_excess,
    unseen_share,
)
from detectors.statistics.chi_square import chi_square, chi_square_critical
from detectors.statistics.deciles import group_by_quantile
from detectors.statistics.hellinger import USUAL_THRESHOLD as HELLINGER_THRESHOLD
from detectors.statistics.hellinger import hellinger
from detectors.statistics.jensen_shannon import USUAL_THRESHOLD as JS_THRESHOLD
from detectors.statistics.jensen_shannon import js_distance
from detectors.statistics.ks import ks, ks_critical, ks_p_value
from detectors.statistics.l_infinity import USUAL_THRESHOLD as L_INFINITY_THRESHOLD
from detectors.statistics.l_infinity import l_infinity
from detectors.statistics.psi import USUAL_THRESHOLD as PSI_THRESHOLD
from detectors.statistics.psi import psi, psi_bias
from detectors.statistics.shift import moments_of, shift
from detectors.statistics.total_variation import USUAL_THRESHOLD as TV_THRESHOLD
from detectors.statistics.total_variation import total_variation
from detectors.statistics.wasserstein import USUAL_THRESHOLD as WASSERSTEIN_THRESHOLD
from detectors.statistics.wasserstein import Tails, normed, wasserstein_binned
from schemas.panes import MISSING, N_BINS, OVERFLOW, UNDERFLOW

_ORDER = np.array([UNDERFLOW, *range(N_BINS), OVERFLOW])
"""Numeric counters from low to high. Unused bins hold nothing, so overflow may follow them."""


def of_any(cells: Cells) -> Iterator[Block]:
    """What every variable gets: the share of missing rows."""
    yield _share("missing", missing_share(cells.counts, cells.reference), cells)


def of_numbers(cells: Cells, edges: FloatArray) -> Iterator[Block]:
    """What numeric variables get; ``edges`` has shape (V, 61), padded with the last one."""
    yield from _distances(*_deciles(cells))
    yield _kolmogorov_smirnov(cells)
    yield from _moves(cells, edges)
    yield _share("out_of_range", out_of_range_share(cells.counts, cells.reference), cells)


def of_categories(cells: Cells) -> Iterator[Block]:
    """What categorical variables get; missing and unseen are categories of their own."""
    p, q = cells.reference, cells.counts
    n0, n = p.sum(axis=-1), q.sum(axis=-1)
    yield from _distances(p, q)
    test, largest = chi_square(p, q), l_infinity(p, q)
    critical = chi_square_critical(test.dof)
    yield Block("chi_square", n, n0, test.statistic, test.p_value, test.cramers_v, critical)
    yield Block(
        "l_infinity",
        n,
        n0,
        largest.statistic,
        effect=largest.change,
        threshold=L_INFINITY_THRESHOLD,
    )
    yield _share("unseen", unseen_share(q, p), cells)


def of_range(cells: Cells, low: float, high: float) -> Block:
    """How far the extremes lie beyond a configured range, signed in the effect."""
    excess = range_excess(cells.minima, cells.maxima, low, high)
    below, above = np.asarray(excess.below), np.asarray(excess.above)
    most = np.maximum(below, above)
    signed = np.where(below > above, -most, most)
    n0, n = _present(cells)
    return Block("range", n, n0, most, effect=signed, threshold=0.0)


def padded(edges: FloatArray) -> FloatArray:
    """Return 61 edges: the last one repeated makes bins without width."""
    return np.concatenate([edges, np.full(N_BINS + 1 - len(edges), edges[-1])])


def _present(cells: Cells) -> tuple[IntArray, IntArray]:
    """Rows that are not missing, of the reference and of the window."""
    n0, n = (c.sum(axis=-1) - c[..., MISSING] for c in (cells.reference, cells.counts))
    return n0, n


def _share(metric: str, change: ShareChange, cells: Cells) -> Block:
    """A share of all rows."""
    n0, n = cells.reference.sum(axis=-1), cells.counts.sum(axis=-1)
    return Block(metric, n, n0, change.share, change.p_value, change.effect)


def closed(counts: IntArray) -> IntArray:
    """Sixty bins with underflow in the first and overflow in the last."""
    bins = counts[..., :N_BINS].copy()
    bins[..., 0] += counts[..., UNDERFLOW]
    bins[..., -1] += counts[..., OVERFLOW]
    return bins


def _deciles(cells: Cells) -> tuple[IntArray, IntArray]:
    """Deciles of the reference, and missing, of both sides."""
    p, q = group_by_quantile(closed(cells.reference), closed(cells.counts))
    missing = slice(MISSING, MISSING + 1)
    return (
        np.concatenate([p, cells.reference[..., missing]], axis=-1),
        np.concatenate([q, cells.counts[..., missing]], axis=-1),
    )


def _distances(p: IntArray, q: IntArray) -> Iterator[Block]:
    """PSI, Jensen-Shannon, Hellinger and total variation over the same groups."""
    n0, n = p.sum(axis=-1), q.sum(axis=-1)
    bias = psi_bias(((p + q) > 0).sum(axis=-1), np.maximum(n0, 1), np.maximum(n, 1))
    stability, js = psi(p, q), js_distance(p, q)
    angle, moved = hellinger(p, q), total_variation(p, q)
    d_psi = np.sqrt(np.maximum(stability - bias, 0.0))
    d_js = np.sqrt(8 * np.maximum(js**2 - bias / 8, 0.0))
    d_angle = np.sqrt(-8 * np.log1p(-np.clip(angle**2 - bias / 8, 0.0, 1 - 1e-12)))
    d_moved = _gaussian_shift(moved)
    yield Block("psi", n, n0, stability, effect=d_psi, threshold=PSI_THRESHOLD)
    yield Block("jensen_shannon", n, n0, js, effect=d_js, threshold=JS_THRESHOLD)
    yield Block("hellinger", n, n0, angle, effect=d_angle, threshold=HELLINGER_THRESHOLD)
    yield Block("total_variation", n, n0, moved, effect=d_moved, threshold=TV_THRESHOLD)


def _kolmogorov_smirnov(cells: Cells) -> Block:
    """KS over all bins, with what the bins may hide of it."""
    n0, n = _present(cells)
    p, q = cells.reference[..., _ORDER], cells.counts[..., _ORDER]
    gap = np.asarray(ks(p, q))
    hidden = p.max(axis=-1) / np.maximum(n0, 1)
    return Block(
        "ks",
        n,
        n0,
        gap,
        ks_p_value(np.minimum(gap, 1.0), n0, n),
        _gaussian_shift(gap),
        ks_critical(n0, n),
        low=gap,
        high=np.minimum(gap + hidden, 1.0),
    )


def _moves(cells: Cells, edges: FloatArray) -> Iterator[Block]:
    """Wasserstein, raw and normed, and the moments."""
    n0, n = _present(cells)
    before = moments_of(n0, cells.sums_reference, cells.sums_sq_reference)
    change = shift(before, moments_of(n, cells.sums, cells.sums_sq))
    beyond = cells.counts[..., UNDERFLOW], cells.counts[..., OVERFLOW]
    tails = Tails(*beyond, cells.sums, cells.minima, cells.maxima)
    inner = cells.counts[..., :N_BINS]
    value, low, high = wasserstein_binned(
        edges, closed(cells.reference), inner, tails, sum_reference=cells.sums_reference
    )
    scaled, bounds = normed(value, before.sd), (normed(low, before.sd), normed(high, before.sd))
    at = WASSERSTEIN_THRESHOLD
    yield Block("wasserstein", n, n0, scaled, np.nan, scaled, at, *bounds)
    yield Block("wasserstein_raw", n, n0, value, effect=scaled, low=low, high=high)
    yield Block("mean_shift", n, n0, change.mean_shift, change.p_value, change.mean_shift)
    with np.errstate(divide="ignore", invalid="ignore"):
        yield Block("sd_ratio", n, n0, change.sd_ratio, effect=np.log(change.sd_ratio))


def _gaussian_shift(distance: Any) -> Any:
    """Mean shift d of a Gaussian whose KS, and total variation, is 2 Phi(d / 2) - 1."""
    from scipy.special import ndtri

    return 2 * ndtri((1 + np.minimum(distance, 1 - 1e-12)) / 2)
