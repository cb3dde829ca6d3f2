"""Windows of panes, decided, over a log in memory: every write in its order, then the commit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from monitor.core.drift.coverage import Coverage
from monitor.core.drift.partition import DriftPartition
from monitor.core.drift.windows import Windows
from monitor.core.failpoints import Reach, pass_through
from monitor.core.panes.catalog import Catalog
from monitor.core.state.writes import Phase
from monitor.core.topics import PANES, STATE
from monitor.detect.stage import GROUP, read_states
from monitor.transport.types import Log, ReadableLog

MAX_MESSAGES = 1_000


class DriftDetect:
    """One owner of one partition of the panes topic.

    Parameters
    ----------
    partition : int
        Of panes and of state, which are partitioned alike.
    reach : callable, optional
        Called with the name of each failpoint.
    """

    def __init__(
        self,
        log: ReadableLog,
        catalog: Catalog,
        partition: int = 0,
        *,
        reach: Reach = pass_through,
    ) -> None:
        self._log, self._partition, self._reach = log, partition, reach
        n = log.end_offset(STATE, partition)
        self._core = DriftPartition(catalog, partition, f"memory-{n}")
        shelf = read_states(log.fetch(STATE, partition, 0, n))
        committed = log.committed(GROUP, PANES, partition)
        position = committed.offset if committed is not None else 0
        write_phases(log, self._core.restore(shelf, position), reach)

    @property
    def windows(self) -> Windows:
        """Panes and windows that are open."""
        return self._core.windows

    @property
    def counters(self) -> Counter[str]:
        """What became of panes, windows, results and alerts."""
        return self._core.counters

    @property
    def coverage(self) -> Mapping[tuple[str, str], Coverage]:
        """What was judged of each model, and why the rest was not."""
        return self._core.coverage

    def step(self) -> int:
        """Read panes, close what is due; return how many messages were read."""
        messages = self._log.fetch(PANES, self._partition, self._core.position, MAX_MESSAGES)
        for message in messages:
            has_state = False
            for found in self._core.take(
                message.offset, message.key, message.value, message.timestamp_us
            ):
                write_phases(self._log, found, self._reach)
                has_state |= any(phase.step == "detect:state" for phase in found)
            if has_state:
                offset = self._core.panes_offset
                self._log.commit(GROUP, PANES, self._partition, offset)
                self._reach("detect:commit")
        return len(messages)


def write_phases(log: Log, found: list[Phase], reach: Reach) -> None:
    """Append every write in order; a crash may follow each."""
    for phase in found:
        for write in phase.writes:
            log.append(write)
            reach(phase.step)
