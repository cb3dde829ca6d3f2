"""Slices of the rows in which a change is concentrated: a hint, never an alert."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

import msgspec


class HintKind(StrEnum):
    """When a search ran."""

    ALERT = "alert"
    """When the alert fired, on the rows until then."""
    HOUR = "hour"
    """An hour of rows later, of which the first minutes often have too few to tell slices apart."""
    NIGHTLY = "nightly"
    """At the end of a day: of an open alert, or of a model without one."""


class HintReason(StrEnum):
    """Why a search has found no slice."""

    FOUND = ""
    """It has found one."""
    EVEN = "even"
    """All rows changed by about as much."""
    NO_SLICE = "no_slice"
    """No slice changed by more than chance explains."""
    NO_ROWS = "no_rows"
    """The store has no raw rows of one of the two samples."""
    FEW_ROWS = "few_rows"
    """One of the two samples is too small."""
    NO_ATTRIBUTES = "no_attributes"
    """The rows have nothing to slice by."""
    PRIVATE = "private"
    """The values of everything to slice by must not be named (``name_new_values: false``)."""
    UNKNOWN_CHANGE = "unknown_change"
    """The alert names no set of rows."""


class HintSlice(NamedTuple):
    """A slice in which a change is concentrated."""

    name: str
    """``country=DE and device=tv``."""
    change_share: float
    """Its part of the change of all rows, between 0 and 1."""
    row_share: float
    """Its part of the rows since the beginning of the change."""
    p_before: float
    p_since: float
    """Share of the rows of the slice that are in the set that moved."""
    p_value: float
    """Adjusted for all slices that were tested."""


class SliceHint(msgspec.Struct, frozen=True, kw_only=True):
    """Result of one search; a search that is repeated on the same rows gives the same."""

    tenant: str
    model: str
    model_version: str
    kind: HintKind
    feature: str
    segment: str
    effect_where: str
    time_us: int
    """End of the rows that were compared."""
    since_us: int
    """Beginning of the change: rows before it, and since, are compared."""
    alert_id: str = ""
    n_before: int = 0
    n_since: int = 0
    phi: float = 1.0
    """Design effect of the rows, by which the tests of slices count fewer of them."""
    n_tested: int = 0
    reason: HintReason = HintReason.FOUND
    slices: tuple[HintSlice, ...] = ()
    left_out: tuple[str, ...] = ()
    """Attributes that were not searched, because there were too many."""
