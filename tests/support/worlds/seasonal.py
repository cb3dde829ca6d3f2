"""A model whose feature x swings with the day, its reference, and hours of it."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from schemas.baselines import Baseline
from schemas.config.model import ModelConfig
from schemas.panes import SeriesId, SeriesStats, Window
from schemas.time_units import HOUR_US

MONDAY_US = 4 * 24 * HOUR_US
ROWS = 300
CONFIG = ModelConfig.model_validate(
    {
        "model": "m",
        "features": {"x": {"kind": "numeric"}, "y": {"kind": "numeric"}},
        "slices": {"host": False, "gpu_uuid": False},
    }
)


def table(n_hours: int, rows: int = ROWS, seed: int = 0) -> pa.Table:
    """Hours of rows; x swings by half a standard deviation with the day, y does not."""
    rng, n = np.random.default_rng(seed), n_hours * rows
    hours = np.repeat(np.arange(n_hours), rows)
    columns = {
        "time_us": MONDAY_US + hours * HOUR_US + np.tile(np.arange(rows), n_hours) * 1_000_000,
        "x": rng.normal(size=n) + 0.5 * np.sin(2 * np.pi * hours / 24),
        "y": rng.normal(size=n),
        "score": rng.random(n),
    }
    return pa.table(columns)


def window_of(baseline: Baseline, at: int, rng: np.random.Generator, shift: float = 0.0) -> Window:
    """An hourly window of the cycle, counted by numpy."""
    mean = 0.5 * np.sin(2 * np.pi * at / 24)
    values = {
        "x": rng.normal(size=ROWS) + mean + shift,
        "y": rng.normal(size=ROWS),
        "score": rng.random(ROWS),
    }
    stats = SeriesStats.empty(("*",), 3)
    stats.n_rows[0] = ROWS
    for v, variable in enumerate(baseline.variables):
        edges = variable.edges.copy()
        column = np.clip(values[variable.name], edges[0], edges[-1])
        stats.counts[0, v, :60] = np.histogram(column, edges)[0]
    start_us = MONDAY_US + at * HOUR_US
    series = SeriesId("default", "m", "1", baseline.profile_id)
    none = SeriesStats.empty((), 1)
    return Window(series, start_us, start_us + HOUR_US, stats, none, 1, "watermark")
