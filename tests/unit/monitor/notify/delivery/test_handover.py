"""What a process that lost the alerts writes too late, and what its successor makes of it."""

from __future__ import annotations

import asyncio

import pytest

from monitor.core.topics import NOTIFICATIONS
from monitor.notify.delivery import kafka_log
from monitor.notify.delivery.kafka_log import KafkaNotificationLog
from monitor.notify.delivery.log import LogEntry, encode_entry, entry_key
from monitor.notify.delivery.notifier import Notifier
from monitor.transport.kafka.cluster import Cluster
from monitor.transport.types import Message
from schemas.alerts import Delivery, Notification
from schemas.config.monitor import MonitorConfig
from tests.support.alerts import notification
from tests.support.notification_log import ListNotificationLog

CLUSTER = Cluster("nowhere:9092")


def steps(*states: str) -> list[LogEntry]:
    sent = notification(number=1)
    of = {"notification_id": sent.notification_id, "receiver": sent.receiver, "time_us": 0}
    return [LogEntry(sent, Delivery(state=state, **of)) for state in states]


class HandoverReceiver:
    def __init__(self) -> None:
        self.taken: list[Notification] = []

    async def send(self, notification: Notification) -> str:
        self.taken.append(notification)
        return "taken"

    def remember(self, notification: Notification, detail: str) -> None:
        pass

    async def close(self) -> None:
        pass


@pytest.mark.parametrize("outcome", ["done", "failed"])
def test_an_intent_that_comes_late_is_not_sent_after_its_outcome(outcome):
    # Its writer hung while another took over, and sent it.
    receiver, entries = HandoverReceiver(), steps("intent", outcome, "intent")
    receivers = {entries[0].delivery.receiver: receiver}
    notifier = Notifier(MonitorConfig(), [], receivers, ListNotificationLog(entries))
    assert asyncio.run(notifier.start()) == []
    assert receiver.taken == []


def test_an_intent_that_comes_late_does_not_hide_its_outcome_on_kafka(monkeypatch):
    entries = steps("intent", "done", "intent", "suppressed")
    log = [Message(i, entry_key(e), encode_entry(e), -1) for i, e in enumerate(entries)]
    monkeypatch.setattr(kafka_log, "scan", lambda _, topic, __: {NOTIFICATIONS: log}[topic])
    read = asyncio.run(KafkaNotificationLog(CLUSTER, None).read())  # type: ignore[arg-type]
    assert [entry.delivery.state for entry in read] == ["done"]
