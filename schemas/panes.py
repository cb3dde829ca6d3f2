"""Mergeable statistics: panes and windows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

N_BINS = 60
"""Reference-quantile bins of a numeric variable, or listed categories. Divisible into 20 and 10."""
UNDERFLOW = 60
"""Counter of values below the reference minimum."""
OVERFLOW = 61
"""Counter of values above the reference maximum."""
MISSING = 62
"""Counter of absent, null and non-finite values."""
UNSEEN = 63
"""Counter of categories that are not in the reference."""
N_COUNTERS = 64
N_CALIBRATION = 20
"""Fixed, equally wide score bins on [0, 1]."""
ALL = "*"
"""The segment of all rows."""
OTHER = "other"
"""Segment value of all values beyond the first hundred."""
MAX_SEGMENT_VALUES = 100


@dataclass(slots=True)
class SeriesStats:
    """Statistics of S series (segments or slices) over V variables. Adding arrays merges."""

    segments: tuple[str, ...]
    """Length S: ``"*"`` or ``"name=value"``."""
    n_rows: NDArray[np.int64]
    """Shape (S,)."""
    counts: NDArray[np.int64]
    """Shape (S, V, 64): bins, underflow, overflow, missing, unseen; sums to n_rows per variable."""
    sums: NDArray[np.float64]
    """Shape (S, V); sums of non-missing values (0 for categorical variables)."""
    sums_sq: NDArray[np.float64]
    minima: NDArray[np.float64]
    """Shape (S, V); +inf without values."""
    maxima: NDArray[np.float64]
    """Shape (S, V); -inf without values."""
    n_predicted: NDArray[np.int64]
    """Shape (S,): rows with a predicted class."""
    n_positive: NDArray[np.int64]
    """Shape (S,): rows whose predicted class is the positive one."""
    calibration_counts: NDArray[np.int64]
    """Shape (S, 20)."""
    calibration_sums: NDArray[np.float64]
    """Shape (S, 20): sums of the score in each bin."""

    @staticmethod
    def empty(segments: tuple[str, ...], n_variables: int) -> SeriesStats:
        """Return the neutral element of merging for these series."""
        s, v = len(segments), n_variables
        return SeriesStats(
            segments=segments,
            n_rows=np.zeros(s, np.int64),
            counts=np.zeros((s, v, N_COUNTERS), np.int64),
            sums=np.zeros((s, v)),
            sums_sq=np.zeros((s, v)),
            minima=np.full((s, v), np.inf),
            maxima=np.full((s, v), -np.inf),
            n_predicted=np.zeros(s, np.int64),
            n_positive=np.zeros(s, np.int64),
            calibration_counts=np.zeros((s, N_CALIBRATION), np.int64),
            calibration_sums=np.zeros((s, N_CALIBRATION)),
        )


@dataclass(frozen=True, slots=True, order=True)
class SeriesId:
    """One model version counted in one baseline's layout; panes of different IDs never merge."""

    tenant: str
    model: str
    model_version: str
    profile_id: str
    """Empty if the model version has no baseline; then only rows are counted (V = 0)."""


@dataclass(frozen=True, slots=True)
class CellDetails:
    """What the counters of missing and unseen rows of a cell consist of."""

    n_absent: int = 0
    """Missing rows of events that do not name the variable; the others had null."""
    new_values: tuple[tuple[str, int], ...] = ()
    """The commonest unseen values and their rows, at least so many, commonest first."""
    error: int = 0
    """No value has more rows beyond those in ``new_values``, nor a value that is not there."""


@dataclass(slots=True)
class Pane:
    """Counters of one series in [start_us, end_us) from one source partition.

    Cumulative and versioned: of several with the same (series, start_us, source,
    partition) the one with the highest ``pane_version`` is current, so duplicates,
    replays and reordering are harmless.
    """

    series: SeriesId
    start_us: int
    end_us: int
    source: str
    partition: int
    owner: str
    """Changes with each assignment of the source partition."""
    pane_version: int
    """F, the position of the source partition at the flush."""
    segments: SeriesStats
    """V = all variables; the first series is ``"*"``."""
    slices: SeriesStats = field(default_factory=lambda: SeriesStats.empty((), 1))
    """V = 1, the score by host and GPU: ``"host=..."``, ``"gpu_uuid=..."``."""
    details: bytes = b""
    """Of its cells, :mod:`monitor.core.windowing.details.block`; empty if there are none."""


class ClosedBy(StrEnum):
    """Reason why a window closed."""

    WATERMARK = "watermark"
    IDLE = "idle"
    """Time that passed while all source partitions were idle."""
    END = "end"
    """The end of the input."""


@dataclass(slots=True)
class Window:
    """Panes of one series id merged over [start_us, end_us)."""

    series: SeriesId
    start_us: int
    end_us: int
    segments: SeriesStats
    slices: SeriesStats
    n_panes: int
    closed_by: ClosedBy
    is_revised: bool = False
    """A pane arrived after the window had closed: results are recomputed, evidence is unchanged."""
    is_baseline_changed: bool = False
    """The baseline changed within the window, which has only panes of the later one: no verdict."""
    details: Mapping[tuple[str, int], CellDetails] = field(default_factory=dict)
    """Of cells that have some, by segment and variable."""
    has_details: bool = True
    """Whether all of its panes were counted with details."""
    products: NDArray[np.int64] | None = None
    """Sums of products of features, units of 2^-20; None unless all of its panes have them."""
