"""One partition of the GPU topic, message by message: the rules, and what to write."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from heapq import heappop, heappush

import msgspec
import numpy as np

from driftline.times import FARTHEST_US
from monitor.core.bounds import DECODE_ERRORS
from monitor.core.gpu.host_activity import HostSign
from monitor.core.gpu.rules import GpuRules
from monitor.core.state.snapshot_store import SnapshotStore, refused_writes, state_writes
from monitor.core.state.writes import WritePhase, alert_write, phases
from monitor.core.topics import GPU
from monitor.core.unreadable import letter_write, reject_letter
from monitor.core.write import Write
from monitor.decode.chunk import chunk_of
from monitor.decode.gpu_values import GpuDecoder
from monitor.decode.records import Placed, check_gpu, decode_gpu
from monitor.detect.gpu_topic_state import GpuTopicState, read_gpu_state
from monitor.transport.types import Message
from schemas.alerts import Alert
from schemas.batch import Chunk
from schemas.config.monitor import GpuConfig
from schemas.errors import DriftlineError
from schemas.events import GpuEvent, Reject, RejectReason
from schemas.time_units import MINUTE_US

KIND = "gpu"
MAX_WAITING_SIGNS = 1_000_000
SIGN_GRACE_US = MINUTE_US
"""How far telemetry may be behind predictions before its absence counts."""
STATE_EVERY = 5_000
"""Messages after which the state is written even if there was no alert: a restart reads
from there again."""


class GpuPartition:
    """The GPU rules over one partition; it writes nothing, it says what to write.

    Parameters
    ----------
    owner : str
        New for every owner: part of the keys of its state messages.
    log_id : str, optional
        Id of the GPU topic; a state of another one starts at the beginning.

    Attributes
    ----------
    position : int
        Offset of the message that is taken next.
    watermark_us : int
        The newest time of an event: its own or that of its record, the smaller one.

    Notes
    -----
    The same messages make the same alerts, whatever the wall clock says. So a state is
    written only where alerts depend on it, and a restart repeats what came after it.
    """

    def __init__(self, config: GpuConfig, partition: int, owner: str, *, log_id: str = "") -> None:
        self._rules, self._interval_us = GpuRules(config), config.interval_us
        self._max_skew_us = config.max_skew_us
        self._partition, self._owner, self._log_id = partition, owner, log_id
        self._name = (str(partition),)
        self._sequence, self._stored, self._snapshots = 0, 0, SnapshotStore()
        self._signs: list[tuple[int, str, str]] = []
        self.position, self.watermark_us = 0, 0
        self.counters: Counter[str] = Counter()

    def restore(self, state: SnapshotStore) -> list[WritePhase]:
        """Go on where the last owner stopped; returns that state's alerts once more.

        Read the events from :attr:`position` on, which is set here.
        """
        self._snapshots, n_refused = state, len(state.refused)
        self._sequence = state.last_sequence(KIND, self._name)
        alerts: list[Alert] = []
        for stored in state.stored(KIND, self._name):
            try:
                last = read_gpu_state(stored.body)
                self._rules.restore(last.rules)
            except DriftlineError as error:
                state.refuse(KIND, stored, self._name, str(error))
                continue
            self.position = last.position if last.log_id == self._log_id else 0
            self._stored, self.watermark_us = self.position, last.watermark_us
            self._rules.resume(last.watermark_us)
            alerts = last.alerts
            break
        letters = refused_writes(state, self._partition, n_refused)
        if letters:
            self.counters["states_unreadable"] += len(letters)
        return phases(("gpu:dead_letter", letters), ("gpu:alert", self._alert_writes(alerts)))

    def hear(self, message: Message) -> list[list[WritePhase]]:
        """Take one message of the GPU topic; return what to write."""
        time_us = np.array([message.timestamp_us], np.int64)
        chunk = chunk_of([message.value], GPU, self._partition, message.offset, time_us)
        return [self.take(chunk)[1]]

    def take(
        self, chunk: Chunk, *, is_stored: bool = False
    ) -> tuple[list[GpuEvent], list[WritePhase]]:
        """Judge the events of a chunk.

        Parameters
        ----------
        chunk : Chunk
            One message or many; not empty, and at :attr:`position` or beyond.
        is_stored : bool, optional
            Write the state in any case.

        Returns
        -------
        events : list of GpuEvent
            With the time they were sent with; judged at their record time where that is
            earlier, so that a clock that is ahead makes no other GPU look silent.
        phases : list of WritePhase
            To be written, one after the other; only then may the chunk be acked.
        """
        decoded, rejects = decode_gpu(chunk, self._max_skew_us, has_signs=True)
        for reject in rejects:
            self.counters[f"rejected_{reject.reason.value}"] += reject.n_events
        events = [event for _, _, event in decoded if not event.is_host_activity]
        self.counters["gpu_events"] += len(events)
        letters = [letter_write(reject_letter(reject, chunk)) for reject in rejects]
        alerts = self._judge(chunk, decoded, rejects)
        self.position = int(chunk.log_offset[-1]) + 1
        is_due = bool(alerts) or is_stored or self.position - self._stored >= STATE_EVERY
        return events, [
            *phases(("gpu:dead_letter", letters)),
            *(self._write(alerts) if is_due else []),
        ]

    def _judge(
        self, chunk: Chunk, decoded: Placed[GpuEvent], rejects: Sequence[Reject]
    ) -> list[Alert]:
        """Judge events in their order, and what was refused for its time as far as it counts."""
        alerts: list[Alert] = []
        placed = [(m, row, event, False) for m, row, event in decoded]
        placed += [(r.message, r.row, e, True) for r in rejects if (e := _sent_ahead(r))]
        for message, _, event, is_refused in sorted(placed, key=lambda each: each[:2]):
            record_us = int(chunk.record_time_us[message])
            if event.is_host_activity:
                alerts += self._take_sign(event, record_us) if not is_refused else []
                continue
            judged, found = self._rules.arrive(event, record_us, is_refused=is_refused)
            alerts += found
            now_us = self._rules.now_us
            while self._signs and self._signs[0][0] <= now_us:
                time_us, tenant, host = heappop(self._signs)
                self._rules.observe_host(host, time_us, tenant)
            alerts += self._pass_time(now_us)
            alerts += self._rules.observe(judged) if judged is not None else []
        return alerts

    def _take_sign(self, event: GpuEvent, record_us: int) -> list[Alert]:
        """Take host activity; without any telemetry, live activity advances time."""
        sign_us = min(event.time_us, record_us) if record_us >= 0 else event.time_us
        is_live = 0 <= record_us <= sign_us + self._max_skew_us
        alerts = self._pass_time(sign_us - SIGN_GRACE_US) if is_live and self.watermark_us else []
        self._rules.observe_host(event.host, sign_us, event.tenant)
        return alerts

    def observe_hosts(self, signs: Iterable[HostSign]) -> None:
        """Take host activity that does not come by the log; it waits for its time."""
        for tenant, host, time_us in signs:
            if len(self._signs) < MAX_WAITING_SIGNS:
                heappush(self._signs, (time_us, tenant, host))

    def end_signs(self, time_us: int) -> None:
        """Set the end of the predictions: silence after it means nothing."""
        self._rules.end_signs(time_us)

    def _pass_time(self, time_us: int) -> list[Alert]:
        """Advance event time to an event: look for silent hosts once an interval.

        At multiples of it and not once a chunk: otherwise how reads were cut would decide
        which silences are seen.
        """
        due_us = (time_us - 1) // self._interval_us * self._interval_us
        is_due = self.watermark_us and due_us >= self.watermark_us
        self.watermark_us = max(self.watermark_us, time_us)
        return self._rules.tick(due_us) if is_due else []

    def _write(self, alerts: list[Alert]) -> list[WritePhase]:
        """State first, then the alerts it holds."""
        self._sequence, self._stored = self._sequence + 1, self.position
        state = GpuTopicState(
            self._sequence,
            self._rules.export(),
            self.position,
            self.watermark_us,
            alerts,
            self._log_id,
        )
        body = msgspec.msgpack.encode(state)
        named, partition = (KIND, self._name), self._partition
        sweep = self._snapshots.tombstones(*named, partition)
        self._snapshots.forget(*named)
        written = state_writes(*named, self._owner, self._sequence, body, partition=partition)
        return phases(
            ("gpu:state", written),
            ("gpu:alert", self._alert_writes(alerts)),
            ("gpu:sweep", sweep),
        )

    def _alert_writes(self, alerts: list[Alert]) -> list[Write]:
        """Return alerts as messages of their own time."""
        for alert in alerts:
            self.counters[f"alerts_{alert.monitor}_{alert.transition.value}"] += 1
        self.counters["alerts"] += len(alerts)
        return [alert_write(alert) for alert in alerts]


def _sent_ahead(reject: Reject) -> GpuEvent | None:
    """Return the event that was refused for its time alone; None for other rejects.

    A time beyond the year 2255 is in another unit and says nothing of the host's clock.
    """
    if reject.reason is not RejectReason.FUTURE:
        return None
    try:
        event = GpuDecoder().decode(reject.payload)
        check_gpu(event)
    except (*DECODE_ERRORS, DriftlineError):
        return None
    return event if event.time_us <= FARTHEST_US else None
