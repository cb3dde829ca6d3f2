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
    """A receiver of notifications. Secrets are read from environment variables, given by name.

    ``monitor.notify.receivers`` has one subclass per kind, with its own settings.
    """

    noun: ClassVar[str] = "receiver"


class GpuConfig(Strict):
    """Settings of the GPU rules."""

    interval_us: PositiveDuration = Field(30 * SECOND_US, alias="interval")
    """Reporting interval of each GPU."""
    max_skew_us: Duration = Field(5 * MINUTE_US, alias="max_skew")
    """How far an event time may be ahead of its record time; events beyond it are dead letters."""
    disabled: tuple[str, ...] = ()
    thresholds: dict[str, float] = Field(default_factory=dict)
    """``rule: threshold``, in the rule's unit."""


class MessageConfig(Strict):
    """Limits of one message, checked before it is decoded."""

    max_rows: int = Field(MessageLimits().max_rows, ge=1, le=100_000_000)
    """Rows of an Arrow stream or a JSON array; longer ones are rejected as a whole."""
    max_bytes: int = Field(MessageLimits().max_bytes, ge=1 << 20, le=1 << 30)
    """Size of a message, and of an Arrow stream after decompression."""
    max_letters: int = Field(MessageLimits().max_letters, ge=1, le=100_000)
    """Rejected rows of a message that become separate dead letters; the rest is counted."""

    @property
    def limits(self) -> MessageLimits:
        """The limits in the decoder's type."""
        return MessageLimits(**self.model_dump())


class KafkaConfig(Strict):
    """The cluster. TLS and SASL are configured by ``DRIFTLINE_KAFKA_*`` environment variables."""

    bootstrap: str = Field("127.0.0.1:9092", min_length=1)
    """``host:port``, several separated by commas."""
    prefix: str = ""
    """Prefix of every topic and group, so that installations can share a cluster."""
    session_timeout_us: PositiveDuration = Field(10 * SECOND_US, alias="session_timeout")
    """Time without heartbeats after which a worker's partitions are reassigned."""


class MonitorConfig(Strict):
    """The installation: ``driftline.yaml``."""

    kafka: KafkaConfig = KafkaConfig()

    store: str = "driftline-store"
    """Folder of the embedded store, or ``http(s)://host:port/database``."""
    baselines: str = "baselines"
    """Folder of baselines."""
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
        """Reject credentials in the store's URL, which would be logged."""
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
