"""Contributions of segments, hosts or features to a divergence."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from detectors.statistics.histogram import counts_of
from detectors.statistics.normal import normal_quantile
from schemas.errors import DomainError, ShapeError

FloatArray = NDArray[np.float64]

LEVEL = 0.01
"""Probability that :func:`standing_out` returns any cell if all changed equally."""
MIN_LEAD = 0.15
"""Minimum ratio of a cell's part of the change to its part of the rows."""
NOTHING = 1e-15
"""Divergences below are rounding errors, nats: contributions are 0."""


class Contributions(NamedTuple):
    """Decomposition of a Jensen-Shannon divergence. ``inside`` and ``mix`` together sum to 1."""

    inside: FloatArray
    """Shape (n_cells,): part of the total that changed inside each cell."""
    mix: FloatArray
    """Shape (n_cells,): part that is only the cell's own size, its share of the rows."""
    bins: FloatArray
    """Shape (n_cells, n_bins): part of each bin of each cell; sums to 1."""
    rows: FloatArray
    """Shape (n_cells,): share of the current rows. A change that all cells have in common
    is carried in about these parts.
    """
    total: float
    """Nats; NaN if either side is empty."""


def contributions(reference: ArrayLike, current: ArrayLike) -> Contributions:
    """Split the divergence of a table exactly; prefer it to one distance for each cell.

    Distances of cells do not add up, and the largest is that of the smallest cell, which
    has the most noise. These parts are weighted by rows, sum to 1, and keep apart what
    changed inside the cells from a change of the traffic between them.

    Parameters
    ----------
    reference : array_like of int, shape (n_cells, n_bins) or (n_bins,)
        Counts; cells divide the rows between them (segment values, hosts), or are
        features, each counting the same rows. One row of counts is a baseline for all
        cells, for hosts, which training data has not: then ``mix`` is 0.
    current : array_like of int, shape (n_cells, n_bins)
        The same of the window.

    Returns
    -------
    Contributions
        All parts are 0 where nothing changed, NaN where a side holds nothing.

    Raises
    ------
    ShapeError
        If shapes do not fit, or counts are not integers.
    DomainError
        If a count is negative.

    Notes
    -----
    With the joint shares p and q of (cell, bin), each bin carries
    f(p, q) = [p ln(2p / (p + q)) + q ln(2q / (p + q))] / 2 >= 0, and their sum is the
    divergence. f of a cell's own shares of the rows is its ``mix``; what its bins carry
    beyond that is ``inside``, never negative (log sum inequality). Of two small shifts
    the parts are as rows x shift^2. A cell new to the reference is all ``mix``.

    Sampling alone adds about (1/n + 1/n0) / 8 a bin, wherever it is: many small cells or
    many bins hide a small shift. Join bins first, best to the set that moved and the rest.
    O(n_cells n_bins); exact from merged panes.

    References
    ----------
    Lin, Divergence measures based on the Shannon entropy, IEEE Trans. Inf. Theory 37
    (1991), eq. 4.1. Cover and Thomas, Elements of Information Theory, 2nd ed. (2006),
    theorem 2.5.3 (chain rule) and theorem 2.7.1 (log sum inequality).

    Examples
    --------
    >>> before, now = [[400, 100], [400, 100]], [[400, 100], [300, 200]]
    >>> parts = contributions(before, now)
    >>> parts.inside.round(3).tolist(), parts.mix.tolist()
    ([0.0, 1.0], [0.0, 0.0])
    >>> contributions([800, 200], now).inside.round(3).tolist()
    [0.0, 1.0]
    """
    p, q = _joint(counts_of(reference, "reference"), counts_of(current, "current"))
    terms = _term(p, q)
    sizes = p.sum(axis=1), q.sum(axis=1)
    mix = _term(*sizes)
    # Rounding leaves about -1e-19 where a cell did not change.
    inside = np.maximum(terms.sum(axis=1) - mix, 0.0)
    total = float(terms.sum())
    scale = 1.0 / total if total > NOTHING else 0.0 * total
    return Contributions(inside * scale, mix * scale, terms * scale, sizes[1], total)


def standing_out(
    reference: ArrayLike, current: ArrayLike, *, phi: float = 1.0, level: float = LEVEL
) -> NDArray[np.intp]:
    """Return the cells that changed more than the others, and more than their share of rows.

    Prefer it to the largest part of :func:`contributions` before naming anybody: where
    all cells changed alike, the largest part is that of the largest cell.

    Parameters
    ----------
    reference : array_like of int, shape (n_cells, 2) or (2,)
        Rows outside, and rows in, the set that moved.
    current : array_like of int, shape (n_cells, 2)
        The same of the window.
    phi : float, default 1
        Design effect of clustered rows.
    level : float, default .01
        Probability that any cell is returned if none differs from the others.

    Returns
    -------
    ndarray of int
        Cells by falling ``inside``; empty where the change is everywhere, or nowhere.

    Raises
    ------
    ShapeError
        As :func:`contributions`, and if there are not two counts a cell.
    DomainError
        As :func:`contributions`, if phi is below 1, or level is not inside (0, 1).

    Notes
    -----
    The change of a cell's share, less that of all others together, over its standard
    error (unpooled, half a row added to each count), against the normal quantile of
    level / n_cells (Bonferroni). The change has to be that of the whole in sign, and
    ``inside`` larger than ``rows`` by .15. Rough below about five rows in the set.
    O(n_cells).

    Examples
    --------
    >>> before = [[400, 100], [400, 100]]
    >>> standing_out(before, [[400, 100], [300, 200]]).tolist()
    [1]
    >>> standing_out(before, [[300, 200], [300, 200]]).tolist()
    []
    """
    if not phi >= 1:
        raise DomainError(f"phi is {phi:g}", where="standing_out", fix="a design effect is >= 1")
    if not 0 < level < 1:
        raise DomainError(f"level is {level}", where="standing_out", fix="use 0.01")
    before, now = counts_of(reference, "reference"), counts_of(current, "current")
    if now.shape[-1] != 2:
        what = f"{now.shape[-1]} counts a cell"
        raise ShapeError(what, where="standing_out", fix="pass rows outside and rows in the set")
    parts = contributions(before, now)
    lead, error = _lead(before, now)
    is_far = np.abs(lead) > -normal_quantile(level / (2 * max(len(now), 1))) * np.sqrt(phi) * error
    totals = [side.reshape(-1, 2).sum(axis=0) for side in (before, now)]
    whole = np.diff([side[1] / max(side.sum(), 1) for side in totals])[0]
    is_named = is_far & (lead * whole > 0) & (parts.inside > parts.rows + MIN_LEAD)
    order = np.argsort(-parts.inside, kind="stable")
    return np.asarray(order[is_named[order]], np.intp)


def _joint(before: NDArray[np.int64], now: NDArray[np.int64]) -> tuple[FloatArray, FloatArray]:
    """Return the shares of (cell, bin) on both sides; NaN for an empty side."""
    if now.ndim != 2 or before.shape not in (now.shape, now.shape[1:]):
        raise ShapeError(
            f"reference has shape {before.shape}, current {now.shape}",
            where="contributions",
            fix="pass (n_cells, n_bins) twice, or one reference row",
        )
    x, y = before.astype(np.float64), now.astype(np.float64)
    sums = x.sum(), y.sum()
    p, q = (side / (n if n > 0 else np.nan) for side, n in zip((x, y), sums, strict=True))
    return (p if p.ndim == 2 else q.sum(axis=1)[:, None] * p), q


def _term(p: FloatArray, q: FloatArray) -> FloatArray:
    """Return f(p, q) without cancelling where they are close; 0 where both are."""
    both = p + q
    t = np.divide(q - p, both, out=np.zeros_like(both), where=both > 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        inner = np.log1p(-t * t) + 2.0 * t * np.arctanh(t)
    inner = np.where(np.abs(t) >= 1.0, 2.0 * np.log(2.0), inner)
    return np.asarray(both * inner / 4.0)


def _lead(before: NDArray[np.int64], now: NDArray[np.int64]) -> tuple[FloatArray, FloatArray]:
    """Change of each cell's share less that of the others, and its standard error."""
    is_shared = before.ndim == 1
    lead, variance = np.zeros(len(now)), np.zeros(len(now))
    for side, sign in ((now, 1.0), (before, -1.0)):
        if side is before and is_shared:
            continue  # the same baseline is subtracted from both
        for counts, direction in ((side, sign), (side.sum(axis=0) - side, -sign)):
            n = counts.sum(axis=1) + 1.0
            share = (counts[:, 1] + 0.5) / n
            lead += direction * share
            variance += share * (1.0 - share) / n
    return lead, np.sqrt(variance)
