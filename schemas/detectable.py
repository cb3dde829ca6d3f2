"""What would be found in each cell, for the store."""

from __future__ import annotations

import msgspec


class DetectableRow(msgspec.Struct, frozen=True, array_like=True, kw_only=True, gc=False):
    """Smallest changes of one cell that would be found within one horizon, from ``time_us`` on.

    NaN is never written: what would not be found, or has no meaning for the feature, is None.
    """

    tenant: str
    model: str
    model_version: str
    profile_id: str
    feature: str
    segment: str
    time_us: int
    horizon_s: int
    """900, 3,600, 86,400 or 604,800."""
    shift_sd: float | None = None
    """Of a number, in standard deviations of its ranks."""
    missing: float | None = None
    """Growth of the share of missing values."""
    category: float | None = None
    """Growth of a category of the reference, whichever it is."""
    average_s: float | None = None
    """Length of the averages that would find the shift."""
    natural_sd: float | None = None
    """By how much averages of that length vary by themselves, in sd."""
    is_natural: bool = False
    """Whether that is what hides smaller shifts; otherwise it is the number of rows."""
