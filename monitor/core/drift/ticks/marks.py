"""Incidents that a person closed as normal or as a fault: what detect keeps and does. Pure.

While an alert is open the extremes of its averages are followed, and kept for a while after it has
resolved, so that the excursion of an incident can become known whenever a person closes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from detectors.kernels.scale_state import (
    AGE,
    EXCESS,
    INFLATION,
    N_BACK,
    N_PHI,
    N_SCALES,
    PHI_CELL,
    PHI_SUM,
    SAMPLES,
    SUM,
    T_TODAY,
    T_YESTERDAY,
    TODAY,
    W_TODAY,
    W_YESTERDAY,
    WEIGHT,
    YESTERDAY,
)
from detectors.multiscale.averages import averages
from detectors.multiscale.excursion_state import KindState, kind_states, kinds_of
from detectors.multiscale.excursions import (
    MAX_HOURS,
    OFTEN_DAYS,
    Excursion,
    ExcursionKind,
    kind_of,
    with_marks,
)
from detectors.multiscale.plan import ScalePlan
from detectors.multiscale.rule import ScaleRule
from detectors.multiscale.state import ScaleState
from schemas.actions import Label

MAX_MARK_BYTES: Final = 8 << 20
"""Of what all marks of a series carry, in each state message; at least one is kept."""
MAX_SPANS: Final = 256
"""Resolved alerts that are kept of a series; older ones can be closed without being learned."""
MAX_MARKS: Final = 256
"""Closed incidents that are kept of a series; the oldest marks are forgotten."""
_SINGLE: Final = "<f4"
Singles = NDArray[np.float32]


class AlertSpan(msgspec.Struct, array_like=True):
    """An alert of one cell, open or resolved, and the extremes of its averages."""

    cell: int
    opened_at_us: int
    n_before: int
    """Ticks between the beginning of the change and the opening of its alert."""
    n_ticks: int = 0
    """Since it opened."""
    first_us: int = 0
    """Beginning of the change."""
    extremes: bytes = b""
    """Smallest, then largest average of each component of the cell, over all scales."""
    level: bytes = b""
    """Longest average of each component as the alert opened: the level before the change."""


class Mark(msgspec.Struct, array_like=True):
    """What a person said of an incident."""

    incident_id: str
    action_id: str
    label: Label
    by: str
    time_us: int
    keys: list[str] = []
    """``monitor|feature|segment`` of the alerts that were open when it was closed."""
    kind: KindState | None = None
    """The excursion that is known since then."""
    before: dict[int, bytes] = {}
    """By cell: what had been learned when it was closed as normal."""


class MarksState(msgspec.Struct):
    """What is kept of a series."""

    spans: dict[str, AlertSpan] = {}
    """Open alerts, by ``monitor|feature|segment``."""
    past: list[AlertSpan] = []
    marks: list[Mark] = []
    faults: dict[str, bytes] = {}
    """By key of cells that have not returned since their alert was closed as a fault: the level
    before it."""


def follow_spans(spans: Iterable[AlertSpan], plan: ScalePlan, state: ScaleState) -> None:
    """Update the extremes of open alerts after a tick."""
    own = list(spans)
    if not own:
        return
    m = np.nan_to_num(averages(plan, state))
    for span in own:
        part = m[_components(plan, span.cell)]
        low, high = _extremes(span, plan)
        low = np.minimum(low, part.min(axis=1))
        high = np.maximum(high, part.max(axis=1))
        span.extremes = np.concatenate([low, high]).astype(_SINGLE).tobytes()
        span.n_ticks += 1


def level_bytes(plan: ScalePlan, state: ScaleState, cell: int) -> bytes:
    """Return the longest average of each component of a cell."""
    level = np.nan_to_num(averages(plan, state)[_components(plan, cell), -1])
    return level.astype(_SINGLE).tobytes()


def restore_level(plan: ScalePlan, state: ScaleState, cell: int, level: bytes) -> None:
    """Set all averages of a cell to a level, as if the rows since then had never come.

    Long averages would carry a fault on for days, and its end would be learned as movement. The
    days that wait for the live correction hold rows of the fault too, and are dropped.
    """
    own, values = _components(plan, cell), np.frombuffer(level, _SINGLE)
    weight = state.scales[cell, :, WEIGHT]
    state.components[own, SUM : SUM + N_SCALES] = values[:, None] * weight
    state.components[own, TODAY] = state.components[own, YESTERDAY] = 0.0
    state.cells[cell, [W_TODAY, W_YESTERDAY, T_TODAY, T_YESTERDAY, N_BACK]] = 0.0


def known_excursion(
    spans: Sequence[AlertSpan],
    plan: ScalePlan,
    rule: ScaleRule,
    state: ScaleState,
    *,
    is_over: bool,
) -> ExcursionKind:
    """Return the excursion of an incident that a person closed as normal.

    Parameters
    ----------
    spans : sequence of AlertSpan
        Its alerts, at least one.
    is_over : bool
        Whether all of them have resolved. How long one under way will last is not known: it may
        last three days, and by the margin of a single one 7.5.
    """
    cells = np.zeros(plan.n_cells, bool)
    low = np.zeros((plan.n_components, N_SCALES), np.float32)
    high = np.zeros_like(low)
    for span in spans:
        cells[span.cell] = True
        own, (least, most) = _components(plan, span.cell), _extremes(span, plan)
        low[own] = np.minimum(low[own], least[:, None])
        high[own] = np.maximum(high[own], most[:, None])
    n_ticks = max(1, *(span.n_before + span.n_ticks for span in spans))
    if not is_over:
        n_ticks = max(n_ticks, round(MAX_HOURS / rule.tick_hours))
    # Rates are compared over so many days at most: one in two years would be ever so rare.
    longest = 24.0 * OFTEN_DAYS[-1] / rule.tick_hours
    age = max(min(float(state.cells[:, AGE].max()), longest), float(n_ticks))
    excursion = Excursion(0, n_ticks, cells, low, high)
    return kind_of(excursion, age * rule.tick_hours, is_marked=True)


def kept_marks(marks: Sequence[Mark]) -> list[Mark]:
    """Return the latest marks, as many as a state has room for.

    Examples
    --------
    >>> len(kept_marks([Mark("i", str(n), Label.FAULT, "ann", n, []) for n in range(300)]))
    256
    """
    kept, n_bytes = list[Mark](), 0
    for mark in reversed(marks[-MAX_MARKS:]):
        n_bytes += sum(map(len, mark.before.values()))
        n_bytes += len(mark.kind.extremes) if mark.kind is not None else 0
        if kept and n_bytes > MAX_MARK_BYTES:
            break
        kept.append(mark)
    return kept[::-1]


def with_known(
    kinds: Iterable[ExcursionKind], marks: Iterable[Mark], plan: ScalePlan
) -> tuple[ExcursionKind, ...]:
    """Return the kinds of the reference with those of incidents that were closed as normal."""
    own = [mark.kind for mark in marks if mark.kind is not None]
    return with_marks(kinds, kinds_of(own, plan))


def kind_state(kind: ExcursionKind) -> KindState:
    """Return a kind as a mark carries it."""
    return kind_states([kind])[0]


def learned_bytes(plan: ScalePlan, state: ScaleState, cell: int) -> bytes:
    """Return what has been learned of a cell: movement, and design effects."""
    return b"".join(part.astype(_SINGLE).tobytes() for part in _learned(plan, state, cell))


def restore_learned(plan: ScalePlan, state: ScaleState, cell: int, data: bytes) -> None:
    """Put back what :func:`learned_bytes` returned: what was learned since is dropped."""
    values, at = np.frombuffer(data, _SINGLE), 0
    for part in _learned(plan, state, cell):
        part[...] = values[at : at + part.size].reshape(part.shape)
        at += part.size


def n_learned_bytes(plan: ScalePlan, cell: int) -> int:
    """Return the length of :func:`learned_bytes`."""
    n = int(plan.offsets[cell + 1] - plan.offsets[cell])
    return 4 * (n * (N_SCALES + 1) + 2 * N_SCALES + 2)


def n_level_bytes(plan: ScalePlan, cell: int) -> int:
    """Return the length of :func:`level_bytes`."""
    return 4 * int(plan.offsets[cell + 1] - plan.offsets[cell])


def n_extreme_bytes(plan: ScalePlan, cell: int) -> int:
    """Return the length of the extremes of an alert that has been followed."""
    return 8 * int(plan.offsets[cell + 1] - plan.offsets[cell])


def _learned(plan: ScalePlan, state: ScaleState, cell: int) -> tuple[Singles, ...]:
    """Return views of what is learned of a cell."""
    own = _components(plan, cell)
    return (
        state.components[own, EXCESS : EXCESS + N_SCALES],
        state.components[own, PHI_SUM : PHI_SUM + 1],
        state.scales[cell, :, SAMPLES : INFLATION + 1],
        state.cells[cell, N_PHI : PHI_CELL + 1],
    )


def _components(plan: ScalePlan, cell: int) -> slice:
    return slice(int(plan.offsets[cell]), int(plan.offsets[cell + 1]))


def _extremes(span: AlertSpan, plan: ScalePlan) -> tuple[Singles, Singles]:
    own = _components(plan, span.cell)
    if not span.extremes:
        nothing = np.zeros(own.stop - own.start, np.float32)
        return nothing, nothing
    values = np.frombuffer(span.extremes, _SINGLE).astype(np.float32)
    low, high = np.split(values, 2)
    return low, high
