"""Recorded events into panes, once, however many configs are to be judged on them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import gcd

from monitor.core.panes.aggregate import PartitionAggregator
from monitor.core.panes.catalog import Catalog
from monitor.core.panes.merge import merge_all
from monitor.decode.decoder import Decoder
from schemas.batch import Chunk
from schemas.config.model import ModelConfig, WindowConfig
from schemas.errors import ConfigError
from schemas.intake import IntakePane
from schemas.panes import Pane, SeriesId

SOURCE = "backtest"
_END_OF_TIME = 1 << 62
_Place = tuple[SeriesId, int]


@dataclass(frozen=True, slots=True)
class Counted:
    """What a recording held."""

    panes: Mapping[tuple[str, str], Sequence[Pane]]
    """By (tenant, model), in order of series and time; each ``slot_us`` long."""
    n_accepted: int = 0
    n_late: int = 0
    n_rejected: int = 0
    intake: Mapping[tuple[str, str], Sequence[IntakePane]] = field(default_factory=dict)
    """Rejected and late events by model, the last version of each pane."""


def slot_of(configs: Iterable[ModelConfig]) -> int:
    """Return the longest span of which every config's windows are made: where panes may merge.

    Parameters
    ----------
    configs : iterable of ModelConfig
        Of one model or of many; at least one.

    Returns
    -------
    int
        Microseconds: the greatest common divisor of the windows' lengths.

    Examples
    --------
    >>> hour = ModelConfig(model="m", features={"x": {"kind": "numeric"}})
    >>> longer = hour.window.model_copy(update={"length_us": 5_400_000_000})
    >>> slot_of([hour, hour.model_copy(update={"window": longer})]) // 60_000_000
    30
    """
    return gcd(*(config.window.length_us for config in configs))


def check_slot(slot_us: int, pane_us: int, model: str) -> None:
    """Refuse windows that the panes there are cannot be put together to.

    Raises
    ------
    ConfigError
        If the slot is not a whole number of panes.
    """
    if slot_us % pane_us:
        raise ConfigError(
            f"the window lengths of {model!r} have the common divisor {slot_us / 1e6:g} s, which "
            f"is not a multiple of its panes of {pane_us / 1e6:g} s",
            where="window.length",
            fix="propose a length that is a multiple of the pane",
        )


def count_panes(
    chunks: Iterable[Chunk],
    catalog: Catalog,
    window: WindowConfig,
    slot_us: int,
    advance: Callable[[int], None] = lambda watermark_us: None,
) -> Counted:
    """Decode and aggregate a recording as ingest would, and merge its panes into slots.

    Parameters
    ----------
    chunks : iterable of Chunk
        In the order of their offsets, as one source partition.
    catalog : Catalog
        Which models there are, and in which baseline each version is counted.
    window : WindowConfig
        Event-time settings of the source: pane, bound, lateness, max_skew. What is late
        is late as in a replay; a slot is merged when nothing can change it any more.
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
    aggregator = PartitionAggregator(SOURCE, 0, SOURCE, window, catalog.layout)
    slots, intake = _Slots(slot_us), _LastIntake()
    n_accepted = n_late = n_rejected = 0
    for chunk in chunks:
        decoded = decoder.decode(chunk)
        added = aggregator.add(chunk, decoded.batches, decoded.rejects)
        n_accepted += added.n_accepted
        n_late += sum(len(refused.rows) for refused in added.late)
        n_rejected += sum(reject.n_events for reject in decoded.rejects)
        n_rejected += sum(len(refused.rows) for refused in added.future)
        slots.take(aggregator.flush())
        intake.take(aggregator.take_intake())
        commit = aggregator.commit_point()
        slots.settle(commit.retired_before_us if commit is not None else 0)
        advance(aggregator.watermark_us)
    slots.take(aggregator.flush_all())
    slots.settle(_END_OF_TIME)
    intake.take(aggregator.take_intake())
    return Counted(slots.settled, n_accepted, n_late, n_rejected, intake.by_model())


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


class _Slots:
    """Panes that may still change, and those of slots that are over, merged."""

    def __init__(self, slot_us: int) -> None:
        self._slot_us = slot_us
        self._open: dict[int, dict[_Place, Pane]] = {}
        self.settled: dict[tuple[str, str], list[Pane]] = {}

    def take(self, panes: Iterable[Pane]) -> None:
        """Replace the earlier versions of each pane."""
        for pane in panes:
            start = pane.start_us // self._slot_us * self._slot_us
            self._open.setdefault(start, {})[pane.series, pane.start_us] = pane

    def settle(self, retired_before_us: int) -> None:
        """Merge what can change no more."""
        for start in sorted(s for s in self._open if s + self._slot_us <= retired_before_us):
            by_series: dict[SeriesId, list[Pane]] = {}
            for (series, _), pane in sorted(self._open.pop(start).items()):
                by_series.setdefault(series, []).append(pane)
            for series, panes in by_series.items():
                own = self.settled.setdefault((series.tenant, series.model), [])
                own.append(merged(panes, start, start + self._slot_us))


def merged(panes: Sequence[Pane], start_us: int, end_us: int) -> Pane:
    """Return panes of one series as one pane over a longer stretch."""
    first = panes[0]
    return Pane(
        series=first.series,
        start_us=start_us,
        end_us=end_us,
        source=first.source,
        partition=first.partition,
        owner=first.owner,
        pane_version=max(pane.pane_version for pane in panes),
        segments=merge_all([pane.segments for pane in panes]),
        slices=merge_all([pane.slices for pane in panes]),
    )
