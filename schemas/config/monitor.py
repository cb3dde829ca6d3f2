"""The config of an installation, as written in ``driftline.yaml``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import ClassVar

from pydantic import Field, SerializeAsAny, model_validator

from schemas.config.kinds import KindConfig
from schemas.config.values import (
    Duration,
    Misfit,
    PositiveDuration,
    Problem,
    Strict,
)
from schemas.limits import MessageLimits
from schemas.time_units import HOUR_US, MINUTE_US, SECOND_US


class ReceiverConfig(KindConfig):
    """Where notifications go. Secrets only from environment variables, by name.

    ``monitor.notify.receivers`` has one subclass per kind, with its own settings.
    """

    noun: ClassVar[str] = "receiver"


class GpuConfig(Strict):
    """GPU rules: what may be overridden by name."""

    interval_us: PositiveDuration = Field(30 * SECOND_US, alias="interval")
    """How often each GPU reports."""
    max_skew_us: Duration = Field(5 * MINUTE_US, alias="max_skew")
    """How far an event may be stamped ahead of its record time; beyond it is a dead letter."""
    disabled: tuple[str, ...] = ()
    thresholds: dict[str, float] = Field(default_factory=dict)
    """``rule: threshold``, in the rule's own unit."""


class MessageConfig(Strict):
    """Limits of one message, checked before it is decoded."""

    max_rows: int = Field(MessageLimits().max_rows, ge=1, le=100_000_000)
    """Of an Arrow stream or a JSON array; a longer one is refused whole."""
    max_bytes: int = Field(MessageLimits().max_bytes, ge=1 << 20, le=1 << 30)
    """Of a message, and of an Arrow stream once its buffers are decompressed."""
    max_letters: int = Field(MessageLimits().max_letters, ge=1, le=100_000)
    """Refused rows of one message that become dead letters of their own; the rest is counted."""

    @property
    def limits(self) -> MessageLimits:
        """The same, as the decoder takes it."""
        return MessageLimits(**self.model_dump())


class KafkaConfig(Strict):
    """The cluster. TLS and login come from ``DRIFTLINE_KAFKA_*`` environment variables."""

    bootstrap: str = Field("127.0.0.1:9092", min_length=1)
    """``host:port``, several separated by commas."""
    prefix: str = ""
    """Put before every topic and group, so that installations can share a cluster."""
    session_timeout_us: PositiveDuration = Field(10 * SECOND_US, alias="session_timeout")
    """How long a worker may be silent before its partitions move."""


class MonitorConfig(Strict):
    """The installation: ``driftline.yaml``."""

    kafka: KafkaConfig = KafkaConfig()

    store: str = "driftline-store"
    """Folder of the embedded store, or ``http(s)://host:port/database``."""
    baselines: str = "baselines"
    """Folder of built baselines."""
    models: tuple[str, ...] = ()
    """Model files, relative to this file; globs are allowed."""
    receivers: Mapping[str, SerializeAsAny[ReceiverConfig]] = {
        "console": ReceiverConfig(kind="console")
    }
    gpu: GpuConfig = GpuConfig()
    messages: MessageConfig = MessageConfig()
    group_wait_us: Duration = Field(30 * SECOND_US, alias="group_wait")
    repeat_interval_us: Duration = Field(4 * HOUR_US, alias="repeat_interval")

    @model_validator(mode="after")
    def _holds_no_secret(self) -> MonitorConfig:
        """A password in the store's address would end up in logs."""
        if re.match(r"[a-z+]+://[^/]*@", self.store):
            raise Misfit(
                [
                    Problem(
                        ("store",),
                        "the address holds a user name or password",
                        "remove it; user and password come from the environment variables "
                        "DRIFTLINE_STORE_USER and DRIFTLINE_STORE_PASSWORD",
                    )
                ]
            )
        return self
