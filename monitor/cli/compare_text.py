"""Prints the result of ``driftline compare``: verdict, one line per drifted column, counts."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from monitor.app.compare import CompareResult
from monitor.app.short_path import shortest
from monitor.cli.terminal.output import print_table
from monitor.compare.change import percent
from monitor.compare.quality import NEW
from monitor.compare.results import Comparison, Omitted, Variable, VariableStatistic
from monitor.compare.words import (
    LEGEND,
    beyond_mark,
    headline,
    number,
    peer_cell,
    rule,
    together_text,
    verdict,
)
from schemas.spelling import spell_controls

WIDTH = 80
_MAX_NAME = 28
_MAX_LISTED = 12
"""Omitted columns that are listed with a reason; --all lists all of them."""
_SHARE_WORDS = {
    "missing": "missing",
    "mistyped": "of another type",
    "unseen": "in categories that the reference lacks",
    "out_of_range": "beyond the reference's extremes",
}

_EXPLAINING = ("missing", "mistyped", "unseen")


def print_result(result: CompareResult, *, has_all: bool, page: Path | None = None) -> None:
    """Print the verdict and its reasons; with --all every statistic with its verdict."""
    comparison = result.comparison
    for line in summary_lines(comparison, result.reference, result.current, has_all=has_all):
        typer.echo(spell_controls(line))
    if has_all:
        _print_statistics(comparison)
    if page is not None:
        typer.echo(f"page: {shortest(str(page))}")


def _print_statistics(comparison: Comparison) -> None:
    """Print every statistic with its verdict."""
    print_table(*statistic_rows(comparison))
    summary = [variable_row(variable) for variable in comparison.variables]
    print_table(("variable", "kind", "shift", "verdict", "note"), summary)
    if comparison.together is not None:
        typer.echo(spell_controls(together_text(comparison.together)))
    typer.echo(rule(comparison))
    typer.echo(LEGEND)


def summary_lines(
    comparison: Comparison, reference: str, current: str, *, has_all: bool = False
) -> list[str]:
    """Return the verdict, a line for each drifted column, and counts.

    Parameters
    ----------
    reference, current : str
        Names of the sides.
    has_all : bool
        List every omitted column, not only the first.

    Returns
    -------
    list of str
        Lines of at most 80 characters, unless a single word is longer.
    """
    return [
        *textwrap.wrap(headline(comparison), WIDTH, break_on_hyphens=False),
        *_drifted_lines(comparison),
        "",
        *_count_lines(comparison, reference, current),
        *_omitted_lines(comparison, has_all=has_all),
    ]


def _drifted_lines(comparison: Comparison) -> Iterator[str]:
    """Return a line for each drifted column with its strongest reason."""
    found = [(o.name, f"gone: {o.reason}") for o in comparison.omitted if o.is_drift]
    found += [(v.name, reason_of(v)) for v in comparison.variables if v.is_drifted]
    together = comparison.together
    if together is not None and together.is_drifted:
        words = f"rank correlation {together.before:.2f}, now {together.now:.2f}"
        found.append((" and ".join(together.pair), words))
    yield from _named_lines(found)


def _named_lines(named: list[tuple[str, str]]) -> Iterator[str]:
    """Format names and texts in two columns, wrapped at 80 characters."""
    width = min(max((len(name) for name, _ in named), default=0), _MAX_NAME)
    for name, words in named:
        hanging = " " * (width + 4)
        first = f"  {name:<{width}}  "
        if len(name) > width:
            yield first.rstrip()
            first = hanging
        yield from textwrap.wrap(
            words, WIDTH, initial_indent=first, subsequent_indent=hanging, break_on_hyphens=False
        )


def reason_of(variable: Variable) -> str:
    """Return the strongest reason of a drifted column, with its size.

    Parameters
    ----------
    variable : Variable
        One that drifted.

    Returns
    -------
    str
        A change in missing, mistyped or unseen rows takes precedence, because it explains every
        distance; otherwise the change and the statistic with the widest shift.
    """
    counted = [s for s in variable.statistics if s.is_beyond and s.is_counted]
    has_test = any(s.quantity == "test" for s in counted)
    kinds = ("distance", "effect", "share") if has_test else ("share",)
    sizes = [s for s in counted if s.quantity in kinds]
    widest = next((s for s in sizes if s.name in _EXPLAINING), sizes[0])
    if widest.quantity == "share":
        named = next((note for note in variable.notes if note.startswith(NEW)), "")
        return _share_words(widest) + (f"; {named}" if named and widest.name == "unseen" else "")
    size = f"{widest.name} {widest.value:.2g} > {widest.threshold:g}"
    return f"{variable.change}; {size}" if variable.change else size


def _share_words(share: VariableStatistic) -> str:
    """Format a share of rows, with its previous value."""
    before = min(max(share.value - share.effect, 0.0), 1.0)
    return f"{percent(share.value)} {_SHARE_WORDS[share.name]}, was {percent(before)}"


def _count_lines(comparison: Comparison, reference: str, current: str) -> Iterator[str]:
    """Return the line with counts of rows and columns."""
    n = len(comparison.variables)
    calm = [v for v in comparison.variables if not v.is_drifted]
    sides = (
        f"{reference}: {comparison.n_reference:,} rows; {current}: {comparison.n_current:,} rows"
    )
    yield from textwrap.wrap(sides, WIDTH, break_on_hyphens=False, break_long_words=False)
    counts = [f"{n:,} variable{'s' * (n != 1)} compared", f"{len(calm):,} unchanged"]
    small = sum(verdict(v).startswith("significant") for v in calm)
    large = sum(verdict(v).startswith("large") for v in calm)
    if small:
        counts[-1] += f" ({small:,} of them significant, but small)"
    if large:
        counts[-1] += f" ({large:,} of them large, but may be chance)"
    left_out = sum(not o.is_drift for o in comparison.omitted)
    counts += [f"{left_out:,} left out"] if left_out else []
    yield from textwrap.wrap(", ".join(counts) + ". --all shows every statistic.", WIDTH)


def _omitted_lines(comparison: Comparison, *, has_all: bool) -> Iterator[str]:
    """Return lines for the omitted columns, with reasons."""
    omitted: list[Omitted] = [o for o in comparison.omitted if not o.is_drift]
    shown = omitted if has_all else omitted[:_MAX_LISTED]
    yield from _named_lines([(o.name, f"not compared: {o.reason}") for o in shown])
    if len(omitted) > len(shown):
        yield f"  and {len(omitted) - len(shown):,} more; --all lists them"


def statistic_rows(comparison: Comparison) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Return headings and rows of the table of all statistics.

    Returns
    -------
    columns : list of str
    rows : list of tuple
        Without quality shares that are 0 on both sides.
    """
    convention = comparison.options.convention
    columns = ["variable", "statistic", "n ref", "n cur", "value", "shift", "p", "p, Holm"]
    columns += ["threshold", "beyond", *([convention] if convention else [])]
    rows = [
        (variable.name, *_row(statistic, has_peer=bool(convention)))
        for variable in comparison.variables
        for statistic in variable.statistics
        if not statistic.is_idle
    ]
    return columns, rows


def _row(statistic: VariableStatistic, *, has_peer: bool) -> tuple[Any, ...]:
    """Return the row of one statistic; missing numbers are empty."""
    shift = round(statistic.shift, 4) if math.isfinite(statistic.shift) else statistic.shift
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


def variable_row(variable: Variable) -> tuple[Any, ...]:
    """Return name, kind, widest shift, verdict and notes of one variable."""
    notes = "; ".join(variable.notes)
    return variable.name, str(variable.kind), round(variable.shift, 4), verdict(variable), notes
