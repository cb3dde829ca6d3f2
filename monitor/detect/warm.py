"""Every kernel of a decision run once, before the first tick waits for its compilation."""

from __future__ import annotations

from collections.abc import Iterator

from monitor.core.bounds import MAX_COUNT
from monitor.core.state.snapshot_store import SnapshotStore
from monitor.core.windowing.catalog import Catalog
from monitor.core.windowing.codec import encode_one, pane_key
from monitor.core.windowing.packed_pane import PackedPane, pack_pane
from monitor.core.windowing.pane_body import check_bodies, view_body
from monitor.core.windowing.pane_digest import digest_of
from monitor.core.windowing.pane_total import PaneTotal
from monitor.core.windowing.watermark_message import WatermarkMessage
from monitor.detect.stage import PanesRules
from monitor.transport.types import Message
from schemas.baselines import Baseline
from schemas.config.model import ModelConfig
from schemas.panes import Pane, SeriesId, SeriesStats

_HOSTS = ("host=a", "host=b", "host=c")
_SOURCE = "warm"
_N_QUIET, _N_CHANGED = 3, 3
"""Ticks like the reference, then ticks in which every value has changed: an alert opens."""
_TOTAL = 64
"""Rows at least of a made-up pane; a total loss needs 50."""


def warm_decision(catalog: Catalog) -> bool:
    """Judge made-up panes of the first model that has a baseline.

    Returns
    -------
    bool
        False if there is no baseline, and so nothing to judge yet.

    Notes
    -----
    Up to a minute where nothing is in the kernel cache yet, a few tenths of a second where it
    is. Afterwards neither reading panes, nor windows, ticks, openings and their beginnings
    compile anything: they run in the loop that also answers the group.
    """
    for key, baselines in sorted(catalog.baselines.items()):
        for baseline in baselines[:1]:
            config = catalog.configs[key]
            rules = PanesRules(Catalog.of([config], [baseline]), 0, _SOURCE, _SOURCE, lambda: 0.0)
            rules.restore(SnapshotStore())
            for message in _messages(config, baseline):
                for _ in rules.hear(message):
                    pass
            _read_together(_pane(config, baseline, 0, is_changed=False))
            return True
    return False


def _messages(config: ModelConfig, baseline: Baseline) -> Iterator[Message]:
    """Yield panes of some ticks, each with its watermark, until the windows close."""
    window, offset = config.window, 0
    step_us = max(config.tick_us, window.pane_us)
    for i in range(_N_QUIET + _N_CHANGED):
        pane = _pane(config, baseline, i * step_us, is_changed=i >= _N_QUIET)
        for chunk, value in enumerate(encode_one(pane)):
            yield Message(offset, pane_key(pane, chunk).encode(), value, -1)
            offset += 1
        yield _watermark(offset, (i + 1) * step_us + window.lateness_us)
        offset += 1
    end_us = _N_QUIET * step_us + 3 * window.length_us + window.lateness_us
    yield _watermark(offset, end_us)
    yield _watermark(offset + 1, end_us, is_end=True)


def _pane(
    config: ModelConfig, baseline: Baseline, start_us: int, *, is_changed: bool
) -> PackedPane:
    """Return a pane with the counts of the reference, or with all of them in one counter."""
    reference = baseline.reference
    segments = SeriesStats.empty(tuple(reference.segments), reference.counts.shape[1])
    segments.counts[:] = reference.counts
    segments.n_rows[:] = reference.n_rows
    hosts = SeriesStats.empty(_HOSTS, 1)
    for stats in (segments, hosts):
        if is_changed or stats is hosts:
            n_rows = stats.counts.sum(axis=-1).clip(_TOTAL)
            stats.counts[:] = 0
            stats.counts[..., 0] = n_rows
            stats.n_rows[:] = n_rows.max(axis=-1)
    series = SeriesId(config.tenant, config.model, baseline.model_version, baseline.profile_id)
    end_us = start_us + config.window.pane_us
    return pack_pane(Pane(series, start_us, end_us, _SOURCE, 0, _SOURCE, 1, segments, hosts))


def _read_together(pane: PackedPane) -> None:
    """Read a pane as one of several of a message, and as one that is repeated or closes early."""
    body = view_body(pane.body)
    check_bodies([body, body], MAX_COUNT)
    digest_of(body)
    total = PaneTotal(pane.n_variables)
    total.add(body)
    total.copy()


def _watermark(offset: int, time_us: int, *, is_end: bool = False) -> Message:
    """Return the watermark of the only partition of the source."""
    word = WatermarkMessage(_SOURCE, 0, 1, _SOURCE, time_us, is_end=is_end)
    return Message(offset, word.key(), word.encode(), -1)
