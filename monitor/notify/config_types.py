"""The config models with every kind of receiver and of retraining target."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from types import GenericAlias

from monitor.notify.receivers import registry as receivers
from monitor.notify.receivers.console import ConsoleConfig
from monitor.notify.receivers.protocol import ReceiverSettings
from monitor.notify.retraining import registry as retraining
from monitor.notify.retraining.target import RetrainingTarget
from schemas.config.kinds import union_of, with_fields
from schemas.config.model import DEFAULT_TARGET, ModelConfig
from schemas.config.monitor import MonitorConfig


def monitor_type() -> type[MonitorConfig]:
    """Return the config model of ``driftline.yaml``.

    Examples
    --------
    >>> monitor_type().model_validate({"receivers": {"me": {"kind": "console"}}}).receivers
    {'me': ConsoleConfig(kind='console')}
    """
    return _monitor_type(receivers.RECEIVERS)


def model_type() -> type[ModelConfig]:
    """Return the config model of ``models/<model>.yaml``."""
    return _model_type(retraining.TARGETS)


@cache
def _monitor_type(kinds: tuple[type[ReceiverSettings], ...]) -> type[MonitorConfig]:
    """Build the type once: configs compare equal only if they have the same type."""
    default = {"console": ConsoleConfig(kind="console")}
    named = GenericAlias(Mapping, (str, union_of(kinds)))
    return with_fields(MonitorConfig, receivers=(named, default))


@cache
def _model_type(kinds: tuple[type[RetrainingTarget], ...]) -> type[ModelConfig]:
    """Build the type once, for the same reason as ``_monitor_type``."""
    target = union_of(kinds, DEFAULT_TARGET)
    return with_fields(ModelConfig, retraining=(target | None, None))
