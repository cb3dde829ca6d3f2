"""Webhook receiver: notifications as signed JSON, posted to any HTTP endpoint."""

from __future__ import annotations

from dataclasses import asdict
from typing import Literal

import msgspec

from monitor.notify.receivers.message import describe
from monitor.notify.receivers.protocol import ReceiverSettings
from monitor.notify.receivers.signed_post import SignedPost, SignedPostConfig
from schemas.alerts import Notification

PAYLOAD_VERSION = 1


def encode_payload(notification: Notification) -> bytes:
    """Encode a notification as the webhook's body.

    Returns
    -------
    bytes
        JSON: ``version``, ``kind``, ``dedup_key``, ``reason``, ``message`` (headline,
        lines, actions) and ``incident`` with all its alerts.
    """
    return msgspec.json.encode(
        {
            "version": PAYLOAD_VERSION,
            "notification_id": notification.notification_id,
            "kind": notification.kind,
            "dedup_key": notification.dedup_key,
            "time_us": notification.time_us,
            "reason": notification.reason,
            "message": asdict(describe(notification)),
            "incident": notification.incident,
        }
    )


class WebhookConfig(SignedPostConfig, ReceiverSettings):
    """Notifications as JSON, posted to any HTTP endpoint."""

    kind: Literal["webhook"]

    def build(self, name: str) -> WebhookReceiver:
        """Build the receiver of this name; URL and key come from the environment."""
        return WebhookReceiver(self.build_post(name, f"receivers.{name}"))


class WebhookReceiver:
    """Posts each notification with its ID as idempotency key.

    Parameters
    ----------
    post : SignedPost
        Client with URL and key.
    """

    def __init__(self, post: SignedPost) -> None:
        self._post = post

    async def send(self, notification: Notification) -> str:
        """Post one notification.

        Raises
        ------
        RetryableDelivery, RefusedDelivery
            As ``SignedPost.post``.
        """
        body = encode_payload(notification)
        return await self._post.post(body, notification.notification_id)

    def remember(self, notification: Notification, detail: str) -> None:
        """Nothing to restore: the idempotency key identifies repeats."""

    async def close(self) -> None:
        """Close the connections."""
        await self._post.close()
