"""Inputs of replay and backtest: order of files, model of tables, check of time units."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path

from driftline.times import EARLIEST_US, LIMITS
from monitor.app.installation import Installation
from monitor.app.progress import OnNote
from monitor.app.row_progress import RowProgress
from monitor.baseline.baseline_file import load_baselines
from monitor.core.table_rows import TableRows
from monitor.core.windowing.catalog import Catalog
from monitor.transport.files import STANDARD_INPUT, Source
from monitor.transport.first_times import in_order_of_times
from monitor.transport.formats import is_named_json
from schemas.batch import Chunk
from schemas.config.model import ModelConfig
from schemas.errors import BaselineError, ConfigError

SOONEST_US = 1_000_000_000
"""Start of suspicious times: above numbers of rows, and the year 2001 if it were in seconds."""


def ordered_files(
    files: tuple[str, ...], model: ModelConfig, rows_per_window: int | None, on_note: OnNote
) -> tuple[str, ...]:
    """Return files in the order of their times; a note names a changed order.

    Parameters
    ----------
    rows_per_window : int or None
        If rows get new times, the order of the files is kept.
    """
    if rows_per_window is not None:
        return files
    ordered = in_order_of_times(files, model)
    if ordered != files:
        on_note(f"the files are read in the order of their times: {', '.join(ordered)}")
    return ordered


def known_catalog(installation: Installation) -> Catalog:
    """Return the catalog of configs and baselines; raise if there is no baseline.

    Raises
    ------
    ConfigError
        If the installation names no models.
    BaselineError
        If no model has a baseline, or a baseline does not match its config.
    """
    if not installation.models:
        fix = "list your model files under models, e.g. models/*.yaml"
        raise ConfigError("it names no models", where=str(installation.file), fix=fix)
    baselines = load_baselines(installation.baselines)
    catalog = Catalog.of(installation.models, baselines)
    if not catalog.baselines:
        raise BaselineError(
            "no baseline fits any configured model",
            where=str(installation.baselines),
            fix="build one: driftline baseline build MODEL.yaml --reference FILE",
        )
    return catalog


def model_of_tables(
    installation: Installation, name: str | None, files: Sequence[str]
) -> ModelConfig:
    """Return the model that tables belong to.

    Raises
    ------
    ConfigError
        If no model has the given name, or none is given for a table and several are configured.
    """
    if name is not None:
        return installation.model(name)
    if len(installation.models) == 1:
        return installation.models[0]
    names = ", ".join(m.model for m in installation.models)
    tables = [f for f in files if f != STANDARD_INPUT and not is_named_json(Path(f))]
    if tables:
        raise ConfigError(
            f"{tables[0]} may belong to any of {names}", where="--model", fix="name the model"
        )
    return installation.models[0]


def time_watch(
    sources: Sequence[Source],
    model: ModelConfig,
    rows_per_window: int | None,
    files: Sequence[str],
    rows: RowProgress,
) -> Callable[[int], None]:
    """Return a function that takes the watermark (microseconds) after each chunk.

    It reports progress, and raises ConfigError if the event times are in another unit.
    """
    is_checked = _is_unit_unstated(sources, model, rows_per_window)

    def watch(watermark_us: int) -> None:
        if is_checked:
            _check_times(watermark_us, files)
        rows.update(watermark_us)

    return watch


def _is_unit_unstated(
    sources: Sequence[Source], model: ModelConfig, rows_per_window: int | None
) -> bool:
    """Return whether times in a wrong unit would be accepted unchanged.

    ``columns.time_unit`` applies to tables. JSON events are in microseconds; times in 1970 are
    accepted only if the unit is declared explicitly.
    """
    unit = model.columns.time_unit
    is_scaled = unit is not None and all(source.is_table for source in sources)
    return rows_per_window is None and unit != "us" and not is_scaled


def _check_times(watermark_us: int, files: Sequence[str]) -> None:
    """Raise for files whose times are in another unit, as which they would be in 1970.

    Parameters
    ----------
    watermark_us : int
        Watermark after the first chunk.

    Raises
    ------
    ConfigError
        If it is between 17 minutes and three years after 1970, which in seconds or milliseconds is
        a time of the present.
    """
    if not SOONEST_US <= watermark_us < EARLIEST_US:
        return
    unit = "seconds" if watermark_us < LIMITS[0][0] else "milliseconds"
    raise ConfigError(
        f"its event times are in 1970 to 1973 (up to {watermark_us} us): are they {unit}?",
        where=", ".join(files),
        fix="send time_us in microseconds; of a table, declare columns.time_unit in the model's "
        "config (us, if they are meant so)",
    )


def concatenated(sources: list[Source]) -> Iterator[Chunk | TableRows]:
    """Read files one after the other as one partition, with consecutive offsets."""
    first = 0
    for source in sources:
        end = first
        for chunk in source.together():
            if isinstance(chunk, TableRows):
                moved = replace(chunk, first_row=chunk.first_row + first)
                end = moved.last_offset + 1
                yield moved
                continue
            offsets = chunk.log_offset + first
            end = int(offsets[-1]) + 1
            yield replace(chunk, log_offset=offsets)
        first = end


def pass_notes(sources: Sequence[Source], on_note: OnNote) -> None:
    """Report the notes on how the files were read."""
    for note in chain.from_iterable(source.notes for source in sources):
        on_note(note)
