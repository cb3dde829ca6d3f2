"""State, plan and constants of the multi-scale rule, and the two variances read from them.

State is float32, arithmetic float64: a cell of 27 components takes 2.2 KB, and because
every value is rounded where it is stored, a run that is resumed from a checkpoint equals
one that was not interrupted.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from detectors.kernels.jit import uncounted

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
Integers = NDArray[np.int64]
Bools = NDArray[np.bool_]

N_SCALES: Final = 6
N_SLOTS: Final = 48
"""Hour of the day, Monday to Friday, then the same at weekends."""

# Columns of the plan's ``constants``, by component.
P, PQ, G_MAX, PRODUCT, SEASON_FACTOR, GATE = range(6)
N_CONSTANTS: Final = 6
# Columns of the plan's ``codes``, by component.
IS_SHARE, FIRST, SECOND, CELL, IS_SEASONAL = range(5)
# Columns of the plan's ``references``, by cell: rows, hours (0: not known), smallest change.
N_REFERENCE, HOURS_REFERENCE, SMALLEST, PHI_REFERENCE = range(4)

# Columns of the state's ``components``.
SUM, EXCESS = 0, N_SCALES
PHI_SUM, PREVIOUS, CORRECTION, UNEXPLAINED, TODAY, YESTERDAY, CONFIRMED = range(12, 19)
N_COMPONENT_VALUES: Final = 19
# Last axis of the state's ``scales``.
WEIGHT, SQUARES, SAMPLES, INFLATION = range(4)
N_SCALE_VALUES: Final = 4
# Columns of the state's ``cells``. W_ and T_: weight and ticks of the three sums of days.
PREVIOUS_ROWS, MEAN_ROWS, AGE, N_PHI, PHI_CELL = range(5)
W_TODAY, W_YESTERDAY, W_CONFIRMED, T_TODAY, T_YESTERDAY, T_CONFIRMED = range(5, 11)
IS_OPEN, OPEN_COMPONENT, OPEN_SCALE, OPEN_CHANGE, N_BACK = range(11, 16)
N_CELL_VALUES: Final = 16
OPEN, ACCEPTED = 1.0, 2.0
"""Values of IS_OPEN. The alert of a change that a person accepted is open, and its cell learns."""
# The state's ``model``: a score for each context, the hours spent in another kind of day, and
# the evidence that the clock has moved, by neighbouring hour.
N_CONTEXTS: Final = 4
HOURS_OTHER_DAY: Final = N_CONTEXTS
CLOCK: Final = N_CONTEXTS + 1
N_NEIGHBOURS: Final = 2
N_MODEL_VALUES: Final = N_CONTEXTS + 1 + N_NEIGHBOURS

CLIP: Final = 4.5
"""Standard deviations of an average by which one tick may move it."""
MAX_WEIGHT: Final = 4.0
"""A tick counts as at most so many ordinary ones."""
PRIOR_VARIANCE: Final = 0.03**2
"""Prior of natural movement at the shortest scale, as a share of p(1 - p)."""
PRIOR_SAMPLES: Final = 4.0
PRIOR_DECAY: Final = 0.5
"""Prior ratio of the variance of a scale to that of the next shorter one."""
PHI_PRIOR_TICKS: Final = 5.0
PHI_SHRINKAGE: Final = 10.0
"""Ticks for which the cell's design effect counts in that of a component."""
RARE_SHARE: Final = 0.02
"""A component below it has at least the design effect of its cell."""
BARELY: Final = 1.0 - 1e-9
"""Hours are multiples of ticks such as 1/12; rounding must not cost a tick."""
MIN_SAMPLES: Final = 5.0
"""Samples of its variance before a scale is used, or four times as many of the shorter one."""


@uncounted
def cell_phi(cells: Singles, references: Floats, c: int) -> float:
    """Design effect of a cell: the reference's as five ticks, then the stream's own."""
    prior = PHI_PRIOR_TICKS * float(references[c, PHI_REFERENCE])
    return (prior + float(cells[c, PHI_CELL])) / (PHI_PRIOR_TICKS + float(cells[c, N_PHI]))


@uncounted
def component_phi(
    constants: Floats, codes: Integers, components: Singles, ticks: float, pooled: float, i: int
) -> float:
    """Design effect of a component, shrunk to that of its cell (reference, 1.3 step 5)."""
    own = (PHI_SHRINKAGE * pooled + float(components[i, PHI_SUM])) / (PHI_SHRINKAGE + ticks)
    own = max(1.0, own)
    if codes[i, IS_SHARE] and constants[i, P] < RARE_SHARE:
        return max(own, pooled)
    return own


@uncounted
def natural_variance(
    components: Singles, scales: Singles, i: int, c: int, s: int, unit: float
) -> float:
    """tau^2(s) of a component: each scale's prior is the next shorter one (1.4).

    ``unit`` is p(1 - p) of a share, 1 of a mean.
    """
    prior = PRIOR_SAMPLES * PRIOR_VARIANCE * unit
    samples = float(scales[c, 0, SAMPLES])
    found = max(0.0, (prior + float(components[i, EXCESS])) / (PRIOR_SAMPLES + samples))
    shorter = 0.0
    for u in range(1, s + 1):
        seen = float(scales[c, u - 1, SAMPLES])
        ratio = PRIOR_DECAY
        if u >= 2 and seen >= 8.0 and shorter > 0.0:
            ratio = min(1.0, max(0.25, found / shorter))
        weight = PRIOR_SAMPLES + 0.25 * min(seen, 40.0)
        total = weight * ratio * found + float(components[i, EXCESS + u])
        shorter = found
        found = max(0.0, total / (weight + float(scales[c, u, SAMPLES])))
    return found


@uncounted
def effective_share(scales: Singles, c: int, s: int) -> float:
    """q of an average: one over its effective number of rows (1.3 step 6)."""
    weight = float(scales[c, s, WEIGHT])
    return float(scales[c, s, SQUARES]) / (weight * weight)


@uncounted
def average(
    constants: Floats, codes: Integers, components: Singles, scales: Singles, i: int, s: int
) -> float:
    """Return the average of a component's deviations at a scale, less its product if it has one."""
    found = float(components[i, SUM + s]) / float(scales[codes[i, CELL], s, WEIGHT])
    a, b = codes[i, FIRST], codes[i, SECOND]
    if a >= 0:
        left = float(components[a, SUM + s]) / float(scales[codes[a, CELL], s, WEIGHT])
        right = float(components[b, SUM + s]) / float(scales[codes[b, CELL], s, WEIGHT])
        found -= constants[i, PRODUCT] * left * right
    return found


@uncounted
def reference_variance(
    references: Floats,
    components: Singles,
    scales: Singles,
    cells: Singles,
    hours: Floats,
    tick_hours: float,
    phi: float,
    i: int,
    c: int,
    unit: float,
) -> float:
    """Variance of the reference's own mean (1.3 step 7): rows, and movement over its span.

    A reference without times is taken for a stretch of this stream.
    """
    n, span = float(references[c, N_REFERENCE]), float(references[c, HOURS_REFERENCE])
    if span <= 0.0:
        span = n * tick_hours / max(float(cells[c, MEAN_ROWS]), 1e-9)
    return phi * unit / n + spread_over(components, scales, hours, i, c, unit, span)


@uncounted
def spread_over(
    components: Singles, scales: Singles, hours: Floats, i: int, c: int, unit: float, span: float
) -> float:
    """Variance by natural movement of a mean over a stretch of so many hours."""
    span = max(span, 0.25)
    longest = 0
    for u in range(N_SCALES):
        if 2.0 * hours[u] <= span:
            longest = u
    held = 2.0 * float(hours[longest])
    moved = natural_variance(components, scales, i, c, longest, unit)
    return moved * min(1.0, held / span)
