"""Series and baselines out of raw samples, binned with numpy alone."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from schemas.baselines import Baseline, Kind, VariableBaseline
from schemas.panes import MISSING, N_BINS, OVERFLOW, UNDERFLOW, UNSEEN, SeriesStats

Columns = Mapping[str, np.ndarray]
"""Float columns are numbers (NaN missing); string columns categories (``""`` missing)."""


def quantile_edges(values: np.ndarray, n_bins: int = N_BINS) -> np.ndarray:
    """Distinct reference quantiles, at least two."""
    present = values[~np.isnan(values)]
    if not len(present):
        return np.zeros(2)
    edges = np.unique(np.quantile(present, np.arange(n_bins + 1) / n_bins, method="lower"))
    return edges if len(edges) > 1 else np.repeat(edges, 2)


def count_numbers(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """The 64 counters of a numeric variable."""
    counts = np.zeros(64, np.int64)
    present = values[~np.isnan(values)]
    inside = present[(present >= edges[0]) & (present <= edges[-1])]
    # (e_i, e_i+1], the first bin closed on both sides.
    bins = np.maximum(np.searchsorted(edges, inside, side="left") - 1, 0)
    counts[:N_BINS] = np.bincount(bins, minlength=N_BINS)
    counts[UNDERFLOW] = (present < edges[0]).sum()
    counts[OVERFLOW] = (present > edges[-1]).sum()
    counts[MISSING] = len(values) - len(present)
    return counts


def count_categories(values: np.ndarray, categories: tuple[str, ...]) -> np.ndarray:
    """The 64 counters of a categorical variable."""
    counts = np.zeros(64, np.int64)
    for i, category in enumerate(categories):
        counts[i] = (values == category).sum()
    counts[MISSING] = (values == "").sum()
    counts[UNSEEN] = len(values) - counts.sum()
    return counts


def variables_of(columns: Columns) -> tuple[VariableBaseline, ...]:
    """Return the baseline of each column."""
    return tuple(
        VariableBaseline(name, Kind.NUMERIC, quantile_edges(values))
        if values.dtype.kind == "f"
        else VariableBaseline(
            name, Kind.CATEGORICAL, np.empty(0), tuple(np.unique(values[values != ""]).tolist())
        )
        for name, values in columns.items()
    )


def stats_of(
    segments: Mapping[str, Columns], variables: tuple[VariableBaseline, ...]
) -> SeriesStats:
    """Count the columns of each segment in the layout of ``variables``."""
    stats = SeriesStats.empty(tuple(segments), len(variables))
    for s, columns in enumerate(segments.values()):
        for v, variable in enumerate(variables):
            values = columns[variable.name]
            stats.n_rows[s] = len(values)
            if variable.kind is Kind.CATEGORICAL:
                stats.counts[s, v] = count_categories(values, variable.categories)
                continue
            stats.counts[s, v] = count_numbers(values, variable.edges)
            present = values[~np.isnan(values)]
            stats.sums[s, v], stats.sums_sq[s, v] = present.sum(), (present**2).sum()
            if len(present):
                stats.minima[s, v], stats.maxima[s, v] = present.min(), present.max()
    return stats


def baseline_of(segments: Mapping[str, Columns]) -> Baseline:
    """Build the baseline whose bins come from the segment ``*``."""
    variables = variables_of(segments["*"])
    reference = stats_of(segments, variables)
    shape = reference.counts.shape[:2]
    return Baseline(
        profile_id="test",
        tenant="default",
        model="m",
        model_version="",
        variables=variables,
        reference=reference,
        phi=np.ones(shape),
        eps_learned=np.zeros(shape),
        n_reference_windows=0,
        eps_source="default",
        positive="",
        active_from_us=0,
        created_from="test",
    )
