"""Prints the result of a backtest."""

from __future__ import annotations

from collections.abc import Sequence

import typer

from monitor.backtest.comparison import ConfigComparison
from monitor.backtest.counting import Counted
from monitor.backtest.tables import tables_of
from monitor.backtest.text import absent_line, config_lines, headline, solution_text
from monitor.cli.terminal.output import print_table
from monitor.core.drift.coverage_text import ENOUGH
from monitor.core.incidents.text import share_text
from schemas.spelling import spell_controls

MAX_FIRED = 30
"""Rows printed per table; the page and ``--json`` have all."""


def print_report(
    reports: Sequence[ConfigComparison],
    counted: Counted,
    absent: Sequence[str] = (),
    *,
    has_events: bool,
) -> None:
    """Print every model's tables.

    Parameters
    ----------
    absent : sequence of str, optional
        Models that have no history.
    has_events : bool
        Whether events were read instead of stored panes.
    """
    if has_events:
        _print_events(counted)
    for model in absent:
        typer.echo(f"{absent_line(model)}.")
    if not reports:
        typer.echo("Nothing to judge.")
    for report in reports:
        _print_model(report)


def _print_events(counted: Counted) -> None:
    """Print the numbers of events accepted, rejected and late."""
    typer.echo(
        f"{counted.n_accepted:,} events accepted, {counted.n_rejected:,} rejected, "
        f"{counted.n_late:,} too late."
    )
    n_missing = counted.n_rejected + counted.n_late
    n_read = n_missing + counted.n_accepted
    if n_missing > (1 - ENOUGH) * n_read:
        typer.echo(
            f"{share_text(n_missing / n_read)} of the events were not counted: what follows "
            "holds for the others only. driftline replay has the reasons."
        )


def _print_model(report: ConfigComparison) -> None:
    """Print the tables of one model."""
    typer.echo(f"\n{spell_controls(report.model)}: {headline(report)}")
    for table in tables_of(report):
        shown = table.rows[:MAX_FIRED]
        if not shown:
            is_judged = any(s.outcome.judged_us for s in report.sides.values())
            typer.echo(f"{table.title}: {'none' if is_judged else 'nothing was judged'}.\n")
            continue
        print_table(table.columns, shown, title=table.title)
        if len(table.rows) > len(shown):
            typer.echo(f"... and {len(table.rows) - len(shown):,} more: --json has all.\n")
    if report.solution is not None:
        typer.echo(solution_text(report.solution))
        typer.echo(config_lines(report.solution))
