"""Known excursions and the watch of a model as plain values, for profiles and states."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from detectors.kernels import scale_state as at
from detectors.multiscale.excursion_watch import Episode, ExcursionWatch
from detectors.multiscale.excursions import Excursion, ExcursionKind
from detectors.multiscale.plan import ScalePlan
from detectors.multiscale.rule import Verdicts
from detectors.multiscale.snapshot import Snapshot
from schemas.errors import DomainError, ShapeError

Singles = NDArray[np.float32]

_FLAGS = ("has_opened", "has_closed")
_INTEGERS = ("component", "scale", "context")
_FLOATS = ("evidence", "margin", "change", "natural", "sampling")


class KindState(msgspec.Struct, array_like=True):
    """A known kind of excursion."""

    n_known: int
    hours: float
    n_ticks: int
    cells: bytes
    """A byte a cell."""
    extremes: bytes
    """Smallest, then largest averages, float32, little-endian."""
    marked_hours: float


class RecentState(msgspec.Struct, array_like=True):
    """An excursion of a known kind, without its averages."""

    start: int
    n_ticks: int
    cells: bytes


class EpisodeState(msgspec.Struct, array_like=True):
    """An excursion that is under way."""

    start: int
    is_held: bool
    fitting: list[KindState]
    before: bytes
    """A snapshot, or empty."""
    cells: bytes
    n_back: list[int]
    extremes: bytes
    opening: list[list[float]]
    """Verdicts of the opening of each cell: flags, integers, floats."""


class WatchState(msgspec.Struct, array_like=True):
    """All that a watch remembers between ticks."""

    kinds: list[KindState] = []
    n_ticks: int = 0
    recent: list[RecentState] = []
    episode: EpisodeState | None = None
    snapshots: list[bytes] = []


def kind_states(kinds: Sequence[ExcursionKind]) -> list[KindState]:
    """Return kinds as a profile carries them; :func:`kinds_of` reads them."""
    return [
        KindState(
            kind.n_known,
            kind.hours,
            kind.n_ticks,
            _flags(kind.cells),
            _singles(kind.low, kind.high),
            kind.marked_hours,
        )
        for kind in kinds
    ]


def kinds_of(states: Sequence[KindState], plan: ScalePlan) -> tuple[ExcursionKind, ...]:
    """Restore what :func:`kind_states` wrote.

    Raises
    ------
    ShapeError
        If it is of another baseline.
    """
    found = []
    for own in states:
        low, high = _extremes(own.extremes, plan)
        cells = _cells(own.cells, plan)
        found.append(
            ExcursionKind(own.n_known, own.hours, own.n_ticks, cells, low, high, own.marked_hours)
        )
    return tuple(found)


def kind_bytes(kinds: Sequence[ExcursionKind]) -> bytes:
    """Return kinds as a profile stores them; empty without a kind."""
    return msgspec.msgpack.encode(kind_states(kinds)) if kinds else b""


def read_kinds(data: bytes, n_components: int, n_cells: int) -> list[KindState]:
    """Decode and check what :func:`kind_bytes` wrote.

    Raises
    ------
    DomainError
        If it is no list of kinds, or of another baseline, or a value is none of a kind.
    """
    if not data:
        return []
    try:
        kinds = msgspec.msgpack.decode(data, type=list[KindState])
    except msgspec.DecodeError as error:
        raise DomainError(f"kinds of excursions: {error}") from None
    n_bytes = 2 * n_components * at.N_SCALES * 4
    for kind in kinds:
        is_fitting = len(kind.cells) == n_cells and len(kind.extremes) == n_bytes
        hours = (kind.hours, kind.marked_hours)
        is_possible = min(kind.n_known, kind.n_ticks) > 0 and all(0 <= h < math.inf for h in hours)
        if not (is_fitting and is_possible and max(hours) > 0):
            raise DomainError("a kind of excursions that none can be")
        if np.isnan(np.frombuffer(kind.extremes, "<f4")).any():
            raise DomainError("an excursion that is not a number")
    return kinds


def watch_state(watch: ExcursionWatch) -> WatchState:
    """Return a watch as a state message carries it; :func:`watch_of` reads it.

    What returned in the last tick is not in it.
    """
    return WatchState(
        kind_states(watch.kinds),
        watch.n_ticks,
        [RecentState(past.start, past.n_ticks, _flags(past.cells)) for past in watch.recent],
        None if watch.episode is None else _episode_state(watch.episode),
        [_snapshot_bytes(own) for own in watch.snapshots],
    )


def watch_of(state: WatchState, plan: ScalePlan) -> ExcursionWatch:
    """Restore what :func:`watch_state` wrote; a watch goes on from it bit by bit.

    Raises
    ------
    ShapeError
        If it is of another baseline.
    """
    nothing = np.zeros((0, at.N_SCALES), np.float32)
    return ExcursionWatch(
        kinds_of(state.kinds, plan),
        state.n_ticks,
        [
            Excursion(past.start, past.n_ticks, _cells(past.cells, plan), nothing, nothing)
            for past in state.recent
        ],
        None if state.episode is None else _episode(state.episode, plan),
        [_snapshot(own, plan) for own in state.snapshots],
    )


def _episode_state(own: Episode) -> EpisodeState:
    names = (*_FLAGS, *_INTEGERS, *_FLOATS)
    return EpisodeState(
        own.start,
        own.is_held,
        kind_states(own.fitting),
        b"" if own.before is None else _snapshot_bytes(own.before),
        _flags(own.cells),
        own.n_back.tolist(),
        _singles(own.low, own.high),
        [getattr(own.opening, name).astype(float).tolist() for name in names],
    )


def _episode(state: EpisodeState, plan: ScalePlan) -> Episode:
    columns = [np.array(column) for column in (*state.opening, state.n_back)]
    n_expected = len(_FLAGS) + len(_INTEGERS) + len(_FLOATS) + 1
    if len(columns) != n_expected or any(len(own) != plan.n_cells for own in columns):
        raise _of_another(f"{len(columns)} columns of an excursion", plan)
    low, high = _extremes(state.extremes, plan)
    *opening, n_back = columns
    flags, rest = opening[: len(_FLAGS)], opening[len(_FLAGS) :]
    integers, floats = rest[: len(_INTEGERS)], rest[len(_INTEGERS) :]
    verdicts = Verdicts(
        *(own.astype(bool) for own in flags),
        *(own.astype(np.int64) for own in integers),
        *floats,
    )
    return Episode(
        start=state.start,
        is_held=state.is_held,
        fitting=kinds_of(state.fitting, plan),
        before=_snapshot(state.before, plan) if state.before else None,
        cells=_cells(state.cells, plan),
        n_back=n_back.astype(np.int64),
        low=low,
        high=high,
        opening=verdicts,
    )


def _snapshot_bytes(own: Snapshot) -> bytes:
    return _singles(*(getattr(own, name) for name in Snapshot.__dataclass_fields__))


def _snapshot(data: bytes, plan: ScalePlan) -> Snapshot:
    n, c = plan.n_components, plan.n_cells
    shapes = [(n, at.N_SCALES), (n,), (n,), (c, at.N_SCALES, at.SAMPLES), (c,), (c,), (c,)]
    return Snapshot(*_arrays(data, shapes, plan))


def _extremes(data: bytes, plan: ScalePlan) -> list[Singles]:
    return _arrays(data, [(plan.n_components, at.N_SCALES)] * 2, plan)


def _arrays(data: bytes, shapes: Sequence[tuple[int, ...]], plan: ScalePlan) -> list[Singles]:
    sizes = [int(np.prod(shape)) for shape in shapes]
    if len(data) != 4 * sum(sizes):
        raise _of_another(f"{len(data)} bytes, not {4 * sum(sizes)}", plan)
    values = np.frombuffer(data, "<f4").astype(np.float32)
    parts = np.split(values, np.cumsum(sizes)[:-1])
    return [part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)]


def _cells(data: bytes, plan: ScalePlan) -> NDArray[np.bool_]:
    if len(data) != plan.n_cells:
        raise _of_another(f"{len(data)} cells, not {plan.n_cells}", plan)
    found: NDArray[np.bool_] = np.frombuffer(data, np.uint8) != 0
    return found


def _flags(cells: NDArray[np.bool_]) -> bytes:
    return cells.astype(np.uint8).tobytes()


def _singles(*arrays: Singles) -> bytes:
    return b"".join(own.astype("<f4").tobytes() for own in arrays)


def _of_another(problem: str, plan: ScalePlan) -> ShapeError:
    return ShapeError(
        problem,
        where=f"excursions of {plan.n_cells} cells, {plan.n_components} components",
        fix="restore them with the baseline they were saved under",
    )
