"""Types of events, and of rejected events.

The event types are defined in ``driftline/wire.py``, for the SDK. A model's features are validated
against its config by ``monitor.decode``, with a stricter type per model.
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
"""Maximum length of a model version, segment value, host or GPU.

Longer ones are counted as ``other``; in GPU telemetry they are rejected.
"""


class RejectReason(StrEnum):
    """Reason why an event was rejected; the name of its counter."""

    MALFORMED = "malformed"
    """Not JSON, or not a JSON object."""
    INVALID_UTF8 = "invalid_utf8"
    MISTYPED = "mistyped"
    """A field of the wrong type, a number out of range, a required field missing."""
    OVERSIZED = "oversized"
    """Larger than the limits of an event or a message: bytes, rows, columns."""
    UNKNOWN_MODEL = "unknown_model"
    FUTURE = "future"
    """Event time further ahead of the record time than the allowed skew."""
    UNSUPPORTED = "unsupported"
    """An Arrow stream or envelope that cannot be decoded as events."""
    DECODER_FAILED = "decoder_failed"
    """The decoder raised an unexpected error: a bug in Driftline."""


class Reject(msgspec.Struct, frozen=True):
    """One rejected event, with its position in the chunk."""

    message: int
    """Index of the message within the decoded chunk."""
    row: int
    """Row within the message (JSON array, Arrow batch); 0 for a single event."""
    reason: RejectReason
    detail: str
    """The field and its problem; at most 500 characters."""
    payload: bytes
    """The complete original bytes (the dead letter keeps 512 KiB).

    Those of the message, of the row of a JSON array, or an Arrow stream of the row.
    """
    tenant: str = ""
    model: str = ""
    """Set if it could be read."""
    n_events: int = 1
    """Number of events it represents.

    Beyond the first ``messages.max_letters`` of a message, events of one model and reason share a
    reject, at the row of the first of them.
    """
    time_us: int | None = None
    """Event time; None if it could not be read."""

    @property
    def has_known_model(self) -> bool:
        """Whether the event belongs to a configured model."""
        return bool(self.model) and self.reason is not RejectReason.UNKNOWN_MODEL
