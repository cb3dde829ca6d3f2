"""Numbers derived from texts and times."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from schemas.time_zones import UTC_NAME

Quantity = Literal[
    "length",
    "letter_share",
    "digit_share",
    "space_share",
    "punctuation_share",
    "upper_share",
    "mean_word_length",
    "hour",
    "weekday",
    "age_days",
]
"""Quantities derived from a text, and, the last three, from a time.

Times are ISO 8601, by default in the model's time zone; ``age_days`` is the difference to the event
time.
"""

TIME_QUANTITIES: Final = ("hour", "weekday", "age_days")


@dataclass(frozen=True, slots=True)
class Derived:
    """A derived number; if an event has it already, it is not derived."""

    name: str
    source: str
    """Name of the source feature in events."""
    quantity: Quantity
    timezone: str = UTC_NAME
    """IANA time zone of hours and weekdays."""
