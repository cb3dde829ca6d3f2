"""The state of replicas under rule 2, as stored in the state message. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from detectors.kernels.scale_state import IS_OPEN, N_SCALES, OPEN_COMPONENT, OPEN_SCALE
from detectors.multiscale.replicas import ReplicaState
from monitor.core.bounds import MAX_OFFSET, check_names, check_number
from monitor.core.drift.ticks.state import StoredReplicas, read_state, state_bytes
from schemas.errors import DomainError, ShapeError
from schemas.panes import N_COUNTERS

Counts = NDArray[np.int64]

MAX_REPLICAS: Final = 10_000


def stored_state(state: ReplicaState) -> StoredReplicas:
    """Return names, averages and pool in their stored form."""
    return StoredReplicas(
        names=list(state.names),
        last_us=state.last_us.tolist(),
        averages=state_bytes(state.averages),
        pool=state.pool.astype("<f8").tobytes(),
    )


def restored_state(stored: StoredReplicas, n_components: int) -> ReplicaState:
    """Restore what :func:`stored_state` wrote, and check the rest of the stored form.

    Parameters
    ----------
    n_components : int
        Of one replica.

    Raises
    ------
    ShapeError
        If it is of another baseline.
    DomainError
        If it names a replica, component or scale that there is not, or a value that is no number.
    """
    names, n = stored.names, len(stored.names)
    check_names("replicas", names, MAX_REPLICAS)
    if len(set(names)) != n or len(stored.last_us) != n:
        raise DomainError(f"{len(stored.last_us)} times of {n} replicas")
    for time_us in stored.last_us:
        check_number("time", time_us, 0, MAX_OFFSET)
    averages = read_state(stored.averages, ReplicaState.averages_of(n_components, n))
    opened = np.flatnonzero(averages.cells[:, IS_OPEN] != 0)
    component = averages.cells[opened, OPEN_COMPONENT] // n_components
    scale = averages.cells[opened, OPEN_SCALE]
    if not ((component == opened) & (scale >= 0) & (scale < N_SCALES)).all():
        raise DomainError("an open alert of a component that there is not")
    if len(stored.pool) != 8 * N_COUNTERS:
        raise ShapeError(f"{len(stored.pool)} bytes of a pool", where="replicas")
    pool = np.frombuffer(stored.pool, "<f8").astype(np.float64)
    if not (np.isfinite(pool).all() and (pool >= 0).all()):
        raise DomainError("a pool that is not numbers")
    _check_parts(stored, n_components)
    return ReplicaState(tuple(names), np.array(stored.last_us, np.int64), averages, pool)


def _check_parts(stored: StoredReplicas, n_components: int) -> None:
    """Check what is stored by replica."""
    known = set(stored.names)
    for part in (stored.history, stored.streaks, stored.peaks):
        if not known.issuperset(part):
            raise DomainError("a replica that there is not")
    for streak in stored.streaks.values():
        check_number("component", streak.component, 0, n_components - 1)
        check_number("ticks", streak.n_ticks, 0, MAX_OFFSET)
        check_number("rows", streak.n_rows, 0, MAX_OFFSET)
    for peak in stored.peaks.values():
        check_number("component", peak.component, 0, n_components - 1)
        check_number("scale", peak.scale, 0, N_SCALES - 1)


def stored_pending(
    start_us: int, end_us: int, counts: Mapping[str, Counts]
) -> tuple[int, int, dict[str, bytes]]:
    """Return thin ticks in their stored form."""
    return start_us, end_us, {n: own.astype("<i8").tobytes() for n, own in counts.items()}


def pending_of(stored: tuple[int, int, dict[str, bytes]]) -> tuple[int, int, dict[str, Counts]]:
    """Restore what :func:`stored_pending` wrote.

    Raises
    ------
    ShapeError
        If a replica has not 64 counters.
    """
    start_us, end_us, parts = stored
    check_number("end of a tick", end_us, start_us + 1, MAX_OFFSET)
    check_names("replicas", list(parts), MAX_REPLICAS)
    if any(len(own) != 8 * N_COUNTERS for own in parts.values()):
        raise ShapeError("a replica without 64 counters", where="replicas")
    counts = {name: np.frombuffer(own, "<i8").astype(np.int64) for name, own in parts.items()}
    if any((own < 0).any() for own in counts.values()):
        raise DomainError("counters below 0")
    return start_us, end_us, counts
