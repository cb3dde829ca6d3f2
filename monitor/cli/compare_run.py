"""What ``driftline compare`` does, once its options are read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import typer

from detectors.conventions import Convention
from monitor.cli.compare_source import kinds_of, read_sides, sides_of
from monitor.cli.output import print_json, print_table, shortest
from monitor.cli.progress import progress
from monitor.compare.comparison import compare
from monitor.compare.page import comparison_page
from monitor.compare.results import Comparison, Omitted, Options, Statistic, Variable
from monitor.compare.words import (
    LEGEND,
    beyond_mark,
    document,
    headline,
    number,
    peer_cell,
    rule,
    together_text,
    verdict,
)
from monitor.config_files import load_model
from monitor.report.page import write_whole
from schemas.config import ModelConfig
from schemas.errors import TransportError
from schemas.profiles import Kind

_TIMES = "says when its rows were"


@dataclass(frozen=True, slots=True)
class Request:
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
    is_json: bool


def run_compare(request: Request) -> bool:
    """Read both sides, compare them, say what was found.

    Parameters
    ----------
    request : Request

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
        _print(comparison, *names)
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


def _print(comparison: Comparison, reference: str, current: str) -> None:
    """Print every statistic, then one line a variable, then one sentence."""
    convention = comparison.options.convention
    columns = ["variable", "statistic", "n ref", "n cur", "value", "shift", "p", "p, Holm"]
    columns += ["threshold", "beyond", *([convention] if convention else [])]
    rows = [
        (variable.name, *_row(statistic, has_peer=bool(convention)))
        for variable in comparison.variables
        for statistic in variable.statistics
        if not statistic.is_idle
    ]
    print_table(columns, rows)
    summary = [_summary(variable) for variable in comparison.variables]
    print_table(("variable", "kind", "shift", "verdict", "note"), summary)
    if comparison.omitted:
        print_table(("not compared", "because"), [o[:2] for o in comparison.omitted])
    if comparison.together is not None:
        typer.echo(together_text(comparison.together))
    typer.echo(f"{reference}: {comparison.n_reference:,} rows")
    typer.echo(f"{current}: {comparison.n_current:,} rows")
    typer.echo(rule(comparison))
    typer.echo(LEGEND)
    typer.echo(headline(comparison))


def _row(statistic: Statistic, *, has_peer: bool) -> tuple[Any, ...]:
    """One statistic; nothing where there is no number."""
    shift = round(statistic.shift, 4)
    cells = (statistic.value, shift, statistic.p_value, statistic.p_adjusted)
    peer = (peer_cell(statistic.peer),) if has_peer else ()
    return (
        statistic.name,
        statistic.n_reference,
        statistic.n_current,
        *map(number, cells),
        statistic.threshold,
        beyond_mark(statistic),
        *peer,
    )


def _summary(variable: Variable) -> tuple[Any, ...]:
    """One variable."""
    notes = "; ".join(variable.notes)
    return variable.name, str(variable.kind), round(variable.shift, 4), verdict(variable), notes
