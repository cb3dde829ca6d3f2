"""Histories to be judged: quiet ones, noisy ones, and ones with a planted shift."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np

from monitor.core.windowing.accumulators import summarize
from monitor.core.windowing.layout import Layout
from monitor.decode.chunk import chunk_of
from monitor.decode.decoder import Decoder
from schemas.baselines import Baseline
from schemas.config.model import ModelConfig
from schemas.panes import Pane, SeriesId
from tests.support.worlds.small import CONFIG, START_US, build_small_world, event_rows

LENGTH_US = CONFIG.window.length_us
Change = Callable[[np.random.Generator, list[dict], int], list[dict]]
"""(generator, rows, window) -> rows."""


@cache
def small_baseline() -> Baseline:
    """Return the baseline of the small world's model."""
    (baseline,) = build_small_world().catalog.baselines_for("default", "small", "1")
    return baseline


def series() -> SeriesId:
    """Return the small world's only series."""
    return SeriesId("default", "small", "1", small_baseline().profile_id)


def panes(
    n_windows: int, n_rows: int, change: Change = lambda rng, rows, window: rows, seed: int = 0
) -> list[Pane]:
    """Return a history of panes as long as a window, of rows like the reference's."""
    rng, made = np.random.default_rng(seed), []
    layout, decoder = Layout(CONFIG.schema_, small_baseline()), Decoder([CONFIG.schema_])
    for window in range(n_windows):
        rows = change(rng, event_rows(rng, n_rows, 0), window)
        events = [json.dumps(row | {"time_us": START_US}).encode() for row in rows]
        (batch,) = decoder.decode(chunk_of(events, "t")).batches
        segments, slices = summarize(batch, layout)
        start_us = START_US + window * LENGTH_US
        place = (start_us, start_us + LENGTH_US, "t", 0, "o", window)
        made.append(Pane(series(), *place, segments, slices))
    return made


def shifted(by: float, from_window: int = 0) -> Change:
    """Return a change that adds to feature ``a`` of every row."""

    def change(_: np.random.Generator, rows: list[dict], window: int) -> list[dict]:
        if window < from_window:
            return rows
        return [r | {"features": {**r["features"], "a": r["features"]["a"] + by}} for r in rows]

    return change


def wobbling(sd: float) -> Change:
    """Return a change that moves feature ``a`` of each window by a random amount."""

    def change(rng: np.random.Generator, rows: list[dict], window: int) -> list[dict]:
        return shifted(float(rng.normal(scale=sd)))(rng, rows, window)

    return change


def with_decision(**changed: float) -> ModelConfig:
    """Return the small model's config with other settings of the rule."""
    return CONFIG.model_copy(update={"decision": CONFIG.decision.model_copy(update=changed)})


def with_length(n_windows: int) -> ModelConfig:
    """Return the small model's config with windows so many times as long."""
    window = CONFIG.window.model_copy(update={"length_us": n_windows * LENGTH_US})
    return CONFIG.model_copy(update={"window": window})


def planted_counts(pane: Pane, variable: int, counts: np.ndarray) -> Pane:
    """Return the pane with the counters of one variable replaced."""
    changed = pane.segments.counts.copy()
    changed[:, variable] = counts
    return replace(pane, segments=replace(pane.segments, counts=changed))
