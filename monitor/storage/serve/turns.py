"""Bounds on concurrent queries, separate for readers and the writer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from monitor.storage.serve.limits import Limits
from monitor.storage.serve.refusal import RefusedRequest

T = TypeVar("T")


class Turns:
    """Thread pool for the queries of one kind of account.

    Parameters
    ----------
    name : str
        Name of the threads.

    Notes
    -----
    Readers and the writer have separate pools: with a shared one, twelve slow readers blocked the
    archive.
    """

    def __init__(self, limits: Limits, name: str) -> None:
        self._limits = limits
        self._free = asyncio.Semaphore(limits.n_concurrent)
        self._threads = ThreadPoolExecutor(limits.n_concurrent, name)

    async def start(self, work: Callable[[], T]) -> asyncio.Future[T]:
        """Wait for a free thread and start work in it.

        Raises
        ------
        RefusedRequest
            202 if none is free within ``limits.queue_s``.
        """
        try:
            await asyncio.wait_for(self._free.acquire(), self._limits.queue_s)
        except TimeoutError:
            n = self._limits.n_concurrent
            raise RefusedRequest(202, f"Too many simultaneous queries. Maximum: {n}.") from None
        loop = asyncio.get_running_loop()
        job = asyncio.ensure_future(loop.run_in_executor(self._threads, work))
        job.add_done_callback(self._ended)
        return job

    def close(self) -> None:
        """Stop the threads."""
        self._threads.shutdown(wait=False)

    def _ended(self, job: asyncio.Future[T]) -> None:
        """Release the thread; an error is raised where the job is awaited."""
        self._free.release()
        if not job.cancelled():
            job.exception()
