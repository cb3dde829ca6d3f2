"""Aggregates recorded events to panes once, for any number of configs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from monitor.core.table_rows import TableRows
from monitor.core.windowing.aggregate import PartitionAggregator
from monitor.core.windowing.catalog import Catalog
from monitor.core.windowing.slot_length import check_slot, slot_of
from monitor.decode.arrow.decode_ahead import DecodedChunk, decode_ahead
from monitor.decode.decoder import Decoder
from schemas.batch import Chunk
from schemas.config.model import WindowConfig
from schemas.intake import IntakePane
from schemas.panes import Pane, SeriesId

__all__ = ["Counted", "check_slot", "count_panes", "slot_of"]

SOURCE = "backtest"


@dataclass(frozen=True, slots=True)
class Counted:
    """Content of a recording."""

    panes: Mapping[tuple[str, str], Sequence[Pane]]
    """By (tenant, model), in order of time and series; at most ``slot_us`` long."""
    n_accepted: int = 0
    n_late: int = 0
    n_rejected: int = 0
    intake: Mapping[tuple[str, str], Sequence[IntakePane]] = field(default_factory=dict)
    """Rejected and late events by model, the last version of each pane."""


def count_panes(
    chunks: Iterable[Chunk | TableRows],
    catalog: Catalog,
    window: WindowConfig,
    slot_us: int,
    advance: Callable[[int], None] = lambda watermark_us: None,
) -> Counted:
    """Decode and aggregate a recording as ingest would, in slots.

    Parameters
    ----------
    chunks : iterable of Chunk or TableRows
        In the order of their offsets, as one source partition.
    catalog : Catalog
        Which models there are, and in which baseline each version is counted.
    window : WindowConfig
        Event-time settings of the source: pane, bound, lateness, max_skew. What is late
        is late as in a replay.
    slot_us : int
        See :func:`slot_of`.
    advance : callable, optional
        Called after each chunk with the watermark, microseconds.

    Returns
    -------
    Counted
        Events of the future count as rejected.

    Raises
    ------
    ConfigError
        If a slot is not made of whole panes.

    Notes
    -----
    Reading is what costs; judging the panes under one more config takes about a
    millisecond a window. Kept are 512 bytes a cell and slot.
    """
    for _, model in catalog.configs:
        check_slot(slot_us, window.pane_us, model)
    decoder = Decoder(catalog.schemas)
    grain = slot_us // window.pane_us
    aggregator = PartitionAggregator(SOURCE, 0, SOURCE, window, catalog.layout, grain=grain)
    slots, intake = _LastSlots(), _LastIntake()
    n_accepted = n_late = n_rejected = 0
    for part in decode_ahead(decoder, chunks):
        if not isinstance(part, DecodedChunk):
            part = DecodedChunk(part, decoder.decode(part))
        chunk, decoded = part
        added = aggregator.add(chunk, decoded.batches, decoded.rejects)
        n_accepted += added.n_accepted
        n_late += sum(len(refused.rows) for refused in added.late)
        n_rejected += sum(reject.n_events for reject in decoded.rejects)
        n_rejected += sum(len(refused.rows) for refused in added.future)
        slots.take(aggregator.flush())
        intake.take(aggregator.take_intake())
        advance(aggregator.watermark_us)
    slots.take(aggregator.flush_all())
    intake.take(aggregator.take_intake())
    return Counted(slots.by_model(), n_accepted, n_late, n_rejected, intake.by_model())


class _LastIntake:
    """Intake panes, the last version of each."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str, int], IntakePane] = {}

    def take(self, panes: Iterable[IntakePane]) -> None:
        """Replace earlier versions: they are cumulative."""
        self._found |= {(pane.tenant, pane.model, pane.start_us): pane for pane in panes}

    def by_model(self) -> dict[tuple[str, str], list[IntakePane]]:
        """Return them by (tenant, model)."""
        found: dict[tuple[str, str], list[IntakePane]] = {}
        for (tenant, model, _), pane in self._found.items():
            found.setdefault((tenant, model), []).append(pane)
        return found


class _LastSlots:
    """Panes, the last version of each."""

    def __init__(self) -> None:
        self._found: dict[tuple[int, SeriesId], Pane] = {}

    def take(self, panes: Iterable[Pane]) -> None:
        """Replace earlier versions: they are cumulative."""
        self._found |= {(pane.start_us, pane.series): pane for pane in panes}

    def by_model(self) -> dict[tuple[str, str], list[Pane]]:
        """Return them by (tenant, model), in order of time and series."""
        found: dict[tuple[str, str], list[Pane]] = {}
        for (_, series), pane in sorted(self._found.items(), key=lambda item: item[0]):
            found.setdefault((series.tenant, series.model), []).append(pane)
        return found
