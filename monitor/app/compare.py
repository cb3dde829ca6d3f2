"""Compare two files, or two ranges of one, column by column."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from detectors.conventions import Convention
from monitor.app.compare_source import ReadSides, TableSide, kinds_of, read_sides
from monitor.app.installation import load_model
from monitor.app.progress import OnNote, StartPhase, ignore_note, no_progress
from monitor.compare.comparison import compare
from monitor.compare.page import comparison_page
from monitor.compare.results import Comparison, Omitted, Options
from monitor.compare.words import document
from monitor.report.page import check_folder, write_whole
from monitor.transport.decimal_comma import HOW_TO_FIX, decimal_comma_in
from schemas.baselines import Kind
from schemas.config.model import ModelConfig
from schemas.errors import TransportError

_TIMES = "says when its rows were"


@dataclass(frozen=True, slots=True)
class CompareRequest:
    """Inputs and settings of a comparison."""

    reference: TableSide
    current: TableSide
    model: Path | None = None
    """Model file with columns and kinds; by default they are inferred from the reference."""
    time: str | None = None
    """Time column of a range."""
    ignored: tuple[str, ...] = ()
    """Columns to omit."""
    alpha: float = 0.05
    """Familywise significance level of all tests."""
    thresholds: Mapping[str, float] = field(default_factory=dict)
    """Thresholds that override the defaults, by statistic."""
    convention: Convention | None = None
    """Library whose values are added to the result."""
    page: Path | None = None
    """Path of the HTML page."""


@dataclass(frozen=True, slots=True)
class CompareResult:
    """Result of a comparison."""

    comparison: Comparison
    reference: str
    current: str

    @property
    def has_drifted(self) -> bool:
        """Whether at least one column drifted."""
        return bool(self.comparison.drifted)

    def as_document(self) -> dict[str, Any]:
        """Return the result for ``--json``."""
        return document(self.comparison, self.reference, self.current)

    def as_page(self) -> str:
        """Return the HTML page."""
        return comparison_page(self.comparison, self.reference, self.current)


def run_compare(
    request: CompareRequest,
    *,
    start_phase: StartPhase = no_progress,
    on_note: OnNote = ignore_note,
) -> CompareResult:
    """Read both sides and compare them.

    Raises
    ------
    TransportError
        If a file cannot be read, has no rows or decimal commas, or the folder of the page does not
        exist.
    ConfigError
        If the model file is invalid, a range has no time column, or a store has no model.
    BaselineError
        If a store has no rows in the range.
    StorageError
        If a store cannot be read.
    """
    if request.page is not None:
        check_folder(request.page)
    config = load_model(request.model) if request.model else None
    sides = request.reference, request.current
    with start_phase("reading", None) as shown:
        read = read_sides(sides, config, request.time, shown, on_note)
    for side, table in zip(sides, read.tables, strict=True):
        _refuse_decimal_commas(_without(table, request.ignored), config, side.text)
    comparison = _compare(request, config, read, start_phase)
    result = CompareResult(comparison, request.reference.text, request.current.text)
    if request.page is not None:
        write_whole(request.page, result.as_page())
    return result


def _compare(
    request: CompareRequest, config: ModelConfig | None, read: ReadSides, start_phase: StartPhase
) -> Comparison:
    """Compare the tables without the ignored columns."""
    with start_phase("comparing", None) as advance:
        return compare(
            *(_without(table, request.ignored) for table in read.tables),
            kinds=_kinds(config, read.tables, request.ignored),
            options=Options(request.alpha, request.thresholds, request.convention),
            omitted=[Omitted(name, _TIMES) for name in read.times if name not in request.ignored],
            advance=advance,
        )


def _refuse_decimal_commas(table: pa.Table, config: ModelConfig | None, where: str) -> None:
    """Raise for numbers with decimal commas, which would be compared as text.

    Raises
    ------
    TransportError
        With the column and an example.
    """
    for name in table.column_names:
        feature = config.features.get(name) if config is not None else None
        if config is not None and (feature is None or feature.kind is not Kind.NUMERIC):
            continue
        if example := decimal_comma_in(table[name]):
            what = f"column {name!r} holds numbers with a decimal comma, such as '{example}'"
            fix = f"{HOW_TO_FIX}; or leave the column out: --ignore"
            raise TransportError(what, where=where, fix=fix)


def _without(table: pa.Table, names: tuple[str, ...]) -> pa.Table:
    """Return a table without the given columns."""
    return table.drop_columns([name for name in names if name in table.column_names])


def _kinds(
    config: ModelConfig | None, tables: tuple[pa.Table, pa.Table], ignored: tuple[str, ...]
) -> dict[str, Kind] | None:
    """Return a model's variables without ignored ones; None if they are to be inferred."""
    if config is None:
        return None
    return {n: kind for n, kind in kinds_of(config, tables).items() if n not in ignored}
