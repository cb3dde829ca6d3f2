"""Registry of the kinds of receivers. To add one, add its file and a row here."""

from __future__ import annotations

from monitor.notify.receivers.console import ConsoleConfig
from monitor.notify.receivers.protocol import Receiver, ReceiverSettings
from monitor.notify.receivers.slack import SlackConfig
from monitor.notify.receivers.webhook import WebhookConfig
from schemas.config.kinds import checked
from schemas.config.monitor import MonitorConfig

RECEIVERS: tuple[type[ReceiverSettings], ...] = (
    ConsoleConfig,
    SlackConfig,
    WebhookConfig,
)


def build_receivers(monitor: MonitorConfig) -> dict[str, Receiver]:
    """Build every receiver of the installation.

    Raises
    ------
    ConfigError
        If an environment variable that one names is not set.
    """
    return {
        name: checked(config, RECEIVERS, f"receivers.{name}").build(name)
        for name, config in monitor.receivers.items()
    }
