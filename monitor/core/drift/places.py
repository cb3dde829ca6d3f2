"""Locates a drift: segments, hosts and features with a disproportionate part of it. Pure.

Computed only when an alert opens or escalates: a few sums over one window.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from detectors.decision_rule.sets import CellSets, SetLayout
from detectors.explain.contributions import contributions, standing_out
from monitor.core.drift.alerts import CellView
from monitor.core.drift.cells import align_counts, family
from schemas.baselines import Baseline
from schemas.monitors import Monitor
from schemas.names import SCORE
from schemas.panes import ALL, N_COUNTERS, Window

MAX_PLACES = 4
"""Maximum number of places in an alert."""

Place = tuple[str, float]
"""``name=value`` of a segment, host or GPU, or a feature's name; its part of the change."""
Counts = NDArray[np.int64]


def find_places(
    view: CellView,
    window: Window,
    baseline: Baseline,
    reference: Counts,
    layout: SetLayout,
    phi: float,
) -> tuple[Place, ...]:
    """Return the places with most of the change of a cell.

    Parameters
    ----------
    view : CellView
        The cell; only cells of all rows have parts.
    window : Window
        The window that changed the alert.
    baseline : Baseline
        Baseline with the segments and variables.
    reference : ndarray of int64, shape (S, V, 64)
        Reference of each cell in this window.
    layout : SetLayout
        The sets of ``view.decision``.
    phi : float
        Design effect of the cell.

    Returns
    -------
    tuple of (str, float)
        In descending order of the part of the change within its family: the values of one segment,
        the hosts, the GPUs; for the score also the features, by the most changed set of each. Empty
        if the change is uniform.

    Notes
    -----
    Parts refer to the set in the alert and to the last window; earlier windows may differ. A
    segment whose values are compared with other hours than all rows are (too few rows for their
    slot, or not seasonal) is omitted, because its reference mixes hours. Hosts are compared with
    the whole baseline, because training data has no hosts; only their scores are counted, so
    features are located by segment only.
    """
    if view.monitor != Monitor.DRIFT or view.segment != ALL or not view.effect_where:
        return ()
    named = int(view.decision.set_index[view.index])
    found = [*_by_segment(view, window, baseline, reference, layout, phi)]
    if view.variable.name == SCORE:
        for name in ("host", "gpu_uuid"):
            found += _by_replica(view, window, layout, named, phi, name)
        found += _by_feature(view, window, baseline, reference, layout)
    return tuple(sorted(found, key=lambda place: -place[1])[:MAX_PLACES])


OTHER_HOURS = 8
"""Bound on the ratio of a part's share of rows in one hour of the week to its share over all.

One hour is a 24th or a 168th of all.
"""


def _by_segment(
    view: CellView,
    window: Window,
    baseline: Baseline,
    reference: Counts,
    layout: SetLayout,
    phi: float,
) -> Iterator[Place]:
    """Return the places among the values of each segment; other rows are the rest."""
    named = int(view.decision.set_index[view.index])
    segments, v = baseline.reference.segments, view.index % len(baseline.variables)
    shape = (len(segments), -1, N_COUNTERS)
    current = align_counts(window.segments, segments).reshape(shape)[:, v]
    names = [segment.partition("=")[0] for segment in segments]
    for name in dict.fromkeys(n for n in names if n != ALL):
        rows = [s for s, other in enumerate(names) if other == name]
        of_hours = reference[rows, v], view.reference_counts
        if not _is_of_same_hours(*of_hours, baseline.reference.counts[:, v], rows):
            continue
        before = _with_rest(reference[rows, v], view.reference_counts)
        now = _with_rest(current[rows], view.current_counts)
        sides = _moved(before, layout, named), _moved(now, layout, named)
        yield from _places([segments[s] for s in rows], *sides, phi)


def _is_of_same_hours(parts: Counts, whole: Counts, all_hours: Counts, rows: list[int]) -> bool:
    """Return whether parts and whole have the same hours, judged by their sizes."""
    if (parts.sum(axis=0) > whole).any():
        return False
    here = parts.sum(axis=1) / max(int(whole.sum()), 1)
    there = all_hours[rows].sum(axis=1) / max(int(all_hours[0].sum()), 1)
    return bool(((here <= OTHER_HOURS * there) & (there <= OTHER_HOURS * here)).all())


def _by_replica(
    view: CellView, window: Window, layout: SetLayout, named: int, phi: float, name: str
) -> Iterator[Place]:
    """Return the places among hosts or GPUs, each compared with the whole baseline."""
    replicas, counts = family(window.slices, name)
    if len(replicas) > 1:
        before = _moved(view.reference_counts[None], layout, named)[0]
        now = _moved(_with_rest(counts, view.current_counts), layout, named)
        yield from _places(replicas, before, now, phi)


def _by_feature(
    view: CellView, window: Window, baseline: Baseline, reference: Counts, layout: SetLayout
) -> Iterator[Place]:
    """Return the features outside their tolerance in this window, by their most changed set."""
    decision, n_variables = view.decision, len(baseline.variables)
    first = view.index - view.index % n_variables
    cells = [c for c in range(first, first + n_variables - 1) if decision.is_positive[c]]
    if not cells:
        return
    counts = align_counts(window.segments, (ALL,))
    sides = [
        np.concatenate([_moved(of[[c - first]], layout, int(decision.set_index[c])) for c in cells])
        for of in (reference[first // n_variables], counts)
    ]
    before, now = sides
    # References may have different hours, and so very different sizes.
    totals = now.sum(axis=1, keepdims=True) / np.maximum(before.sum(axis=1, keepdims=True), 1)
    before = np.rint(before * totals).astype(np.int64)
    for c, part in zip(cells, contributions(before, now).inside.tolist(), strict=True):
        yield baseline.variables[c - first].name, round(part, 4)


def _places(names: list[str], before: Counts, now: Counts, phi: float) -> Iterator[Place]:
    """Return the disproportionate places; the last part is the rest, which has no name."""
    inside = contributions(before, now).inside
    for c in standing_out(before, now, phi=phi).tolist():
        if c < len(names):
            yield names[c], round(float(inside[c]), 4)


def _with_rest(parts: Counts, whole: Counts) -> Counts:
    """Append the rows that are in none of the parts."""
    return np.concatenate([parts, np.maximum(whole - parts.sum(axis=0), 0)[None]])


def _moved(counts: Counts, layout: SetLayout, named: int) -> Counts:
    """Return the rows outside and inside one set, shape (P, 2)."""
    own = slice(named, named + 1)
    one = CellSets(
        tuple(layout.names[own]),
        layout.first[own],
        layout.stop[own],
        layout.extra[own],
        layout.is_complement[own],
    )
    inside = one.tally(counts)
    return np.concatenate([counts.sum(axis=1, keepdims=True) - inside, inside], axis=1)
