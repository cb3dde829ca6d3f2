"""The one thread that talks to the store: tries for ever, and never holds up the group.

The stage's own thread must keep polling its groups while an insert takes minutes or the
store is away for an hour; so inserts run here, one at a time, in the order they came.
"""

from __future__ import annotations

import queue
import random
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from monitor.archive.blocks import InsertBlock
from monitor.archive.poison import TableMisfitError, insert_what_fits
from monitor.clock import elapsed_s
from monitor.metrics import INSERT_RETRIES, INSERT_ROWS, INSERT_SECONDS
from monitor.storage.clickhouse import Store
from schemas.errors import StorageError

FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 10.0
"""Between two tries; each pause is shortened by up to a half, so that not all come at once."""


NO_WAIT_S = 30.0
"""After a wait that timed out, no further wait for so long."""


class AbandonedError(Exception):
    """Another member owns the partition now, and repeats the rest of its range."""


@dataclass(eq=False, slots=True)
class Job:
    """The inserts of one range, in order."""

    blocks: list[InsertBlock]
    is_abandoned: threading.Event = field(default_factory=threading.Event)
    is_over: threading.Event = field(default_factory=threading.Event)
    is_whole: bool = False
    """Whether every block is in the store."""
    failure: BaseException | None = None

    def abandon(self) -> None:
        """Start no further insert."""
        self.is_abandoned.set()


class Inserter:
    """Runs jobs in a thread of its own.

    Parameters
    ----------
    store : Store
        Used by this thread only.
    may_insert : callable
        Asked before each insert, in this thread: whether the process is known to be a
        member of its groups still. While it is not, inserts wait.

    Notes
    -----
    ``StorageError`` is waited out, for ever; every other error ends the stage.
    """

    def __init__(self, store: Store, may_insert: Callable[[], bool]) -> None:
        self._store, self._may_insert = store, may_insert
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._stopped = threading.Event()
        self.done: queue.SimpleQueue[Job] = queue.SimpleQueue()
        self.trouble = ""
        """Why the job in hand cannot go on; empty where the store takes it, or there is none."""
        self.n_waiting = 0
        self._may_wait_at_s = 0.0
        self._thread = threading.Thread(target=self._run, name="archive-inserts", daemon=True)
        self._thread.start()

    def submit(self, job: Job) -> None:
        """Put a job at the end of the line."""
        self.n_waiting += 1
        self._jobs.put(job)

    def finished(self, timeout_s: float) -> list[Job]:
        """Return jobs that are over, after waiting for one of them.

        Raises
        ------
        Exception
            What ended a job other than the store's being away.
        """
        jobs: list[Job] = []
        try:
            jobs.append(self.done.get(timeout=timeout_s) if timeout_s > 0 else self.done.get(False))
            while True:
                jobs.append(self.done.get(False))
        except queue.Empty:
            pass
        self.n_waiting -= len(jobs)
        for job in jobs:
            if job.failure is not None:
                raise job.failure
        return jobs

    def wait(self, job: Job, timeout_s: float) -> bool:
        """Wait for a job to be over; return whether all of it is in the store.

        Does not wait while the store is failing, nor soon after a wait timed out: of
        many partitions that are taken away at once, only the first waits for a store that
        hangs.
        """
        may_wait = not self.trouble and elapsed_s() >= self._may_wait_at_s
        if may_wait and not job.is_over.wait(timeout_s):
            self._may_wait_at_s = elapsed_s() + NO_WAIT_S
        return job.is_whole

    def stop(self, timeout_s: float) -> None:
        """End the thread after its current try; one that hangs is left behind."""
        self._stopped.set()
        self._jobs.put(None)
        self._thread.join(timeout_s)

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None and not self._stopped.is_set():
            try:
                self._insert_all(job)
            except AbandonedError:
                # The job is dropped: as long as trouble is set nothing is read, so no
                # other job would come to find out that the store has recovered.
                self.trouble = ""
            except BaseException as error:
                job.failure = error
            job.is_over.set()
            self.done.put(job)

    def _insert_all(self, job: Job) -> None:
        """Insert every block, each as often as it takes."""
        for block in job.blocks:
            n_tries = 0
            while not self._is_taken(job, block):
                INSERT_RETRIES.labels(block.table).inc()
                job.is_abandoned.wait(_pause_s(n_tries))
                n_tries += 1
        job.is_whole = True

    def _is_taken(self, job: Job, block: InsertBlock) -> bool:
        """Try once."""
        try:
            begin = elapsed_s()
            self._go_on(job)
            insert_what_fits(self._store, block, lambda: self._go_on(job))
        except TableMisfitError:
            raise
        except StorageError as error:
            self.trouble = str(error)
            return False
        self.trouble = ""
        INSERT_SECONDS.labels(block.table).observe(elapsed_s() - begin)
        INSERT_ROWS.labels(block.table).observe(len(block))
        return True

    def _go_on(self, job: Job) -> None:
        """Return when the next insert may begin; raise where it never may."""
        while not self._may_insert() and not job.is_abandoned.wait(0.05):
            if self._stopped.is_set():
                break
        if job.is_abandoned.is_set() or self._stopped.is_set():
            raise AbandonedError


def _pause_s(n_tries: int) -> float:
    """Return how long to wait before the next try."""
    longest = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** min(n_tries, 10))
    return float(longest * random.uniform(0.5, 1.0))
