"""``driftline dev``: tools for development."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    help="""Run Apache Kafka on this machine, for development.

\b
Examples:
  driftline dev kafka
""",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


@app.callback()
def _root() -> None:
    """Keep ``kafka`` a subcommand while it is the only one."""


@app.command()
def kafka(
    folder: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Data folder; without it the data is deleted when the broker stops.",
        ),
    ] = None,
    port: Annotated[
        int,
        typer.Option(
            metavar="PORT", min=0, max=65535, help="Port for clients; 0 takes a free one."
        ),
    ] = 9092,
    heap_mib: Annotated[
        int, typer.Option("--heap", metavar="MIB", min=128, help="Java heap in MiB.")
    ] = 384,
) -> None:
    """Run an Apache Kafka broker on this machine until Ctrl-C, without Docker.

    Needs Java 17. The first run also needs Maven and downloads 43 MB. The broker listens
    on the loopback address only. It is not for production.

    \b
    Exit code: 0 stopped; 4 the broker cannot start (Java or Maven missing, port in use) or
    exited by itself.

    \b
    Examples:
      driftline dev kafka
      driftline dev kafka --port 0 --folder ~/driftline-kafka
    """
    from monitor.devkit.dev_broker import STEADY_LOAD, DevBroker
    from monitor.devkit.distribution import KAFKA_VERSION, has_libraries
    from monitor.devkit.startup_log import explain_end

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    if not has_libraries():
        typer.echo(f"fetching Apache Kafka {KAFKA_VERSION} with Maven, once", err=True)
    broker = DevBroker(folder, port=port, heap_mib=heap_mib, jvm_options=STEADY_LOAD)
    is_started = False
    try:
        with broker:
            is_started = True
            _announce(broker, KAFKA_VERSION, is_kept=folder is not None)
            status = broker.wait()
            broker.keep_folder()
            raise explain_end(status, broker.log_file)
    except KeyboardInterrupt:
        if not is_started:
            raise
        typer.echo("stopped")


def _announce(broker: Any, version: str, *, is_kept: bool) -> None:
    """Print the address and how to stop the broker, in lines that programs can parse."""
    from monitor.cli.terminal.command_hints import as_started

    typer.echo(f"Apache Kafka {version} is ready on {broker.bootstrap}")
    typer.echo(f"folder: {broker.folder}{'' if is_kept else ' (removed at the end)'}")
    create = f"driftline topics create --bootstrap {broker.bootstrap} --yes"
    typer.echo(f"topics: {as_started(create)}")
    typer.echo(f"stop:   Ctrl-C, or kill {os.getpid()}")
    sys.stdout.flush()


def _interrupt(number: int, frame: Any) -> None:
    """Handle SIGTERM and SIGHUP like Ctrl-C."""
    raise KeyboardInterrupt
