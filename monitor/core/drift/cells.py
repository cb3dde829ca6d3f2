"""Cells of a series: names, numbers, and counters in a window."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from schemas.baselines import Baseline, Kind, VariableBaseline
from schemas.config.model import Importance, ModelConfig
from schemas.names import SCORE
from schemas.panes import N_COUNTERS, SeriesStats


def count_cells(config: ModelConfig, baseline: Baseline) -> int:
    """Return K, the declared cells of a model: variables x segments, and its replicas."""
    families = int(config.slices.host) + int(config.slices.gpu_uuid)
    return baseline.phi.size + families * config.slices.expected


def importance_of(config: ModelConfig, feature: str) -> Importance:
    """Return the importance of a feature or the score."""
    if feature == SCORE:
        return config.score_importance
    return config.features[feature].importance


def align_counts(current: SeriesStats, segments: tuple[str, ...]) -> NDArray[np.int64]:
    """Return the counters of ``segments`` in this order, zeros for missing ones.

    Returns
    -------
    ndarray of int64, shape (S * V, 64)
        Cell ``s * V + v`` is segment s, variable v.
    """
    at = {name: i for i, name in enumerate(current.segments)}
    rows = np.array([at.get(name, -1) for name in segments], np.int64)
    counts = np.zeros((len(segments), *current.counts.shape[1:]), np.int64)
    counts[rows >= 0] = current.counts[rows[rows >= 0]]
    return counts.reshape(-1, N_COUNTERS)


def family(slices: SeriesStats, name: str) -> tuple[list[str], NDArray[np.int64]]:
    """Return the slices ``name=...`` and their score counters, shape (R, 64)."""
    at = [i for i, segment in enumerate(slices.segments) if segment.startswith(f"{name}=")]
    return [slices.segments[i] for i in at], slices.counts[at, 0]


MAX_LABEL_CHARS = 200
"""Length of a category in an alert or result; sixty must fit into a message."""


def label_of(name: str) -> str:
    """Return a name as a label, truncated if it is long.

    Examples
    --------
    >>> label_of("clerk"), len(label_of("x" * 5_000))
    ('clerk', 200)
    """
    return name if len(name) <= MAX_LABEL_CHARS else name[: MAX_LABEL_CHARS - 1] + "…"


def bin_labels(variable: VariableBaseline) -> tuple[str, ...]:
    """Return the label of each counter, for charts: bins or categories, then the four special ones.

    Examples
    --------
    >>> from schemas.baselines import VariableBaseline, Kind
    >>> land = VariableBaseline("land", Kind.CATEGORICAL, np.empty(0), ("a", "b"))
    >>> bin_labels(land)[:2], bin_labels(land)[60:]
    (('a', 'b'), ('below minimum', 'above maximum', 'missing', 'unseen'))
    """
    if variable.kind is Kind.NUMERIC:
        own = [
            f"{low:.4g} to {high:.4g}"
            for low, high in zip(variable.edges, variable.edges[1:], strict=False)
        ]
    else:
        own = [label_of(category) for category in variable.categories]
    own += [""] * (60 - len(own))
    return (*own, "below minimum", "above maximum", "missing", "unseen")
