"""Types of config values: durations, names of environment variables, problems."""

from __future__ import annotations

import re
from typing import Annotated, NamedTuple

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from schemas.time_units import DAY_US, HOUR_US, MINUTE_US, SECOND_US
from schemas.time_zones import find_zone

_UNITS_US = {
    "us": 1,
    "ms": 1_000,
    "s": SECOND_US,
    "m": MINUTE_US,
    "h": HOUR_US,
    "d": DAY_US,
}
MAX_DURATION_US = 3650 * DAY_US
"""Keeps sums of times within int64."""
_DURATION = re.compile(r"(\d+)\s*(us|ms|s|m|h|d)")


def parse_duration_us(value: object) -> int:
    """Convert ``"90s"``, ``"1h"`` or ``"1h 30m"`` to microseconds.

    Examples
    --------
    >>> parse_duration_us("1h 30m")
    5400000000
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    text = str(value).strip()
    if not text or _DURATION.sub("", text).strip():
        raise ValueError(f'"{text}" is not a duration; write 10s, 5m, 1h, 1h 30m')
    duration_us = sum(int(n) * _UNITS_US[unit] for n, unit in _DURATION.findall(text))
    if duration_us > MAX_DURATION_US:
        raise ValueError(f'"{text}" is too long; the longest duration is 3650d')
    return duration_us


def format_duration(duration_us: int) -> str:
    """Format microseconds in the syntax of :func:`parse_duration_us`.

    Examples
    --------
    >>> format_duration(5_400_000_000)
    '1h 30m'
    """
    parts = []
    for unit, size in sorted(_UNITS_US.items(), key=lambda item: -item[1]):
        count, duration_us = divmod(duration_us, size)
        parts += [f"{count}{unit}"] if count else []
    return " ".join(parts) or "0s"


_AS_WRITTEN = WithJsonSchema(
    {"type": "string", "pattern": r"^(\s*\d+\s*(us|ms|s|m|h|d))+\s*$", "format": "duration-text"}
)
Duration = Annotated[int, BeforeValidator(parse_duration_us), _AS_WRITTEN]
"""Microseconds; written as ``10s``, ``1h`` in YAML."""
PositiveDuration = Annotated[int, BeforeValidator(parse_duration_us), Field(gt=0), _AS_WRITTEN]


class Strict(BaseModel):
    """Base of config models: no unknown keys, no NaN, immutable.

    Durations are in microseconds in attributes with the unit in their name; the setting of
    ``length_us`` is ``length`` in YAML, as an argument and in JSON.
    """

    model_config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, serialize_by_alias=True
    )


class Problem(NamedTuple):
    """One inconsistency between fields."""

    loc: tuple[str | int, ...]
    """Path of the field to change."""
    what: str
    fix: str = ""


class Misfit(ValueError):
    """Error of fields that are valid individually but inconsistent, with every :class:`Problem`."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = problems
        super().__init__(
            "; ".join(f"{'.'.join(map(str, p.loc))}: {p.what} ({p.fix})" for p in problems)
        )


def _environment_name(value: str) -> str:
    """Reject a value that looks like a secret; the message must not contain it."""
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", value):
        raise ValueError("must be the NAME of an environment variable, never the secret itself")
    return value


NAMES_A_VARIABLE = AfterValidator(_environment_name)
EnvironmentName = Annotated[str, NAMES_A_VARIABLE, Field(json_schema_extra={"format": "env-name"})]
"""Name of an environment variable that holds a secret or an address."""


def _time_zone(value: str) -> str:
    """Reject an unknown time zone."""
    return find_zone(value).key


TimeZone = Annotated[
    str, AfterValidator(_time_zone), Field(json_schema_extra={"format": "iana-time-zone"})
]
"""IANA name of a time zone: ``Europe/Berlin``, ``UTC``."""
