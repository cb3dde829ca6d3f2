"""A pane as it is held: who counted it and when, and the bytes of its statistics."""

from __future__ import annotations

import msgspec

from monitor.core.bounds import MAX_OFFSET
from monitor.core.windowing.pane_body import (
    PaneBody,
    decode_body,
    encode_body,
    open_body,
    with_details,
)
from schemas.panes import Pane, SeriesId


class PackedPane(msgspec.Struct, frozen=True, gc=False):
    """A pane whose statistics are the body of encoding 2, which has been checked."""

    series: SeriesId
    start_us: int
    end_us: int
    source: str
    partition: int
    owner: str
    pane_version: int
    n_variables: int
    body: bytes

    def open(self) -> PaneBody:
        """Return its body, to be added to a total."""
        return open_body(self.body)

    def unpack(self) -> Pane:
        """Return the pane with its arrays."""
        body = self.open()
        return Pane(
            self.series,
            self.start_us,
            self.end_us,
            self.source,
            self.partition,
            self.owner,
            self.pane_version,
            *decode_body(body, MAX_OFFSET),
            body.details,
        )


def pack_pane(pane: Pane) -> PackedPane:
    """Return a pane of this process as it is held; sums that are not finite are capped."""
    return PackedPane(
        pane.series,
        pane.start_us,
        pane.end_us,
        pane.source,
        pane.partition,
        pane.owner,
        pane.pane_version,
        pane.segments.counts.shape[1],
        with_details(encode_body(pane.segments, pane.slices), pane.details),
    )
