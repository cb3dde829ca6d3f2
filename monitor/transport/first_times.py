"""Orders files by their first event times."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
import pyarrow as pa

from monitor.transport.canonical import canonical
from monitor.transport.inputs import STANDARD_INPUT, Input, open_any
from monitor.transport.order import line_times
from monitor.transport.restamp import TIME
from schemas.config.model import ModelConfig
from schemas.errors import DriftlineError

_N_ROWS = 500


def in_order_of_times(paths: Sequence[str], config: ModelConfig) -> tuple[str, ...]:
    """Return files in the order of their first times.

    Parameters
    ----------
    paths : sequence of str
        Files, folders of parts, or standard input.
    config : ModelConfig
        Defines the column of the times.

    Returns
    -------
    tuple of str
        In the given order if there is only one, if one of them can be read only once or has no
        readable time, or if the config names a column of record times, because rows then need not
        be in the order of their event times.
    """
    is_fixed = len(paths) < 2 or STANDARD_INPUT in paths or config.columns.record_time is not None
    if is_fixed or not all(Path(path).is_dir() or Path(path).is_file() for path in paths):
        return tuple(paths)
    firsts = [first_time_us(path, config) for path in paths]
    if any(first is None for first in firsts):
        return tuple(paths)
    order = sorted(range(len(paths)), key=lambda i: firsts[i] or 0)
    return tuple(paths[i] for i in order)


def first_time_us(path: str, config: ModelConfig) -> float | None:
    """Return the earliest time in the first rows of a file; None if no time can be read."""
    try:
        with closing(open_any(path)) as found:
            return _first_time_us(found, config)
    except DriftlineError:
        return None  # the error is reported when the file is read


def _first_time_us(found: Input, config: ModelConfig) -> float | None:
    """Read the first rows."""
    if found.is_table:
        piece = next(found.table(_N_ROWS).pieces, None)
        rows = piece.slice(0, _N_ROWS) if piece is not None else pa.table({})
        mapped = canonical(rows, config, needs_time=True, where=found.where)
        times = mapped[TIME].drop_null().to_numpy().astype(float)
    else:
        chunk = next(found.lines(_N_ROWS, lambda share, n_rows: None), None)
        times = line_times(chunk) if chunk is not None else np.empty(0)
    known = times[~np.isnan(times)]
    return float(known.min()) if len(known) else None
