"""The config of a model, as written in ``models/<model>.yaml``."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import (
    Field,
    SerializeAsAny,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from driftline.times import TimeUnit
from schemas.baselines import Kind
from schemas.batch import ModelSchema
from schemas.config.kinds import KindConfig
from schemas.config.values import (
    Duration,
    Misfit,
    PositiveDuration,
    Problem,
    Strict,
    TimeZone,
    format_duration,
)
from schemas.config.values import parse_duration_us as parse_duration_us
from schemas.derived import Derived, Quantity
from schemas.events import DEFAULT_TENANT
from schemas.names import SCORE, field_fault, shown_name
from schemas.time_units import DAY_US, HOUR_US, MINUTE_US, SECOND_US
from schemas.time_zones import UTC_NAME

Place = tuple[str | int, ...]
"""Path of a setting."""
DEFAULT_TARGET = "webhook"
"""Kind of a retraining target that names none."""
_RENAME = "give it a name, here and in the events"


class Importance(StrEnum):
    """Importance of a feature: only a ``high`` one pages, at the top rung."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


Bound = Annotated[float, Field(allow_inf_nan=True)]
"""An end of a range; ``inf`` and ``-inf`` leave it open."""


class FeatureConfig(Strict):
    """One feature: how it is binned and how much it matters.

    ``note.length: {kind: numeric, of: note, derive: length}`` is made of the text ``note``,
    which is not monitored itself, nor kept.
    """

    kind: Kind
    of: str = ""
    """The text or time that this number is made of, where events do not bring it."""
    derive: Quantity | None = None
    """What is made of it."""
    importance: Importance = Importance.MEDIUM
    range: tuple[Bound, Bound] | None = None
    """Numeric: values outside are counted as a range violation."""


class WindowConfig(Strict):
    """Event-time settings of windows and panes."""

    pane_us: PositiveDuration = Field(10 * SECOND_US, alias="pane")
    length_us: PositiveDuration = Field(HOUR_US, alias="length")
    bound_us: Duration = Field(5 * SECOND_US, alias="bound")
    """How far events of one partition may be out of order."""
    lateness_us: Duration = Field(MINUTE_US, alias="lateness")
    idle_us: PositiveDuration = Field(30 * SECOND_US, alias="idle")
    max_skew_us: Duration = Field(5 * MINUTE_US, alias="max_skew")
    """An event stamped further ahead of its record time is dead-lettered as ``future``."""


class DecisionConfig(Strict):
    """Settings of the decision rule."""

    max_false_pages_per_month: float = Field(0.1, gt=0)
    eps: float = Field(0.02, ge=0, lt=0.5)
    phi: float | None = Field(None, ge=1)
    """Declared cluster size; overrides the estimate."""
    persistence: int = Field(2, ge=1, le=8)
    """m: positive in at least m of the last 2m windows."""
    min_rows: int = Field(30, ge=1)
    """A cell with fewer rows in a window gets no verdict."""


class PipelineConfig(Strict):
    """Limits beyond which missing events or verdicts of a model open an alert."""

    max_rejected: float = Field(0.02, ge=0, le=1)
    """Share of rejected events beyond which drift verdicts are withheld and an alert opens.
    As large as ``decision.eps``: leaving out so many rows moves a share of the others as far.
    1 turns it off."""
    max_late: float = Field(0.05, ge=0, le=1)
    """The same for events that came after their pane was final."""
    max_unjudged_windows: int = Field(24, ge=1)
    """Windows with rows and without any verdict, one after the other, before an alert opens."""


class CanaryConfig(Strict):
    """A known shift, planted on a schedule into a shadow of one feature, to test detection."""

    feature: str = ""
    """Numeric; by default the first one."""
    shift: float = Field(0.5, ge=-10, le=10)
    """In standard deviations of the reference."""
    every_us: PositiveDuration = Field(25 * HOUR_US, alias="every")
    """Not a day: so the planted windows walk through the hours of the day."""
    within: int = Field(12, ge=2, le=1000)
    """Windows that it is planted for, and in which it has to be found."""


class SliceConfig(Strict):
    """Slices of the score by where it was computed."""

    host: bool = True
    gpu_uuid: bool = True
    expected: int = Field(32, ge=1)
    """Replicas counted in K, the number of declared cells."""


class ColumnsConfig(Strict):
    """Names of columns in Parquet, CSV and Arrow files, if they differ from the defaults."""

    time: str | None = None
    """Timestamps, ISO text, or numbers; ``driftline/times.py`` has all forms."""
    time_unit: TimeUnit | None = None
    """Of times that are numbers; by default their magnitude decides."""
    record_time: str | None = None
    id: str | None = None
    score: str | None = None
    prediction: str | None = None
    host: str | None = None
    gpu_uuid: str | None = None
    model_version: str | None = None


class RetrainingConfig(KindConfig):
    """When a retraining is requested; ``kind`` chooses the target, a webhook by default.

    ``monitor.notify.retraining`` has one subclass per kind of target, with its own settings.
    """

    kind: str = DEFAULT_TARGET
    on: tuple[Literal["page", "ticket"], ...] = ("page",)
    features: tuple[str, ...] = ()
    """Only drift of these features; empty means any."""
    wait_us: Duration = Field(10 * MINUTE_US, alias="wait")
    """How long to wait for a hardware cause to show before asking."""
    cooldown_us: Duration = Field(DAY_US, alias="cooldown")

    @model_serializer(mode="wrap")
    def _without_default_kind(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out the default kind: replays are named after their configs, as before kinds."""
        written: dict[str, Any] = write(self)
        if self.kind == DEFAULT_TARGET:
            written.pop("kind", None)
        return written


class RouteConfig(Strict):
    """First match wins; without a match every receiver of the monitor is notified."""

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
    pipeline: PipelineConfig = PipelineConfig()
    canary: CanaryConfig | None = None
    """``canary: {}`` plants .5 sd into the first numeric feature every 25 hours."""
    columns: ColumnsConfig = ColumnsConfig()
    verbatim: tuple[str, ...] = ()
    """Features, segments or ``prediction`` whose texts are categories exactly as they are:
    "NA" is one (Namibia), "1.10" is not "1.1". See ``driftline/canonical.py``."""
    timezone: TimeZone | None = None
    """The clock that traffic follows, by its IANA name: hours of the week and derived hours
    are those of this clock, with daylight saving. Without it they are UTC's, and hours of
    the week may be off by one where clocks changed since the reference."""
    routes: tuple[RouteConfig, ...] = ()
    retraining: SerializeAsAny[RetrainingConfig] | None = None

    @model_validator(mode="after")
    def _fits_together(self) -> ModelConfig:
        """Check what no single field can know."""
        problems = [
            *self._name_problems(),
            *self._feature_problems(),
            *self._segment_problems(),
            *self._window_problems(),
            *self._canary_problems(),
            *self._verbatim_problems(),
        ]
        if problems:
            raise Misfit(problems)
        return self

    def _name_problems(self) -> Iterator[Problem]:
        """Names that no event can bring."""
        named: list[tuple[Place, str]] = [(("features", name), name) for name in self.features]
        named += [(("features", n, "of"), f.of) for n, f in self.features.items() if f.of]
        named += [(("segments", i), name) for i, name in enumerate(self.segments) if name]
        for at, name in named:
            if fault := field_fault(name):
                yield Problem(at, f"the name {shown_name(name)} {fault}", _RENAME)

    def _feature_problems(self) -> Iterator[Problem]:
        """Names and ranges of features, and what refers to them."""
        for name, feature in self.features.items():
            if name == SCORE:
                yield Problem(
                    ("features", name),
                    "a feature cannot be called 'score': the model's score has that name",
                    "rename the feature",
                )
            yield from self._derivation_problems(name, feature)
            if feature.range is not None and feature.kind is not Kind.NUMERIC:
                yield Problem(
                    ("features", name, "range"),
                    "only a numeric feature has a range",
                    "remove it, or set kind: numeric",
                )
            if feature.range is not None and not feature.range[0] < feature.range[1]:
                low, high = feature.range
                yield Problem(
                    ("features", name, "range"),
                    f"[{low:g}, {high:g}] is empty",
                    "write [lowest, highest]",
                )
        for i, name in enumerate(self.retraining.features if self.retraining else ()):
            if name not in self.features and name != SCORE:
                yield Problem(
                    ("retraining", "features", i),
                    f"{name!r} is not a feature of this model",
                    "use a name listed under features, or score",
                )

    def _derivation_problems(self, name: str, feature: FeatureConfig) -> Iterator[Problem]:
        """A derived feature is a number, made of something that is none."""
        if bool(feature.of) != (feature.derive is not None):
            missing = "derive" if feature.of else "of"
            yield Problem(
                ("features", name, missing),
                "is missing",
                "name both: {kind: numeric, of: note, derive: length}",
            )
        elif feature.of and feature.kind is not Kind.NUMERIC:
            yield Problem(("features", name, "kind"), "is derived, a number", "set kind: numeric")
        source = self.features.get(feature.of) if feature.of else None
        if source is not None and source.kind is Kind.NUMERIC:
            yield Problem(
                ("features", name, "of"),
                f"{feature.of!r} is a number itself",
                "name a text or a time of the events",
            )

    def _segment_problems(self) -> Iterator[Problem]:
        """Segments are listed once, categorical, and hold what is protected."""
        for i, name in enumerate(self.segments):
            if name in self.segments[:i]:
                yield Problem(("segments", i), f"{name!r} is listed twice", "remove one")
            if not name or "=" in name or name == "*":
                yield Problem(
                    ("segments", i), f"{name!r} cannot name a segment", "use letters, digits, _ . -"
                )
            if name in self.features and self.features[name].kind is Kind.NUMERIC:
                yield Problem(
                    ("segments", i),
                    f"{name!r} is a numeric feature, and a segment needs categories",
                    "set its kind to categorical, or send a banded value in the events' segments",
                )
        for i, name in enumerate(self.protected):
            if name not in self.segments:
                yield Problem(
                    ("protected", i), f"{name!r} is not in segments", "add it to segments"
                )
        if self.protected and not self.positive:
            yield Problem(
                ("protected",),
                "rates of the positive class are compared, and positive is not set",
                "set positive to the predicted class that counts as positive",
            )

    def _window_problems(self) -> Iterator[Problem]:
        """Windows are made of whole panes."""
        length_us, pane_us = self.window.length_us, self.window.pane_us
        if length_us % pane_us:
            length, pane = format_duration(length_us), format_duration(pane_us)
            yield Problem(
                ("window", "length"),
                f"{length} is not a multiple of the pane, {pane}",
                "change window.length or window.pane",
            )

    def _canary_problems(self) -> Iterator[Problem]:
        """A canary has a numeric feature, a size, and quiet windows between its shifts."""
        canary = self.canary
        if canary is None:
            return
        numeric = [n for n, f in self.features.items() if f.kind is Kind.NUMERIC]
        if canary.feature not in (numeric if canary.feature else numeric and [""]):
            yield Problem(
                ("canary", "feature"),
                f"{canary.feature!r} is not a numeric feature of this model",
                f"use one of {', '.join(numeric)}" if numeric else "remove canary",
            )
        if canary.shift == 0:
            yield Problem(("canary", "shift"), "0 is no shift", "use 0.5, or remove it")
        if canary.every_us // self.window.length_us <= canary.within:
            yield Problem(
                ("canary", "every"),
                f"{format_duration(canary.every_us)} has no more than {canary.within} windows of "
                f"{format_duration(self.window.length_us)}: it would be planted all the time",
                "make every longer, or within smaller",
            )

    def _verbatim_problems(self) -> Iterator[Problem]:
        """What is kept verbatim is text."""
        texts = {n for n, f in self.features.items() if f.kind is Kind.CATEGORICAL}
        for i, name in enumerate(self.verbatim):
            if name not in {*texts, *self.segments, "prediction"}:
                yield Problem(
                    ("verbatim", i),
                    f"{name!r} is not a categorical feature, a segment or prediction",
                    "name one of these, or remove it",
                )

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
            derived=tuple(
                Derived(n, f.of, f.derive, self.timezone or UTC_NAME)
                for n, f in kinds
                if f.derive is not None
            ),
            verbatim=self.verbatim,
        )
