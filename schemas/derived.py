"""Numbers that are made of what is none: texts, and times."""

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
"""What can be made of a text, and, the last three, of a time: ISO 8601, in the model's time
zone where it names none; ``age_days`` counts from the time to the event."""

TIME_QUANTITIES: Final = ("hour", "weekday", "age_days")


@dataclass(frozen=True, slots=True)
class Derived:
    """One such number; an event may also bring it itself, and then nothing is made."""

    name: str
    source: str
    """The feature it is made of, as events name it."""
    quantity: Quantity
    timezone: str = UTC_NAME
    """IANA name of the clock whose hours and weekdays are meant."""
