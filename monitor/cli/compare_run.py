"""What ``driftline compare`` does, once its options are read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import typer

from detectors.conventions import Convention
from monitor.app.installation import load_model
from monitor.cli.compare_source import kinds_of, read_sides, sides_of
from monitor.cli.compare_text import statistic_rows, summary_lines, variable_row
from monitor.cli.terminal.output import print_json, print_table, shortest
from monitor.cli.terminal.progress import progress
from monitor.compare.comparison import compare
from monitor.compare.page import comparison_page
from monitor.compare.results import Comparison, Omitted, Options
from monitor.compare.words import LEGEND, document, rule, together_text
from monitor.report.page import write_whole
from monitor.transport.decimal_comma import HOW_TO_FIX, decimal_comma_in
from schemas.baselines import Kind
from schemas.config.model import ModelConfig
from schemas.errors import TransportError
from schemas.spelling import spell_controls

_TIMES = "says when its rows were"


@dataclass(frozen=True, slots=True)
class CompareRequest:
    """The options of one comparison."""

    reference: str
    current: str
    model: Path | None
    time: str | None
    ignored: tuple[str, ...]
    alpha: float
    thresholds: dict[str, float]
    convention: Convention | None
    html: Path | None
    has_all: bool
    is_json: bool


def run_compare(request: CompareRequest) -> bool:
    """Read both sides, compare them, say what was found.

    Returns
    -------
    bool
        Whether anything drifted.
    """
    sides = sides_of(request.reference, request.current)
    _check_folder(request.html)
    config = load_model(request.model) if request.model else None
    with progress("reading", None, is_quiet=request.is_json) as shown:
        read = read_sides(sides, config, request.time, shown)
    for side, table in zip(sides, read.tables, strict=True):
        _refuse_decimal_commas(_without(table, request.ignored), config, side.text)
    with progress("comparing", None, is_quiet=request.is_json) as advance:
        comparison = compare(
            *(_without(table, request.ignored) for table in read.tables),
            kinds=_kinds(config, read.tables, request.ignored),
            options=Options(request.alpha, request.thresholds, request.convention),
            omitted=[Omitted(name, _TIMES) for name in read.times if name not in request.ignored],
            advance=advance,
        )
    names = sides[0].text, sides[1].text
    if request.html:
        write_whole(request.html, comparison_page(comparison, *names))
    if request.is_json:
        print_json(document(comparison, *names))
    else:
        has_all = request.has_all or request.convention is not None
        _print(comparison, *names, has_all=has_all)
        if request.html:
            typer.echo(f"page: {shortest(str(request.html))}")
    return bool(comparison.drifted)


def _check_folder(html: Path | None) -> None:
    """Find out before a long comparison that its page would have no place.

    Raises
    ------
    TransportError
        If the page's folder does not exist.
    """
    if html is not None and not html.parent.is_dir():
        fix = "make it, or name another"
        raise TransportError("the folder does not exist", where=str(html.parent), fix=fix)


def _refuse_decimal_commas(table: pa.Table, config: ModelConfig | None, where: str) -> None:
    """Refuse numbers that would be compared as text, which says nothing of them.

    Raises
    ------
    TransportError
        Naming the column, with an example.
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
    """Leave columns out, where they are."""
    return table.drop_columns([name for name in names if name in table.column_names])


def _kinds(
    config: ModelConfig | None, tables: tuple[pa.Table, pa.Table], ignored: tuple[str, ...]
) -> dict[str, Kind] | None:
    """Return a model's variables, but those to be ignored; None where they are to be inferred."""
    if config is None:
        return None
    return {n: kind for n, kind in kinds_of(config, tables).items() if n not in ignored}


def _print(comparison: Comparison, reference: str, current: str, *, has_all: bool) -> None:
    """Print the verdict and its reasons; with --all every statistic, and how it is judged."""
    for line in summary_lines(comparison, reference, current, has_all=has_all):
        typer.echo(spell_controls(line))
    if not has_all:
        return
    print_table(*statistic_rows(comparison))
    summary = [variable_row(variable) for variable in comparison.variables]
    print_table(("variable", "kind", "shift", "verdict", "note"), summary)
    if comparison.together is not None:
        typer.echo(spell_controls(together_text(comparison.together)))
    typer.echo(rule(comparison))
    typer.echo(LEGEND)
