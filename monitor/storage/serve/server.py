"""Runs the server: listen, drain on a signal, exit."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import Callable
from pathlib import Path

from aiohttp import web

from monitor.storage.serve.accounts import Accounts
from monitor.storage.serve.application import Front
from monitor.storage.serve.connections import Connections
from monitor.storage.serve.engine import Engine
from monitor.storage.serve.limits import Limits
from monitor.storage.serve.sandbox import confine
from schemas.errors import StorageError

HEADER_BYTES = 262_144 + 65_536
"""Maximum length of a request line: the query string may contain a whole statement."""

UNCONFINED = (
    "this kernel has no Landlock, or forbids it: only the server's own checks keep statements "
    "inside the store (see docs/security.md)"
)
BACKLOG = 1024
"""Listen backlog."""


def serve(
    folder: Path,
    accounts: Accounts,
    limits: Limits,
    *,
    host: str,
    port: int,
    announce: Callable[[str], None],
    warn: Callable[[str], None],
) -> None:
    """Serve a store until SIGTERM or SIGINT.

    Parameters
    ----------
    folder : Path
        Folder of the store; created if missing.
    port : int
        0 chooses a free port.
    announce : callable
        Called with the URL when the server accepts requests.
    warn : callable
        Called before that with a warning if the kernel does not confine the process.

    Raises
    ------
    StoreLockedError, StoreFullError, StorageError
        As :meth:`Store.open`, or if the port is in use.

    Notes
    -----
    The first signal waits at most ``limits.drain_s`` for running queries, then kills them. The
    second exits immediately, which is as safe for the store as kill -9.
    """
    is_confined = False
    with contextlib.suppress(OSError):  # opening the store raises the precise error
        folder.mkdir(parents=True, exist_ok=True)
        is_confined = confine([folder])
    engine = Engine(folder, limits)
    try:
        if not is_confined:
            warn(UNCONFINED)
        asyncio.run(_serve(engine, accounts, limits, host, port, announce))
    finally:
        engine.close()


async def _serve(
    engine: Engine,
    accounts: Accounts,
    limits: Limits,
    host: str,
    port: int,
    announce: Callable[[str], None],
) -> None:
    """Listen until stopped by a signal."""
    stop = asyncio.Event()
    _listen_to_signals(stop)
    front = Front(engine, accounts, limits)
    connections = Connections(
        front.handle,
        limits,
        handler_cancellation=True,
        auto_decompress=False,
        access_log=None,
        logger=_silent(),
        max_line_size=HEADER_BYTES,
    )
    runner = web.ServerRunner(connections, shutdown_timeout=limits.drain_s)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port, backlog=BACKLOG)
        try:
            await site.start()
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
            raise StorageError(
                f"cannot listen: {reason.lower()}",
                where=f"{host}:{port}",
                fix="name another --port, or --port 0 for a free one",
            ) from error
        taken = runner.addresses[0][1]
        announce(f"http://{f'[{host}]' if ':' in host else host}:{taken}")
        await stop.wait()
    finally:
        killing = asyncio.get_running_loop().call_later(
            limits.drain_s * 0.9, lambda: asyncio.ensure_future(front.kill_all())
        )
        await runner.cleanup()
        killing.cancel()
        front.close()


def _silent() -> logging.Logger:
    """Return a logger that drops errors of invalid HTTP requests, which are answered with 400."""
    logger = logging.getLogger("driftline.store.http")
    logger.addHandler(logging.NullHandler())
    logger.propagate = False
    return logger


def _listen_to_signals(stop: asyncio.Event) -> None:
    """Install the handlers: the first signal drains, the second exits."""

    def on_signal(number: int) -> None:
        if stop.is_set():
            os._exit(128 + number)
        stop.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal, number)
