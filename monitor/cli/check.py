"""``driftline check``: check an installation before it starts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from monitor.cli.terminal.output import print_json, print_table

if TYPE_CHECKING:
    from monitor.app.check import CheckReport

_EXIT_CODES = {"config": 2, "receiver": 2, "retraining": 2, "baseline": 3, "kafka": 4, "store": 5}


def run(
    file: Annotated[Path, typer.Argument(help="Configuration file.", show_default=True)] = Path(
        "driftline.yaml"
    ),
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the result as one line of JSON.")
    ] = False,
) -> None:
    """Check config, baselines, receivers, Kafka and store; change nothing.

    Every check prints ok, warning or failed, and how to fix it. Kafka is checked if the
    config has a section `kafka`. Too little traffic for the windows is a warning.

    \b
    Exit code: 0 no check failed, 2 config or a missing environment variable,
    3 a baseline, 4 Kafka or its topics, 5 the store; the lowest code of all failed checks.

    \b
    Examples:
      driftline check
      driftline check deploy/examples/driftline.yaml
      driftline check --json | jq '.checks[] | select(.state == "failed")'
    """
    from monitor.app.check import check_installation

    report = check_installation(file)
    if as_json:
        print_json(report.as_document())
    else:
        _print_report(report)
    if report.failed:
        raise typer.Exit(min(_EXIT_CODES[c.check] for c in report.failed))


def _print_report(report: CheckReport) -> None:
    """Print a table, then the fixes; for an invalid config, only its problems."""
    from monitor.app.check import CheckState
    from monitor.cli.terminal.command_hints import as_started

    checks, n_failed = report.checks, len(report.failed)
    if all(c.check == "config" for c in checks):
        for c in checks:
            typer.echo(as_started(c.detail + (f" ({c.fix})" if c.fix else "")))
        noun = "problem" if n_failed == 1 else "problems"
        typer.echo(f"{n_failed} {noun}; nothing else was checked")
        return
    rows = [(c.check, c.name, c.state, c.detail) for c in checks]
    print_table(("check", "name", "state", "detail"), rows)
    for c in (c for c in checks if c.state is not CheckState.OK):
        if c.fix:
            typer.echo(as_started(f"{c.check} {c.name}: {c.detail}\n  -> {c.fix}"))
    n_warnings = sum(c.state is CheckState.WARNING for c in checks)
    n_ok = len(checks) - n_failed - n_warnings
    warned = f", {n_warnings} warning{'s' * (n_warnings != 1)}" if n_warnings else ""
    if n_failed or warned:
        typer.echo(f"{n_ok} ok{warned}" + (f", {n_failed} failed" if n_failed else ""))
    else:
        typer.echo(f"all {n_ok} checks passed")
