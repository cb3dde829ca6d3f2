"""Incidents found through dictionaries are those that a search through all would find."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.core.incidents import case
from monitor.core.incidents.case import Case, has_model, is_same_feature
from monitor.core.incidents.gpu_history import GpuHistory
from monitor.core.incidents.grouping import Incidents
from monitor.core.incidents.open_cases import Key, OpenCases, keys_of
from monitor.notify.delivery.log import encode_entry
from monitor.notify.delivery.notifier import Notifier
from schemas.alerts import DEAD_LETTERS, LATE_EVENTS, REJECTED_EVENTS, Alert, Severity, Transition
from schemas.config.monitor import MonitorConfig
from schemas.monitors import Monitor
from tests.support.alerts import HOUR, START
from tests.support.notification_log import ListNotificationLog

MINUTE = HOUR // 60
WEEK = 7 * 24 * HOUR
GPUS, HOSTS = ("GPU-1", "GPU-2", "GPU-3"), ("node-1", "node-2")
STEPS_US = (0, 1, MINUTE, 4 * MINUTE, HOUR, 3 * HOUR, WEEK + 2 * HOUR)
RULES = {
    Monitor.GPU: ("xid_79", "xid_74", "xid_145", "xid_43", "exporter_lost", "node_lost", "clock"),
    Monitor.PIPELINE: (REJECTED_EVENTS, DEAD_LETTERS, LATE_EVENTS),
}


class LinearCases(OpenCases):
    """Look at every open incident and every alert of it."""

    def of_cell(self, cell: str) -> Case | None:
        return next((case for case in self if cell in case.open_cells), None)

    def having(self, *keys: Key) -> list[Case]:
        return [case for case in self if any(_may_have(case, key) for key in keys)]


class LinearHistory(GpuHistory):
    """Look at every GPU alert."""

    def near(self, host: str, gpu_uuid: str) -> list[Alert]:
        return list(self._alerts)

    def hosts_of(self, gpu_uuid: str) -> set[str]:
        return {alert.host for alert in self._alerts if alert.gpu_uuid == gpu_uuid}


def linear_incidents() -> Incidents:
    """Return incidents without any index."""
    incidents = Incidents()
    incidents._cases = LinearCases()
    incidents._gpu_alerts = LinearHistory()
    return incidents


def _may_have(case: Case, key: Key) -> bool:
    """Apply the rules of grouping to one case; places are left to its own conditions."""
    kind, *names = key
    if kind not in ("model", "score", "feature"):
        return True
    asked = _asked(*names)
    same = is_same_feature if kind == "feature" else (lambda one, other: True)
    return has_model(case, asked) and any(same(a, asked) for a in case.incident.alerts)


def _asked(tenant: str, model: str, feature: str = "") -> Alert:
    """Return an alert of a model and a feature."""
    return Alert(
        alert_id="",
        tenant=tenant,
        monitor=Monitor.DRIFT,
        transition=Transition.OPENED,
        severity=Severity.TICKET,
        time_us=0,
        opened_at_us=0,
        sequence=0,
        title="",
        model=model,
        feature=feature,
    )


@st.composite
def sequences(draw: st.DrawFn) -> list[Alert]:
    """Alerts of few models and GPUs, in order of time; some ids and cells come again."""
    time_us, alerts = START, []
    for number in range(draw(st.integers(1, 25))):
        time_us += draw(st.sampled_from(STEPS_US))
        alerts.append(draw(_alert(number, time_us)))
    return alerts


@st.composite
def _alert(draw: st.DrawFn, number: int, time_us: int) -> Alert:
    monitor = draw(st.sampled_from((Monitor.DRIFT, Monitor.DRIFT, Monitor.REPLICA, *Monitor)))
    is_gpu, is_replica = monitor is Monitor.GPU, monitor is Monitor.REPLICA
    places = [f"gpu_uuid={gpu}" for gpu in GPUS] + [f"host={host}" for host in HOSTS]
    has_window = not is_gpu and draw(st.booleans())
    return Alert(
        alert_id=f"a{draw(st.sampled_from((number, number, number, 0, 1)))}",
        tenant=draw(st.sampled_from(("t", "t", "u"))),
        monitor=monitor,
        transition=draw(st.sampled_from(Transition)),
        severity=draw(st.sampled_from(Severity)),
        time_us=time_us,
        opened_at_us=time_us,
        sequence=0,
        title="node-1: something",
        model="" if is_gpu else draw(st.sampled_from(("m", "m", "n", ""))),
        feature="" if is_gpu else draw(st.sampled_from(("x", "y", "score"))),
        segment=draw(st.sampled_from(places if is_replica else ("*", "s=1"))),
        host=draw(st.sampled_from(("", *HOSTS))) if is_gpu or is_replica else "",
        gpu_uuid=draw(st.sampled_from(("", *GPUS))) if is_gpu or is_replica else "",
        rule=draw(st.sampled_from(RULES.get(monitor, ("",)))),
        window_start_us=time_us - 2 * HOUR if has_window else 0,
        window_end_us=time_us if has_window else 0,
        n_windows=2,
    )


def played(alerts: list[Alert], new: Callable[[], Incidents], restarts: set[int]) -> list[bytes]:
    """Return the bytes of all changes and of the state after each; a restart reads all again."""
    incidents, said = new(), []
    for number, alert in enumerate(alerts):
        if number in restarts:
            incidents = new()
            for earlier in alerts[:number]:
                incidents.forget_old(earlier.time_us)
                incidents.observe(earlier, earlier.time_us)
        incidents.forget_old(alert.time_us)
        changes = incidents.observe(alert, alert.time_us)
        said.append(msgspec.json.encode((changes, incidents.open)))
    return said


@settings(max_examples=200, deadline=None)
@given(sequences(), st.sets(st.integers(0, 24), max_size=2), st.sampled_from((2, 6, 256)))
def test_changes_and_open_incidents_are_those_of_the_linear_search(alerts, restarts, n_kept):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(case, "KEPT_ALERTS", n_kept)
        assert played(alerts, Incidents, restarts) == played(alerts, linear_incidents, restarts)


class _Recording:
    """A receiver that takes everything."""

    async def send(self, notification: object) -> str:
        return "taken"

    def remember(self, notification: object, detail: str) -> None:
        pass

    async def close(self) -> None:
        pass


async def notified(
    alerts: list[Alert], new: Callable[[], Incidents], n_before_restart: int
) -> list[bytes]:
    """Return the bytes of the notification log of a notifier that is restarted once."""
    log = ListNotificationLog()
    for first in (0, n_before_restart):
        notifier = Notifier(MonitorConfig(), [], {"it": _Recording()}, log)
        notifier._incidents = new()
        await notifier.start()
        ending = n_before_restart if first == 0 and n_before_restart else len(alerts)
        for number, alert in enumerate(alerts[:ending]):
            is_replayed = number < first
            await notifier.tick(alert.time_us, is_replayed=is_replayed)
            await notifier.observe(alert, alert.time_us, is_replayed=is_replayed)
    return [encode_entry(entry) for entry in log.entries]


@settings(max_examples=40, deadline=None)
@given(sequences(), st.integers(0, 24))
def test_the_bytes_of_notifications_are_those_of_the_linear_search(alerts, n_before_restart):
    indexed = asyncio.run(notified(alerts, Incidents, n_before_restart))
    assert indexed == asyncio.run(notified(alerts, linear_incidents, n_before_restart))


@settings(max_examples=80, deadline=None)
@given(sequences(), st.sampled_from((2, 256)))
def test_the_index_holds_exactly_what_is_open(alerts, n_kept):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(case, "KEPT_ALERTS", n_kept)
        incidents = Incidents()
        for alert in alerts:
            incidents.observe(alert, alert.time_us)
            check_index(incidents._cases)


def check_index(cases: OpenCases) -> None:
    open_cases = list(cases)
    assert all(one.number < other.number for one, other in pairwise(open_cases))
    assert cases._by_cell == {cell: case for case in open_cases for cell in case.open_cells}
    numbers: dict[tuple[str, ...], set[int]] = {}
    for each in open_cases:
        for alert in each.incident.alerts:
            for key in keys_of(alert):
                numbers.setdefault(key, set()).add(each.number)
    assert {key: set(found) for key, found in cases._by_key.items()} == numbers
