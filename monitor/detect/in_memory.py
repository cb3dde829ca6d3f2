"""Detect over a log in memory: panes and GPU events; writes in their order, then the commit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from monitor.core.drift.coverage import Coverage
from monitor.core.drift.partition import OnResults
from monitor.core.drift.windows import Windows
from monitor.core.failpoints import Hit, pass_through
from monitor.core.gpu.host_activity import HostSign
from monitor.core.state.writes import WritePhase
from monitor.core.topics import ACTIONS, GPU, PANES, STATE
from monitor.core.windowing.catalog import Catalog
from monitor.detect.gpu_partition import GpuPartition
from monitor.detect.stage import GROUP, PanesRules, read_states
from monitor.transport.types import Log, ReadableLog
from schemas.batch import Chunk
from schemas.config.monitor import GpuConfig
from schemas.events import GpuEvent
from schemas.panes import Pane

MAX_MESSAGES = 1_000


class DriftDetect:
    """One owner of one partition of the panes topic.

    Parameters
    ----------
    partition : int
        Of panes and of state, which are partitioned alike.
    has_results, has_states : bool, optional
        False where nothing reads the results, and where the log ends with its process.
    on_results : OnResults, optional
        Called with results instead of writing messages of them.
    hit : callable, optional
        Called with the name of each failpoint.
    """

    def __init__(
        self,
        log: ReadableLog,
        catalog: Catalog,
        partition: int = 0,
        *,
        has_results: bool = True,
        has_states: bool = True,
        on_results: OnResults | None = None,
        hit: Hit = pass_through,
    ) -> None:
        self._log, self._partition, self._hit = log, partition, hit
        self._has_states = has_states
        n = log.end_offset(STATE, partition)
        # Nothing here is silent: event time alone passes, and it ends with the input.
        self._rules = PanesRules(
            catalog,
            partition,
            f"memory-{n}",
            "",
            lambda: 0.0,
            has_results=has_results,
            has_states=has_states,
            on_results=on_results,
        )
        self._drift = self._rules.drift
        snapshots = read_states(log.fetch(STATE, partition, 0, n))
        committed = log.committed(GROUP, PANES, partition)
        position = committed.offset if committed is not None else 0
        write_phases(log, self._rules.restore(snapshots, position), hit)

    @property
    def windows(self) -> Windows:
        """Panes and windows that are open."""
        return self._drift.windows

    @property
    def counters(self) -> Counter[str]:
        """What became of panes, windows, results and alerts."""
        return self._drift.counters

    @property
    def coverage(self) -> Mapping[tuple[str, str], Coverage]:
        """What was judged of each model, and why the rest was not."""
        return self._drift.coverage

    def take_pane(self, pane: Pane) -> None:
        """Take a pane that ingest hands on in this process, instead of its message."""
        self._drift.take_pane(pane)

    def step(self) -> int:
        """Read actions and panes, close what is due; return how many panes' messages were read."""
        for action in self._log.fetch(ACTIONS, 0, self._drift.actions_offset, MAX_MESSAGES):
            for found in self._rules.act(action):
                write_phases(self._log, found, self._hit)
        messages = self._log.fetch(PANES, self._partition, self._rules.position, MAX_MESSAGES)
        for message in messages:
            is_due = False
            for found in self._rules.hear(message):
                write_phases(self._log, found, self._hit)
                is_due |= not self._has_states
                is_due |= any(phase.step == "detect:state" for phase in found)
            self._read_again()
            if is_due:
                offset = self._drift.panes_offset
                self._log.commit(GROUP, PANES, self._partition, offset)
                self._hit("detect:commit")
        return len(messages)

    def _read_again(self) -> None:
        """Read again what the last message changed."""
        found = self._rules.rereading
        if found is None:
            return
        span = found.end_offset - found.first_offset
        for message in self._log.fetch(PANES, self._partition, found.first_offset, span):
            if message.offset < found.end_offset:
                found.read(message.offset, message.key, message.value, message.timestamp_us)
        found.end()


class GpuDetect:
    """The GPU rules over one partition of the GPU topic.

    Parameters
    ----------
    hit : callable, optional
        Called with the name of each failpoint.
    """

    def __init__(self, log: ReadableLog, config: GpuConfig, *, hit: Hit = pass_through) -> None:
        self._log, self._hit = log, hit
        n = log.end_offset(STATE, 0)
        self._core = GpuPartition(config, 0, f"memory-{n}")
        write_phases(log, self._core.restore(read_states(log.fetch(STATE, 0, 0, n))), hit)

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
        """Take host activity: predictions that hosts served."""
        self._core.observe_hosts(signs)

    def end_signs(self, time_us: int) -> None:
        """Set the end of the predictions: silence after it means nothing."""
        self._core.end_signs(time_us)

    def take(self, chunk: Chunk) -> list[GpuEvent]:
        """Judge the events of one chunk; return them for the archive."""
        if not len(chunk):
            return []
        events, found = self._core.take(chunk, is_stored=True)
        write_phases(self._log, found, self._hit)
        self._log.commit(GROUP, GPU, 0, self._core.position)
        self._hit("gpu:commit")
        return events


def write_phases(log: Log, found: list[WritePhase], hit: Hit) -> None:
    """Append every write in order; a crash may follow each."""
    for phase in found:
        for write in phase.writes:
            log.append(write)
            hit(phase.step)
