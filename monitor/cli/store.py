"""``driftline store``: serve an embedded store to other processes over HTTP."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    help="""Serve an embedded store over HTTP.

\b
Examples:
  driftline store serve --store driftline-store
""",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


@app.callback()
def _root() -> None:
    """Keep ``serve`` a subcommand while it is the only one."""


@app.command()
def serve(
    store: Annotated[
        Path,
        typer.Option(
            "--store", metavar="FOLDER", help="Folder of the store; created if it is missing."
        ),
    ] = Path("driftline-store"),
    host: Annotated[
        str,
        typer.Option(
            metavar="ADDRESS",
            help="Address to listen on; other than loopback it requires a password.",
        ),
    ] = "127.0.0.1",
    port: Annotated[
        int,
        typer.Option(
            metavar="PORT", min=0, max=65535, help="Port to listen on; 0 takes a free one."
        ),
    ] = 8123,
    query_seconds: Annotated[
        int, typer.Option(metavar="SECONDS", min=1, help="Maximum run time of one query.")
    ] = 60,
    query_mib: Annotated[
        int, typer.Option(metavar="MIB", min=16, help="Maximum memory of one query.")
    ] = 2048,
    memory_mib: Annotated[
        int,
        typer.Option(metavar="MIB", min=256, help="Maximum memory of all queries together."),
    ] = 4096,
    result_mib: Annotated[
        int, typer.Option(metavar="MIB", min=1, help="Maximum size of one response.")
    ] = 256,
    body_mib: Annotated[
        int,
        typer.Option(metavar="MIB", min=1, help="Maximum size of one request body, decompressed."),
    ] = 1024,
    spool_mib: Annotated[
        int,
        typer.Option(
            metavar="MIB",
            min=16,
            help="Maximum disk space of all request bodies, and as much of all responses.",
        ),
    ] = 4096,
    concurrent: Annotated[
        int,
        typer.Option(
            metavar="N",
            min=1,
            max=256,
            help="Maximum concurrent queries of readers, and as many of the writer.",
        ),
    ] = 8,
    drain_seconds: Annotated[
        float,
        typer.Option(
            metavar="SECONDS", min=0, help="How long running queries may take after SIGTERM."
        ),
    ] = 30.0,
) -> None:
    """Serve a store in a folder over ClickHouse's HTTP interface.

    Several programs can then share the store: clickhouse-connect, curl, Grafana's
    ClickHouse plugin (protocol HTTP), and Driftline itself with the URL as its store.

    \b
    Passwords are read from these environment variables, which are then removed from the
    process, or from the file that the variable with _FILE appended names:
      DRIFTLINE_STORE_PASSWORD         account "default" (or DRIFTLINE_STORE_USER), read and write
      DRIFTLINE_STORE_READER_PASSWORD  account "reader", read-only
    Without passwords both accounts are open to all programs on this machine. A write must
    then be a POST request with a header that web pages cannot send (X-ClickHouse-User).
    There is no TLS. For access from other machines, put a proxy with TLS in front.

    \b
    The first SIGTERM or Ctrl-C waits for running queries, the second exits at once.

    \b
    Exit code: 0 stopped, 2 a password is missing, 5 the store is in use by another process
    or the port is taken.

    \b
    Examples:
      driftline store serve
      driftline store serve --store /var/lib/driftline --port 9123
      curl 'http://127.0.0.1:8123/?query=SELECT+count()+FROM+alerts'
      driftline sql --store http://127.0.0.1:8123/default
    """
    from monitor.storage.passwords import take_passwords
    from monitor.storage.serve.accounts import accounts_from
    from monitor.storage.serve.limits import Limits
    from monitor.storage.serve.server import serve as serve_store

    limits = Limits(
        query_s=query_seconds,
        query_memory_bytes=query_mib << 20,
        memory_bytes=memory_mib << 20,
        result_bytes=result_mib << 20,
        spool_bytes=spool_mib << 20,
        body_bytes=body_mib << 20,
        n_concurrent=concurrent,
        drain_s=drain_seconds,
    )
    take_passwords()
    accounts = accounts_from(os.environ, host)

    def announce(url: str) -> None:
        """Print the address; the first line, flushed, so that a script can wait for it."""
        print(f"serving {store} on {url}", flush=True)

    def warn(text: str) -> None:
        """Print a warning to stderr; the first line of stdout is the address."""
        print(f"driftline store serve: warning: {text}", file=sys.stderr, flush=True)

    serve_store(store, accounts, limits, host=host, port=port, announce=announce, warn=warn)
