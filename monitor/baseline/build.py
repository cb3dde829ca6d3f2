"""Builds a baseline from a reference: bins, counts, design effect, learned tolerance."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pyarrow as pa

from monitor.baseline.baseline_file import with_id
from monitor.baseline.blocks import (
    MAX_BLOCKS,
    MIN_BLOCKS,
    Range,
    affordable,
    block_rows,
    count_ranges,
    design_effects,
    learned_tolerances,
    row_blocks,
    time_windows,
)
from monitor.baseline.reference_products import reference_products, with_learned_products
from monitor.baseline.reference_ticks import learn_ticks
from monitor.baseline.seasons import find_seasons, seasonal_tolerances
from monitor.baseline.source import event_columns
from monitor.baseline.variables import (
    categorical_variable,
    numeric_variable,
    score_variable,
    without_once_seen,
)
from monitor.baseline.volume import find_volume
from monitor.core.windowing.accumulators import summarize
from monitor.core.windowing.layout import Layout, segment_names
from monitor.decode.arrow.record_batches import batch_from_arrow
from monitor.decode.derive import Deriver
from schemas.baselines import Baseline, VariableBaseline
from schemas.batch import EventBatch, Int64Array
from schemas.config.model import ModelConfig
from schemas.errors import BaselineError
from schemas.panes import SeriesStats

MIN_ROWS = 200
"""Minimum rows: fewer cannot fill 60 bins, and would need a tolerance that hides every change."""
MAX_REJECTED_SHARE = 0.01

N_STEPS = 4
"""Number of calls of ``advance`` by :func:`build_baseline`."""


def _silent(n: float = 1, note: str = "") -> None:
    """Do nothing."""


def build_baseline(
    table: pa.Table,
    config: ModelConfig,
    *,
    model_version: str = "",
    active_from_us: int = 0,
    created_from: str = "",
    advance: Callable[..., None] = _silent,
) -> Baseline:
    """Build a baseline from a reference.

    Parameters
    ----------
    table : pyarrow.Table
        The reference, in the order in which it was collected, so that clustered rows are adjacent.
        Columns are named as in :func:`monitor.transport.canonical.canonical`.
    config : ModelConfig
        Features, segments, window length.
    model_version : str
        Model version of the baseline; empty for all versions without their own.
    active_from_us : int
        Event time from which it is active.
    created_from : str
        Origin of the reference, for display.
    advance : callable
        ``advance(n, note=...)``, called after each of ``N_STEPS`` steps.

    Returns
    -------
    Baseline
        Its ID is the hash of its content.

    Raises
    ------
    BaselineError
        If a column is missing or empty, if there are fewer than 200 rows, or if
        more than 1 % of the rows cannot be read.

    Notes
    -----
    phi is estimated from adjacent blocks in the order given: of 500 rows, or of a
    quarter of a window where the reference has times and windows are smaller. The
    learned term of eps needs a time column and 168 windows of 1,000 rows; otherwise it is 0 and
    ``eps_source`` is ``default``. Cells that follow the hour of the week in at least four weeks get
    a reference per hour, relative to which eps is learned. Under rule 2 the movement and the
    season of the reference's own ticks are learned, if it has times.
    """
    if table.num_rows < MIN_ROWS:
        raise BaselineError(
            f"the reference has {table.num_rows:,} rows, at least {MIN_ROWS} are needed",
            fix="thousands are better: below 10,000 the tolerance widens",
        )
    batch, has_time = reference_batch(table, config)
    advance(1, note="bins")
    draft = _draft(batch, config, model_version, active_from_us, created_from)
    layout = Layout(config.schema_, _as_counted(draft, batch))
    reference = summarize(batch, layout)[0]
    advance(1, note="design effect")
    neutral = np.ones((len(reference.segments), layout.n_variables))
    baseline = replace(draft, reference=reference, phi=neutral, eps_learned=0 * neutral)
    order, windows = _windows(batch, has_time, config)
    n_blocks = affordable(neutral.size, MAX_BLOCKS, MIN_BLOCKS)
    cuts = row_blocks(len(batch), block_rows(windows), n_blocks)
    blocks = count_ranges(batch, layout, reference.segments, cuts)
    baseline = replace(baseline, phi=design_effects(baseline, blocks))
    if config.decision.rule != 1:
        baseline = replace(baseline, products=reference_products(baseline, batch, layout, config))
    advance(1, note="tolerance")
    learned = learned_tolerances(baseline, batch, layout, order, windows)
    seasonal = None
    if has_time:
        eps, zone = config.decision.eps, config.timezone
        seasonal = find_seasons(baseline, batch, layout, eps, zone)
    volume = find_volume(batch.time_us, config) if has_time else None
    baseline = replace(baseline, n_reference_windows=len(windows), seasonal=seasonal, volume=volume)
    if learned is not None and seasonal is not None:
        without = replace(baseline, eps_learned=learned)
        length_us = config.window.length_us
        learned = seasonal_tolerances(without, batch, layout, order, windows, length_us)
    if learned is not None and learned.any():
        baseline = replace(baseline, eps_learned=learned, eps_source="learned")
    if has_time and config.decision.rule != 1:
        baseline = replace(baseline, ticks=learn_ticks(baseline, batch, layout, config))
        baseline = with_learned_products(baseline, batch, layout, config)
    advance(1, note="done")
    return with_id(baseline)


build_profile = build_baseline
"""The old name, for one release."""


def reference_batch(table: pa.Table, config: ModelConfig) -> tuple[EventBatch, bool]:
    """Decode a reference like events, so that categories match.

    Returns
    -------
    batch : EventBatch
    has_time : bool
        Whether its times are event times rather than row numbers.

    Raises
    ------
    BaselineError
        If columns are missing or too many rows are rejected.
    """
    columns, has_time = event_columns(table, config)
    pieces = columns.combine_chunks().to_batches()
    if len(pieces) != 1:
        what = f"the reference is too large: {len(pieces)} pieces of Arrow"
        raise BaselineError(what, fix="give a sample of its rows, in their order")
    schema = config.schema_
    batch, rejects = batch_from_arrow(pieces[0], schema.received, 0)
    n_rejected = sum(reject.n_events for reject in rejects)
    if n_rejected > MAX_REJECTED_SHARE * table.num_rows:
        first = rejects[0]
        raise BaselineError(
            f"{n_rejected:,} of {table.num_rows:,} rows cannot be read: row {first.row}: "
            f"{first.reason}: {first.detail}",
            fix="correct the file, or the feature's kind in the config",
        )
    return Deriver(schema).whole(batch), has_time


def _draft(
    batch: EventBatch,
    config: ModelConfig,
    model_version: str,
    active_from_us: int,
    created_from: str,
) -> Baseline:
    """Return the baseline with variables and segments, before counting."""
    variables = _variables(batch)
    segments = segment_names(batch)
    shape = (len(segments), len(variables))
    return Baseline(
        profile_id="",
        tenant=config.tenant,
        model=config.model,
        model_version=model_version,
        variables=variables,
        reference=SeriesStats.empty(segments, len(variables)),
        phi=np.ones(shape),
        eps_learned=np.zeros(shape),
        n_reference_windows=0,
        eps_source="default",
        positive=config.positive,
        active_from_us=active_from_us,
        created_from=created_from,
    )


def _as_counted(draft: Baseline, batch: EventBatch) -> Baseline:
    """Return the layout for counting the reference, without categories that occur once."""
    columns = dict(zip(batch.schema.categorical, batch.categorical, strict=True))
    counted = [
        without_once_seen(v, [columns[v.name]]) if v.name in columns else v for v in draft.variables
    ]
    return replace(draft, variables=tuple(counted))


def _variables(batch: EventBatch) -> tuple[VariableBaseline, ...]:
    """Bin every variable; raise with all columns that cannot be binned."""
    schema = batch.schema
    pairs = zip(schema.numeric, batch.numeric, strict=True)
    numeric = [(numeric_variable, name, column) for name, column in pairs]
    texts = zip(schema.categorical, batch.categorical, strict=True)
    categorical = [(categorical_variable, name, column) for name, column in texts]
    found: list[VariableBaseline] = []
    problems: list[BaselineError] = []
    for choose, name, column in [*numeric, *categorical]:
        try:
            found.append(choose(name, [column]))  # type: ignore[operator]
        except BaselineError as error:
            problems.append(error)
    if problems:
        raise _joined(problems)
    return (*found, score_variable([batch.score]))


def _joined(problems: list[BaselineError]) -> BaselineError:
    """Return one error for all variables."""
    if len(problems) == 1:
        return problems[0]
    what = "; ".join(f"{p.where} {p.what}" for p in problems)
    return BaselineError(what, fix=problems[0].fix)


def _windows(
    batch: EventBatch, has_time: bool, config: ModelConfig
) -> tuple[Int64Array, list[Range]]:
    """Split the reference into windows; none without times."""
    if not has_time:
        return np.arange(len(batch)), []
    return time_windows(batch.time_us, config.window.length_us)
