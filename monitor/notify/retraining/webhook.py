"""The retraining webhook: asks a training system for a new model, once per incident."""

from __future__ import annotations

from monitor.notify.receivers.protocol import secret_from
from monitor.notify.receivers.signed_post import SignedPost
from schemas.alerts import Notification, NotificationKind
from schemas.config.model import RetrainingConfig
from schemas.errors import RefusedDelivery


class RetrainReceiver:
    """Posts the evidence bundle; the idempotency key makes repetitions harmless.

    Parameters
    ----------
    post : SignedPost
        Where to, and how signed.
    """

    def __init__(self, post: SignedPost) -> None:
        self._post = post

    @classmethod
    def from_config(cls, model: str, config: RetrainingConfig) -> RetrainReceiver:
        """Build from a model's config; URL and key come from the environment.

        Raises
        ------
        ConfigError
            If a variable the config names is not set.
        """
        url = secret_from(config.url_env, f"model {model}: retraining.url_env")
        secret = secret_from(config.secret_env, f"model {model}: retraining.secret_env")
        return cls(SignedPost(f"retraining of {model}", url, secret))

    async def send(self, notification: Notification) -> str:
        """Ask for a retraining.

        Raises
        ------
        RefusedDelivery
            If the notification asks for none.
        RetryableDelivery
            As ``SignedPost.post``.
        """
        if notification.kind is not NotificationKind.RETRAINING or not notification.evidence:
            raise RefusedDelivery(
                f"a notification of kind {notification.kind.value!r} asks for no retraining",
                where="receiver retraining",
            )
        return await self._post.post(notification.evidence.encode(), notification.notification_id)

    def remember(self, notification: Notification, detail: str) -> None:
        """Nothing to restore: the idempotency key identifies repeats."""

    async def close(self) -> None:
        """Close the connections."""
        await self._post.close()
