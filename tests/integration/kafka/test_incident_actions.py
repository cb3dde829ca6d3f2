"""Incidents closed by command: the action reaches detect, has its effect once, and is undone."""

from __future__ import annotations

import json

import msgspec
import numpy as np
import pytest

from monitor.cli.main import main
from monitor.core.drift.actions import ActionDecoder
from monitor.core.topics import ACTIONS, NOTIFICATIONS
from monitor.transport.types import Message
from schemas.actions import ActionKind, Label
from schemas.alerts import Alert, Cause, Delivery, DeliveryState, Incident, Notification
from tests.support.installation import install
from tests.support.kafka.detect import DetectSite
from tests.support.waiting import wait_until
from tests.support.worlds.ticks import catalog, draw, log_of, panes_of

pytestmark = [pytest.mark.kafka, pytest.mark.integration]
N_MINUTES, ACTS_AT = 240, 150
ID = "0d3f9a61-5f0e-5d3c-8f4b-1f2e3d4c5b6a"


@pytest.fixture
def site(broker, topic_prefix):
    made = DetectSite(broker.bootstrap, topic_prefix)
    yield made
    made.close()


@pytest.fixture
def command(site, tmp_path, monkeypatch, capfd):
    """Run ``driftline incident`` in an installation that uses the test's topics."""
    install(tmp_path)
    (tmp_path / "driftline.yaml").write_text(
        "models: [models/*.yaml]\n"
        f"kafka: {{bootstrap: 'nowhere:1', prefix: {site.cluster.prefix}}}\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DRIFTLINE_KAFKA", site.cluster.bootstrap)

    def run(*arguments: str) -> tuple[int, str, str]:
        capfd.readouterr()
        with pytest.raises(SystemExit) as end:
            main(["incident", *arguments])
        out, err = capfd.readouterr()
        return int(end.value.code or 0), out, err

    return run


def notify_of(site: DetectSite, *alerts: Alert, incident_id: str = ID) -> None:
    """Write what notify says of an incident."""
    incident = Incident(
        incident_id=incident_id,
        tenant="default",
        cause=Cause.DATA,
        severity=alerts[0].severity,
        opened_at_us=alerts[0].opened_at_us,
        title=alerts[0].title,
        owner_alert_id=alerts[0].alert_id,
        alerts=list(alerts),
    )
    sent = Notification(
        notification_id="n",
        dedup_key="d",
        receiver="r",
        kind="incident",
        incident=incident,
        time_us=1,
        reason="first",
    )
    step = Delivery(notification_id="n", receiver="r", state=DeliveryState.INTENT, time_us=1)
    site.write(NOTIFICATIONS, [(0, b"n", msgspec.msgpack.encode((step, sent)))])


def changes_of(site: DetectSite) -> list[tuple[str, str]]:
    found = sorted(site.alerts().values(), key=lambda alert: (alert.time_us, alert.sequence))
    return [(alert.feature, alert.transition.value) for alert in found]


@pytest.mark.slow
def test_an_incident_is_closed_and_undone_by_command_while_detect_runs(site, command):
    rng = np.random.default_rng(0)
    found = log_of(panes_of(draw(rng, N_MINUTES, 17, missing_from=120)), N_MINUTES)
    messages = [Message(i, key, value, -1) for i, (key, value) in enumerate(found)]
    worker = site.start(catalog()).wait_ready()
    site.write_panes(messages[: 2 * ACTS_AT], b"default|ticked")
    wait_until(lambda: len(site.alerts()) == 1, 120, "the alert")
    (opened,) = site.alerts().values()
    notify_of(site, opened)

    code, out, err = command("close", ID[:8], "--as", "fault", "--by", "ann", "--json")
    assert code == 0, err
    (action,) = json.loads(out)["actions"]
    assert action["cells"] == [["1", "c", "*", opened.opened_at_us]]
    wait_until(lambda: len(site.alerts()) == 2, 120, "the resolution")
    assert "closed as fault by ann" in [a.title for a in site.alerts().values()][-1]
    site.write_panes(messages[2 * ACTS_AT : 2 * ACTS_AT + 60], b"default|ticked")
    worker.drain()
    again = site.start(catalog()).wait_ready()
    assert changes_of(site) == [("c", "opened"), ("c", "resolved")]

    code, out, err = command("undo", ID, "--by", "bob", "--comment", "it was none")
    assert (code, "close taken back by bob" in out) == (0, True), err
    written = [ActionDecoder().decode(m.value) for m in site.read(ACTIONS)]
    assert [(a.kind, a.label, a.by, a.comment) for a in written] == [
        (ActionKind.CLOSE, Label.FAULT, "ann", ""),
        (ActionKind.UNDO, Label.NONE, "bob", "it was none"),
    ]
    wait_until(
        lambda: again.lifecycle.is_ready and _has_undone(site), 120, "the state with the undo"
    )
    site.write_panes(messages[2 * ACTS_AT + 60 :], b"default|ticked")
    wait_until(lambda: len(site.alerts()) == 3, 120, "the alert again")
    again.drain()
    assert changes_of(site) == [("c", "opened"), ("c", "resolved"), ("c", "opened")]


def _has_undone(site: DetectSite) -> bool:
    """Whether a state contains both actions."""
    from monitor.core.drift.partition import KIND
    from monitor.core.drift.state import read_model_state
    from monitor.core.topics import STATE
    from monitor.detect.stage import read_states

    states = read_states(site.read(STATE))
    stored = states.stored(KIND, ("default", "ticked"))
    acted = [read_model_state(one.body).acted for one in stored]
    return any(one is not msgspec.UNSET and one.offset == 2 for one in acted)


def test_an_incident_that_is_not_there_or_not_unique_is_named(site, command):
    assert command("close", "short", "--as", "normal", "--by", "ann")[0] == 2
    code, _, err = command("undo", "unknown-incident", "--by", "ann")
    assert (code, "no incident was notified of" in err) == (2, True), err
    assert command("close", ID, "--as", "weather", "--by", "ann")[0] == 2
    assert site.read(ACTIONS) == []
