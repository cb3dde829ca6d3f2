"""An ingest process in a thread of the test: started, drained, or killed."""

from __future__ import annotations

import threading
from typing import Self

from monitor.core.failpoints import Hit, pass_through
from monitor.core.windowing.catalog import Catalog
from monitor.ingest.on_kafka import run_ingest
from monitor.service.lifecycle import Lifecycle
from monitor.transport.kafka.cluster import Cluster
from monitor.transport.kafka.readers.baseline_feed import BaselineFeed
from tests.support.waiting import wait_until


class MemberKilledError(Exception):
    """Simulates kill -9 in a thread: nothing is committed after it."""


class IngestMember:
    """One member of the ingest group; a context manager that drains it.

    Parameters
    ----------
    catalog : Catalog
        Of this member alone.
    hit : callable, optional
        Failpoints; may raise ``MemberKilledError``.
    """

    def __init__(self, cluster: Cluster, catalog: Catalog, hit: Hit = pass_through) -> None:
        self.lifecycle, self.catalog = Lifecycle("ingest", hit=hit), catalog
        self.error: BaseException | None = None
        self._cluster = cluster
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            with BaselineFeed(self._cluster, self.catalog) as feed:
                feed.catch_up()
                run_ingest(self._cluster, self.catalog, feed, self.lifecycle)
        except BaseException as error:
            self.error = error

    @property
    def is_running(self) -> bool:
        """Whether it has not ended."""
        return self._thread.is_alive()

    def wait_ready(self) -> Self:
        """Return when it has joined the group."""
        wait_until(lambda: self.lifecycle.is_ready or not self.is_running, 60, "ready")
        assert self.error is None, self.error
        return self

    def wait_end(self) -> BaseException | None:
        """Return the error with which it ended, if any."""
        self._thread.join(90)
        assert not self.is_running, "it does not end"
        return self.error

    def stop(self) -> None:
        """Drain it; it must end in good order."""
        self.lifecycle.drain()
        error = self.wait_end()
        assert error is None, error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self.lifecycle.drain()
        self._thread.join(90)
        if self.error is not None:
            raise self.error
