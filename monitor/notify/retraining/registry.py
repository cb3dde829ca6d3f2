"""Registry of the kinds of retraining targets. To add one, add its file and a row here."""

from __future__ import annotations

from collections.abc import Sequence

from monitor.notify.receivers.protocol import Receiver
from monitor.notify.retraining.target import RetrainingTarget
from monitor.notify.retraining.webhook import WebhookTarget
from schemas.config.kinds import checked
from schemas.config.model import ModelConfig

TARGETS: tuple[type[RetrainingTarget], ...] = (WebhookTarget,)


def build_retrainers(configs: Sequence[ModelConfig]) -> dict[tuple[str, str], Receiver]:
    """Build the retraining target of every model that has a policy.

    Raises
    ------
    ConfigError
        If an environment variable that one names is not set.
    """
    asking = [(c.tenant, c.model, c.retraining) for c in configs if c.retraining is not None]
    return {
        (tenant, model): checked(config, TARGETS, f"model {model}: retraining").build(model)
        for tenant, model, config in asking
    }
