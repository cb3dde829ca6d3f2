"""From messages of the panes topic to checked panes that can be added to their windows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from monitor.core.bounds import MAX_COUNT, check_number
from monitor.core.drift.windows import Windows
from monitor.core.windowing.catalog import Catalog
from monitor.core.windowing.checks import check_pane, largest_body
from monitor.core.windowing.codec import (
    Assembled,
    PaneAssembler,
    Whole,
    check_span,
    read_message,
)
from monitor.core.windowing.details.block import MAX_VALUES_BYTES
from monitor.core.windowing.pane_batch import Entry, encode_series, read_series
from monitor.core.windowing.pane_body import PaneBody, check_bodies, view_body
from schemas.baselines import Baseline
from schemas.config.model import ModelConfig
from schemas.errors import DomainError
from schemas.panes import SeriesId

MAX_UNKNOWN = 1_000
"""Maximum number of unknown baseline IDs that are kept for a later lookup."""
_MAX_KNOWN, _MAX_KNOWN_BYTES = 1 << 16, 512
"""Series that are remembered by their bytes, and the longest of these."""
_ENTRY_NAMES_BYTES = 64 << 10
"""Of the names that an entry of a pane has beside its body, at most."""


class _Known(NamedTuple):
    """What the catalog says of a series."""

    series: SeriesId
    config: ModelConfig | None
    """None if its model is not configured."""
    baseline: Baseline | None
    limit: int
    """Bytes that the arrays of a pane may take."""


class _Checked(msgspec.Struct, gc=False):
    """A pane of a message, without regard to the panes of its window."""

    known: _Known
    entry: Entry
    body: PaneBody


class PaneIntake:
    """Reads messages of panes.

    Parameters
    ----------
    windows : Windows
        To which the panes will be added.

    Attributes
    ----------
    assembler : PaneAssembler
        Waits for the chunks of large panes.
    unknown_baselines : set of str
        Baseline IDs of panes that are not in the catalog.
    n_unknown_models : int
        Panes of the message read last whose model is not configured.
    faults : list of str
        Why panes of the message read last cannot be used; the others can.

    Notes
    -----
    All panes of a message are checked by one call of a kernel. Nothing that a pane claims is
    used before it was checked, and no array is made of it.
    """

    def __init__(self, catalog: Catalog, windows: Windows) -> None:
        self._catalog, self._windows = catalog, windows
        self.assembler = PaneAssembler()
        self.unknown_baselines: set[str] = set()
        self.n_unknown_models = 0
        self.faults: list[str] = []
        self._known: dict[bytes, _Known] = {}
        self._limits: dict[tuple[str, str, str | None], int] = {}
        self._n_changes = catalog.n_changes

    def read(
        self,
        value: bytes,
        offset: int,
        record_time_us: int = -1,
        assembler: PaneAssembler | None = None,
    ) -> Iterator[Assembled]:
        """Yield the panes of a message, or those that its chunk completes.

        Add each to its window before the next is asked for: whether a pane fits depends on
        those that are there.

        Parameters
        ----------
        assembler : PaneAssembler, optional
            For chunks, instead of :attr:`assembler`.

        Raises
        ------
        TransportError, DomainError
            If it is no message of panes, or damaged as a whole.
        """
        self.n_unknown_models, self.faults = 0, []
        if self._n_changes != self._catalog.n_changes:
            self._known.clear()
            self._n_changes = self._catalog.n_changes
        message = read_message(value)
        head = message.header
        if head.model:
            known = self._known_of(encode_series(head.series))
            if known.config is None:
                self.n_unknown_models += 1
                return
            check_span(head.start_us, head.end_us, record_time_us)
            most = known.limit + _ENTRY_NAMES_BYTES + MAX_VALUES_BYTES
            check_number("raw_bytes", head.raw_bytes, 0, most)
        whole = (assembler or self.assembler).take(message, offset)
        if whole is not None:
            yield from self._fitting(whole, self._checked(whole.entries(), record_time_us))

    def _checked(self, entries: list[Entry], record_time_us: int) -> list[_Checked]:
        """Return the panes that are in order by themselves."""
        found: list[_Checked] = []
        checked_us = (0, 0)
        for entry in entries:
            try:
                known = self._known.get(entry.series) or self._known_of(entry.series)
                if known.config is None:
                    self.n_unknown_models += 1
                    continue
                span_us = (entry.start_us, entry.end_us)
                if span_us != checked_us:
                    check_span(*span_us, record_time_us)
                    checked_us = span_us
                found.append(_Checked(known, entry, view_body(entry.body)))
            except DomainError as error:
                self.faults.append(str(error))
        faults = check_bodies([checked.body for checked in found], MAX_COUNT)
        self.faults += [fault for fault in faults if fault]
        return [checked for checked, fault in zip(found, faults, strict=True) if not fault]

    def _fitting(self, whole: Whole, panes: list[_Checked]) -> Iterator[Assembled]:
        """Yield the panes that can be added to those of their windows."""
        for checked in panes:
            known, entry, body = checked.known, checked.entry, checked.body
            series, baseline = known.series, known.baseline
            if baseline is None and series.profile_id and len(self.unknown_baselines) < MAX_UNKNOWN:
                self.unknown_baselines.add(series.profile_id)
            n_variables = body.n_variables
            try:
                width = self._windows.width_of(series, entry.start_us) if n_variables else None
                check_pane(series.model, body, baseline, width, known.limit)
            except DomainError as error:
                self.faults.append(str(error))
                continue
            yield Assembled(whole.packed(series, entry, n_variables), body, whole.first_offset)

    def _known_of(self, raw: bytes) -> _Known:
        """Return what is known of a series.

        Raises
        ------
        DomainError
            If the bytes are no series.
        """
        known = self._known.get(raw)
        if known is None:
            series = read_series(raw)
            config = self._catalog.configs.get((series.tenant, series.model))
            baseline = self._catalog.baseline_of(series)
            limit = self._limit_of(config, baseline) if config is not None else 0
            known = _Known(series, config, baseline, limit)
            if len(raw) <= _MAX_KNOWN_BYTES:
                if len(self._known) >= _MAX_KNOWN:
                    self._known.clear()
                self._known[raw] = known
        return known

    def _limit_of(self, config: ModelConfig, baseline: Baseline | None) -> int:
        """Return the bytes that a pane may take; worked out once for each baseline."""
        key = (config.tenant, config.model, baseline.profile_id if baseline is not None else None)
        limit = self._limits.get(key)
        if limit is None:
            limit = self._limits[key] = largest_body(config, baseline)
        return limit
