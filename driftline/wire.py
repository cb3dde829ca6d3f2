"""Types of events that producers send: predictions, labels, GPU telemetry.

These types are the wire contract; ``schemas/json/*.schema.json`` is generated from them.
"""

from __future__ import annotations

import msgspec

MAX_EVENT_BYTES = 1 << 20
"""An event longer than this is dead-lettered as ``oversized``."""

DEFAULT_TENANT = "default"


class PredictionEvent(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One prediction: the features a model received, and its output.

    Unknown fields and features that are not in the model's config are ignored.
    A feature that is absent, null, NaN or infinite is *missing*.
    """

    model: str
    time_us: int
    """Event time, microseconds UTC since 1970."""
    id: str | None = None
    """Joins labels; ``source:partition:offset:row`` when absent."""
    tenant: str = DEFAULT_TENANT
    model_version: str = ""
    features: dict[str, float | int | str | bool | None] = {}
    segments: dict[str, str | None] = {}
    score: float | None = None
    """Probability of the positive class, or the regression's output."""
    prediction: str | None = None
    """The predicted class, as text."""
    host: str | None = None
    gpu_uuid: str | None = None


class LabelEvent(msgspec.Struct, kw_only=True, omit_defaults=True):
    """The observed outcome of the prediction with the same ``id``.

    A label may carry what is known of its prediction. With ``prediction_time_us`` and a score,
    scores or a prediction it is complete: the prediction is not looked up. With the time only, it
    is looked up at that time; without, it is searched for.
    """

    id: str
    """Of the prediction."""
    model: str
    time_us: int
    """When the outcome became known, microseconds UTC since 1970."""
    label: float | str
    tenant: str = DEFAULT_TENANT
    prediction_time_us: int | None = None
    """Event time of the prediction."""
    model_version: str | None = None
    """Of the prediction; absent for every version that predicted this id."""
    score: float | None = None
    scores: dict[str, float] = {}
    """Score of each class, multiclass models."""
    prediction: str | None = None
    segments: dict[str, str | None] = {}
    group: str | None = None
    """The list that the prediction was ranked in, ranking models."""
    host: str | None = None
    gpu_uuid: str | None = None


class GpuEvent(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One sample, or one XID, of one GPU. Keyed on ``gpu_uuid``.

    With an empty ``gpu_uuid``, no fields and no XID it is host activity.

    ``fields`` uses DCGM's names, in lower case and without the ``DCGM_FI_DEV_`` prefix.
    An XID is an event with a sequence number, never a gauge: the same code twice is two
    events.
    """

    host: str
    gpu_uuid: str
    time_us: int
    tenant: str = DEFAULT_TENANT
    gpu: int | None = None
    gpu_model: str = ""
    driver_version: str = ""
    fields: dict[str, float | int | None] = {}
    xid: int | None = None
    xid_sequence: int | None = None

    @property
    def is_host_activity(self) -> bool:
        """Whether the event only reports that its host is alive."""
        return not (self.gpu_uuid or self.fields or self.xid is not None)
