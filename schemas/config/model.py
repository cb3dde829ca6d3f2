"""The config of a model, as written in ``models/<model>.yaml``."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import date
from enum import StrEnum
from functools import cache
from math import isqrt
from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    Field,
    SerializeAsAny,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)

from driftline.canonical import category_of_text
from driftline.times import TimeUnit
from schemas.baselines import Kind
from schemas.batch import ModelSchema
from schemas.config.kinds import KindConfig
from schemas.config.messages import shown, words_for
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
from schemas.labels import BOOLEAN_CLASSES, Task
from schemas.names import SCORE, field_fault, shown_name
from schemas.time_units import DAY_US, HOUR_US, MINUTE_US, SECOND_US
from schemas.time_zones import UTC_NAME

Place = tuple[str | int, ...]
"""Path of a setting."""
DEFAULT_RULE = 2
"""Decision rule of a model that names none; see :class:`DecisionConfig`."""
LONGEST_TICK_US = 5 * MINUTE_US
"""Of the ticks that are not given."""
DEFAULT_TARGET = "webhook"
"""Default kind of a retraining target."""
_RENAME = "give it a name, here and in the events"


class Importance(StrEnum):
    """Importance of a feature: only a ``high`` one pages, at the top rung."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


Bound = Annotated[float, Field(allow_inf_nan=True)]
"""A bound of a range; ``inf`` and ``-inf`` mean unbounded."""


class FeatureConfig(Strict):
    """One feature: kind, range and importance.

    ``note.length: {kind: numeric, of: note, derive: length}`` is derived from the text ``note``,
    which is neither monitored itself nor stored.
    """

    kind: Kind
    of: str = ""
    """The text or time from which this number is derived, if events do not have it."""
    derive: Quantity | None = None
    """The derived quantity."""
    importance: Importance = Importance.MEDIUM
    range: tuple[Bound, Bound] | None = None
    """For numeric features: values outside are counted as range violations."""
    smallest: Annotated[float, Field(gt=0, le=3)] | None = None
    """Rule 2: overrides ``decision.smallest``."""
    name_new_values: bool = True
    """For categorical features: name values that the reference lacks in panes and alerts.

    False for personal data: they are counted, and not named.
    """

    @model_serializer(mode="wrap")
    def _without_defaults(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out later settings that are not set: replays are named after their configs."""
        written: dict[str, Any] = write(self)
        if self.smallest is None:
            written.pop("smallest", None)
        if self.name_new_values:
            written.pop("name_new_values", None)
        return written


class WindowConfig(Strict):
    """Event-time settings of windows and panes."""

    pane_us: PositiveDuration = Field(10 * SECOND_US, alias="pane")
    length_us: PositiveDuration = Field(HOUR_US, alias="length")
    bound_us: Duration = Field(5 * SECOND_US, alias="bound")
    """How far events of one partition may be out of order."""
    lateness_us: Duration = Field(MINUTE_US, alias="lateness")
    idle_us: PositiveDuration = Field(30 * SECOND_US, alias="idle")
    max_skew_us: Duration = Field(5 * MINUTE_US, alias="max_skew")
    """An event whose time is further ahead of its record time is dead-lettered as ``future``."""


def default_tick_us(window: WindowConfig) -> int:
    """Return the longest tick of at most 5 minutes that windows are made of, and panes make up.

    Parameters
    ----------
    window : WindowConfig
        A pane longer than 5 minutes is a tick.

    Returns
    -------
    int
        Microseconds.

    Examples
    --------
    >>> default_tick_us(WindowConfig(length="100s")) // 1_000_000
    100
    """
    return _longest_tick_us(window.pane_us, window.length_us)


@cache
def _longest_tick_us(pane_us: int, length_us: int) -> int:
    """Return the default tick: it is asked for with every pane."""
    n_panes, limit = max(1, length_us // pane_us), max(1, LONGEST_TICK_US // pane_us)
    small = [k for k in range(1, min(limit, isqrt(n_panes)) + 1) if n_panes % k == 0]
    fitting = (k for d in small for k in (d, n_panes // d) if k <= limit)
    return pane_us * max(fitting, default=1)


class FleetBudget(Strict):
    """A budget of false alarms of all models together."""

    fleet: float = Field(gt=0)
    """Divided by the number of models."""


def _read_budget(value: Any) -> float | FleetBudget:
    """Read a number, or the budget of a fleet; problems are worded by what was written."""
    if isinstance(value, FleetBudget):
        return value
    try:
        if isinstance(value, dict):
            return FleetBudget.model_validate(value)
        number = float(value)
    except ValidationError as error:
        entries = error.errors(include_url=False)
        raise Misfit([p for e in entries for p in words_for(dict(e), FleetBudget)]) from None
    except (TypeError, ValueError):
        number = math.nan
    if not 0 < number < math.inf:
        what = f"{shown(value)} is not a number above 0"
        raise Misfit([Problem((), what, "write 0.1, or {fleet: 3}")])
    return number


Budget = Annotated[
    float | FleetBudget,
    BeforeValidator(
        _read_budget, json_schema_input_type=Annotated[float, Field(gt=0)] | FleetBudget
    ),
]
"""Incidents without cause a month: of one model, or of all together."""


class DecisionConfig(Strict):
    """Settings of the decision rule."""

    rule: int = Field(DEFAULT_RULE, ge=1, le=2)
    """1 judges windows; 2 judges ticks, over averages of six time constants."""
    budget: Budget | None = None
    """Incidents without cause a model and month of 730 hours, or ``{fleet: 3}``."""
    max_false_pages_per_month: float = Field(0.1, gt=0)
    """The older name of ``budget``; read where ``budget`` is not set."""
    smallest: float = Field(0.05, gt=0, le=3)
    """Rule 2: the smallest change that matters, in standard deviations, of a share Cohen's h."""
    tick_us: PositiveDuration | None = Field(None, alias="tick")
    """Rule 2: what is judged at once; see :attr:`ModelConfig.tick_us`."""
    eps: float = Field(0.02, ge=0, lt=0.5)
    phi: float | None = Field(None, ge=1)
    """Rule 1: declared design effect; overrides the estimate."""
    persistence: int = Field(2, ge=1, le=8)
    """Rule 1, m: evidence must be positive in at least m of the last 2m windows."""
    min_rows: int = Field(30, ge=1)
    """Rule 1: a cell with fewer rows in a window gets no verdict."""

    @model_serializer(mode="wrap")
    def _without_new_defaults(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out what rule 2 added, at its default: replays are named after their configs."""
        written: dict[str, Any] = write(self)
        for name, alias in _OF_RULE_2.items():
            if getattr(self, name) == type(self).model_fields[name].default:
                written.pop(alias, None)
        if self.budget is not None:
            written.pop("max_false_pages_per_month", None)
        return written

    def monthly_budget(self, n_models: int = 1) -> float:
        """Return the incidents without cause that one model may have a month.

        Parameters
        ----------
        n_models : int, optional
            Models of the installation, among which the budget of a fleet is divided.

        Examples
        --------
        >>> DecisionConfig(budget={"fleet": 3}).monthly_budget(30)
        0.1
        """
        if self.budget is None:
            return self.max_false_pages_per_month
        if isinstance(self.budget, FleetBudget):
            return self.budget.fleet / max(n_models, 1)
        return self.budget


_OF_RULE_2 = {"rule": "rule", "budget": "budget", "smallest": "smallest", "tick_us": "tick"}
"""Settings that rule 2 added, and how they are written."""


class CalendarConfig(Strict):
    """The clock and the holidays that traffic follows."""

    timezone: TimeZone | None = None
    """The same as ``timezone`` of the model."""
    holidays: tuple[date, ...] = ()
    """Days of that clock that are like a Sunday."""


class PipelineConfig(Strict):
    """Limits of missing events and verdicts, above which an alert opens."""

    max_rejected: float = Field(0.02, ge=0, le=1)
    """Share of rejected events above which drift verdicts are withheld and an alert opens.

    As large as ``decision.eps``, because omitting this share of rows can change other shares by as
    much. 1 disables the rule.
    """
    max_late: float = Field(0.05, ge=0, le=1)
    """The same for late events."""
    max_unjudged_windows: int = Field(24, ge=1)
    """Consecutive windows with rows and without any verdict after which an alert opens."""


class CanaryConfig(Strict):
    """A known shift, planted on a schedule into a shadow of one feature, to test detection."""

    feature: str = ""
    """Numeric feature; by default the first one."""
    shift: float = Field(0.5, ge=-10, le=10)
    """Shift in standard deviations of the reference."""
    every_us: PositiveDuration = Field(25 * HOUR_US, alias="every")
    """Not a day, so that planted windows cover all hours of the day in turn."""
    within: int = Field(12, ge=2, le=1000)
    """Number of windows with the shift, in which it must be detected."""


class SliceConfig(Strict):
    """Slices of the score by host and GPU."""

    host: bool = True
    gpu_uuid: bool = True
    expected: int = Field(32, ge=1)
    """Replicas counted in K, the number of declared cells."""


class ColumnsConfig(Strict):
    """Names of columns in Parquet, CSV and Arrow files, if they differ from the defaults."""

    time: str | None = None
    """Timestamps, ISO text, or numbers; ``driftline/times.py`` has all forms."""
    time_unit: TimeUnit | None = None
    """Unit of numeric times; by default derived from their magnitude."""
    record_time: str | None = None
    id: str | None = None
    score: str | None = None
    prediction: str | None = None
    host: str | None = None
    gpu_uuid: str | None = None
    model_version: str | None = None


class RetrainingConfig(KindConfig):
    """When a retraining is requested; ``kind`` selects the target, a webhook by default.

    ``monitor.notify.retraining`` has one subclass per kind of target, with its own settings.
    """

    kind: str = DEFAULT_TARGET
    on: tuple[Literal["page", "ticket"], ...] = ("page",)
    features: tuple[str, ...] = ()
    """Only drift of these features; empty means any."""
    wait_us: Duration = Field(10 * MINUTE_US, alias="wait")
    """How long to wait for a hardware cause before the request."""
    cooldown_us: Duration = Field(DAY_US, alias="cooldown")

    @model_serializer(mode="wrap")
    def _without_default_kind(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Omit the default kind, so that run IDs of replays, which hash configs, stay the same."""
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
    task: Task | None = None
    """What the model predicts: which labels are accepted depends on it."""
    classes: tuple[str, ...] = ()
    """Classes of the model; a label of another class is rejected."""
    segments: tuple[str, ...] = ()
    """Names in the events' ``segments``, or names of features, whose values are then segments."""
    slices: SliceConfig = SliceConfig()
    protected: tuple[str, ...] = ()
    """Segments whose positive rates are compared (demographic parity, disparate impact)."""
    window: WindowConfig = WindowConfig()
    decision: DecisionConfig = DecisionConfig()
    pipeline: PipelineConfig = PipelineConfig()
    canary: CanaryConfig | None = None
    """``canary: {}`` plants a shift of .5 sd into the first numeric feature every 25 hours."""
    columns: ColumnsConfig = ColumnsConfig()
    verbatim: tuple[str, ...] = ()
    """Features, segments or ``prediction`` whose texts are used unconverted as categories.

    "NA" is then a category (Namibia), and "1.10" differs from "1.1". See
    ``driftline/canonical.py``.
    """
    timezone: TimeZone | None = None
    """IANA time zone of the traffic, for hours of the week and derived hours.

    By default UTC, in which the hours of the week shift when local clocks change.
    """
    calendar: CalendarConfig | None = None
    routes: tuple[RouteConfig, ...] = ()
    retraining: SerializeAsAny[RetrainingConfig] | None = None

    @property
    def tick_us(self) -> int:
        """Rule 2: what is judged at once; 5 minutes, or what fits windows and panes.

        Examples
        --------
        >>> features, window = {"x": {"kind": "numeric"}}, {"length": "7m"}
        >>> ModelConfig(model="m", features=features, window=window).tick_us // 1_000_000
        210
        """
        own = self.decision.tick_us
        return default_tick_us(self.window) if own is None else own

    @model_validator(mode="before")
    @classmethod
    def _zone_of_calendar(cls, data: Any) -> Any:
        """Take the time zone of the calendar for that of the model, where only it is given."""
        calendar = data.get("calendar") if isinstance(data, dict) else None
        if not isinstance(calendar, dict) or data.get("timezone") is not None:
            return data
        zone = calendar.get("timezone")
        return data if zone is None else {**data, "timezone": zone}

    @model_serializer(mode="wrap")
    def _without_new_settings(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out later settings that are not set: replays are named after their configs."""
        written: dict[str, Any] = write(self)
        if self.calendar is None:
            written.pop("calendar", None)
        for name in ("task", "classes"):
            if not getattr(self, name):
                written.pop(name, None)
        return written

    @model_validator(mode="after")
    def _fits_together(self) -> ModelConfig:
        """Check the consistency of fields."""
        problems = [
            *self._name_problems(),
            *self._feature_problems(),
            *self._segment_problems(),
            *self._window_problems(),
            *self._tick_problems(),
            *self._canary_problems(),
            *self._verbatim_problems(),
            *self._class_problems(),
        ]
        if problems:
            raise Misfit(problems)
        return self

    def _name_problems(self) -> Iterator[Problem]:
        """Return problems of names that events cannot contain."""
        named: list[tuple[Place, str]] = [(("features", name), name) for name in self.features]
        named += [(("features", n, "of"), f.of) for n, f in self.features.items() if f.of]
        named += [(("segments", i), name) for i, name in enumerate(self.segments) if name]
        for at, name in named:
            if fault := field_fault(name):
                yield Problem(at, f"the name {shown_name(name)} {fault}", _RENAME)

    def _feature_problems(self) -> Iterator[Problem]:
        """Return problems of features: names, ranges, and references to them."""
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
            if not feature.name_new_values and feature.kind is not Kind.CATEGORICAL:
                yield Problem(
                    ("features", name, "name_new_values"),
                    "only a categorical feature has new values",
                    "remove it, or set kind: categorical",
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
        """Return problems of a derived feature: it must be numeric, and its source must not be."""
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
        """Return problems of segments, which must be unique, categorical, and include protected."""
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
        """Return problems of windows: they must be multiples of the pane."""
        length_us, pane_us = self.window.length_us, self.window.pane_us
        if length_us % pane_us:
            length, pane = format_duration(length_us), format_duration(pane_us)
            yield Problem(
                ("window", "length"),
                f"{length} is not a multiple of the pane, {pane}",
                "change window.length or window.pane",
            )

    def _tick_problems(self) -> Iterator[Problem]:
        """Ticks are made of whole panes, windows of whole ticks; one zone, one budget."""
        decision, window = self.decision, self.window
        is_older = "max_false_pages_per_month" in decision.model_fields_set
        if decision.budget is not None and is_older:
            yield Problem(
                ("decision", "budget"),
                "max_false_pages_per_month is given too, and is the same setting",
                "keep budget",
            )
        zone = self.calendar.timezone if self.calendar is not None else None
        if zone not in (None, self.timezone):
            yield Problem(
                ("calendar", "timezone"),
                f"{zone} is not the timezone of the model, {self.timezone}",
                "keep one of them",
            )
        if decision.rule != 2:
            return
        tick, pane = format_duration(self.tick_us), format_duration(window.pane_us)
        if window.pane_us > HOUR_US:
            yield Problem(
                ("window", "pane"),
                f"ticks of rule 2 are at most 1h, and panes of {pane} are longer",
                "use a shorter pane, or set decision.rule: 1",
            )
        elif self.tick_us > HOUR_US or self.tick_us % window.pane_us:
            yield Problem(
                ("decision", "tick"),
                f"{tick} is not a multiple of the pane, {pane}, of at most 1h",
                "leave it out",
            )
        if window.length_us % self.tick_us and not window.length_us % window.pane_us:
            yield Problem(
                ("decision", "tick"),
                f"windows of {format_duration(window.length_us)} are not made of ticks of {tick}",
                "change decision.tick or window.length",
            )

    def _canary_problems(self) -> Iterator[Problem]:
        """Return problems of the canary, which needs a numeric feature, a shift, and pauses."""
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
        """Return problems of ``verbatim``: its columns must be text."""
        texts = {n for n, f in self.features.items() if f.kind is Kind.CATEGORICAL}
        for i, name in enumerate(self.verbatim):
            if name not in {*texts, *self.segments, "prediction"}:
                yield Problem(
                    ("verbatim", i),
                    f"{name!r} is not a categorical feature, a segment or prediction",
                    "name one of these, or remove it",
                )

    def _class_problems(self) -> Iterator[Problem]:
        """Return problems of the task and its classes."""
        if self.task is not None and self.task.has_numeric_labels and self.classes:
            yield Problem(("classes",), f"a {self.task} model has none", "remove classes")
        if self.task is Task.MULTICLASS and len(self.classes) < 2:
            yield Problem(("task",), "a multiclass model has two or more classes", "list classes")
        if self.task is Task.BINARY and self.classes and len(self.classes) != 2:
            yield Problem(("classes",), "a binary model has two", "list both classes")
        for i, name in enumerate(self.classes):
            if name in self.classes[:i]:
                yield Problem(("classes", i), f"{name!r} is listed twice", "remove one")
        if self.positive and self.classes and self.positive not in self.classes:
            yield Problem(
                ("positive",), f"{self.positive!r} is not in classes", "use one of the classes"
            )

    @property
    def label_classes(self) -> frozenset[str]:
        """Classes that labels may have, in canonical form; empty if any is accepted.

        Examples
        --------
        >>> ModelConfig(model="m", features={"x": {"kind": "numeric"}}).label_classes
        frozenset()
        """
        if self.classes:
            return frozenset((*self.classes, *(category_of_text(c) or c for c in self.classes)))
        is_boolean = self.task is Task.BINARY and self.positive in ("", *BOOLEAN_CLASSES)
        return frozenset(BOOLEAN_CLASSES if is_boolean else ())

    @property
    def n_variables(self) -> int:
        """How many variables ``schema_`` has: all features, and the score."""
        return len(self.features) + 1

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
            unnamed=tuple(n for n, f in kinds if not f.name_new_values),
        )
