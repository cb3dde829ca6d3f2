"""Receivers and retraining webhooks, built from config."""

from __future__ import annotations

from collections.abc import Sequence

from monitor.notify.receivers.console import ConsoleReceiver
from monitor.notify.receivers.protocol import Receiver
from monitor.notify.receivers.webhook import WebhookReceiver
from monitor.notify.retraining.webhook import RetrainReceiver
from schemas.config.model import ModelConfig
from schemas.config.monitor import MonitorConfig, ReceiverConfig


def build_receivers(monitor: MonitorConfig) -> dict[str, Receiver]:
    """Build every receiver of the installation.

    Raises
    ------
    ConfigError
        If an environment variable that one names is not set.
    """
    return {name: _build_receiver(name, config) for name, config in monitor.receivers.items()}


def _build_receiver(name: str, config: ReceiverConfig) -> Receiver:
    """Build one receiver by its kind."""
    if config.kind == "slack":
        from monitor.notify.receivers.slack import SlackReceiver  # its client is slow to import

        return SlackReceiver.from_config(name, config)
    if config.kind == "webhook":
        return WebhookReceiver.from_config(name, config)
    return ConsoleReceiver(name)


def build_retrainers(configs: Sequence[ModelConfig]) -> dict[tuple[str, str], Receiver]:
    """Build the retraining webhook of every model that has a policy.

    Raises
    ------
    ConfigError
        If an environment variable that one names is not set.
    """
    return {
        (c.tenant, c.model): RetrainReceiver.from_config(c.model, c.retraining)
        for c in configs
        if c.retraining is not None
    }
