"""What producers send: predictions, labels, GPU telemetry.

These types are the wire contract; ``schemas/json/*.schema.json`` is generated
from them. A model's own features are checked against its config by
``monitor.decode``, which derives a stricter type per model.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

MAX_EVENT_BYTES = 1 << 20
"""An event longer than this is dead-lettered as ``oversized``."""

MAX_VALUE_CHARS = 512
"""Of a model version, a segment's value, host or GPU: a longer one is counted as ``other``; in
GPU telemetry it is refused."""

DEFAULT_TENANT = "default"


class PredictionEvent(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One prediction: what a model saw and what it said.

    Unknown fields and features the model's config does not name are ignored.
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
    """The decided class, as text."""
    host: str | None = None
    gpu_uuid: str | None = None


class LabelEvent(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What later proved true of the prediction with the same ``id``."""

    id: str
    model: str
    time_us: int
    label: float | str
    tenant: str = DEFAULT_TENANT


class GpuEvent(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One sample, or one XID, of one GPU. Keyed on ``gpu_uuid``.

    With an empty ``gpu_uuid``, no fields and no XID it is a sign of life of the host.

    ``fields`` uses the names of ``monitor.core.gpu_rules`` (DCGM's, lower case,
    without the ``DCGM_FI_DEV_`` prefix). An XID is an event with a sequence
    number, never a gauge: the same code twice is two events.
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
    def is_sign_of_life(self) -> bool:
        """Whether it says of no GPU anything, only that its host is alive."""
        return not (self.gpu_uuid or self.fields or self.xid is not None)


class RejectReason(StrEnum):
    """Why an event was dead-lettered. Counted one by one, by this name."""

    MALFORMED = "malformed"
    """Not JSON, or not a JSON object."""
    INVALID_UTF8 = "invalid_utf8"
    MISTYPED = "mistyped"
    """A field of the wrong type, a number out of range, a required field missing."""
    OVERSIZED = "oversized"
    """Larger than what is read of one event or one message: bytes, rows, columns."""
    UNKNOWN_MODEL = "unknown_model"
    FUTURE = "future"
    """Stamped further ahead of its record time than the allowed skew."""
    UNSUPPORTED = "unsupported"
    """An Arrow stream or envelope that cannot be read as events."""
    DECODER_FAILED = "decoder_failed"
    """The decoder raised an error it does not raise by design: a fault of Driftline."""


class Reject(msgspec.Struct, frozen=True):
    """One event that was not accepted, and where it came from in its chunk."""

    message: int
    """Index of the message within the decoded chunk."""
    row: int
    """Row within the message (JSON array, Arrow batch); 0 for a single event."""
    reason: RejectReason
    detail: str
    """Names the field and what was wrong with it; never more than 500 characters."""
    payload: bytes
    """The original bytes, whole (the dead letter keeps 512 KiB): of the message, of its
    row where it is a JSON array, or an Arrow stream of its one row."""
    tenant: str = ""
    model: str = ""
    """Filled where they could be read."""
    n_events: int = 1
    """How many events it stands for. Beyond the first ``messages.max_letters`` of a message,
    those of one model and reason share a reject, at the row of the first of them."""
    time_us: int | None = None
    """Event time; None where it could not be read."""

    @property
    def has_known_model(self) -> bool:
        """Whether the event belongs to a configured model."""
        return bool(self.model) and self.reason is not RejectReason.UNKNOWN_MODEL
