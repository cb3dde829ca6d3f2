"""GPU events, judged, over a log in memory: one state message, alerts, and then the commit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from monitor.core.failpoints import Reach, pass_through
from monitor.core.gpu.host_activity import HostSign
from monitor.core.topics import GPU, STATE
from monitor.detect.gpu_partition import GpuPartition
from monitor.detect.in_memory import write_phases
from monitor.detect.stage import GROUP, read_states
from monitor.transport.types import ReadableLog
from schemas.batch import Chunk
from schemas.config.monitor import GpuConfig
from schemas.events import GpuEvent


class GpuDetect:
    """The GPU rules over one partition of the GPU topic.

    Parameters
    ----------
    reach : callable, optional
        Called with the name of each failpoint.
    """

    def __init__(self, log: ReadableLog, config: GpuConfig, *, reach: Reach = pass_through) -> None:
        self._log, self._reach = log, reach
        n = log.end_offset(STATE, 0)
        self._core = GpuPartition(config, 0, f"memory-{n}")
        write_phases(log, self._core.restore(read_states(log.fetch(STATE, 0, 0, n))), reach)

    @property
    def position(self) -> int:
        """Offset to read from."""
        return self._core.position

    @property
    def watermark_us(self) -> int:
        """The newest event's time."""
        return self._core.watermark_us

    @property
    def counters(self) -> Counter[str]:
        """Events and alerts, and what was refused."""
        return self._core.counters

    def observe_hosts(self, signs: Sequence[HostSign]) -> None:
        """Take signs of life of hosts: predictions they served."""
        self._core.observe_hosts(signs)

    def end_signs(self, time_us: int) -> None:
        """Set the end of the predictions: silence after it means nothing."""
        self._core.end_signs(time_us)

    def take(self, chunk: Chunk) -> list[GpuEvent]:
        """Judge the events of one chunk; return them for the archive."""
        if not len(chunk):
            return []
        events, found = self._core.take(chunk, is_stored=True)
        write_phases(self._log, found, self._reach)
        self._log.commit(GROUP, GPU, 0, self._core.position)
        self._reach("gpu:commit")
        return events
