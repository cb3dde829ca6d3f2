"""Events that producers send, and rejects: events that were not accepted.

The event types are defined in ``driftline/wire.py``, for the SDK. A model's own features are
checked against its config by ``monitor.decode``, which derives a stricter type per model.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from driftline.wire import DEFAULT_TENANT as DEFAULT_TENANT
from driftline.wire import MAX_EVENT_BYTES as MAX_EVENT_BYTES
from driftline.wire import GpuEvent as GpuEvent
from driftline.wire import LabelEvent as LabelEvent
from driftline.wire import PredictionEvent as PredictionEvent

MAX_VALUE_CHARS = 512
"""Of a model version, a segment's value, host or GPU: a longer one is counted as ``other``; in
GPU telemetry it is refused."""


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
    """The decoder raised an error it does not raise by design: a bug in Driftline."""


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
    """How many events it represents. Beyond the first ``messages.max_letters`` of a message,
    those of one model and reason share a reject, at the row of the first of them."""
    time_us: int | None = None
    """Event time; None where it could not be read."""

    @property
    def has_known_model(self) -> bool:
        """Whether the event belongs to a configured model."""
        return bool(self.model) and self.reason is not RejectReason.UNKNOWN_MODEL
