"""Slack receiver: one message per incident, updates in its thread."""

from __future__ import annotations

import asyncio
import logging
import os
import re
from typing import TYPE_CHECKING, Any, Literal

from monitor.notify.receivers.message import NotificationText, chief_alert, describe
from monitor.notify.receivers.picture import draw_picture
from monitor.notify.receivers.protocol import ErrorAnswer, ReceiverSettings, secret_from
from monitor.notify.receivers.signed_post import judge_status
from schemas.alerts import Notification, NotificationKind, Severity
from schemas.config.values import EnvironmentName
from schemas.errors import DeliveryError, RefusedDelivery, RetryableDelivery
from schemas.spelling import spell_controls

if TYPE_CHECKING:
    import aiohttp
    from slack_sdk.errors import SlackApiError
    from slack_sdk.web.async_client import AsyncWebClient

BASE_URL = "https://slack.com/api/"
URL_ENV = "DRIFTLINE_SLACK_URL"
_MAX_HEADER = 150
_MAX_SECTION = 3000
_NOT_IN_FILES = re.compile(r"[^\w.= -]")
_MARKS = {
    Severity.PAGE: ":red_circle:",
    Severity.TICKET: ":large_orange_circle:",
    Severity.RECORD: ":white_circle:",
}
_ERRORS = frozenset({"internal_error", "fatal_error"})
"""Error codes of Slack that mean a server error although the status is 200."""
_RETRYABLE = frozenset(
    {"ratelimited", "rate_limited", "service_unavailable"}
    | {"request_timeout", "team_added_to_org", "accesslimited"}
)
_BROADCAST = frozenset({"escalated", "cause_changed", "model_affected"})
_log = logging.getLogger(__name__)
_client_log = logging.getLogger(f"{__name__}.client")
# At debug level the client logs whole responses, which may contain what was sent.
_client_log.setLevel(logging.INFO)


class SlackConfig(ReceiverSettings):
    """Notifications in one channel of Slack.

    ``DRIFTLINE_SLACK_URL`` overrides the URL of Slack's API.
    """

    kind: Literal["slack"]
    token_env: EnvironmentName
    """Environment variable that holds the bot token."""
    channel: str
    """Channel id."""

    def build(self, name: str) -> SlackReceiver:
        """Build the receiver of this name; the token comes from the environment."""
        token = secret_from(self.token_env, f"receivers.{name}.token_env")
        return SlackReceiver(name, token, self.channel, os.environ.get(URL_ENV) or BASE_URL)


class SlackReceiver:
    """Posts to one channel with Slack's official asynchronous client.

    Parameters
    ----------
    name : str
        Its name in the config, for errors.
    token : str
        Bot token with ``chat:write`` and ``files:write``; never shown.
    channel : str
        Channel id.
    base_url : str, optional
        URL of another server that implements Slack's API.
    timeout_s : int
        Time-out of one call.

    Notes
    -----
    The first message of an incident starts a thread and has the chart. Later messages are replies,
    also shown in the channel if the severity rises; the resolution also updates the first message.
    Slack has no idempotency key, so the dedup key is in the message's metadata. If the chart cannot
    be uploaded, the message is sent without it.
    """

    def __init__(
        self,
        name: str,
        token: str,
        channel: str,
        base_url: str = BASE_URL,
        timeout_s: int = 10,
    ) -> None:
        # Imported with the receiver, before a message waits for it; not with the module, which
        # every command that reads a config file imports.
        import slack_sdk.web.async_client  # noqa: F401

        self._name = name
        self._channel = channel
        self._token = token
        self._base_url = base_url
        self._timeout_s = timeout_s
        self._session: aiohttp.ClientSession | None = None
        self._web: AsyncWebClient | None = None
        self._threads: dict[str, str] = {}
        self._posted: dict[str, str] = {}

    async def send(self, notification: Notification) -> str:
        """Post one notification.

        Returns
        -------
        str
            ``ts=<timestamp>`` of the thread.

        Raises
        ------
        RetryableDelivery, RefusedDelivery
            By Slack's answer; a missing answer and a failed connection are retryable.
        """
        message = describe(notification)
        if notification.notification_id in self._posted:
            # Timed out during the upload of the chart: the message was already posted.
            return f"ts={self._posted[notification.notification_id]}"
        thread = self._threads.get(notification.dedup_key)
        if thread is not None:
            await self._reply(notification, message, thread)
            self._posted[notification.notification_id] = thread
            return f"ts={thread}"
        answer = await self._call(
            "chat_postMessage",
            channel=self._channel,
            text=fallback(message),
            blocks=build_blocks(notification, message),
            metadata=_metadata(notification),
            unfurl_links=False,
        )
        thread = str(answer["ts"])
        self._threads[notification.dedup_key] = thread
        self._posted[notification.notification_id] = thread
        await self._upload(notification, thread)
        return f"ts={thread}"

    def remember(self, notification: Notification, detail: str) -> None:
        """Restore the thread of an incident from the log."""
        if detail.startswith("ts="):
            thread = detail.removeprefix("ts=")
            self._threads[notification.dedup_key] = thread
            self._posted[notification.notification_id] = thread

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = self._web = None

    async def _reply(
        self, notification: Notification, message: NotificationText, thread: str
    ) -> None:
        """Reply in a thread; a resolution also updates the first message."""
        blocks = build_blocks(notification, message)
        is_over = notification.kind is NotificationKind.RESOLVED
        if is_over:
            await self._call(
                "chat_update",
                channel=self._channel,
                ts=thread,
                text=fallback(message),
                blocks=blocks,
            )
        await self._call(
            "chat_postMessage",
            channel=self._channel,
            thread_ts=thread,
            text=fallback(message),
            blocks=blocks,
            metadata=_metadata(notification),
            reply_broadcast=notification.reason in _BROADCAST,
        )

    async def _upload(self, notification: Notification, thread: str) -> None:
        """Upload the chart to the thread, if the incident has one."""
        alert = chief_alert(notification.incident)
        if alert is None:
            return
        title = spell_controls(notification.incident.title)
        name = spell_controls(alert.feature or "gpu")
        try:
            # Drawing takes half a second and must not delay other receivers.
            png = await asyncio.to_thread(draw_picture, alert, title)
            await self._call(
                "files_upload_v2",
                channel=self._channel,
                thread_ts=thread,
                filename=f"{_NOT_IN_FILES.sub('_', name)}.png",
                title=title,
                alt_txt=f"Reference against current of {name}",
                content=png,
            )
        except DeliveryError as error:
            _log.warning("chart not delivered to Slack: %s", error)

    async def _call(self, method: str, **arguments: Any) -> Any:
        """Call Slack, and translate errors without their text."""
        import aiohttp
        from slack_sdk.errors import SlackApiError, SlackClientError

        where = f"receiver {self._name}"
        try:
            return await getattr(self._client(), method)(**arguments)
        except SlackApiError as error:
            raise self._judge(error) from None
        except RefusedRedirect:
            fix = "check the receiver's address, and proxies on the way"
            raise RefusedDelivery("answered with a redirect", where=where, fix=fix) from None
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            what = f"no answer ({type(error).__name__})"
            raise RetryableDelivery(what, where=where) from None
        except SlackClientError as error:
            raise RetryableDelivery(f"{type(error).__name__} in {method}", where=where) from None

    def _judge(self, error: SlackApiError) -> DeliveryError:
        """Raise the retryable or permanent error of a response."""
        response = error.response
        # The client returns its own response, or aiohttp's if the body was not JSON.
        status: int = getattr(response, "status_code", 0) or getattr(response, "status", 200)
        headers = getattr(response, "headers", {})
        problem = judge_status(status, self._name, headers.get("Retry-After"))
        if problem is not None:
            return problem
        code = response.get("error", "unknown") if hasattr(response, "get") else "no JSON"
        where = f"receiver {self._name}"
        if code in _ERRORS:
            return ErrorAnswer(f"Slack answered {code}", where=where)
        if code in _RETRYABLE or code == "no JSON":
            return RetryableDelivery(f"Slack answered {code}", where=where)
        fix = "check the token, its scopes, and that the bot is in the channel"
        return RefusedDelivery(f"Slack answered {code}", where=where, fix=fix)

    def _client(self) -> AsyncWebClient:
        """Return the client, with one session for all its calls."""
        import aiohttp
        from slack_sdk.web.async_client import AsyncWebClient

        if self._web is None:
            timeout = aiohttp.ClientTimeout(total=self._timeout_s)
            self._session = aiohttp.ClientSession(timeout=timeout, trace_configs=[_no_redirects()])
            self._web = AsyncWebClient(
                self._token,
                self._base_url,
                self._timeout_s,
                session=self._session,
                # The client's retries are off: deliveries have one retry loop, bounded and with
                # Retry-After.
                retry_handlers=[],
                logger=_client_log,
            )
        return self._web


def _no_redirects() -> aiohttp.TraceConfig:
    """Return the trace configuration that fails a redirected call.

    The client follows redirects, with the message and, on the same host, the token.
    """

    import aiohttp

    async def refuse(*_: object) -> None:
        raise RefusedRedirect

    tracing = aiohttp.TraceConfig()
    tracing.on_request_redirect.append(refuse)
    return tracing


class RefusedRedirect(Exception):
    """Slack, or a server in its place, redirected the call to another address."""


def build_blocks(notification: Notification, message: NotificationText) -> list[dict[str, Any]]:
    """Format a message as Block Kit.

    Parameters
    ----------
    notification : Notification
        Source of the severity mark and the IDs.
    message : NotificationText
        Text of the message.

    Returns
    -------
    list of dict
        Header, facts, actions, IDs; every text within Slack's limits.
    """
    incident = notification.incident
    is_over = notification.kind is NotificationKind.RESOLVED
    mark = ":large_green_circle:" if is_over else _MARKS[incident.severity]
    header = _cut(f"{mark} {message.headline}", _MAX_HEADER)
    blocks = [{"type": "header", "text": {"type": "plain_text", "text": header, "emoji": True}}]
    if len(f"{mark} {message.headline}") > _MAX_HEADER:
        blocks.append(_section(escape(spell_controls(incident.title))))
    blocks.append(_section("\n".join(f"• {escape(line)}" for line in message.lines)))
    if message.actions:
        steps = "\n".join(f"{i}. {escape(a)}" for i, a in enumerate(message.actions, 1))
        blocks.append(_section(f"*What to do*\n{steps}"))
    ids = f"{incident.cause.value} · incident {incident.incident_id} · {incident.tenant}"
    context: dict[str, Any] = {
        "type": "context",
        "elements": [{"type": "mrkdwn", "text": escape(spell_controls(ids))}],
    }
    return [*blocks, context]


def fallback(message: NotificationText) -> str:
    """Return the fallback text of the blocks, with markup."""
    return escape(_cut(message.headline, _MAX_SECTION))


def escape(text: str) -> str:
    """Escape characters that Slack's markup interprets as links or mentions.

    Examples
    --------
    >>> escape("AGEP > 94 & <!channel>")
    'AGEP &gt; 94 &amp; &lt;!channel&gt;'
    """
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _section(text: str) -> dict[str, Any]:
    """Return a section block of marked-up text."""
    return {"type": "section", "text": {"type": "mrkdwn", "text": _cut(text, _MAX_SECTION)}}


def _cut(text: str, length: int) -> str:
    """Shorten a text that exceeds Slack's limit."""
    return text if len(text) <= length else text[: length - 1] + "…"


def _metadata(notification: Notification) -> dict[str, Any]:
    """Return metadata by which programs in the channel recognise the message."""
    payload = {
        "dedup_key": notification.dedup_key,
        "notification_id": notification.notification_id,
    }
    return {"event_type": "driftline_incident", "event_payload": payload}
