"""Alerts on source partitions whose owners send no watermarks. Pure.

Windows wait for every source partition: one whose owner failed, or was never started, delays all of
them. That is intended (a silent partition is not an idle one), but must raise an alert.
"""

from __future__ import annotations

from collections import Counter

import msgspec

from monitor.core.identity import alert_id
from monitor.core.pipeline_health.silence_state import SilenceState, read_silence_state
from monitor.core.state.snapshot_store import SnapshotStore, state_writes
from monitor.core.state.writes import WritePhase, alert_write, phases
from monitor.core.windowing.watermark import Watermarks
from schemas.alerts import Alert, Severity, Transition
from schemas.errors import DomainError
from schemas.monitors import Monitor

KIND = "silence"
RULE = "pipeline_stalled"
BOUND_S = 60.0
WATCHING_PARTITION = 0
"""The partition of the panes topic whose owner writes alerts of silent sources."""
MAX_HEARD = 1 << 17
"""Maximum number of partitions kept: several times those of all possible sources."""
_NAME = ("sources",)
_ACTION = (
    "Is an ingest process running for this partition? `driftline ingest` logs what keeps it, "
    "and its lag is in driftline_lag_messages."
)

Place = tuple[str, int]


class SourceSilence:
    """Tracks the time of each owner's last message, by a monotonic clock.

    Parameters
    ----------
    owner : str
        Part of the keys of its state messages.
    start_s : float
        Time from which a partition without any message counts as silent.
    bound_s : float, optional
        Silence beyond it raises an alert.

    Notes
    -----
    Every partition of the panes topic receives the messages of every owner; only the owner of
    ``WATCHING_PARTITION`` writes alerts.
    """

    def __init__(self, owner: str, start_s: float, *, bound_s: float = BOUND_S) -> None:
        self._owner, self._start_s, self._bound_s = owner, start_s, bound_s
        self._heard_s: dict[Place, float] = {}
        self._open: dict[str, tuple[str, int, int]] = {}
        self._sequence, self._snapshots = 0, SnapshotStore()
        self.counters: Counter[str] = Counter()

    def restore(self, state: SnapshotStore) -> list[WritePhase]:
        """Restore the owners with an open alert; return the last alerts once more."""
        self._snapshots = state
        self._sequence = state.last_sequence(KIND, _NAME)
        for stored in state.stored(KIND, _NAME):
            try:
                last = read_silence_state(stored.body)
            except DomainError as error:
                state.refuse(KIND, stored, _NAME, str(error))
                continue
            self._open = last.open
            return phases(("detect:alert", [alert_write(alert) for alert in last.alerts]))
        return []

    def hear(self, source: str, partition: int, now_s: float) -> None:
        """Note a message of an owner."""
        if len(self._heard_s) < MAX_HEARD or (source, partition) in self._heard_s:
            self._heard_s[source, partition] = now_s

    def silent(self, marks: Watermarks, now_s: float) -> list[tuple[Place, float]]:
        """Return the expected partitions silent for longer than the bound, and for how long."""
        since = [(p, now_s - self._heard_s.get(p, self._start_s)) for p in marks.partitions]
        return [(place, silent_s) for place, silent_s in since if silent_s > self._bound_s]

    def check(self, marks: Watermarks, now_s: float, *, is_holding: bool) -> list[WritePhase]:
        """Return the alerts of partitions that became silent, sent again or were removed.

        Parameters
        ----------
        marks : Watermarks
            Expected partitions, and watermarks.
        is_holding : bool
            Whether there are panes of open windows.
        """
        silent = self.silent(marks, now_s)
        quiet = {_key(place) for place, _ in silent}
        is_alone = len(silent) < len(marks.partitions)
        alerts = [
            self._opened(place, silent_s, marks)
            for place, silent_s in silent
            if _key(place) not in self._open and (is_alone or is_holding)
        ]
        alerts += [self._resolved(key, marks) for key in sorted(self._open) if key not in quiet]
        return self._write(alerts) if alerts else []

    def _opened(self, place: Place, silent_s: float, marks: Watermarks) -> Alert:
        """Open the alert of a silent partition."""
        time_us = (marks.newest_us or 0) + round(silent_s * 1e6)
        self._open[_key(place)] = (*place, time_us)
        return _alert(
            place,
            Transition.OPENED,
            time_us,
            time_us,
            f"no watermark from source {place[0]} partition {place[1]} for {silent_s:.0f} s: "
            "its windows stay open",
        )

    def _resolved(self, key: str, marks: Watermarks) -> Alert:
        """Resolve the alert of a partition that sends again or was removed."""
        source, partition, opened_us = self._open.pop(key)
        time_us = max(marks.newest_us or 0, opened_us + 1)
        is_there = (source, partition) in marks.partitions
        what = "sends watermarks again" if is_there else "was removed"
        return _alert(
            (source, partition),
            Transition.RESOLVED,
            opened_us,
            time_us,
            f"source {source} partition {partition} {what}",
        )

    def _write(self, alerts: list[Alert]) -> list[WritePhase]:
        """Return the writes: state, then alerts."""
        for alert in alerts:
            self.counters[f"alerts_{alert.monitor}_{alert.transition.value}"] += 1
        self._sequence += 1
        body = msgspec.msgpack.encode(SilenceState(self._open, alerts))
        place = WATCHING_PARTITION
        state = state_writes(KIND, _NAME, self._owner, self._sequence, body, partition=place)
        sweep = self._snapshots.tombstones(KIND, _NAME, place)
        self._snapshots.forget(KIND, _NAME)
        return phases(
            ("detect:state", state),
            ("detect:alert", [alert_write(alert) for alert in alerts]),
            ("detect:sweep", sweep),
        )


def _key(place: Place) -> str:
    """Return the key of a partition."""
    return f"{place[0]}|{place[1]}"


def _alert(place: Place, transition: Transition, opened_us: int, time_us: int, title: str) -> Alert:
    """Build the alert."""
    is_open = transition is Transition.OPENED
    cell = (place[0], str(place[1]), RULE)
    return Alert(
        alert_id=alert_id(Monitor.PIPELINE, cell, (opened_us, time_us), transition),
        tenant="default",
        monitor=Monitor.PIPELINE,
        transition=transition,
        severity=Severity.TICKET,
        time_us=time_us,
        opened_at_us=opened_us,
        sequence=0 if is_open else 1,
        title=title,
        rule=RULE,
        segment=_key(place),
        action=_ACTION if is_open else "",
    )
