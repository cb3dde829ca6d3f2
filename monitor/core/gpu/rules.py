"""Evaluates GPU telemetry and XIDs: a table of rules with one state machine each."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable

import msgspec

from monitor.core.bounds import DECODE_ERRORS
from monitor.core.gpu.alerts import GpuAlerts, new_state
from monitor.core.gpu.arrival import note_arrival
from monitor.core.gpu.checks import check_fleet
from monitor.core.gpu.config import configure_rules
from monitor.core.gpu.counters import Counter, is_blank
from monitor.core.gpu.measures import measure
from monitor.core.gpu.silence import note_sample, watch_silence
from monitor.core.gpu.state import MAX_SIGNS, Fleet, GpuState, RuleChange, RulePhase
from monitor.core.gpu.table import (
    PERSISTENT,
    RELOAD_COUNTERS,
    RESET_FIELDS,
    RULES,
    Condition,
    GpuRule,
    field_name,
)
from monitor.core.gpu.xid import CATALOGUE
from monitor.core.gpu.xid_events import observe_xid, remap_recovery
from schemas.alerts import Alert
from schemas.config.monitor import GpuConfig
from schemas.errors import DomainError, DriftlineError
from schemas.events import GpuEvent
from schemas.time_units import DAY_US

_CLEAR_SHARE = 0.8
_COUNTING = (Condition.INCREASE, Condition.INCREASE_WITHIN)
_STATE_VERSION = 1
_MAX_FIELD_NAMES = 10_000
"""Size of the cache of field names; an exporter has some hundreds."""


class GpuRules:
    """Evaluates GPU events one by one; its state can be exported and restored.

    Parameters
    ----------
    config : GpuConfig
        Reporting interval, disabled rules, thresholds by rule name.
    rules : sequence of GpuRule, optional
        Table of rules.

    Raises
    ------
    ConfigError
        If the config has a rule that is not in the table.

    Notes
    -----
    Times are event times. Samples are ordered per GPU: samples older than the newest are ignored,
    repeats have no effect. XIDs are events: older ones count, repeats (equal, within 5 s) do not.
    The gauge ``xid_errors`` is ignored: it cannot show the same code twice. Cost: some microseconds
    per sample; ``tick`` iterates over all GPUs.

    Examples
    --------
    >>> rules = GpuRules(GpuConfig())
    >>> event = GpuEvent(host="node-2", gpu_uuid="GPU-7", gpu=7, time_us=0, xid=79)
    >>> [(a.rule, a.severity.value, a.title) for a in rules.observe(event)]
    [('xid_79', 'page', 'GPU 7 on node-2: XID 79, fallen off the bus')]
    """

    def __init__(self, config: GpuConfig, rules: Iterable[GpuRule] = RULES) -> None:
        self._rules = configure_rules(config, tuple(rules))
        self._disabled = frozenset(config.disabled)
        self._interval_us = config.interval_us
        lost = next((r for r in self._rules if r.name == "gpu_lost"), None)
        self._lost_us = int(config.interval_us * (lost.threshold if lost else 3))
        self._by_name = {rule.name: rule for rule in self._rules}
        self._read = {f for r in self._rules for f in r.fields} | RELOAD_COUNTERS | RESET_FIELDS
        self._read.add("gpu_recovery_action")
        counted = {f for r in self._rules if r.condition in _COUNTING for f in r.fields}
        self._counted = counted | RELOAD_COUNTERS
        self._masks = {f for r in self._rules if r.mask for f in r.fields}
        self._names: dict[str, str] = {}
        self._fleet = Fleet()

    def observe(self, event: GpuEvent) -> list[Alert]:
        """Process one event.

        Parameters
        ----------
        event : GpuEvent
            A sample, an XID, or both.

        Returns
        -------
        list of Alert
            Changes of alerts; usually empty.
        """
        alerts = GpuAlerts(self._disabled)
        if event.is_host_activity:
            self.observe_host(event.host, event.time_us, event.tenant)
            return []
        gpu = self._find(event, alerts)
        if gpu is None:
            return []
        fields = self._clean(event)
        # An XID from a kernel log has no fields; an event with telemetry is also a sample, even if
        # all of its fields are blank.
        if (event.xid is None or event.fields) and event.time_us >= gpu.last_us:
            self._sample(gpu, event, fields, alerts)
        if event.xid is not None:
            host = self._fleet.host(event.tenant, event.host)
            host.alive_us = max(host.alive_us, event.time_us)
            self._pass_time(gpu, event.time_us, alerts)
            observe_xid(gpu, event, alerts)
            self._after_xid(gpu, event, alerts)
        return alerts.made

    def arrive(
        self, event: GpuEvent, record_us: int = -1, *, is_refused: bool = False
    ) -> tuple[GpuEvent | None, list[Alert]]:
        """Record the arrival of an event, before time advances and it is evaluated.

        Parameters
        ----------
        event : GpuEvent
            Event as sent, even if it is rejected for its time.
        record_us : int
            Record time; -1 without one.
        is_refused : bool
            Whether it is too far ahead of its record time.

        Returns
        -------
        event : GpuEvent or None
            With its time on the stream's clock, for :meth:`observe`; None if it is rejected and its
            host's clock is not known to be wrong.
        alerts : list of Alert
            Alerts on the host's clock.
        """
        alerts = GpuAlerts(self._disabled)
        rule = self._by_name.get("clock_offset")
        placed = note_arrival(
            self._fleet,
            event,
            record_us,
            self._interval_us,
            self._lost_us,
            rule,
            alerts,
            is_refused=is_refused,
        )
        return placed, alerts.made

    def resume(self, now_us: int) -> None:
        """Set the stream's time, after restoring a state from a version without it."""
        if self._fleet.clock.now_us < 0 < now_us:
            self._fleet.clock.now_us = now_us

    @property
    def now_us(self) -> int:
        """Time of the stream; -1 before the first event."""
        return self._fleet.clock.now_us

    def observe_host(self, host: str, time_us: int, tenant: str = "default") -> None:
        """Record host activity other than GPU telemetry: a prediction, a heartbeat.

        It distinguishes a failed exporter from a failed node. It may arrive before the telemetry of
        its time; hosts without GPUs are not monitored.
        """
        state = self._fleet.hosts.get(f"{tenant}/{host}")
        if state is None or len(state.signs_us) >= MAX_SIGNS or time_us <= state.alive_us:
            return
        place = bisect_left(state.signs_us, time_us)
        if state.signs_us[place : place + 1] != [time_us]:
            state.signs_us.insert(place, time_us)

    def end_signs(self, time_us: int) -> None:
        """Record the end of predictions, after which their absence is not evidence."""
        self._fleet.signs_end_us = time_us

    def tick(self, now_us: int) -> list[Alert]:
        """Advance event time: end waits, detect silence.

        Parameters
        ----------
        now_us : int
            The GPU stream's watermark: no more events before it are expected.

        Returns
        -------
        list of Alert
            With the time at which the wait ended, regardless of the time of the tick.
        """
        alerts = GpuAlerts(self._disabled)
        watch_silence(self._fleet, self._by_name, now_us, self._interval_us, self._lost_us, alerts)
        for gpu in self._fleet.gpus.values():
            self._pass_time(gpu, now_us, alerts)
        return alerts.made

    def export(self) -> bytes:
        """Return all state as bytes, for ``restore`` after a restart."""
        return msgspec.msgpack.encode((_STATE_VERSION, self._fleet))

    def restore(self, data: bytes) -> None:
        """Restore the result of ``export``.

        Raises
        ------
        DriftlineError
            If the bytes are not such a state.
        """
        try:
            version, fleet = msgspec.msgpack.decode(data, type=tuple[int, Fleet])
            check_fleet(fleet)
        except (*DECODE_ERRORS, DomainError) as error:
            raise DriftlineError(
                f"the state of the GPU rules cannot be read: {error}",
                where="gpu_rules",
                fix="start without it; open alerts will be detected again",
            ) from error
        if version != _STATE_VERSION:
            raise DriftlineError(
                f"the state of the GPU rules has version {version}, not {_STATE_VERSION}",
                where="gpu_rules",
                fix="start without it; open alerts will be detected again",
            )
        self._fleet = fleet

    def _find(self, event: GpuEvent, alerts: GpuAlerts) -> GpuState | None:
        """Return the GPU's state; a new UUID in a silent slot replaces the previous one."""
        fleet = self._fleet
        left_us = fleet.replaced_us.get(event.gpu_uuid)
        if left_us is not None and event.time_us <= left_us:
            return None
        gpu = fleet.gpus.get(event.gpu_uuid)
        if gpu is None:
            if left_us is None and event.gpu is not None:
                self._replace(event, alerts)
            fleet.replaced_us.pop(event.gpu_uuid, None)
            gpu = GpuState(event.gpu_uuid, event.tenant, event.host, event.gpu)
            gpu.heard_us = fleet.clock.now_us
            fleet.gpus[event.gpu_uuid] = gpu
        elif event.time_us >= gpu.last_us:
            gpu.host = event.host
            gpu.gpu = gpu.gpu if event.gpu is None else event.gpu
        return gpu

    def _replace(self, event: GpuEvent, alerts: GpuAlerts) -> None:
        """Resolve all rules of the GPU that the event's GPU replaces.

        Only a silent GPU is replaced: MIG instances share a slot and all report.
        """
        slot = (event.tenant, event.host, event.gpu)
        for old in list(self._fleet.gpus.values()):
            is_silent = event.time_us - old.last_us >= self._lost_us
            if (old.tenant, old.host, old.gpu) == slot and old.has_sampled and is_silent:
                for name in list(old.rules):
                    alerts.resolve(old, name, event.time_us, "replaced")
                del self._fleet.gpus[old.uuid]
                self._fleet.replaced_us[old.uuid] = event.time_us

    def _clean(self, event: GpuEvent) -> dict[str, float]:
        """Return the fields that rules read, by canonical name and without blanks."""
        fields: dict[str, float] = {}
        for raw, value in event.fields.items():
            name = self._names.get(raw)
            if name is None:
                if len(self._names) >= _MAX_FIELD_NAMES:
                    self._names.clear()
                name = self._names[raw] = field_name(raw)
            if name in self._read and value is not None and not self._holds_nothing(name, value):
                fields[name] = float(value)
        return fields

    def _holds_nothing(self, name: str, value: float) -> bool:
        """Return whether a field's number means that there is no value."""
        if name == "total_energy_consumption" and value == 0:
            return True  # the card did not answer: a running one counts within a second
        return is_blank(value) or (value < 0 and name in self._masks)

    def _sample(
        self, gpu: GpuState, event: GpuEvent, fields: dict[str, float], alerts: GpuAlerts
    ) -> None:
        """Evaluate one sample that is not older than the newest."""
        time_us = event.time_us
        if time_us > gpu.last_us or not gpu.has_sampled:
            note_sample(self._fleet, gpu, time_us, self._lost_us)
        self._pass_time(gpu, time_us, alerts)
        if time_us == gpu.last_us and gpu.has_sampled:
            fields = {f: v for f, v in fields.items() if f not in gpu.seen_at_last}
        else:
            if time_us - gpu.last_us >= self._lost_us:
                _forget_pending(gpu)
            gpu.seen_at_last = []
        gpu.seen_at_last.extend(fields)
        gpu.last_us, gpu.has_sampled = time_us, True
        is_reported = self._has_reset_flag(gpu, event, fields)
        growth, has_restarted = self._grow(gpu, fields, is_reported=is_reported)
        if is_reported or has_restarted:
            _reset(gpu, time_us if is_reported or gpu.fell_us < 0 else gpu.fell_us, time_us, alerts)
        gpu.fell_us = self._fall_time(gpu, fields, time_us)
        gpu.values.update(fields)
        levels = {name: gpu.counters[name].level for name in growth}
        certain = fields | {name: level for name, level in levels.items() if level is not None}
        for name in [n for n, level in levels.items() if level is None]:
            del certain[name]
        for rule in self._rules:
            if not certain.keys().isdisjoint(rule.fields):
                self._judge(gpu, rule, time_us, measure(gpu, rule, certain, growth), alerts)
        if "gpu_recovery_action" in fields:
            remap_recovery(gpu, time_us, alerts)
        if gpu.fatal_us:
            self._judge_recurrence(gpu, time_us, alerts)

    def _has_reset_flag(self, gpu: GpuState, event: GpuEvent, fields: dict[str, float]) -> bool:
        """Return whether the sample reports a reset, a reboot or a driver reload."""
        version, before = event.driver_version, gpu.driver_version
        gpu.driver_version = version or before
        is_other_driver = bool(version and before and version != before)
        return is_other_driver or any(fields.get(name) for name in RESET_FIELDS)

    def _grow(
        self, gpu: GpuState, fields: dict[str, float], *, is_reported: bool
    ) -> tuple[dict[str, float], bool]:
        """Return the growth of every counter in the sample, and whether the driver was reloaded."""
        growth, has_restarted = {}, False
        for name in self._counted & fields.keys():
            value, is_persistent = fields[name], name in PERSISTENT
            if value < 0:
                continue
            counter = gpu.counters.setdefault(name, Counter())
            if is_reported and not is_persistent and value < (counter.last or 0):
                counter.restart()
            n_restarts = counter.n_restarts
            growth[name] = counter.observe(value, is_persistent)
            has_restarted |= name in RELOAD_COUNTERS and counter.n_restarts > n_restarts
        return growth, has_restarted

    def _fall_time(self, gpu: GpuState, fields: dict[str, float], time_us: int) -> int:
        """Return the time since which a reload counter is below its value; -1 if none is."""
        seen = RELOAD_COUNTERS & fields.keys() & gpu.counters.keys()
        if not seen:
            return gpu.fell_us
        if all(fields[name] >= (gpu.counters[name].last or 0) for name in seen):
            return -1
        return gpu.fell_us if gpu.fell_us >= 0 else time_us

    def _judge(
        self, gpu: GpuState, rule: GpuRule, time_us: int, value: float, alerts: GpuAlerts
    ) -> None:
        """Advance the state machine of one rule."""
        state = gpu.rules.get(rule.name)
        is_over = value >= rule.threshold
        if state is None:
            if not is_over:
                return
            state = gpu.rules[rule.name] = new_state(rule)
        change = state.step(
            time_us,
            is_over=is_over,
            is_below=value < _CLEAR_SHARE * rule.threshold,
            is_event=rule.condition is Condition.INCREASE,
        )
        alerts.note(gpu, rule.name, state, change, time_us)

    def _judge_recurrence(self, gpu: GpuState, time_us: int, alerts: GpuAlerts) -> None:
        """Evaluate the number of fatal XIDs of the last day."""
        gpu.fatal_us = [t for t in gpu.fatal_us if t > time_us - DAY_US]
        for rule in self._rules:
            if rule.condition is Condition.FATAL_XIDS:
                recent = sum(t > time_us - rule.within_us for t in gpu.fatal_us)
                self._judge(gpu, rule, time_us, recent, alerts)

    def _after_xid(self, gpu: GpuState, event: GpuEvent, alerts: GpuAlerts) -> None:
        """Evaluate consequences of an XID: recurrence, and a row pending a reset."""
        self._judge_recurrence(gpu, max(event.time_us, gpu.last_us), alerts)
        xid = CATALOGUE.get(event.xid or 0)
        is_news = event.time_us >= max(gpu.last_us, gpu.reset_us)
        rule = self._by_name.get("row_remap_pending")
        if xid is not None and xid.pends_remap and is_news and rule is not None:
            self._judge(gpu, rule, event.time_us, rule.threshold, alerts)

    def _pass_time(self, gpu: GpuState, now_us: int, alerts: GpuAlerts) -> None:
        """End the due waits of one GPU."""
        for name, state in list(gpu.rules.items()):
            change = state.ripen(now_us, gpu.last_us + self._lost_us)
            if change is RuleChange.NONE:
                change = state.settle(now_us)
            alerts.note(gpu, name, state, change, now_us)


def _reset(gpu: GpuState, reset_us: int, time_us: int, alerts: GpuAlerts) -> None:
    """Resolve rules that a reset at ``reset_us`` ends; later ones stay open."""
    gpu.reset_us = reset_us
    gpu.values.pop("gpu_recovery_action", None)
    for name, state in list(gpu.rules.items()):
        history = gpu.xids.get(int(name[4:])) if name.startswith("xid_") else None
        newest_us = max(state.opened_at_us, history.ends_us[-1] if history else 0)
        if (state.is_latched or state.is_ended_by_reset) and newest_us <= reset_us:
            alerts.resolve(gpu, name, time_us, "reset")


def _forget_pending(gpu: GpuState) -> None:
    """Restart waits after a gap, because unobserved time does not count."""
    for name, state in list(gpu.rules.items()):
        if state.phase is RulePhase.PENDING:
            del gpu.rules[name]
