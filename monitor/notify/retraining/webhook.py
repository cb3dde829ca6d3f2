"""Retraining webhook: requests a retraining from a training system, once per incident."""

from __future__ import annotations

from typing import Literal

from monitor.notify.receivers.signed_post import SignedPost, SignedPostConfig
from monitor.notify.retraining.target import RetrainingTarget
from schemas.alerts import Notification, NotificationKind
from schemas.errors import RefusedDelivery


class WebhookTarget(RetrainingTarget, SignedPostConfig):
    """When a retraining is requested, and the webhook that receives the signed request."""

    kind: Literal["webhook"] = "webhook"

    def build(self, model: str) -> RetrainReceiver:
        """Build the target of this model; URL and key come from the environment."""
        post = self.build_post(f"retraining of {model}", f"model {model}: retraining")
        return RetrainReceiver(post)


class RetrainReceiver:
    """Posts retraining requests; the idempotency key identifies repeats.

    Parameters
    ----------
    post : SignedPost
        Client with URL and key.
    """

    def __init__(self, post: SignedPost) -> None:
        self._post = post

    async def send(self, notification: Notification) -> str:
        """Request a retraining.

        Raises
        ------
        RefusedDelivery
            If the notification is not a retraining request.
        RetryableDelivery
            As ``SignedPost.post``.
        """
        if notification.kind is not NotificationKind.RETRAINING or not notification.evidence:
            raise RefusedDelivery(
                f"a notification of kind {notification.kind.value!r} is not a retraining request",
                where="receiver retraining",
            )
        return await self._post.post(notification.evidence.encode(), notification.notification_id)

    def remember(self, notification: Notification, detail: str) -> None:
        """Nothing to restore: the idempotency key identifies repeats."""

    async def close(self) -> None:
        """Close the connections."""
        await self._post.close()
