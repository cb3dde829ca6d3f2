"""``driftline store``: one process holds the store, the others ask it over HTTP."""

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
    help="Serve the embedded store to other processes.",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


@app.callback()
def _root() -> None:
    """Keep ``serve`` a command of its own though it is the only one."""


@app.command()
def serve(
    store: Annotated[
        Path, typer.Option("--store", help="Folder of the store; created if absent.")
    ] = Path("driftline-store"),
    host: Annotated[
        str, typer.Option(help="Address to listen on; beyond loopback a password is required.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8123,
    query_seconds: Annotated[int, typer.Option(min=1, help="Maximum run time of one query.")] = 60,
    query_mib: Annotated[int, typer.Option(min=16, help="Maximum memory of one query.")] = 2048,
    memory_mib: Annotated[
        int, typer.Option(min=256, help="Maximum memory of all queries together.")
    ] = 4096,
    result_mib: Annotated[int, typer.Option(min=1, help="Maximum size of a response.")] = 256,
    body_mib: Annotated[int, typer.Option(min=1, help="Maximum decompressed request body.")] = 1024,
    spool_mib: Annotated[
        int, typer.Option(min=16, help="Maximum disk space of all bodies, and of all responses.")
    ] = 4096,
    concurrent: Annotated[
        int, typer.Option(min=1, max=256, help="Concurrent queries of readers, and of the writer.")
    ] = 8,
    drain_seconds: Annotated[
        float, typer.Option(min=0, help="Time for running queries to finish on SIGTERM.")
    ] = 30.0,
) -> None:
    """Serve a store in a folder over ClickHouse's HTTP interface.

    clickhouse-connect, curl, Grafana's ClickHouse plugin (protocol HTTP) and Driftline
    itself (store: http://127.0.0.1:8123/default) can share the store that way.

    \b
    Passwords come from the environment only, or from the files that these names with
    _FILE name, and do not stay in it:
      DRIFTLINE_STORE_PASSWORD         of "default" (or DRIFTLINE_STORE_USER): reads and writes
      DRIFTLINE_STORE_READER_PASSWORD  of "reader": only reads
    Without any, both accounts are open, to programs of this machine; what writes is then
    a POST with a header that no web page can send, such as X-ClickHouse-User.
    There is no TLS here: beyond this machine put a proxy with TLS in front.

    \b
    The first SIGTERM waits for running queries, the second exits at once.
    Exit code: 2 no password, 5 the store is held by another process, or the port is taken.

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
        """Print what lacks; not on stdout, whose first line is the address."""
        print(f"driftline store serve: warning: {text}", file=sys.stderr, flush=True)

    serve_store(store, accounts, limits, host=host, port=port, announce=announce, warn=warn)
