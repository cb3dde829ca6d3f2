"""Statistics of many cells as columns: what a metric gave for each cell, laid end to end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.evaluate.cells import REASONS, Block, Cells, Statistic, reason_codes
from schemas.result_table import ResultColumns
from schemas.results import Reason


def columns_of(
    blocks: Sequence[tuple[Cells, Block]], more: Sequence[Statistic], min_rows: int
) -> ResultColumns:
    """Return every block's cells as rows, segment by segment, variable by variable.

    Parameters
    ----------
    blocks : sequence of (Cells, Block)
        Each metric over the cells that it is about.
    more : sequence of Statistic
        Rows without numbers that follow.
    min_rows : int
        Cells with fewer rows get no number.
    """
    names = _Names()
    parts = [_part(names, *placed, min_rows) for placed in blocks]
    parts.append(_rows_without_numbers(names, more))
    joined = {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
    return ResultColumns(
        features=tuple(names.features),
        segments=tuple(names.segments),
        metrics=tuple(names.metrics),
        reasons=(*REASONS, Reason.SEGMENT_UNKNOWN),
        **joined,
    )


class _Names:
    """Positions of names, in order of first use."""

    def __init__(self) -> None:
        self.features: dict[str, int] = {}
        self.segments: dict[str, int] = {}
        self.metrics: dict[str, int] = {}


def _positions(known: dict[str, int], names: Sequence[str]) -> NDArray[np.int32]:
    """Return the position of each name; new ones are added."""
    return np.array([known.setdefault(name, len(known)) for name in names], np.int32)


def _part(names: _Names, cells: Cells, block: Block, min_rows: int) -> dict[str, NDArray[Any]]:
    """Return one metric's columns."""
    reason = reason_codes(block, min_rows)
    has_none = reason > 0

    def plain(values: Any) -> NDArray[np.float64]:
        floats = np.array(np.broadcast_to(values, reason.shape), np.float64)
        floats[has_none | ~np.isfinite(floats)] = np.nan
        return floats.ravel()

    n_segments, n_variables = reason.shape
    metric = names.metrics.setdefault(block.metric, len(names.metrics))
    return {
        "feature": np.tile(_positions(names.features, cells.names), n_segments),
        "segment": np.repeat(_positions(names.segments, cells.segments), n_variables),
        "metric": np.full(reason.size, metric, np.int32),
        "reason": reason.ravel(),
        "statistic": plain(block.statistic),
        "p_value": plain(block.p_value),
        "effect_size": plain(block.effect),
        "threshold": plain(block.threshold),
        "n": block.n.ravel(),
        "n_reference": block.n_reference.ravel(),
    }


def _rows_without_numbers(names: _Names, rows: Sequence[Statistic]) -> dict[str, NDArray[Any]]:
    """Return rows about whole segments that the baseline lacks."""
    nothing = np.full(len(rows), np.nan)
    return {
        "feature": _positions(names.features, [row.feature for row in rows]),
        "segment": _positions(names.segments, [row.segment for row in rows]),
        "metric": _positions(names.metrics, [row.metric for row in rows]),
        "reason": np.full(len(rows), len(REASONS), np.uint8),
        "statistic": nothing,
        "p_value": nothing,
        "effect_size": nothing,
        "threshold": nothing,
        "n": np.array([row.n for row in rows], np.int64),
        "n_reference": np.array([row.n_reference for row in rows], np.int64),
    }
