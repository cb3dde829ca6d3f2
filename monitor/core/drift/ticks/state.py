"""State of rule 2 for one series between ticks, as stored in the state message. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec
import numpy as np
from msgspec import UNSET, UnsetType
from numpy.typing import NDArray

from detectors.kernels.scale_state import (
    IS_OPEN,
    N_CONTEXTS,
    N_SCALES,
    OPEN_COMPONENT,
    OPEN_SCALE,
)
from detectors.multiscale.excursion_state import KindState, WatchState, read_kinds
from detectors.multiscale.plan import ScalePlan
from detectors.multiscale.state import ScaleState
from monitor.core.bounds import MAX_OFFSET, check_number
from monitor.core.drift.ticks.closing import HeldTick
from monitor.core.drift.ticks.detectable_watch import DetectableState
from monitor.core.drift.ticks.history import Stretch
from monitor.core.drift.ticks.marks import (
    MarksState,
    n_extreme_bytes,
    n_learned_bytes,
    n_level_bytes,
)
from monitor.core.drift.ticks.total_loss import Streak
from schemas.errors import DomainError, ShapeError


class CellFinding(msgspec.Struct, array_like=True):
    """The strongest evidence of a cell since the last window closed."""

    component: int
    change: float
    evidence: float
    margin: float
    scale: int = 0
    natural: float = 0.0
    """Variance of averages of that scale by themselves."""
    context: int = 0


class StoredReplicas(msgspec.Struct):
    """State of the replicas of one family: hosts, or GPUs."""

    names: list[str] = []
    last_us: list[int] = []
    """End of the last tick with rows of each."""
    averages: bytes = b""
    """See :func:`state_bytes`; one cell a replica."""
    pool: bytes = b""
    """64 float64, little-endian: what all replicas had lately."""
    history: dict[str, list[Stretch]] = {}
    streaks: dict[str, Streak] = {}
    peaks: dict[str, CellFinding] = {}
    pending: tuple[int, int, dict[str, bytes]] | None = None
    """Begin and end of thin ticks that are not judged yet, and the counters of each replica."""


class StoredPairs(msgspec.Struct):
    """State of the cell of products of features."""

    averages: bytes = b""
    """See :func:`state_bytes`."""
    history: list[Stretch] = []
    peak: CellFinding | None = None
    n_left_out: int = 0
    """Ticks since the last window that had rows and no products."""
    held: HeldTick | None = None
    """A thin tick that is merged with the next one."""
    closed_by: str = ""
    """Incident that a person closed while its change has not returned."""


class ScaleSeries(msgspec.Struct):
    """State of rule 2 for a series."""

    averages: bytes = b""
    """See :func:`state_bytes`."""
    history: list[Stretch] = []
    held: HeldTick | None = None
    streaks: dict[int, Streak] = {}
    """Ticks with most rows lost so far, by cell."""
    onsets: dict[str, tuple[int, int, int]] = {}
    """Beginning of each open alert, and its interval, by ``monitor|feature|segment``."""
    peaks: dict[int, CellFinding] = {}
    """By cell."""
    watch: WatchState | UnsetType = UNSET
    """Known excursions and the present one; unset without a known kind."""
    detectable: DetectableState | UnsetType = UNSET
    """Unset in states of earlier versions."""
    replicas: dict[str, StoredReplicas] | UnsetType = UNSET
    """By family; unset before the first replica."""
    pairs: StoredPairs | UnsetType = UNSET
    """Unset without products in the baseline, and in states of earlier versions."""
    marks: MarksState | UnsetType = UNSET
    """Unset in states of earlier versions."""


def state_bytes(state: ScaleState) -> bytes:
    """Return averages, learned variances and open alerts, float32, little-endian."""
    return b"".join(a.astype("<f4").tobytes() for a in _parts(state))


def state_of(data: bytes, plan: ScalePlan) -> ScaleState:
    """Restore what :func:`state_bytes` wrote.

    Raises
    ------
    ShapeError
        If it is of another baseline.
    DomainError
        If a value is not a number, or no state has it.
    """
    return read_state(data, ScaleState.start(plan))


def read_state(data: bytes, state: ScaleState) -> ScaleState:
    """Fill a state of the right shapes with the bytes of another; see :func:`state_of`."""
    n_values = sum(a.size for a in _parts(state))
    if len(data) != 4 * n_values:
        raise ShapeError(
            f"{len(data)} bytes of averages, not {4 * n_values}",
            where=f"{len(state.cells)} cells, {len(state.components)} components",
            fix="restore them with the baseline they were saved under",
        )
    values = np.frombuffer(data, "<f4").astype(np.float32)
    if not np.isfinite(values).all():
        raise DomainError("averages that are not numbers")
    at = 0
    for part in _parts(state):
        part[...] = values[at : at + part.size].reshape(part.shape)
        at += part.size
    return state


def check_scale(scale: ScaleSeries, state: ScaleState, plan: ScalePlan) -> None:
    """Validate what :func:`state_of` has restored, and the other fields.

    Raises
    ------
    DomainError
        If it names a cell, component or scale that there is not, or counts below 0.
    """
    n_components, n_cells = plan.n_components, plan.n_cells
    opened = state.cells[state.cells[:, IS_OPEN] != 0]
    for name, column, n in (
        ("component", OPEN_COMPONENT, n_components),
        ("scale", OPEN_SCALE, N_SCALES),
    ):
        values = opened[:, column]
        if not ((values >= 0) & (values < n)).all():
            raise DomainError(f"an open alert of a {name} that there is not")
    check_number("history", len(scale.history), 0, MAX_STRETCHES)
    for stretch in scale.history:
        check_number("end of a stretch", stretch.end_us, stretch.start_us + 1, MAX_OFFSET)
    for cell, streak in scale.streaks.items():
        check_number("cell", cell, 0, n_cells - 1)
        check_number("component", streak.component, 0, n_components - 1)
        check_number("ticks", streak.n_ticks, 0, MAX_OFFSET)
        check_number("rows", streak.n_rows, 0, MAX_OFFSET)
    for cell, peak in scale.peaks.items():
        check_number("cell", cell, 0, n_cells - 1)
        check_number("component", peak.component, 0, n_components - 1)
        check_number("scale", peak.scale, 0, N_SCALES - 1)
        check_number("context", peak.context, 0, N_CONTEXTS - 1)
    if scale.watch is not UNSET:
        check_number("ticks of excursions", scale.watch.n_ticks, 0, MAX_OFFSET)
        for data in (*scale.watch.kinds, *_fitting(scale.watch)):
            read_kinds(msgspec.msgpack.encode([data]), n_components, n_cells)
    if scale.marks is not UNSET:
        _check_marks(scale.marks, plan)
    held = scale.held
    if held is not None and (len(held.sums) != 8 * n_components or len(held.rows) != 8 * n_cells):
        raise DomainError("a tick of another baseline")


def _check_marks(state: MarksState, plan: ScalePlan) -> None:
    """Check what is kept of alerts and of incidents that persons closed."""
    for span in (*state.spans.values(), *state.past):
        check_number("cell", span.cell, 0, plan.n_cells - 1)
        check_number("ticks", min(span.n_before, span.n_ticks), 0, MAX_OFFSET)
        if len(span.extremes) not in (0, n_extreme_bytes(plan, span.cell)):
            raise DomainError("extremes of another cell")
        if len(span.level) != n_level_bytes(plan, span.cell):
            raise DomainError("the level of another cell")
        _check_finite(span.extremes)
        _check_finite(span.level)
    for mark in state.marks:
        if mark.kind is not None:
            read_kinds(msgspec.msgpack.encode([mark.kind]), plan.n_components, plan.n_cells)
        for cell, data in mark.before.items():
            check_number("cell", cell, 0, plan.n_cells - 1)
            if len(data) != n_learned_bytes(plan, cell):
                raise DomainError("what was learned of another cell")
            _check_finite(data)


def check_faults(faults: Mapping[str, bytes], cell_of: Mapping[str, int], plan: ScalePlan) -> None:
    """Check the levels to which cells return after an alert that was closed as a fault.

    Raises
    ------
    DomainError
        If one is of another cell, or not of numbers.
    """
    for key, level in faults.items():
        if key in cell_of and len(level) != n_level_bytes(plan, cell_of[key]):
            raise DomainError("the level of another cell")
        _check_finite(level)


def _check_finite(data: bytes) -> None:
    """Check that float32 values are numbers."""
    if len(data) % 4 or not np.isfinite(np.frombuffer(data, "<f4")).all():
        raise DomainError("a value that is not a number")


def _fitting(watch: WatchState) -> list[KindState]:
    """Return the kinds that the present excursion fits."""
    return [] if watch.episode is None else watch.episode.fitting


MAX_STRETCHES: Final = 1_000
"""Maximum stretches of a history; no tick length gives more in a month."""


def _parts(state: ScaleState) -> tuple[NDArray[np.float32], ...]:
    return state.components, state.scales, state.cells, state.model
