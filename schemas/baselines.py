"""What normal looks like for one model version."""

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
    edges[-1] above the maximum. They lie between reference values, as far from them as
    float32 rounds (``detectors.decision_rule.edges.between_values``); in baselines of older
    versions on them. The first two may be equal, or as close as that: then bin 0 holds the minimum
    alone (a constant column, a spike at the minimum, few distinct values).
    """

    name: str
    kind: Kind
    edges: NDArray[np.float64]
    """Empty for a categorical variable."""
    categories: tuple[str, ...] = ()
    """At most 60; counter i counts categories[i]; the last may be ``other``
    when the reference holds more, and then it counts the rest of ``known``."""
    known: tuple[str, ...] = ()
    """Every reference category beyond the listed ones, counted as ``other``."""

    @property
    def n_bins(self) -> int:
        """Number of bins or categories in use."""
        return len(self.edges) - 1 if self.kind is Kind.NUMERIC else len(self.categories)


@dataclass(frozen=True, slots=True)
class SeasonalCounts:
    """The reference by hour of the week, Monday 00:00 first, where cells move with it."""

    counts: NDArray[np.int32]
    """Shape (168, S, V, 64): adds up to the counts of the reference."""
    n_weeks: NDArray[np.int64]
    """Shape (168,): weeks in which the hour had rows."""
    is_seasonal: NDArray[np.bool_]
    """Shape (S, V): cells whose shares follow the hour beyond their tolerance."""
    timezone: str = UTC_NAME
    """IANA name of the clock whose hours these are."""
    unzoned_us: int | None = None
    """The middle of a reference whose model names no time zone; then the hours are UTC's, and
    local clocks may have moved by one since. None where the zone is known."""


@dataclass(frozen=True, slots=True)
class Baseline:
    """A versioned, immutable baseline; its id is the hash of its content."""

    profile_id: str
    tenant: str
    model: str
    model_version: str
    """``""`` fits every version that has no baseline of its own."""
    variables: tuple[VariableBaseline, ...]
    """numeric features, categorical features, the score: ``ModelSchema.variables``."""
    reference: SeriesStats
    """Counts of the reference by segment, in this baseline's own layout."""
    phi: NDArray[np.float64]
    """Shape (S, V): design effect of each cell, >= 1."""
    eps_learned: NDArray[np.float64]
    """Shape (S, V): the learned term of eps; 0 where ``n_reference_windows`` < 168."""
    n_reference_windows: int
    eps_source: str
    """``default`` or ``learned``."""
    positive: str
    """The predicted class counted in ``n_positive``; empty where there is none."""
    active_from_us: int
    created_from: str
    """Where the reference came from, for people."""
    seasonal: SeasonalCounts | None = None
    """None where no cell has a season, or there are less than four weeks to know it by."""
