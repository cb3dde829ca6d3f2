"""The server's life: listen, be asked to stop, finish what runs, leave."""

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
"""Of one line: a statement may stand in the query string, whole."""

UNCONFINED = (
    "this kernel has no Landlock, or forbids it: only the server's own checks keep statements "
    "inside the store (see docs/security.md)"
)
BACKLOG = 1024
"""Connections that may wait to be taken while many come at once."""


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
        The store; made where absent.
    port : int
        0 takes a free one.
    announce : callable
        Given the URL once requests are taken.
    warn : callable
        Given a sentence before that, where the kernel does not confine the process.

    Raises
    ------
    StoreLockedError, StoreFullError, StorageError
        As :meth:`Store.open`; or the port is taken.

    Notes
    -----
    The first signal lets running queries finish, for at most ``limits.drain_s``, then
    kills them; the second one leaves at once, which the store survives as a kill -9.
    """
    is_confined = False
    with contextlib.suppress(OSError):  # opening the store explains what is wrong
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
    """Return a logger for what clients send that is no HTTP: they get 400, and no line here."""
    logger = logging.getLogger("driftline.store.http")
    logger.addHandler(logging.NullHandler())
    logger.propagate = False
    return logger


def _listen_to_signals(stop: asyncio.Event) -> None:
    """The first signal asks, the second one does not."""

    def on_signal(number: int) -> None:
        if stop.is_set():
            os._exit(128 + number)
        stop.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal, number)
