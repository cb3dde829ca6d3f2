"""Limit of dead letters per model, and the alert when it is exceeded.

Counted per model and minute of record time in one source partition, so a function of the log. After
a restart the current minute is counted from 0; open alerts are stored in the commit, so that they
are resolved later.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from monitor.core.identity import alert_id
from schemas.alerts import DEAD_LETTERS, Alert, Severity, Transition
from schemas.events import DEFAULT_TENANT
from schemas.monitors import Monitor
from schemas.time_units import MINUTE_US

MAX_PER_MINUTE = 1_000
"""Dead letters per model, minute of record time, and source partition."""
RULE = DEAD_LETTERS
_MAX_NOTED = 8
_MAX_NOTE_BYTES = 600

ModelKey = tuple[str, str]

UNCONFIGURED: ModelKey = ("", "")
"""Bucket of events whose model is not configured or cannot be read."""


class _Open(msgspec.Struct, array_like=True):
    """An alert that is not resolved yet."""

    tenant: str
    model: str
    opened_minute: int
    last_minute: int
    """The last minute in which the limit was reached."""


class DeadLetterLimit:
    """Admits dead letters up to the limit, counts the others, and raises alerts.

    Parameters
    ----------
    topic : str
        Topic in the alerts.
    models : iterable of (str, str)
        Tenant and model of the configured models; all others share one limit.
    limit : int, optional
        Dead letters per model and minute.

    Examples
    --------
    >>> cap = DeadLetterLimit("predictions", 0, [("t", "m")], limit=1)
    >>> cap.admits("t", "m", 0), cap.admits("t", "m", 1), cap.admits("t", "m", 60_000_000)
    (True, False, True)
    >>> cap.advance(180_000_000)
    >>> [(a.transition.value, a.time_us // 60_000_000) for a in cap.take_alerts()]
    [('opened', 0), ('resolved', 2)]
    """

    def __init__(
        self,
        topic: str,
        partition: int,
        models: Iterable[ModelKey],
        *,
        limit: int = MAX_PER_MINUTE,
    ) -> None:
        self._topic, self._partition, self._limit = topic, partition, limit
        self._models = frozenset(models)
        self._counts: dict[ModelKey, tuple[int, int]] = {}
        self._open: dict[ModelKey, _Open] = {}
        self._alerts: list[Alert] = []

    def bucket(self, tenant: str, model: str) -> ModelKey:
        """Return the model whose limit applies to an event."""
        return (tenant, model) if (tenant, model) in self._models else UNCONFIGURED

    def admits(self, tenant: str, model: str, record_time_us: int) -> bool:
        """Count one rejected event; return whether it becomes a dead letter.

        Parameters
        ----------
        tenant, model : str
            Tenant and model, if they could be read.
        record_time_us : int
            Record time of its message.
        """
        key, minute = self.bucket(tenant, model), record_time_us // MINUTE_US
        counted, n = self._counts.get(key, (minute, 0))
        # time is monotonic here: an earlier record time counts into the current minute
        minute = max(minute, counted)
        n = n + 1 if minute == counted else 1
        self._counts[key] = (minute, n)
        if n <= self._limit:
            return True
        self._note(key, minute)
        return False

    def _note(self, key: ModelKey, minute: int) -> None:
        """Open the model's alert, or keep it open."""
        found = self._open.get(key)
        if found is not None and minute > found.last_minute + 1:
            self._resolve(found)
            found = None
        if found is None:
            found = self._open[key] = _Open(*key, minute, minute)
            self._alerts.append(self._alert(found, Transition.OPENED, minute))
        found.last_minute = max(found.last_minute, minute)

    def advance(self, record_time_us: int) -> None:
        """Resolve the alerts of models that were within the limit for a whole minute."""
        minute = record_time_us // MINUTE_US
        for found in [f for f in self._open.values() if minute > f.last_minute + 1]:
            self._resolve(found)

    def _resolve(self, found: _Open) -> None:
        """Resolve an alert after its first quiet minute."""
        del self._open[found.tenant, found.model]
        self._alerts.append(self._alert(found, Transition.RESOLVED, found.last_minute + 2))

    def take_alerts(self) -> list[Alert]:
        """Return the alerts since the last call, to be written before the next commit."""
        taken, self._alerts = self._alerts, []
        return taken

    def note(self) -> str:
        """Return the open alerts as text for the commit; those that do not fit are omitted."""
        noted = list(self._open.values())[:_MAX_NOTED]
        while noted:
            text = msgspec.json.encode(noted).decode()
            if len(text.encode()) <= _MAX_NOTE_BYTES:
                return text
            noted.pop()
        return ""

    def restore(self, note: str) -> None:
        """Restore the open alerts of a commit."""
        if note:
            for found in msgspec.json.decode(note, type=list[_Open]):
                self._open[found.tenant, found.model] = found

    def _alert(self, found: _Open, transition: Transition, minute: int) -> Alert:
        """Build the alert of one transition."""
        place = f"partition={self._partition}"
        whose = f"model {found.model!r}" if found.model else "events of no configured model"
        is_over = transition is Transition.RESOLVED
        what = "at most" if is_over else "more than"
        cell = (found.tenant, found.model, self._topic, place, RULE)
        window_us = (found.opened_minute * MINUTE_US, minute * MINUTE_US)
        return Alert(
            alert_id=alert_id(Monitor.PIPELINE, cell, window_us, transition.value),
            tenant=found.tenant or DEFAULT_TENANT,
            monitor=Monitor.PIPELINE,
            transition=transition,
            severity=Severity.TICKET,
            time_us=window_us[1],
            opened_at_us=window_us[0],
            sequence=int(is_over),
            title=f"{whose}: {what} {self._limit:,} rejected per minute on {self._topic}, {place}",
            model=found.model,
            segment=place,
            rule=RULE,
            action="read the dead letters, then fix the producer or add the model to the config",
        )
