"""Merges panes into windows: current versions of panes, and closing of windows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from math import inf
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from monitor.core.drift.source_panes import Placed, SourcePanes
from monitor.core.windowing.packed_pane import PackedPane, pack_pane
from monitor.core.windowing.pane_total import PaneTotal
from monitor.core.windowing.watermark import NO_WATERMARK, Watermarks
from schemas.intake import Intake, IntakePane
from schemas.panes import ALL, ClosedBy, Pane, SeriesId, SeriesStats, Window

if TYPE_CHECKING:
    from monitor.core.windowing.pane_body import PaneBody
    from schemas.config.model import WindowConfig

MAX_EMPTY = 24
"""Number of empty windows that are closed after the last one with rows."""
KEEP_CLOSED = 2
"""Number of closed windows whose panes are kept, so that late panes can revise them."""

Settings = Callable[[str, str], "WindowConfig"]
"""(tenant, model) -> length and lateness of its windows."""


class Arrival(StrEnum):
    """Outcome of adding a pane."""

    KEPT = "kept"
    STALE = "stale"
    """The stored version is at least as high: a duplicate, a replay, or a zombie's pane."""
    LATE = "late"
    """Its window has closed, and will be returned again, revised."""
    REPEATED = "repeated"
    """It is final, or its window has closed, and its content is unchanged.

    Ingest was restarted before its commit, and published the pane again at a later position.
    """
    CHANGED = "changed"
    """Its content differs although it was final and is part of a sum, or later panes are: its
    window has to be read again from the log."""
    TOO_OLD = "too_old"
    """Its window has closed too long ago to be revised."""


class _Place(msgspec.Struct, frozen=True, order=True, gc=False, cache_hash=True):
    """Key of panes that are added up in order of time; its hash is computed once."""

    series: SeriesId
    source: str
    partition: int


class ChangedWindow(NamedTuple):
    """A window to be read again, since a pane changed that was part of its sums."""

    tenant: str
    model: str
    start_us: int
    first_offset: int
    """Of the panes it holds."""


class _IntakePlace(NamedTuple):
    """Key of an intake pane; of intake panes with the same key the highest version is current."""

    source: str
    partition: int
    start_us: int


class _KeptIntake(NamedTuple):
    pane: IntakePane
    offset: int


class IntakeWindow(NamedTuple):
    """Rejected and late events of one window of a model."""

    tenant: str
    model: str
    start_us: int
    end_us: int
    intake: Intake


class VersionState(msgspec.Struct, array_like=True):
    """State of one model version: its last rows and their layout."""

    model_version: str
    last_start_us: int
    """Start of its last window with rows."""
    profile_id: str
    n_variables: int


class WindowState(msgspec.Struct):
    """State of the windows of one model."""

    tenant: str
    model: str
    closed_until_us: int | None
    panes_offset: int
    """Offset of the first pane message that a window may still need."""
    read_until: int
    """Panes before this offset were processed before the state was written, and revise nothing."""
    versions: list[VersionState]


class _Model:
    """Panes and windows of one model, all versions."""

    __slots__ = ("_last", "_places", "closed_until", "intake", "lateness_us", "length_us", "panes",
                 "read_until", "revised", "unfolded", "versions", "widths")  # fmt: skip

    def __init__(self, config: WindowConfig) -> None:
        self.length_us, self.lateness_us = config.length_us, config.lateness_us
        self.closed_until: int | None = None
        self.panes: dict[int, dict[_Place, SourcePanes]] = {}
        self.unfolded: frozenset[int] = frozenset()
        """Windows that were read again: they keep all their panes, so that happens once."""
        self.widths: dict[int, dict[SeriesId, int]] = {}
        """Variables of the panes of each series, by window."""
        self.intake: dict[int, dict[_IntakePlace, _KeptIntake]] = {}
        self.versions: dict[str, VersionState] = {}
        self.revised: frozenset[tuple[int, str]] = frozenset()
        self.read_until = 0
        self._places: dict[int, _Place] = {}
        """The one used last, by partition."""
        self._last: tuple[SeriesId, int, int] | None = None

    def place_of(self, series: SeriesId, source: str, partition: int) -> _Place:
        """Return the key of panes, the same object as last time for most."""
        place = self._places.get(partition)
        if place is None or place.series is not series or place.source != source:
            place = self._places[partition] = _Place(series, source, partition)
        return place

    def start_of(self, time_us: int) -> int:
        """Return the start of the window that holds a time."""
        return time_us // self.length_us * self.length_us

    def width_of(self, series: SeriesId, start: int) -> int | None:
        """Return the variables of the panes of a series in a window; None if it holds none."""
        last = self._last
        if last is not None and last[0] is series and last[1] == start:
            return last[2]
        widths = self.widths.get(start)
        return widths.get(series) if widths is not None else None

    def set_width(self, series: SeriesId, start: int, width: int) -> None:
        """Note the variables of the panes of a series in a window."""
        last = self._last
        if last is None or last[0] is not series or last[1] != start or last[2] != width:
            self.widths.setdefault(start, {})[series] = width
            self._last = (series, start, width)

    def forget_widths(self, start: int) -> None:
        """Forget what the panes of a window have."""
        self.widths.pop(start, None)
        self._last = None

    @property
    def floor(self) -> int | None:
        """Start of the first window that has not closed; None before the first pane."""
        if self.closed_until is not None:
            return self.closed_until
        return min((*self.panes, *self.intake), default=None)

    def occupied(self, version: str, end: int) -> list[int]:
        """Starts of open, non-empty windows of a version that end by ``end``."""
        floor = self.closed_until
        return sorted(
            start
            for start, kept in self.panes.items()
            if start < end
            and (floor is None or start >= floor)
            and any(place.series.model_version == version for place in kept)
        )

    def starts(self, version: str, end: int, length_us: int) -> Iterable[int]:
        """Starts of the windows of a version to close, including empty ones in between."""
        state = self.versions.get(version)
        last = state.last_start_us if state is not None else None
        for start in (*self.occupied(version, end), end):
            if last is not None:
                first = max(last + length_us, self.closed_until or last)
                yield from range(first, min(start, last + (MAX_EMPTY + 1) * length_us), length_us)
            if start < end:
                yield start
            last = start

    def all_versions(self) -> list[str]:
        """All versions known from state or panes."""
        seen = {place.series.model_version for kept in self.panes.values() for place in kept}
        return sorted(seen | set(self.versions))


class Windows:
    """Tumbling windows of all models in one partition of the panes topic.

    Parameters
    ----------
    settings : callable
        (tenant, model) -> WindowConfig; ``length`` and ``lateness`` are used.
    watermarks : Watermarks, optional
        Shared with other windows of the same log; by default its own.
    keep_closed : int, optional
        Number of closed windows whose panes are kept, so that late panes can revise them.
    has_slices : callable, optional
        (tenant, model) -> False if only the segments of its panes are added up.

    Notes
    -----
    One instance per partition of the pane log. Windows begin at multiples of their
    length. Float sums are added per source partition in order of time, then over
    partitions in order of name, so they do not depend on the order of arrival.

    A pane that its partition has retired (it ends by the partition's last watermark less the
    lateness) changes no more: it is added to a running total. Others are kept as bytes.

    A model version gets up to 24 empty windows (``n_rows`` 0) after its last one with rows, then
    none until new panes arrive.

    References
    ----------
    Akidau et al., The Dataflow Model, VLDB 2015 (windows, watermarks, refinement).
    """

    def __init__(
        self,
        settings: Settings,
        watermarks: Watermarks | None = None,
        *,
        keep_closed: int = KEEP_CLOSED,
        has_slices: Callable[[str, str], bool] = lambda tenant, model: True,
    ) -> None:
        self.watermarks = Watermarks() if watermarks is None else watermarks
        self._keep_closed, self._has_slices = keep_closed, has_slices
        self._settings = settings
        self._models: dict[tuple[str, str], _Model] = {}
        self._intakes: list[IntakeWindow] = []
        self._unsettled: dict[tuple[str, int], dict[SourcePanes, int]] = {}
        """By source partition: what holds panes that may change, and their lateness."""
        self._due_us: float = -inf
        """No window closes while the minimum watermark is below it."""
        self.changed: ChangedWindow | None = None
        """Of the pane added last, if it was ``changed``."""

    @property
    def models(self) -> list[tuple[str, str]]:
        """(tenant, model) of all models, sorted."""
        return sorted(self._models)

    def closed_until_us(self, tenant: str, model: str) -> int | None:
        """End of the model's last closed window; None before the first."""
        entry = self._models.get((tenant, model))
        return entry.closed_until if entry is not None else None

    @property
    def horizon_us(self) -> int:
        """Panes that end by this time have no effect."""
        horizons = []
        for entry in self._models.values():
            if entry.closed_until is None:
                return NO_WATERMARK
            horizons.append(entry.closed_until - self._keep_closed * entry.length_us)
        return min(horizons, default=NO_WATERMARK)

    def width_of(self, series: SeriesId, start_us: int) -> int | None:
        """Return the variables of the panes of a series in the window that holds a time.

        None if it holds none. A pane without variables is of any width: where there is no
        baseline only rows are counted, whatever else says it is of the same series.
        """
        entry = self._models.get((series.tenant, series.model))
        return entry.width_of(series, entry.start_of(start_us)) if entry is not None else None

    def add(self, pane: Pane | PackedPane, offset: int, opened: PaneBody | None = None) -> Arrival:
        """Add a pane.

        Parameters
        ----------
        pane : Pane or PackedPane
            Whole.
        offset : int
            Offset of its first message.
        opened : PaneBody, optional
            Its body, if that has been opened already.

        Returns
        -------
        Arrival
            ``kept``, or why it changed nothing or came late. After ``changed``, which
            changed nothing so far, :attr:`changed` says what is to be read again.
        """
        self.changed, series = None, pane.series
        entry = self._model(series.tenant, series.model)
        start = entry.start_of(pane.start_us)
        closed = entry.closed_until
        if closed is not None and start < closed - self._keep_closed * entry.length_us:
            return Arrival.TOO_OLD
        packed = pane if isinstance(pane, PackedPane) else pack_pane(pane)
        placed = self._put(entry, start, packed, offset, opened)
        if placed is Placed.STALE:
            return Arrival.STALE
        if placed is Placed.CHANGED:
            name = (series.tenant, series.model)
            first = min(p.first_offset for p in entry.panes[start].values())
            self.changed = ChangedWindow(*name, start, first)
            return Arrival.CHANGED
        entry.set_width(series, start, packed.n_variables)
        if closed is None:
            self._note_start(entry, start)
        is_open = closed is None or start >= closed
        if placed is Placed.SAME_FOLDED or (placed is Placed.SAME and not is_open):
            return Arrival.REPEATED
        if is_open:
            return Arrival.KEPT
        self._revise(entry, start, series.model_version, offset)
        return Arrival.LATE

    def _model(self, tenant: str, model: str) -> _Model:
        """Return what is known of a model."""
        entry = self._models.get((tenant, model))
        if entry is None:
            entry = self._models[tenant, model] = _Model(self._settings(tenant, model))
        return entry

    def _put(
        self,
        entry: _Model,
        start: int,
        pane: PackedPane,
        offset: int,
        opened: PaneBody | None = None,
    ) -> Placed:
        """Put a pane where it belongs, and fold what its partition has retired."""
        kept = entry.panes.get(start)
        if kept is None:
            kept = entry.panes[start] = {}
        place = entry.place_of(pane.series, pane.source, pane.partition)
        panes = kept.get(place)
        if panes is None:
            has_slices = self._has_slices(pane.series.tenant, pane.series.model)
            panes = kept[place] = SourcePanes(has_slices=has_slices)
        placed = panes.put(pane, offset, opened)
        if start not in entry.unfolded:
            panes.settle_oldest(self._retired_us(place, entry.lateness_us))
            if panes.is_waiting:
                self._note_unsettled(place, panes, entry.lateness_us)
        return placed

    def _note_unsettled(self, place: _Place, panes: SourcePanes, lateness_us: int) -> None:
        """Note that some panes may still change."""
        source = (place.source, place.partition)
        waiting = self._unsettled.get(source)
        if waiting is None:
            waiting = self._unsettled[source] = {}
        waiting[panes] = lateness_us

    def settle(self, source: str, partition: int) -> None:
        """Fold what a partition has retired; to be called now and then as its watermark rises.

        Panes are folded also as others come after them: this is for the last ones.
        """
        waiting = self._unsettled.get((source, partition), {})
        last_us = self.watermarks.last_us(source, partition)
        for panes, lateness_us in list(waiting.items()):
            panes.settle_oldest(last_us - lateness_us)
            if not panes.is_waiting:
                del waiting[panes]

    def _drop(self, panes: dict[_Place, SourcePanes]) -> None:
        """Let go of the panes of a window."""
        for place, held in panes.items():
            self._unsettled.get((place.source, place.partition), {}).pop(held, None)

    def _retired_us(self, place: _Place, lateness_us: int) -> int:
        """Return the time by which what a partition counted is final."""
        return self.watermarks.last_us(place.source, place.partition) - lateness_us

    def _revise(self, entry: _Model, start: int, version: str, offset: int) -> None:
        """Have a closed window given out again, unless the state before a restart knew it."""
        if offset >= entry.read_until:
            entry.revised |= {(start, version)}
            self._due_us = -inf

    def _note_start(self, entry: _Model, start: int) -> None:
        """Note a window of a model of which none has closed."""
        due_us = start + entry.length_us + entry.lateness_us
        if due_us < self._due_us:
            self._due_us = due_us

    def begin_rereading(self, window: ChangedWindow) -> None:
        """Forget the panes of a window, to ``add_again`` those from its first offset on.

        From then on all of its panes are kept as bytes: what else changes in it replaces the
        version before, as it does where nothing is folded.
        """
        entry = self._models[window.tenant, window.model]
        entry.unfolded |= {window.start_us}
        self._drop(entry.panes[window.start_us])
        entry.panes[window.start_us] = {}
        entry.forget_widths(window.start_us)

    def add_again(self, window: ChangedWindow, pane: PackedPane, offset: int) -> None:
        """Take a pane of the log that is read again, if it is of that window."""
        series = pane.series
        entry = self._models[window.tenant, window.model]
        start = entry.start_of(pane.start_us)
        if (series.tenant, series.model, start) != window[:3]:
            return
        if self._put(entry, start, pane, offset) is not Placed.STALE:
            entry.set_width(series, start, pane.n_variables)

    def end_rereading(self, window: ChangedWindow, version: str, offset: int) -> None:
        """Have the window given out again if it has closed.

        Parameters
        ----------
        version, offset : str, int
            Of the model, and in the log: of the pane that changed.
        """
        entry = self._models[window.tenant, window.model]
        closed = entry.closed_until
        if closed is not None and window.start_us < closed:
            self._revise(entry, window.start_us, version, offset)

    def add_intake(self, pane: IntakePane, offset: int) -> Arrival:
        """Add an intake pane.

        Parameters
        ----------
        offset : int
            Offset of its message.

        Returns
        -------
        Arrival
            ``kept``, ``stale``, or ``too_old`` if its window has closed; closed windows are not
            revised for it.
        """
        entry = self._model(pane.tenant, pane.model)
        start = entry.start_of(pane.start_us)
        if entry.closed_until is None:
            self._note_start(entry, start)
        elif start < entry.closed_until:
            return Arrival.TOO_OLD
        kept = entry.intake.setdefault(start, {})
        place = _IntakePlace(pane.source, pane.partition, pane.start_us)
        before = kept.get(place)
        if before is not None and before.pane.pane_version >= pane.pane_version:
            return Arrival.STALE
        kept[place] = _KeptIntake(pane, offset)
        return Arrival.KEPT

    def take_intakes(self) -> list[IntakeWindow]:
        """Return the intake of windows closed since the last call, by end and model."""
        taken, self._intakes = self._intakes, []
        return sorted(taken, key=lambda i: (i.end_us, i.tenant, i.model))

    def close(self) -> list[Window]:
        """Return closed and revised windows, in order of their end.

        A window closes when the minimum watermark has reached its end + lateness. The
        same call never returns a window twice unless a late pane revised it.
        """
        return self._close(is_end=False)

    def close_all(self) -> list[Window]:
        """Close all windows with panes at the end of the input."""
        return self._close(is_end=True)

    def _close(self, is_end: bool) -> list[Window]:
        """Close the due windows of all models."""
        minimum = self.watermarks.minimum_us
        if not is_end and (minimum is None or minimum < self._due_us):
            return []
        closed: list[Window] = []
        self._due_us = inf
        for tenant, model in self.models:
            entry = self._models[tenant, model]
            length_us, lateness_us = entry.length_us, entry.lateness_us
            for start, version in sorted(entry.revised):
                window = self._window(entry, version, start, length_us, lateness_us)
                if window is not None:
                    window.is_revised = True
                    closed.append(window)
            entry.revised = frozenset()
            end = self._end(entry, length_us, lateness_us, is_end)
            if end is not None:
                closed += self._close_model(entry, (tenant, model), end, length_us, lateness_us)
            floor = entry.floor
            if floor is not None:
                self._note_start(entry, floor)
        return sorted(closed, key=lambda w: (w.end_us, w.series))

    def _end(self, entry: _Model, length_us: int, lateness_us: int, is_end: bool) -> int | None:
        """Return the end of the last window that can close now; None if there is no new one."""
        minimum = self.watermarks.minimum_us
        ends = [] if minimum is None else [(minimum - lateness_us) // length_us * length_us]
        if is_end and (entry.panes or entry.intake):
            ends.append(max((*entry.panes, *entry.intake)) + length_us)
        floor = entry.floor
        if not ends or floor is None or max(ends) <= floor:
            return None
        return max(ends)

    def _close_model(
        self, entry: _Model, name: tuple[str, str], end: int, length_us: int, lateness_us: int
    ) -> list[Window]:
        """Close the windows of one model that end by ``end``."""
        windows: list[Window] = []
        for version in entry.all_versions():
            for start in list(entry.starts(version, end, length_us)):
                window = self._window(entry, version, start, length_us, lateness_us)
                if window is None:
                    state = entry.versions[version]
                    window = self._empty(name, state, start, length_us, lateness_us)
                else:
                    entry.versions[version] = VersionState(
                        version, start, window.series.profile_id, window.segments.counts.shape[1]
                    )
                windows.append(window)
        for start in sorted(s for s in entry.intake if s < end):
            panes = [kept.pane for _, kept in sorted(entry.intake.pop(start).items())]
            self._intakes.append(IntakeWindow(*name, start, start + length_us, Intake.total(panes)))
        entry.closed_until = end
        for old in [s for s in entry.panes if s < end - self._keep_closed * length_us]:
            self._drop(entry.panes.pop(old))
            entry.forget_widths(old)
            entry.unfolded -= {old}
        # a version silent for so long gets no empty windows: it need not be remembered
        horizon = end - (MAX_EMPTY + 1) * length_us
        entry.versions = {k: v for k, v in entry.versions.items() if v.last_start_us >= horizon}
        return windows

    def _closed_by(self, due_us: int) -> ClosedBy:
        """Return the reason of closing a window at this watermark."""
        marks = self.watermarks
        if marks.heard_us is not None and due_us <= marks.heard_us:
            return ClosedBy.WATERMARK
        if marks.minimum_us is not None and due_us <= marks.minimum_us:
            return ClosedBy.IDLE
        return ClosedBy.END

    def _empty(
        self,
        name: tuple[str, str],
        state: VersionState,
        start: int,
        length_us: int,
        lateness_us: int,
    ) -> Window:
        """Return a window without rows."""
        series = SeriesId(*name, state.model_version, state.profile_id)
        segments = SeriesStats.empty((ALL,), state.n_variables)
        closed_by = self._closed_by(start + length_us + lateness_us)
        return Window(
            series, start, start + length_us, segments, SeriesStats.empty((), 1), 0, closed_by
        )

    def _window(
        self, entry: _Model, version: str, start: int, length_us: int, lateness_us: int
    ) -> Window | None:
        """Add up the panes of one window; None if there are none."""
        kept = sorted(entry.panes.get(start, {}).items(), key=lambda item: item[0])
        found = [(place, p) for place, p in kept if place.series.model_version == version]
        if not found:
            return None
        if start not in entry.unfolded:
            for place, panes in found:
                panes.settle(self._retired_us(place, lateness_us))
        latest = max((panes.last_start_us, place.series) for place, panes in found)[1]
        own = [panes for place, panes in found if place.series == latest]
        width = min(panes.n_variables for panes in own)
        totals = [total for panes in own if (total := panes.total(width)) is not None]
        total = totals[0] if len(totals) == 1 else _sum_of(totals)
        segments, slices = total.stats()
        return Window(
            series=latest,
            start_us=start,
            end_us=start + length_us,
            segments=segments,
            slices=slices,
            n_panes=total.n_panes,
            closed_by=self._closed_by(start + length_us + lateness_us),
            is_baseline_changed=len({place.series.profile_id for place, _ in found}) > 1,
            details=total.details(),
            has_details=total.has_details,
            products=total.products,
        )

    def export(self, tenant: str, model: str, next_offset: int) -> WindowState:
        """Return the state of one model.

        Parameters
        ----------
        tenant, model : str
            Which model.
        next_offset : int
            Next offset to read.

        Returns
        -------
        WindowState
            ``panes_offset`` is the oldest message of an open window, or of a closed one
            that may still be revised; else ``next_offset``.
        """
        entry = self._models.get((tenant, model))
        if entry is None:
            return WindowState(tenant, model, None, next_offset, next_offset, [])
        offsets = [
            *(p.first_offset for kept in entry.panes.values() for p in kept.values()),
            *(k.offset for kept in entry.intake.values() for k in kept.values()),
        ]
        return WindowState(
            tenant,
            model,
            entry.closed_until,
            min(offsets, default=next_offset),
            next_offset,
            sorted(entry.versions.values(), key=lambda v: v.model_version),
        )

    def forget(self, tenant: str, model: str, version: str) -> None:
        """Stop returning empty windows of a version."""
        entry = self._models.get((tenant, model))
        if entry is not None:
            entry.versions.pop(version, None)

    @property
    def is_holding(self) -> bool:
        """Whether there are panes of open windows."""
        return any(
            entry.intake
            or (
                entry.panes
                and (entry.closed_until is None or max(entry.panes) >= entry.closed_until)
            )
            for entry in self._models.values()
        )

    @property
    def held_bytes(self) -> int:
        """Bytes of the panes of all windows, folded or not; computed from all of them."""
        return sum(
            panes.n_bytes
            for entry in self._models.values()
            for kept in entry.panes.values()
            for panes in kept.values()
        )

    def restore(self, state: WindowState) -> None:
        """Restore a model. The caller must then ``add`` the panes from ``panes_offset`` again."""
        before = self._models.get((state.tenant, state.model))
        for panes in before.panes.values() if before is not None else ():
            self._drop(panes)
        entry = _Model(self._settings(state.tenant, state.model))
        entry.closed_until = state.closed_until_us
        entry.read_until = state.read_until
        entry.versions = {v.model_version: v for v in state.versions}
        self._models[state.tenant, state.model] = entry
        self._due_us = -inf


def _sum_of(totals: Sequence[PaneTotal]) -> PaneTotal:
    """Return the sum of the totals of partitions, in their order."""
    made = totals[0].copy()
    for total in totals[1:]:
        made.add_total(total)
    return made
