"""One suite for every receiver, against a real server on loopback."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import io
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any

import jsonschema
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer, unused_port
from pydantic import ValidationError

from monitor.app.json_schema import generate_all
from monitor.notify.delivery.attempts import RetryPolicy, deliver
from monitor.notify.delivery.notifier import Notifier
from monitor.notify.receivers.console import ConsoleReceiver
from monitor.notify.receivers.protocol import ErrorAnswer, Receiver, ReceiverSettings
from monitor.notify.receivers.registry import RECEIVERS
from monitor.notify.receivers.signed_post import SignedPost
from monitor.notify.receivers.slack import URL_ENV, SlackReceiver
from monitor.notify.receivers.webhook import WebhookReceiver
from monitor.notify.retraining.registry import TARGETS
from monitor.notify.retraining.target import RetrainingTarget
from monitor.notify.retraining.webhook import RetrainReceiver
from schemas.alerts import Notification, NotificationKind, Severity
from schemas.config.kinds import kind_of
from schemas.config.model import ModelConfig, RetrainingConfig
from schemas.config.monitor import MonitorConfig
from schemas.errors import ConfigError, DeliveryError, RefusedDelivery, RetryableDelivery
from tests.support.alerts import drift, incident, notification, pictured
from tests.support.notification_log import ListNotificationLog

pytestmark = pytest.mark.integration

TOKEN = "xoxb-very-secret-token"
KEY = "very-secret-key"
NOW_S = 1_700_000_000


@dataclass
class Service:
    """Plays Slack's API, a webhook and a training system; counts what it accepts."""

    status: int = 200
    error: str = ""
    retry_after: str = ""
    body: str = ""
    hangs: bool = False
    fails: int = -1
    """How many requests fail before the rest succeed; -1: all, if a failure is set."""
    requests: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    accepted: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    uploads: list[bytes] = field(default_factory=list)
    url: str = ""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        method = request.path.rpartition("/")[2]
        self.requests.append((method, dict(request.headers), body))
        is_broken = self.status != 200 or self.error or self.hangs
        if is_broken and self.fails != 0:
            self.fails -= 1
            if self.hangs:
                await asyncio.Event().wait()
            headers = {"Retry-After": self.retry_after} if self.retry_after else {}
            if self.status in (301, 302):
                headers["Location"] = "/elsewhere"
            if self.error:
                answer = {"ok": False, "error": self.error}
                return web.json_response(answer, status=self.status, headers=headers)
            return web.Response(text=self.body, status=self.status, headers=headers)
        return await self.accept(method, request, body)

    async def accept(self, method: str, request: web.Request, body: bytes) -> web.Response:
        if method == "upload":
            self.uploads.append(body)
            return web.Response(text="OK")
        is_form = "urlencoded" in request.content_type
        values = dict(await request.post()) if is_form else json.loads(body or b"{}")
        self.accepted.append((method, dict(request.query) | values))
        upload = {"upload_url": f"{self.url}/upload", "file_id": "F1"}
        ts = f"17.{len(self.accepted):04}"
        extra = {
            "files.getUploadURLExternal": upload,
            "files.completeUploadExternal": {"files": [{"id": "F1"}]},
        }.get(method, {"ts": ts, "channel": "C1"})
        return web.json_response({"ok": True} | extra)


@contextlib.asynccontextmanager
async def serving(service: Service) -> AsyncIterator[str]:
    app = web.Application(client_max_size=1 << 24)
    app.router.add_route("*", "/{tail:.*}", service.answer)
    server = TestServer(app)
    await server.start_server()
    service.url = str(server.make_url("")).rstrip("/")
    try:
        yield service.url
    finally:
        await server.close()


@dataclass(frozen=True)
class Case:
    """One kind: settings as in a config file, and the receiver at an address of the test's."""

    settings: dict[str, str]
    environment: dict[str, str] = field(default_factory=dict)
    """Values of the variables that the settings name; ``{url}`` is the server's address."""
    make: Callable[..., Receiver] | None = None
    """From URL and time-out; None where nothing is sent over HTTP."""


def make_webhook(url: str, timeout_s: float = 5) -> Receiver:
    return WebhookReceiver(SignedPost("hook", f"{url}/hook", KEY, timeout_s, lambda: NOW_S))


def make_training(url: str, timeout_s: float = 5) -> Receiver:
    return RetrainReceiver(SignedPost("training", f"{url}/train", KEY, timeout_s, lambda: NOW_S))


def make_slack(url: str, timeout_s: float = 5) -> Receiver:
    return SlackReceiver("slack", TOKEN, "C1", f"{url}/api/", timeout_s)  # type: ignore[arg-type]


POST = {"URL": "{url}/hook", "KEY": KEY}
CASES = {
    "console": Case({"kind": "console"}),
    "slack": Case(
        {"kind": "slack", "token_env": "TOKEN", "channel": "C1"},
        {"TOKEN": TOKEN, "DRIFTLINE_SLACK_URL": "{url}/api/"},
        make_slack,
    ),
    "webhook": Case({"kind": "webhook", "url_env": "URL", "secret_env": "KEY"}, POST, make_webhook),
    "retraining webhook": Case(
        {"kind": "webhook", "url_env": "URL", "secret_env": "KEY"}, POST, make_training
    ),
}
"""One case for every row of the registries: a kind without one fails the suite."""
SETTINGS: dict[str, type[ReceiverSettings] | type[RetrainingTarget]] = {
    kind_of(c): c for c in RECEIVERS
} | {f"retraining {kind_of(c)}": c for c in TARGETS}
HTTP = {kind: make for kind in SETTINGS if (make := CASES[kind].make) is not None}
everyone = pytest.mark.parametrize("kind", list(SETTINGS))
over_http = pytest.mark.parametrize("kind", list(HTTP))


def build(kind: str) -> Receiver:
    """Build a receiver from its settings, as from a config file."""
    return SETTINGS[kind].model_validate(CASES[kind].settings).build("it")


def prepare(kind: str, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the variables that the settings of a kind name."""
    for name, value in CASES[kind].environment.items():
        monkeypatch.setenv(name, value.format(url=url))


def is_retraining(kind: str) -> bool:
    return kind.startswith("retraining")


def notice(kind: str, number: int = 1, **more: Any) -> Notification:
    """What a receiver of this kind is sent."""
    if is_retraining(kind):
        evidence = json.dumps({"idempotency_key": f"n-{number}", "model": "employment"})
        more = {"kind": NotificationKind.RETRAINING, "evidence": evidence} | more
    return notification(number=number, **more)


def talk(
    kind: str, service: Service, act: Callable[[Receiver], Awaitable[Any]], **more: Any
) -> Any:
    """Run one conversation with a fresh receiver and server."""

    async def run() -> Any:
        async with serving(service) as url:
            receiver = HTTP[kind](url, **more)
            try:
                return await act(receiver)
            finally:
                await receiver.close()

    return asyncio.run(run())


@everyone
def test_a_receiver_built_from_its_settings_delivers(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = Service()

    async def run() -> str:
        async with serving(service) as url:
            prepare(kind, url, monkeypatch)
            receiver = build(kind)
            detail = await receiver.send(notice(kind))
            receiver.remember(notice(kind), detail)
            await receiver.close()
            await receiver.close()
            return detail

    assert asyncio.run(run())
    assert len(service.accepted) == (kind in HTTP)


@everyone
def test_no_kind_accepts_a_setting_of_another(kind: str) -> None:
    others = {name for case in CASES.values() for name in case.settings}
    for name in [*(others - set(SETTINGS[kind].model_fields)), "unknown"]:
        with pytest.raises(ValidationError, match="Extra inputs"):
            SETTINGS[kind].model_validate(CASES[kind].settings | {name: "X"})


@everyone
def test_settings_name_exactly_the_variables_that_are_read(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = SETTINGS[kind].model_validate(CASES[kind].settings)
    prepare(kind, "http://127.0.0.1:1", monkeypatch)
    assert set(config.environment_names) == set(CASES[kind].environment) - {URL_ENV}
    for missing in config.environment_names:
        prepare(kind, "http://127.0.0.1:1", monkeypatch)
        for unset in (None, "", "  "):
            monkeypatch.delenv(missing) if unset is None else monkeypatch.setenv(missing, unset)
            with pytest.raises(ConfigError, match=f"{missing} is not set") as caught:
                build(kind)
            assert KEY not in str(caught.value)
            assert TOKEN not in str(caught.value)


@everyone
def test_the_json_schemas_know_every_kind(kind: str) -> None:
    field = ("retraining" if is_retraining(kind) else "receivers", CASES[kind].settings)
    value = {field[0]: field[1] if is_retraining(kind) else {"it": field[1]}}
    if is_retraining(kind):
        value |= {"model": "m", "features": {"a": {"kind": "numeric"}}}
    name = "model" if is_retraining(kind) else "driftline"
    jsonschema.validate(value, generate_all()[name])


def test_the_console_prints_headline_facts_and_actions() -> None:
    stream = io.StringIO()
    receiver = ConsoleReceiver(stream=stream)
    assert asyncio.run(receiver.send(notification())) == "printed"
    lines = stream.getvalue().splitlines()
    assert lines[0].startswith("TICKET  employment: AGEP above the baseline's range")
    assert any("11 % of 1,000 rows, baseline 0 %" in line for line in lines)
    assert any(line.startswith("   -> Check upstream of AGEP") for line in lines)
    assert "\x1b" not in stream.getvalue()


def test_a_closed_console_refuses() -> None:
    stream = io.StringIO()
    stream.close()
    with pytest.raises(RefusedDelivery, match="closed"):
        asyncio.run(ConsoleReceiver(stream=stream).send(notification()))


@over_http
@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 410, 413, 422])
def test_a_refusal_is_final(kind: str, status: int) -> None:
    service = Service(status=status, error="invalid_auth")
    with pytest.raises(RefusedDelivery, match=str(status)):
        talk(kind, service, lambda r: r.send(notice(kind)))
    assert len(service.requests) == 1


@over_http
@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
@pytest.mark.parametrize("body", ["", "<html>upstream"])
def test_trouble_that_may_pass_is_retryable(kind: str, status: int, body: str) -> None:
    service = Service(status=status, body=body, retry_after="7")
    with pytest.raises(RetryableDelivery, match=str(status)) as caught:
        talk(kind, service, lambda r: r.send(notice(kind)))
    assert isinstance(caught.value, ErrorAnswer) == (status >= 500)
    assert caught.value.retry_after_s == 7
    assert len(service.requests) == 1


@over_http
@pytest.mark.parametrize("status", [301, 302])
def test_a_message_follows_no_redirect(kind: str, status: int) -> None:
    service = Service(status=status)
    with pytest.raises(RefusedDelivery, match=f"{status}|redirect"):
        talk(kind, service, lambda r: r.send(notice(kind)))
    assert len(service.requests) == 1


@pytest.mark.parametrize("kind", ["webhook", "retraining webhook"])
@pytest.mark.parametrize("retry_after", ["", "Wed, 21 Oct 2026 07:28:00 GMT", "-1"])
def test_a_retry_after_that_is_no_number_is_ignored(kind: str, retry_after: str) -> None:
    service = Service(status=503, retry_after=retry_after)
    with pytest.raises(RetryableDelivery) as caught:
        talk(kind, service, lambda r: r.send(notice(kind)))
    assert caught.value.retry_after_s is None


@over_http
def test_no_answer_in_time_is_retryable(kind: str) -> None:
    service = Service(hangs=True)
    with pytest.raises(RetryableDelivery, match="no answer") as caught:
        talk(kind, service, lambda r: r.send(notice(kind)), timeout_s=0.05)
    assert not isinstance(caught.value, ErrorAnswer)


@over_http
def test_a_refused_connection_is_retryable(kind: str) -> None:
    async def run() -> None:
        receiver = HTTP[kind](f"http://127.0.0.1:{unused_port()}")
        try:
            await receiver.send(notice(kind))
        finally:
            await receiver.close()

    with pytest.raises(RetryableDelivery, match="ClientConnectorError"):
        asyncio.run(run())


async def no_sleep(waits: list[float], seconds: float) -> None:
    waits.append(seconds)


@over_http
def test_a_delivery_waits_as_asked_and_then_succeeds(kind: str) -> None:
    service, waits = Service(status=429, retry_after="7", fails=2), []
    delivery = talk(
        kind,
        service,
        lambda r: deliver(r, notice(kind), RetryPolicy(), lambda s: no_sleep(waits, s)),
    )
    assert (delivery.state, delivery.attempts, waits) == ("done", 3, [7, 7])
    assert len(service.accepted) == 1


@over_http
def test_tries_come_to_an_end(kind: str) -> None:
    service, waits = Service(status=503), []
    policy = RetryPolicy(n_attempts=4, longest_wait_s=3)
    delivery = talk(
        kind, service, lambda r: deliver(r, notice(kind), policy, lambda s: no_sleep(waits, s))
    )
    assert (delivery.state, delivery.attempts, waits) == ("failed", 4, [1, 2, 3])
    assert "503" in delivery.detail


@over_http
def test_a_refusal_is_not_tried_again(kind: str) -> None:
    service, waits = Service(status=403, error="invalid_auth"), []
    delivery = talk(
        kind,
        service,
        lambda r: deliver(r, notice(kind), RetryPolicy(), lambda s: no_sleep(waits, s)),
    )
    assert (delivery.state, delivery.attempts, waits) == ("failed", 1, [])


@over_http
def test_a_receiver_that_hangs_is_left_after_the_time_out(kind: str) -> None:
    service, waits = Service(hangs=True), []
    policy = RetryPolicy(n_attempts=2, timeout_s=0.05)
    delivery = talk(
        kind, service, lambda r: deliver(r, notice(kind), policy, lambda s: no_sleep(waits, s))
    )
    assert (delivery.state, delivery.detail) == ("failed", "no answer within 0.05 s")


@over_http
@pytest.mark.parametrize(
    "service",
    [
        Service(status=403, error="invalid_auth"),
        Service(status=500, body=f"leak {KEY} {TOKEN}"),
        Service(hangs=True),
    ],
)
def test_errors_and_logs_leak_no_secret(
    kind: str, service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    service = replace(service, requests=[], accepted=[])
    caplog.set_level(logging.DEBUG)
    with pytest.raises(DeliveryError) as caught:
        talk(kind, service, lambda r: r.send(notice(kind)), timeout_s=0.2)
    text = f"{caught.value} {caught.value!r} {caught.value.args} {caught.value.__cause__}"
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    for secret in (KEY, TOKEN, service.url):
        assert secret not in text
        assert secret not in caplog.text or secret == service.url
    assert kind[:5] in str(caught.value) or "hook" in str(caught.value) or "train" in text


@over_http
def test_a_repeated_notification_is_sent_once(kind: str) -> None:
    service = Service()

    async def run() -> list[str]:
        async with serving(service) as url:
            receiver = HTTP[kind](url)
            notifier = make_notifier(kind, receiver, ListNotificationLog())
            states = []
            for alert in (drift(14), drift(14)):
                for step in (
                    await notifier.observe(alert, alert.time_us),
                    await notifier.tick(alert.time_us + 600_000_000),
                    await notifier.tick(alert.time_us + 601_000_000),
                ):
                    states += [d.state for d in step.deliveries if d.receiver != "quiet"]
            await notifier.close()
            return states

    states = asyncio.run(run())
    assert states.count("done") == 1
    assert len([m for m, _ in service.accepted if "pload" not in m]) == 1


class Quiet:
    """Takes everything and says nothing."""

    def __init__(self) -> None:
        self.taken: list[Notification] = []

    async def send(self, notification: Notification) -> str:
        self.taken.append(notification)
        return ""

    def remember(self, notification: Notification, detail: str) -> None:
        pass

    async def close(self) -> None:
        pass


def make_notifier(kind: str, receiver: Receiver, log: ListNotificationLog) -> Notifier:
    """A notifier whose only loud receiver is this one."""
    is_retrain = is_retraining(kind)
    wish = RetrainingConfig(on=("page", "ticket")) if is_retrain else None
    features: Any = {"AGEP": {"kind": "numeric"}}
    model = ModelConfig(model="employment", features=features, retraining=wish)
    return Notifier(
        MonitorConfig(),
        [model],
        {"quiet": Quiet()} if is_retrain else {"it": receiver},
        log,
        retrainers={("default", "employment"): receiver} if is_retrain else {},
    )


@over_http
def test_after_a_crash_between_intent_and_done_it_is_sent_again_under_the_same_key(
    kind: str,
) -> None:
    service = Service()

    async def run() -> list[str]:
        async with serving(service) as url:
            log = ListNotificationLog()
            first = make_notifier(kind, HTTP[kind](url), log)
            alert = drift(14)
            await first.observe(alert, alert.time_us)
            await first.tick(alert.time_us + 600_000_000)
            await first.close()
            # The process dies after the message went out and before that was noted.
            log.entries = [e for e in log.entries if e.delivery.state != "done"]
            second = make_notifier(kind, HTTP[kind](url), log)
            again = [d.state for d in await second.start() if d.receiver != "quiet"]
            await second.observe(alert, alert.time_us)
            step = await second.tick(alert.time_us + 601_000_000)
            await second.close()
            third = make_notifier(kind, HTTP[kind](url), log)
            again += [d.state for d in await third.start()]
            await third.close()
            return again + [d.state for d in step.deliveries if d.state == "done"]

    assert asyncio.run(run()) == ["done"]
    sent = [entry for entry in service.requests if "pload" not in entry[0]]
    assert len(sent) == 2
    if kind != "slack":
        assert sent[0][1]["Idempotency-Key"] == sent[1][1]["Idempotency-Key"]


def signature(body: bytes, time_s: int) -> str:
    """The signature as the documentation describes it, computed without our code."""
    digest = hmac.digest(KEY.encode(), f"{time_s}.".encode() + body, "sha256").hex()
    return f"t={time_s},v1={digest}"


@pytest.mark.parametrize("kind", ["webhook", "retraining webhook"])
def test_the_body_is_signed_and_carries_its_key(kind: str) -> None:
    service = Service()
    sent = notice(kind)
    talk(kind, service, lambda r: r.send(sent))
    _, headers, body = service.requests[0]
    assert headers["Driftline-Signature"] == signature(body, NOW_S)
    assert headers["Idempotency-Key"] == sent.notification_id


def test_the_webhook_says_all_about_the_incident() -> None:
    service = Service()
    talk("webhook", service, lambda r: r.send(notice("webhook")))
    _, payload = service.accepted[0]
    assert payload["kind"] == "incident"
    assert payload["dedup_key"].startswith("driftline/default/")
    assert payload["message"]["headline"].startswith("TICKET  employment: AGEP")
    assert payload["incident"]["cause"] == "data"
    assert payload["incident"]["alerts"][0]["p_current"] == 0.11


def test_the_retraining_webhook_takes_only_requests() -> None:
    with pytest.raises(RefusedDelivery, match="is not a retraining request"):
        talk("retraining webhook", Service(), lambda r: r.send(notification()))


def test_slack_gets_blocks_within_its_limits_and_nothing_unescaped() -> None:
    service = Service()
    about = incident(drift(14, effect_where="> 94"), title="AGEP > 94 <!channel> " + 200 * "x")
    talk("slack", service, lambda r: r.send(notification(about)))
    _, values = service.accepted[0]
    blocks = (
        values["blocks"] if isinstance(values["blocks"], list) else json.loads(values["blocks"])
    )
    assert blocks[0]["type"] == "header"
    assert len(blocks[0]["text"]["text"]) <= 150
    marked = [b["text"]["text"] for b in blocks if b["type"] == "section"]
    assert all("<!channel>" not in text and len(text) <= 3000 for text in marked)
    assert any("AGEP &gt; 94" in text for text in marked)
    assert values["channel"] == "C1"


def test_slack_gets_the_picture_in_the_thread() -> None:
    service = Service()
    talk("slack", service, lambda r: r.send(notification(incident(pictured()))))
    assert [m for m, _ in service.accepted] == [
        "chat.postMessage",
        "files.getUploadURLExternal",
        "files.completeUploadExternal",
    ]
    assert service.accepted[2][1]["thread_ts"] == "17.0001"
    assert b"\x89PNG" in service.uploads[0]


def test_a_picture_that_fails_costs_only_the_picture(caplog: pytest.LogCaptureFixture) -> None:
    service = Service()

    async def act(receiver: Receiver) -> str:
        original = service.accept

        async def accept(method: str, request: web.Request, body: bytes) -> web.Response:
            if method.startswith("files"):
                return web.json_response({"ok": False, "error": "missing_scope"})
            return await original(method, request, body)

        service.accept = accept  # type: ignore[method-assign]
        return await receiver.send(notification(incident(pictured())))

    assert talk("slack", service, act) == "ts=17.0001"
    assert "missing_scope" in caplog.text


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ("channel_not_found", RefusedDelivery),
        ("invalid_auth", RefusedDelivery),
        ("not_in_channel", RefusedDelivery),
        ("ratelimited", RetryableDelivery),
        ("internal_error", ErrorAnswer),
        ("service_unavailable", RetryableDelivery),
    ],
)
def test_slack_may_say_no_with_status_200(error: str, kind: type[DeliveryError]) -> None:
    service = Service(error=error)
    with pytest.raises(kind, match=error):
        talk("slack", service, lambda r: r.send(notification()))


def test_slack_keeps_one_thread_an_incident_also_after_a_restart() -> None:
    service = Service()
    about = incident(drift(14))
    worse = replace_severity(about)
    over = notification(worse, 3, NotificationKind.RESOLVED)

    async def run() -> None:
        async with serving(service) as url:
            first = make_slack(url)
            detail = await first.send(notification(about, 1))
            await first.send(notification(worse, 2, reason="escalated"))
            await first.close()
            second = make_slack(url)
            second.remember(notification(about, 1), detail)
            await second.send(over)
            await second.close()

    asyncio.run(run())
    methods = [m for m, _ in service.accepted]
    assert methods == ["chat.postMessage", "chat.postMessage", "chat.update", "chat.postMessage"]
    values = [v for _, v in service.accepted]
    assert values[0].get("thread_ts") is None
    assert values[1]["thread_ts"] == values[2]["ts"] == values[3]["thread_ts"] == "17.0001"
    assert values[1]["reply_broadcast"] in (True, "1", 1)
    assert "Resolved" in values[2]["text"]


def replace_severity(about: Any) -> Any:
    import msgspec

    return msgspec.structs.replace(about, severity=Severity.PAGE)


@over_http
def test_receivers_read_their_secrets_from_the_environment(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = Service()

    async def run() -> None:
        async with serving(service) as url:
            prepare(kind, url, monkeypatch)
            receiver = build(kind)
            await receiver.send(notice(kind))
            await receiver.close()

    asyncio.run(run())
    ((_, headers, body),) = service.requests
    if kind == "slack":
        assert headers["Authorization"] == f"Bearer {TOKEN}"
    else:
        header = headers["Driftline-Signature"]
        time_s = int(header.partition(",")[0].removeprefix("t="))
        assert header == signature(body, time_s)


def test_a_url_that_is_none_is_refused_and_not_shown() -> None:
    async def run() -> None:
        receiver = WebhookReceiver(SignedPost("hook", "htp:/secret-path", KEY))
        try:
            await receiver.send(notification())
        finally:
            await receiver.close()

    with pytest.raises(DeliveryError) as caught:
        asyncio.run(run())
    assert "secret-path" not in f"{caught.value} {caught.value.__cause__}"
