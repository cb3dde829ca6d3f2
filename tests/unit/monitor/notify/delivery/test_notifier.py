"""What is said, what is drawn, what is kept, and the notifier as a whole."""

from __future__ import annotations

import asyncio
import io
from typing import Any

import pytest

from monitor.core.incidents.grouping import Incidents
from monitor.notify.delivery.attempts import RetryPolicy, deliver
from monitor.notify.delivery.notifier import Notifier, NotifyStep
from monitor.notify.receivers.console import ConsoleReceiver, render
from monitor.notify.receivers.message import describe
from monitor.notify.receivers.picture import draw_picture, gather_bars
from monitor.notify.receivers.protocol import Receiver
from schemas.alerts import Alert, Cause, Notification, NotificationKind, Transition
from schemas.config.model import ModelConfig, RetrainingConfig, RouteConfig
from schemas.config.monitor import MonitorConfig
from schemas.errors import ConfigError
from tests.support.alerts import HOUR, drift, gpu, notification, pictured, replica
from tests.support.notification_log import ListNotificationLog


class RecordingReceiver:
    """A receiver that records what it is sent, and may be set to fail."""

    def __init__(self, error: Exception | None = None) -> None:
        self.taken: list[Notification] = []
        self.remembered: list[str] = []
        self.error = error

    async def send(self, notification: Notification) -> str:
        self.taken.append(notification)
        if self.error is not None:
            raise self.error
        return f"ref-{len(self.taken)}"

    def remember(self, notification: Notification, detail: str) -> None:
        self.remembered.append(detail)

    async def close(self) -> None:
        pass


def model(**more: Any) -> ModelConfig:
    features: Any = {"AGEP": {"kind": "numeric"}, "SCHL": {"kind": "categorical"}}
    return ModelConfig(model="employment", features=features, **more)


def retrainable() -> ModelConfig:
    return model(retraining=RetrainingConfig(on=("page", "ticket")))


async def play(notifier: Notifier, alerts: list[Alert]) -> list[NotifyStep]:
    """Feed alerts with an hourly tick between and after them."""
    steps = []
    for alert in sorted(alerts, key=lambda a: a.time_us):
        steps.append(await notifier.tick(alert.time_us - 1))
        steps.append(await notifier.observe(alert, alert.time_us))
    steps.append(await notifier.tick(alert.time_us + HOUR))
    return steps


def test_the_demo_story_is_three_incidents_and_one_retraining() -> None:
    people, training = RecordingReceiver(), RecordingReceiver()
    notifier = Notifier(
        MonitorConfig(),
        [retrainable()],
        {"it": people},
        ListNotificationLog(),
        retrainers={("default", "employment"): training},
    )
    alerts = [
        drift(14),
        drift(14, "score"),
        drift(18, "SCHL", effect_where="unseen"),
        gpu(21.2, "double_bit_ecc"),
        gpu(21.3),
        replica(22),
        drift(30, "score", "sex=1"),
    ]
    steps = asyncio.run(play(notifier, alerts))
    opened = [n.incident for n in people.taken if n.reason == "opened"]
    assert [i.cause for i in opened] == [Cause.DATA, Cause.DATA, Cause.HARDWARE]
    asked = [(r.outcome.value, r.incident.alerts[0].feature) for s in steps for r in s.retrainings]
    assert asked == [("requested", "AGEP"), ("cooldown", "SCHL"), ("not_data", "")]
    assert [n.kind for n in training.taken] == [NotificationKind.RETRAINING]
    headlines = [describe(n).headline for n in people.taken if n.reason == "opened"]
    assert headlines[0].startswith("TICKET  employment: AGEP above the baseline's range, 11 %")
    assert headlines[2] == "PAGE  GPU 7 on node-2: double-bit ECC"
    later = [describe(n).headline for n in people.taken if n.reason == "model_affected"]
    assert later == [
        "PAGE  Model affected: GPU 7 on node-2: double-bit ECC and XID 79; "
        "its scores are wrong (employment)"
    ]


def test_every_silence_has_a_reason_in_the_log() -> None:
    log = ListNotificationLog()
    notifier = Notifier(MonitorConfig(), [model()], {"it": RecordingReceiver()}, log)
    asyncio.run(play(notifier, [drift(14), drift(15, "score")]))
    kept = [(e.delivery.state, e.delivery.detail) for e in log.entries]
    assert kept == [
        ("suppressed", "group_wait"),
        ("intent", ""),
        ("done", "ref-1"),
        ("suppressed", "repeat_interval"),
    ]


def test_routes_decide_who_is_notified() -> None:
    loud, quiet = RecordingReceiver(), RecordingReceiver()
    routed = model(routes=(RouteConfig(cause=("data",), receivers=("quiet",)),))
    notifier = Notifier(
        MonitorConfig(), [routed], {"loud": loud, "quiet": quiet}, ListNotificationLog()
    )
    asyncio.run(play(notifier, [drift(14)]))
    assert (len(loud.taken), len(quiet.taken)) == (0, 1)


def test_one_receivers_defect_is_not_anothers() -> None:
    broken, well = RecordingReceiver(RuntimeError("https://secret-url")), RecordingReceiver()
    notifier = Notifier(MonitorConfig(), [model()], {"a": broken, "b": well}, ListNotificationLog())
    steps = asyncio.run(play(notifier, [drift(14)]))
    states = {d.receiver: (d.state, d.detail) for s in steps for d in s.deliveries}
    assert states["a"] == ("failed", "RuntimeError")
    assert states["b"] == ("done", "ref-1")


def test_after_a_restart_threads_are_remembered_and_nothing_is_sent_twice() -> None:
    log, first, second = ListNotificationLog(), RecordingReceiver(), RecordingReceiver()
    asyncio.run(play(Notifier(MonitorConfig(), [model()], {"it": first}, log), [drift(14)]))
    later = Notifier(MonitorConfig(), [model()], {"it": second}, log)

    async def again() -> None:
        assert await later.start() == []
        await play(later, [drift(14)])
        await later.observe(drift(20, transition=Transition.RESOLVED), 0)

    asyncio.run(again())
    assert second.remembered == ["ref-1"]
    assert [n.reason for n in second.taken] == ["resolved"]
    assert second.taken[0].dedup_key == first.taken[0].dedup_key


@pytest.mark.parametrize(
    ("models", "match"),
    [
        ([model(routes=(RouteConfig(receivers=("absent",)),))], "'absent' is not a receiver"),
        ([retrainable()], "no receiver for it"),
    ],
)
def test_a_config_that_cannot_work_is_refused(models: list[ModelConfig], match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        Notifier(MonitorConfig(), models, {"it": RecordingReceiver()}, ListNotificationLog())


def test_a_delivery_never_sleeps_after_its_last_try() -> None:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    receiver: Receiver = RecordingReceiver(TimeoutError())
    delivery = asyncio.run(deliver(receiver, notification(), RetryPolicy(n_attempts=3), sleep))
    assert (delivery.state, delivery.attempts, waits) == ("failed", 3, [1, 2])


def test_a_message_leads_with_the_owner_and_ends_with_what_to_do() -> None:
    incidents = Incidents()
    for alert in (gpu(14.2, "double_bit_ecc"), gpu(14.3), replica(15)):
        changes = incidents.observe(alert, alert.time_us)
    message = describe(notification(changes[0].incident))
    assert message.headline.endswith("its scores are wrong (employment)")
    assert message.lines[0].startswith("Cause: hardware")
    assert "GPU 7 on node-2: double-bit ECC" in message.lines[1]
    assert any("97 % of 1,000 rows, the other replicas 40 %" in line for line in message.lines)
    assert message.actions[0] == "Drain the node, reset the GPU"
    assert "Do not retrain" in message.actions[-1]


@pytest.mark.parametrize(
    ("reason", "kind", "opening"),
    [
        ("opened", NotificationKind.INCIDENT, "TICKET  employment"),
        ("escalated", NotificationKind.INCIDENT, "TICKET  Worse: employment"),
        ("cause_changed", NotificationKind.INCIDENT, "TICKET  Cause found: employment"),
        ("model_affected", NotificationKind.INCIDENT, "TICKET  Model affected: employment"),
        ("still_open", NotificationKind.INCIDENT, "TICKET  Still open: employment"),
        ("resolved", NotificationKind.RESOLVED, "TICKET  Resolved: employment"),
        ("merged", NotificationKind.RESOLVED, "TICKET  Part of another incident: employment"),
        ("requested", NotificationKind.RETRAINING, "TICKET  Retraining requested: employment"),
    ],
)
def test_the_headline_says_what_kind_of_news_it_is(
    reason: str, kind: NotificationKind, opening: str
) -> None:
    message = describe(notification(kind=kind, reason=reason))
    assert message.headline.startswith(opening)
    assert message.lines


def test_a_terminal_gets_colour_and_a_file_does_not() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    asyncio.run(ConsoleReceiver(stream=terminal).send(notification()))
    assert "\x1b[1;33m" in terminal.getvalue()
    assert "\x1b[1;32m" in render(notification(kind=NotificationKind.RESOLVED), is_coloured=True)


def test_bars_add_up_and_are_few() -> None:
    bars = gather_bars(pictured())
    assert len(bars.names) == 14
    assert bars.names[0] == "0 – 7.5"
    assert bars.names[-2:] == ("above", "missing")
    assert sum(bars.reference) == pytest.approx(1)
    assert sum(bars.current) == pytest.approx(1)


def test_many_categories_become_the_largest_and_the_others() -> None:
    counts = (*range(1, 61), 0, 0, 0, 9)
    names = tuple(f"c{i}" for i in range(60))
    alert = pictured(reference_counts=counts, current_counts=counts, bin_labels=names)
    bars = gather_bars(alert)
    assert bars.names[-2:] == ("49 others", "unseen")
    assert bars.names[0] == "c49"
    assert sum(bars.current) == pytest.approx(1)


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"feature": "cost_$_and_^{x}", "segment": "sex=1"},
        {"bin_labels": ("a", "b"), "reference_counts": (1, 2, *[0] * 62)},
        {"bin_labels": (), "current_counts": (0,) * 64},
        {"bin_labels": ("back to front", "1 to 2"), "reference_counts": (1, 2, *[0] * 62)},
    ],
)
def test_the_picture_is_a_png_of_the_promised_size(more: dict[str, Any]) -> None:
    png = draw_picture(pictured(**more), "a title that is long enough to be broken " * 6)
    assert png.startswith(b"\x89PNG")
    assert (int.from_bytes(png[16:20]), int.from_bytes(png[20:24])) == (1200, 660)
