"""The ``driftline`` command: its subcommands, and the exit codes of failures.

Exit codes: 0 done, 1 failed, 2 wrong command line or config, 3 baseline,
4 reading or writing files or Kafka, 5 store, 10 what ``compare`` compared has drifted,
130 interrupted, 143 terminated.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Sequence
from typing import Annotated

import typer
from typer.main import get_command

from detectors.version import VERSION
from monitor.cli.terminal.lazy import Entry, LazyGroup
from monitor.logs.guarded_stream import guarded_output
from monitor.logs.setup import limit_stderr
from monitor.optional_modules import unused_modules_hidden

HELP = """Monitor ML models in production: drift, data quality, GPUs.

\b
Examples:
  driftline demo                               run the demo on packaged data
  driftline check driftline.yaml               check config, baselines and store
  driftline baseline build models/m.yaml --reference train.parquet
  driftline replay events.jsonl                show which alerts these events open
  driftline compare train.parquet may.parquet  show which columns drifted
  driftline sql "SELECT count() FROM alerts"   query the store
  driftline up --create-topics                 run all stages on Kafka

\b
Exit code: 0 done, 1 failed, 2 wrong command line or config, 3 a baseline, 4 files or Kafka,
5 the store, 130 interrupted (Ctrl-C), 143 terminated.
`driftline COMMAND --help` shows the options, exit codes and examples of a command.
"""

INTERRUPTED = 130
PARENT = "DRIFTLINE_PARENT"
"""Set by ``driftline up`` for its children, see :mod:`monitor.service.parent`."""

COMMANDS = {
    "demo": Entry("monitor.cli.demo:run", "Detect three injected faults in packaged data."),
    "check": Entry("monitor.cli.check:run", "Check config, baselines, receivers, Kafka and store."),
    "baseline": Entry("monitor.cli.baseline:app", "Build, show or publish baselines."),
    "replay": Entry("monitor.cli.replay:run", "Run recorded events through the pipeline."),
    "backtest": Entry("monitor.cli.backtest:run", "Evaluate recorded events under two configs."),
    "compare": Entry("monitor.cli.compare:run", "Compare two files: which columns drifted."),
    "incident": Entry(
        "monitor.cli.incident:app", "Show incidents; close them as normal or as a fault."
    ),
    "sql": Entry("monitor.cli.sql:sql", "Query the store with SQL, read-only."),
    "up": Entry("monitor.cli.up:run", "Run all stages and the store on this machine."),
    "ingest": Entry("monitor.cli.stage:ingest", "Stage: aggregate predictions into panes."),
    "detect": Entry("monitor.cli.stage:detect", "Stage: evaluate windows and GPU events."),
    "notify": Entry("monitor.cli.stage:notify", "Stage: deliver notifications to receivers."),
    "archive": Entry("monitor.cli.stage:archive", "Stage: write all topics to ClickHouse."),
    "topics": Entry("monitor.cli.topics:app", "Create, check or describe the Kafka topics."),
    "dev": Entry("monitor.cli.dev:app", "Run Apache Kafka on this machine, for development."),
    "store": Entry("monitor.cli.store:app", "Serve an embedded store over HTTP."),
}


class Commands(LazyGroup):
    """The commands of ``driftline``."""

    entries = COMMANDS


app = typer.Typer(
    cls=Commands,
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


def _print_version(is_asked: bool) -> None:
    """Print the version and exit."""
    if is_asked:
        typer.echo(f"driftline {VERSION}")
        raise typer.Exit


@app.callback(help=HELP)
def _root(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """Define the options before a command."""


def main(args: Sequence[str] | None = None) -> None:
    """Run the command line; always ends the process with an exit code.

    Parameters
    ----------
    args : sequence of str, optional
        Arguments after ``driftline``; ``sys.argv`` by default.

    Raises
    ------
    SystemExit
        With 0 or the code of the failure. With ``DRIFTLINE_TRACEBACK=1`` the error is raised
        instead.
    """
    with guarded_output(), unused_modules_hidden():
        _run(args)


def _run(args: Sequence[str] | None) -> None:
    """Run the command line, and end the process with an exit code."""
    try:
        if PARENT in os.environ:
            from monitor.service.parent import die_with_parent

            die_with_parent(os.environ)
        limit_stderr()
        get_command(app).main(args=args, prog_name="driftline")
    except Exception as error:
        if os.environ.get("DRIFTLINE_TRACEBACK") == "1":
            raise
        from monitor.cli.terminal.command_hints import as_started

        code, lines = _failure(error)
        for line in lines:
            print(as_started(line), file=sys.stderr)
        sys.exit(code)
    except (KeyboardInterrupt, SystemExit) as ended:
        # The command-line library converts KeyboardInterrupt to SystemExit and prints nothing.
        if isinstance(ended, SystemExit) and ended.code != INTERRUPTED:
            raise
        print("interrupted", file=sys.stderr)
        sys.exit(INTERRUPTED)


def _failure(error: Exception) -> tuple[int, list[str]]:
    """Return the exit code and the lines to print for an error."""
    from schemas.errors import ConfigError, DriftlineError

    if isinstance(error, ConfigError) and len(error.problems) > 1:
        return error.exit_code, [*error.problems, f"{len(error.problems)} problems"]
    if isinstance(error, DriftlineError):
        return error.exit_code, [f"error: {error}"]
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        place = f" under {error.filename}" if error.filename else ""
        return 1, [f"error: no space left on the disk{place} (free some, then run this again)"]
    if isinstance(error, OSError) and error.filename:
        return 4, [f"error: {error.filename}: {error.strerror}"]
    if isinstance(error, ModuleNotFoundError):
        return 1, [f"error: the module {error.name} is not installed (see Extras in the README)"]
    return 1, [
        f"error: {type(error).__name__}: {error}",
        "This is a bug in Driftline. Set DRIFTLINE_TRACEBACK=1 and run it again for the traceback.",
    ]


if __name__ == "__main__":
    main()
