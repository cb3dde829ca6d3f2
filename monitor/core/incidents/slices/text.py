"""A hint as text."""

from __future__ import annotations

from typing import Final

from monitor.core.incidents.shares import share_text
from schemas.slice_hints import HintReason, SliceHint
from schemas.spelling import spell_controls

REASONS: Final = {
    HintReason.EVEN: "the change is spread over all slices of the rows",
    HintReason.NO_SLICE: "no slice of the rows changed more than others",
    HintReason.NO_ROWS: "slices were not searched: the store has no raw rows {side} the change",
    HintReason.FEW_ROWS: "slices were not searched: too few rows ({before:,} before, {since:,} "
    "since)",
    HintReason.NO_ATTRIBUTES: "slices were not searched: the rows have no categories to slice by",
    HintReason.PRIVATE: "slices were not searched: name_new_values: false forbids naming values",
    HintReason.UNKNOWN_CHANGE: "slices were not searched: the change is of no set of rows",
}
"""What is written where no slice was found."""


def hint_text(hint: SliceHint) -> str:
    """Return one line: where the change is concentrated, or why that is not known.

    Examples
    --------
    >>> from schemas.slice_hints import HintKind, HintSlice
    >>> def hint(reason, *slices):
    ...     return SliceHint(tenant="t", model="m", model_version="1", kind=HintKind.ALERT,
    ...                      feature="x", segment="*", effect_where="missing", time_us=0,
    ...                      since_us=0, n_before=9, n_since=0, reason=reason, slices=slices)
    >>> one = HintSlice("country=DE and device=tv", 0.83, 0.04, 0.0, 0.5, 1e-9)
    >>> hint_text(hint(HintReason.FOUND, one))
    'the change is concentrated in country=DE and device=tv: 83 % of the change, 4 % of the rows'
    >>> hint_text(hint(HintReason.NO_ROWS))
    'slices were not searched: the store has no raw rows since the change'
    """
    if not hint.slices:
        side = "before" if not hint.n_before else "since"
        text = REASONS.get(hint.reason, "no slice was found")
        return text.format(side=side, before=hint.n_before, since=hint.n_since)
    parts = [
        f"{spell_controls(found.name)}: {share_text(found.change_share)} of the change, "
        f"{share_text(found.row_share)} of the rows"
        for found in hint.slices
    ]
    return f"the change is concentrated in {'; '.join(parts)}"
