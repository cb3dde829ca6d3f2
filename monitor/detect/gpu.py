"""GPU events, judged: one state message, alerts, and only then the commit."""

from __future__ import annotations

from collections import Counter

import msgspec

from monitor.core.crash_points import Reach, pass_through
from monitor.core.detect_state import GpuState, read_gpu_state
from monitor.core.gpu_rules import GpuRules
from monitor.core.topics import ALERTS, DEAD_LETTERS, GPU, STATE
from monitor.decode.records import decode_gpu
from monitor.transport.memory import MemoryLog
from schemas.alerts import Alert
from schemas.batch import Chunk
from schemas.config import GpuConfig
from schemas.events import GpuEvent
from schemas.refused import dead_letter

GROUP = "driftline-detect"
STATE_KEY = b"gpu"


class GpuDetect:
    """The GPU rules over one partition of the GPU topic.

    Parameters
    ----------
    log : MemoryLog
    config : GpuConfig
    reach : callable, optional
        Crash points.
    """

    def __init__(self, log: MemoryLog, config: GpuConfig, *, reach: Reach = pass_through) -> None:
        self._log, self._reach = log, reach
        self._rules, self._interval_us = GpuRules(config), config.interval
        self._sequence, self.position, self.watermark_us = 0, 0, 0
        self.counters: Counter[str] = Counter()
        self._restore()

    def _restore(self) -> None:
        """Take the last state, and send its alerts again."""
        n = self._log.end_offset(STATE, 0)
        for message in reversed(self._log.fetch(STATE, 0, 0, n)):
            if message.key == STATE_KEY:
                state = read_gpu_state(message.value)
                self._rules.restore(state.rules)
                self._sequence, self.position = state.sequence, state.position
                self.watermark_us = state.watermark_us
                self._send(state.alerts)
                return

    def take(self, chunk: Chunk) -> list[GpuEvent]:
        """Judge the events of one chunk; return them for the archive."""
        if not len(chunk):
            return []
        decoded, rejects = decode_gpu(chunk)
        for reject in rejects:
            offset = int(chunk.log_offset[reject.message])
            letter = dead_letter(
                reject, source=chunk.source, partition=chunk.partition, offset=offset
            )
            key = f"{chunk.source}|{chunk.partition}|{offset}|{reject.row}".encode()
            self._log.produce(DEAD_LETTERS, msgspec.msgpack.encode(letter), key=key)
            self.counters[f"rejected_{reject.reason.value}"] += 1
        events = [event for _, _, event in decoded]
        self.counters["gpu_events"] += len(events)
        alerts: list[Alert] = []
        for event in events:
            alerts += self._pass_time(event.time_us)
            alerts += self._rules.observe(event)
        self.position = int(chunk.log_offset[-1]) + 1
        self._write(alerts)
        return events

    def _pass_time(self, time_us: int) -> list[Alert]:
        """Let event time come to an event: whoever is silent is looked for once an interval.

        At multiples of it and not once a chunk: otherwise how reads were cut would decide
        which silences are seen.
        """
        due_us = (time_us - 1) // self._interval_us * self._interval_us
        is_due = self.watermark_us and due_us >= self.watermark_us
        self.watermark_us = max(self.watermark_us, time_us)
        return self._rules.tick(due_us) if is_due else []

    def _write(self, alerts: list[Alert]) -> None:
        """State first, then the alerts it holds, then the commit."""
        self._sequence += 1
        state = GpuState(
            self._sequence, self._rules.export(), self.position, self.watermark_us, alerts
        )
        self._log.produce(STATE, msgspec.msgpack.encode(state), key=STATE_KEY)
        self._reach("gpu:state")
        self._send(alerts)
        self._log.commit(GROUP, GPU, 0, self.position)
        self._reach("gpu:commit")

    def _send(self, alerts: list[Alert]) -> None:
        """Write alerts one by one; the same id again is harmless."""
        for alert in alerts:
            self._log.produce(
                ALERTS,
                msgspec.msgpack.encode(alert),
                key=alert.alert_id.encode(),
                timestamp_us=alert.time_us,
            )
            self.counters["alerts"] += 1
            self._reach("gpu:alert")
