"""Cells of a model as arrays, and the rows that are made of numbers about them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import repeat
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from schemas.baselines import Baseline
from schemas.errors import ShapeError
from schemas.panes import N_COUNTERS, SeriesStats
from schemas.results import Reason

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

REASONS = (Reason.DESCRIPTIVE, Reason.TOO_FEW_SAMPLES, Reason.NO_BASELINE, Reason.NO_DATA)
"""In the order of their codes."""
_ARRAYS = ("counts", "sums", "sums_sq", "minima", "maxima")


class Statistic(msgspec.Struct, frozen=True, gc=False):
    """One number about one cell of one window.

    Examples
    --------
    >>> Statistic("age", "*", "psi", 0.02, n=1000).metric
    'psi'
    """

    feature: str
    """A feature's name or ``score``; the protected attribute's in fairness; ``*`` where
    the row is about a whole segment."""
    segment: str
    metric: str
    statistic: float | None
    """None where ``reason`` says why there is none."""
    p_value: float | None = None
    effect_size: float | None = None
    """See :func:`detectors.evaluate.all_statistics.evaluate` for what it is in each metric."""
    threshold: float | None = None
    """Of the statistic, as commonly used; the decision rule does not use it."""
    n: int = 0
    """Rows the statistic is about: all, or those not missing where order matters."""
    n_reference: int = 0
    reason: Reason = Reason.DESCRIPTIVE
    low: float | None = None
    """Where the statistic's true value lies, if that is known: an error bound or, in
    fairness, a confidence interval."""
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Cells:
    """Both sides of some variables in the baseline's segments, aligned: shapes (S, V, ...)."""

    names: tuple[str, ...]
    segments: tuple[str, ...]
    counts: IntArray
    reference: IntArray
    sums: FloatArray
    sums_sq: FloatArray
    minima: FloatArray
    maxima: FloatArray
    sums_reference: FloatArray
    sums_sq_reference: FloatArray


@dataclass(frozen=True, slots=True)
class Block:
    """One metric over all cells; arrays broadcast to (S, V), NaN where there is nothing."""

    metric: str
    n: IntArray
    n_reference: IntArray
    statistic: Any
    p_value: Any = np.nan
    effect: Any = np.nan
    threshold: Any = np.nan
    low: Any = np.nan
    high: Any = np.nan


def align(current: SeriesStats, baseline: Baseline) -> Cells:
    """Bring a window's series into the order of the baseline's; absent ones are empty.

    Parameters
    ----------
    current : SeriesStats
        In the baseline's layout.

    Returns
    -------
    Cells
        All variables.

    Raises
    ------
    ShapeError
        If either side's counts do not have the shape (segments, variables, 64).
    """
    reference, n_variables = baseline.reference, len(baseline.variables)
    for name, stats in (("window", current), ("baseline", reference)):
        expected = (len(stats.segments), n_variables, N_COUNTERS)
        if stats.counts.shape != expected:
            what = f"counts have shape {stats.counts.shape}, the baseline's layout is {expected}"
            raise ShapeError(what, where=name, fix="aggregate under this baseline")
    at = {segment: i for i, segment in enumerate(current.segments)}
    # Absent segments find index -1: the empty series appended to the window's.
    found = np.array([at.get(segment, -1) for segment in reference.segments], np.int64)
    empty = SeriesStats.empty(("",), n_variables)
    taken = {
        name: np.concatenate([getattr(current, name), getattr(empty, name)])[found]
        for name in _ARRAYS
    }
    return Cells(
        names=tuple(v.name for v in baseline.variables),
        segments=reference.segments,
        reference=reference.counts,
        sums_reference=reference.sums,
        sums_sq_reference=reference.sums_sq,
        **taken,
    )


def choose(cells: Cells, chosen: NDArray[np.bool_]) -> Cells:
    """Return the cells of the variables where ``chosen``, of shape (V,), is true."""
    return Cells(
        names=tuple(n for n, keep in zip(cells.names, chosen, strict=True) if keep),
        segments=cells.segments,
        counts=cells.counts[:, chosen],
        reference=cells.reference[:, chosen],
        sums=cells.sums[:, chosen],
        sums_sq=cells.sums_sq[:, chosen],
        minima=cells.minima[:, chosen],
        maxima=cells.maxima[:, chosen],
        sums_reference=cells.sums_reference[:, chosen],
        sums_sq_reference=cells.sums_sq_reference[:, chosen],
    )


def rows_of(cells: Cells, block: Block, min_rows: int) -> Iterator[Statistic]:
    """Make one row of each cell, with numbers only where the reason is ``descriptive``.

    Parameters
    ----------
    block : Block
        Arrays that broadcast to the cells' (S, V).
    min_rows : int
        Cells with fewer rows get none.

    Returns
    -------
    iterator of Statistic
        Segment by segment, variable by variable.
    """
    code = np.where(block.n < min_rows, 1, 0)
    code[block.n_reference == 0] = 2
    code[block.n == 0] = 3
    has_none = code > 0

    def plain(values: Any) -> Iterator[float | None]:
        if isinstance(values, float) and not np.isfinite(values):
            return repeat(None)
        floats = np.broadcast_to(np.asarray(values, np.float64), code.shape)
        objects = floats.astype(object)
        objects[has_none | ~np.isfinite(floats)] = None
        return iter(objects.ravel().tolist())

    return map(
        Statistic,
        cells.names * len(cells.segments),
        (segment for segment in cells.segments for _ in cells.names),
        repeat(block.metric),
        plain(block.statistic),
        plain(block.p_value),
        plain(block.effect),
        plain(block.threshold),
        block.n.ravel().tolist(),
        block.n_reference.ravel().tolist(),
        (REASONS[c] for c in code.ravel().tolist()),
        plain(block.low),
        plain(block.high),
    )
