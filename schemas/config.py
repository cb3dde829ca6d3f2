"""A model's config and the monitor's config, as written in YAML.

``monitor.cli`` and ``monitor.wiring`` read these; ``schemas.config_file`` loads
them and names file, line and field of everything wrong.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from schemas.batch import ModelSchema
from schemas.events import DEFAULT_TENANT
from schemas.profiles import Kind

_UNITS_US = {
    "us": 1,
    "ms": 1_000,
    "s": 1_000_000,
    "m": 60_000_000,
    "h": 3_600_000_000,
    "d": 86_400_000_000,
}
_DURATION = re.compile(r"(\d+)\s*(us|ms|s|m|h|d)")

PANE_US = 10_000_000
HOUR_US = 3_600_000_000


def parse_duration_us(value: object) -> int:
    """Turn ``"90s"``, ``"1h"`` or ``"1h 30m"`` into microseconds.

    Examples
    --------
    >>> parse_duration_us("1h 30m")
    5400000000
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    text = str(value).strip()
    if not text or _DURATION.sub("", text).strip():
        raise ValueError(f"{value!r} is not a duration; write 10s, 5m, 1h, 1h 30m")
    return sum(int(n) * _UNITS_US[unit] for n, unit in _DURATION.findall(text))


Duration = Annotated[int, BeforeValidator(parse_duration_us)]
"""Microseconds; written as ``10s``, ``1h`` in YAML."""
PositiveDuration = Annotated[int, BeforeValidator(parse_duration_us), Field(gt=0)]


class Importance(StrEnum):
    """How much a feature matters: the top rung on a ``high`` one pages."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


class Strict(BaseModel):
    """No unknown keys, immutable."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class FeatureConfig(Strict):
    """One feature: how it is binned and how much it matters."""

    kind: Kind
    importance: Importance = Importance.MEDIUM
    range: tuple[float, float] | None = None
    """Numeric: values outside are counted as a range violation."""


class WindowConfig(Strict):
    """Event-time settings; the defaults are the design's."""

    pane: PositiveDuration = PANE_US
    length: PositiveDuration = HOUR_US
    bound: Duration = 5_000_000
    """How far events of one partition may be out of order."""
    lateness: Duration = 60_000_000
    idle: PositiveDuration = 30_000_000
    max_skew: Duration = 300_000_000
    """An event stamped further ahead of its record time is dead-lettered as ``future``."""


class DecisionConfig(Strict):
    """The default rule's settings."""

    max_false_pages_per_month: float = Field(0.1, gt=0)
    eps: float = Field(0.02, ge=0, lt=0.5)
    phi: float | None = Field(None, ge=1)
    """Declared cluster size; overrides the estimate."""
    persistence: int = Field(2, ge=1, le=8)
    """m: positive in at least m of the last 2m windows."""
    min_rows: int = Field(30, ge=1)
    """A cell with fewer rows in a window gets no verdict."""


class SliceConfig(Strict):
    """Slices of the score by where it was computed."""

    host: bool = True
    gpu_uuid: bool = True
    expected: int = Field(32, ge=1)
    """Replicas counted in K, the number of declared cells."""


class ColumnsConfig(Strict):
    """Names of the columns in Parquet, CSV and Arrow files, where they are not ours."""

    time: str | None = None
    """Timestamp, ISO text, or integer microseconds."""
    record_time: str | None = None
    id: str | None = None
    score: str | None = None
    prediction: str | None = None
    host: str | None = None
    gpu_uuid: str | None = None
    model_version: str | None = None


class RetrainingConfig(Strict):
    """When a retraining is asked for, and of whom."""

    url_env: str
    """Environment variable that holds the webhook's URL."""
    secret_env: str | None = None
    """Environment variable that holds the HMAC key."""
    on: tuple[Literal["page", "ticket"], ...] = ("page",)
    features: tuple[str, ...] = ()
    """Only drift of these features; empty means any."""
    wait: Duration = 600_000_000
    """How long to wait for a hardware cause to show before asking."""
    cooldown: Duration = 86_400_000_000


class RouteConfig(Strict):
    """First match wins; without a match every receiver of the monitor is told."""

    severity: tuple[Literal["page", "ticket", "record"], ...] = ("page", "ticket")
    cause: tuple[Literal["data", "hardware", "model", "pipeline"], ...] = ()
    receivers: tuple[str, ...]


class ModelConfig(Strict):
    """One model: ``models/<name>.yaml``."""

    model: str = Field(min_length=1, max_length=200)
    tenant: str = DEFAULT_TENANT
    features: dict[str, FeatureConfig] = Field(min_length=1)
    score_importance: Importance = Importance.HIGH
    positive: str = ""
    """The predicted class counted as positive."""
    segments: tuple[str, ...] = ()
    """Names in the events' ``segments``; a feature's name makes a segment of that feature."""
    slices: SliceConfig = SliceConfig()
    protected: tuple[str, ...] = ()
    """Segments whose positive rates are compared (demographic parity, disparate impact)."""
    window: WindowConfig = WindowConfig()
    decision: DecisionConfig = DecisionConfig()
    columns: ColumnsConfig = ColumnsConfig()
    routes: tuple[RouteConfig, ...] = ()
    retraining: RetrainingConfig | None = None

    @model_validator(mode="after")
    def _fits_together(self) -> ModelConfig:
        """Check what no single field can know."""
        unknown = [name for name in self.protected if name not in self.segments]
        if unknown:
            raise ValueError(f"protected: {unknown[0]!r} is not in segments; add it there")
        if self.window.length % self.window.pane:
            raise ValueError("window.length must be a multiple of window.pane")
        if self.window.length <= self.window.pane and self.window.length != self.window.pane:
            raise ValueError("window.length must not be shorter than window.pane")
        for name in ("score",):
            if name in self.features:
                raise ValueError(
                    "a feature cannot be called 'score': the model's score has that name"
                )
        return self

    @property
    def schema_(self) -> ModelSchema:
        """Columns of this model's events."""
        kinds = self.features.items()
        return ModelSchema(
            tenant=self.tenant,
            model=self.model,
            numeric=tuple(n for n, f in kinds if f.kind is Kind.NUMERIC),
            categorical=tuple(n for n, f in kinds if f.kind is Kind.CATEGORICAL),
            segments=self.segments,
        )


class ReceiverConfig(Strict):
    """Where notifications go. Secrets only from environment variables, by name."""

    kind: Literal["console", "slack", "webhook"]
    url_env: str | None = None
    """webhook: environment variable with the URL."""
    secret_env: str | None = None
    """webhook: environment variable with the HMAC key."""
    token_env: str | None = None
    """slack: environment variable with the bot token."""
    channel: str | None = None
    """slack: channel id."""

    @model_validator(mode="after")
    def _has_what_its_kind_needs(self) -> ReceiverConfig:
        """Name the setting that is missing."""
        needs = {"webhook": ("url_env",), "slack": ("token_env", "channel"), "console": ()}
        for name in needs[self.kind]:
            if getattr(self, name) is None:
                raise ValueError(f"a {self.kind} receiver needs {name}")
        return self


class GpuConfig(Strict):
    """GPU rules: what may be overridden by name."""

    interval: PositiveDuration = 30_000_000
    """How often each GPU reports."""
    disabled: tuple[str, ...] = ()
    thresholds: dict[str, float] = {}
    """``rule: threshold``, in the rule's own unit."""


class MonitorConfig(Strict):
    """The installation: ``driftline.yaml``."""

    store: str = "driftline-store"
    """Folder of the embedded store, or ``http(s)://host:port/database``."""
    baselines: str = "baselines"
    """Folder of built baselines."""
    models: tuple[str, ...] = ()
    """Model files, relative to this file; globs are allowed."""
    receivers: dict[str, ReceiverConfig] = {"console": ReceiverConfig(kind="console")}
    gpu: GpuConfig = GpuConfig()
    group_wait: Duration = 30_000_000
    repeat_interval: Duration = 14_400_000_000
