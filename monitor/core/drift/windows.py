"""Merges panes into windows: current versions of panes, and closing of windows."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import fields
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import numpy as np

from monitor.core.windowing.merge import merge_all
from monitor.core.windowing.watermark import NO_WATERMARK, Watermarks
from schemas.intake import Intake, IntakePane
from schemas.panes import ALL, ClosedBy, Pane, SeriesId, SeriesStats, Window

if TYPE_CHECKING:
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
    """Its window has closed, and its content is unchanged.

    Ingest was restarted before its commit, and published the pane again at a later position.
    """
    TOO_OLD = "too_old"
    """Its window has closed too long ago to be revised."""


class _Place(NamedTuple):
    """Key of a pane; of panes with the same key the highest version is current."""

    series: SeriesId
    source: str
    partition: int
    start_us: int


class _Kept(NamedTuple):
    pane: Pane
    offset: int


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


def _says_the_same(one: Pane, other: Pane) -> bool:
    """Whether two versions of a pane have bitwise equal counts."""
    return all(
        a.segments == b.segments
        and all(
            np.array_equal(getattr(a, f.name), getattr(b, f.name))
            for f in fields(SeriesStats)
            if f.name != "segments"
        )
        for a, b in ((one.segments, other.segments), (one.slices, other.slices))
    )


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

    def __init__(self) -> None:
        self.closed_until: int | None = None
        self.panes: dict[int, dict[_Place, _Kept]] = {}
        self.widths: dict[int, dict[SeriesId, int]] = {}
        """Variables of the panes of each series, by window."""
        self.intake: dict[int, dict[_IntakePlace, _KeptIntake]] = {}
        self.versions: dict[str, VersionState] = {}
        self.revised: set[tuple[int, str]] = set()
        self.read_until = 0

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

    Notes
    -----
    One instance per partition of the pane log. Windows begin at multiples of their
    length. Float sums are added per source partition in order of time, then over
    partitions in order of name, so they do not depend on the order of arrival.

    A model version gets up to 24 empty windows (``n_rows`` 0) after its last one with rows, then
    none until new panes arrive.

    References
    ----------
    Akidau et al., The Dataflow Model, VLDB 2015 (windows, watermarks, refinement).
    """

    def __init__(self, settings: Settings) -> None:
        self.watermarks = Watermarks()
        self._settings = settings
        self._models: dict[tuple[str, str], _Model] = {}
        self._intakes: list[IntakeWindow] = []

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
        for name, entry in self._models.items():
            if entry.closed_until is None:
                return NO_WATERMARK
            horizons.append(entry.closed_until - KEEP_CLOSED * self._settings(*name).length_us)
        return min(horizons, default=NO_WATERMARK)

    def width_of(self, pane: Pane) -> int | None:
        """Return the number of variables that a pane must have to match its window.

        None if the window has no panes of the series, or if the pane has no variables: without a
        baseline only rows are counted.
        """
        series = pane.series
        entry = self._models.get((series.tenant, series.model))
        if entry is None or not pane.segments.counts.shape[1]:
            return None
        length_us = self._settings(series.tenant, series.model).length_us
        return entry.widths.get(pane.start_us // length_us * length_us, {}).get(series)

    def add(self, pane: Pane, offset: int) -> Arrival:
        """Add a pane.

        Parameters
        ----------
        pane : Pane
            Whole.
        offset : int
            Offset of its first message.

        Returns
        -------
        Arrival
            ``kept``, or the reason why it has no effect or is late.
        """
        series = pane.series
        entry = self._models.setdefault((series.tenant, series.model), _Model())
        length_us = self._settings(series.tenant, series.model).length_us
        start = pane.start_us // length_us * length_us
        closed = entry.closed_until
        if closed is not None and start < closed - KEEP_CLOSED * length_us:
            return Arrival.TOO_OLD
        kept = entry.panes.setdefault(start, {})
        place = _Place(series, pane.source, pane.partition, pane.start_us)
        before = kept.get(place)
        if before is not None and before.pane.pane_version >= pane.pane_version:
            return Arrival.STALE
        kept[place] = _Kept(pane, offset)
        entry.widths.setdefault(start, {})[series] = pane.segments.counts.shape[1]
        if closed is None or start >= closed:
            return Arrival.KEPT
        if before is not None and _says_the_same(before.pane, pane):
            return Arrival.REPEATED
        if offset >= entry.read_until:
            entry.revised.add((start, series.model_version))
        return Arrival.LATE

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
        entry = self._models.setdefault((pane.tenant, pane.model), _Model())
        length_us = self._settings(pane.tenant, pane.model).length_us
        start = pane.start_us // length_us * length_us
        if entry.closed_until is not None and start < entry.closed_until:
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
        closed: list[Window] = []
        for tenant, model in self.models:
            entry = self._models[tenant, model]
            config = self._settings(tenant, model)
            length_us, lateness_us = config.length_us, config.lateness_us
            for start, version in sorted(entry.revised):
                window = self._window(entry, version, start, length_us, lateness_us)
                if window is not None:
                    window.is_revised = True
                    closed.append(window)
            entry.revised.clear()
            end = self._end(entry, length_us, lateness_us, is_end)
            if end is not None:
                closed += self._close_model(entry, (tenant, model), end, length_us, lateness_us)
        return sorted(closed, key=lambda w: (w.end_us, w.series))

    def _end(self, entry: _Model, length_us: int, lateness_us: int, is_end: bool) -> int | None:
        """Return the end of the last window that can close now; None if there is no new one."""
        minimum = self.watermarks.minimum_us
        ends = [] if minimum is None else [(minimum - lateness_us) // length_us * length_us]
        starts = (*entry.panes, *entry.intake)
        if is_end and starts:
            ends.append(max(starts) + length_us)
        floor = entry.closed_until
        if floor is None:
            floor = min(starts, default=None)
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
        for old in [s for s in entry.panes if s < end - KEEP_CLOSED * length_us]:
            del entry.panes[old]
            entry.widths.pop(old, None)
        # a version that is idle for so long gets no empty windows, and is removed
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
        """Merge the panes of one window; None without panes."""
        kept = entry.panes.get(start, {})
        panes = [k.pane for p, k in sorted(kept.items()) if p.series.model_version == version]
        if not panes:
            return None
        baselines = {p.series.profile_id for p in panes}
        latest = max(panes, key=lambda p: (p.start_us, p.series)).series
        panes = [p for p in panes if p.series == latest]
        width = min(p.segments.counts.shape[1] for p in panes)
        panes = [p for p in panes if p.segments.counts.shape[1] == width]
        sources: dict[tuple[str, int], list[Pane]] = {}
        for pane in panes:
            sources.setdefault((pane.source, pane.partition), []).append(pane)
        return Window(
            series=latest,
            start_us=start,
            end_us=start + length_us,
            segments=merge_all([merge_all([p.segments for p in s]) for s in sources.values()]),
            slices=merge_all([merge_all([p.slices for p in s]) for s in sources.values()]),
            n_panes=len(panes),
            closed_by=self._closed_by(start + length_us + lateness_us),
            is_baseline_changed=len(baselines) > 1,
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
        entry = self._models.get((tenant, model), _Model())
        offsets = [
            *(k.offset for kept in entry.panes.values() for k in kept.values()),
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

    def restore(self, state: WindowState) -> None:
        """Restore a model. The caller must then ``add`` the panes from ``panes_offset`` again."""
        entry = _Model()
        entry.closed_until = state.closed_until_us
        entry.read_until = state.read_until
        entry.versions = {v.model_version: v for v in state.versions}
        self._models[state.tenant, state.model] = entry
