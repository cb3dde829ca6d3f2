"""Types of baselines: the reference statistics of one model version."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from schemas.panes import SeriesStats
from schemas.time_zones import UTC_NAME


class Kind(StrEnum):
    """How a variable is binned and compared."""

    NUMERIC = "numeric"
    CATEGORICAL = "categorical"


@dataclass(frozen=True, slots=True)
class VariableBaseline:
    """Bins or categories of one variable.

    Numeric: bin 0 is [edges[0], edges[1]], bin i is (edges[i], edges[i + 1]];
    below edges[0] is underflow, above edges[-1] overflow. The edges are distinct
    reference quantiles, at most 61 of them, at least two, edges[0] below the minimum and
    edges[-1] above the maximum. They are between reference values, at a distance of float32
    rounding (``detectors.decision_rule.edges.between_values``); in baselines of earlier versions
    they equal reference values. The first two may be equal or within that distance: then bin 0 has
    only the minimum (a constant column, a spike at the minimum, few distinct values).
    """

    name: str
    kind: Kind
    edges: NDArray[np.float64]
    """Empty for a categorical variable."""
    categories: tuple[str, ...] = ()
    """At most 60; counter i counts categories[i]; the last may be ``other``
    if the reference has more, which counts the rest of ``known``.
    """
    known: tuple[str, ...] = ()
    """Reference categories beyond the listed ones, counted as ``other``."""

    @property
    def n_bins(self) -> int:
        """Number of bins or categories in use."""
        return len(self.edges) - 1 if self.kind is Kind.NUMERIC else len(self.categories)


@dataclass(frozen=True, slots=True)
class SeasonalCounts:
    """Reference counts by hour of the week, from Monday 00:00, for seasonal cells."""

    counts: NDArray[np.int32]
    """Shape (168, S, V, 64); sums to the counts of the reference."""
    n_weeks: NDArray[np.int64]
    """Shape (168,): number of weeks in which the hour had rows."""
    is_seasonal: NDArray[np.bool_]
    """Shape (S, V): cells whose shares depend on the hour beyond their tolerance."""
    timezone: str = UTC_NAME
    """IANA time zone of the hours."""
    unzoned_us: int | None = None
    """Middle of the reference if the model has no time zone; None otherwise.

    The hours are then UTC, and local clocks may have changed by an hour since.
    """


@dataclass(frozen=True, slots=True, eq=False)
class ReferenceTicks:
    """What decision rule 2 learned from the ticks of a reference with times.

    Of I components and C cells, in the order of
    :func:`detectors.multiscale.reference_cells.reference_cells`.
    """

    tick_us: int
    """Length of a tick, microseconds."""
    n_ticks: int
    """Ticks with rows that were learned."""
    components: NDArray[np.float32]
    """Shape (I, 19): the state of each component, columns of ``detectors.kernels.scale_state``."""
    scales: NDArray[np.float32]
    """Shape (C, 6, 4)."""
    cells: NDArray[np.float32]
    """Shape (C, 16)."""
    season: NDArray[np.float32]
    """Shape (48, I), expected deviation by hour of the day and kind of day; (48, 0) for none."""
    is_seasonal: NDArray[np.bool_]
    """Shape (I,)."""
    season_factor: NDArray[np.float64]
    """Shape (I,): growth of the variance by the error of the season, >= 1."""
    excursions: bytes = b""
    """Kinds of short excursions that came more than once; see
    :mod:`detectors.multiscale.excursion_state`. Empty if there are none."""
    timezone: str = UTC_NAME
    """IANA time zone of the hours."""


@dataclass(frozen=True, slots=True)
class LearnedVolume:
    """Movement of the rows of a tick, as learned from the reference's own ticks."""

    tick_us: int
    scatter: float
    """Variance of a tick's rows as a part of the expected ones, beyond that of counting."""
    n_ticks: int
    averages: NDArray[np.float32]
    """Shape (64,): ``detectors.multiscale.state.ScaleState`` of one component."""


@dataclass(frozen=True, slots=True)
class ReferenceVolume:
    """Rows by hour of the week of a reference with at least two weeks of event times."""

    by_slot: NDArray[np.float64]
    """Shape (168,): rows an hour, from Monday 00:00 on the clock of ``timezone``."""
    n_rows: int
    n_weeks: float
    timezone: str
    learned: tuple[LearnedVolume, ...]


@dataclass(frozen=True, slots=True, eq=False)
class LearnedProducts:
    """Movement of the products of features in the reference's own ticks.

    Of I components and C cells, in the order of :class:`detectors.multiscale.pairs.PairCells`;
    the arrays are those of :class:`ReferenceTicks`.
    """

    tick_us: int
    n_ticks: int
    components: NDArray[np.float32]
    """Shape (I, 19)."""
    scales: NDArray[np.float32]
    """Shape (C, 6, 4)."""
    cells: NDArray[np.float32]
    """Shape (C, 16)."""


@dataclass(frozen=True, slots=True, eq=False)
class ReferenceProducts:
    """Products of the locations of every two of the most important numeric features."""

    features: tuple[str, ...]
    """At most ten."""
    sums: NDArray[np.int64]
    """Over the rows of the reference, units of 2^-20: (1, 0), (2, 0), (2, 1), (3, 0), ..."""
    learned: LearnedProducts | None = None
    """None without times, or with fewer than 24 ticks."""


@dataclass(frozen=True, slots=True)
class Baseline:
    """A versioned, immutable baseline; its ID is the hash of its content."""

    profile_id: str
    tenant: str
    model: str
    model_version: str
    """``""`` applies to every version without its own baseline."""
    variables: tuple[VariableBaseline, ...]
    """Numeric features, categorical features, the score: ``ModelSchema.variables``."""
    reference: SeriesStats
    """Counts of the reference by segment, in this baseline's layout."""
    phi: NDArray[np.float64]
    """Shape (S, V): design effect of each cell, >= 1."""
    eps_learned: NDArray[np.float64]
    """Shape (S, V): the learned term of eps; 0 where ``n_reference_windows`` < 168."""
    n_reference_windows: int
    eps_source: str
    """``default`` or ``learned``."""
    positive: str
    """The predicted class counted in ``n_positive``; empty if there is none."""
    active_from_us: int
    created_from: str
    """Origin of the reference, for display."""
    seasonal: SeasonalCounts | None = None
    """None if no cell is seasonal, or the reference has less than four weeks."""
    ticks: ReferenceTicks | None = None
    """None without times, under rule 1, and in baselines of earlier versions."""
    volume: ReferenceVolume | None = None
    """None if the reference has less than two weeks of event times."""
    products: ReferenceProducts | None = None
    """None under rule 1, with fewer than two numeric features, and in earlier baselines."""
