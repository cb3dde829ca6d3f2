"""One tick of the multi-scale rule, over all cells of a model.

The order of work in a cell is that of the reference, section 1.3: weight, context,
deviation, clip, clusters, averages, evidence, fire or close, live correction, learning.
Allocates nothing: scratch and results are arrays of the caller.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from detectors.kernels.jit import uncounted
from detectors.kernels.scale_evidence import BACK_MARGIN, CLOSING_HOURS, strongest
from detectors.kernels.scale_learning import correct, learn
from detectors.kernels.scale_state import (
    AGE,
    BARELY,
    CELL,
    CLIP,
    CLOCK,
    CORRECTION,
    HOURS_OTHER_DAY,
    IS_OPEN,
    IS_SEASONAL,
    IS_SHARE,
    MAX_WEIGHT,
    MEAN_ROWS,
    MIN_SAMPLES,
    N_BACK,
    N_CONTEXTS,
    N_NEIGHBOURS,
    N_PHI,
    N_SCALES,
    OPEN,
    OPEN_CHANGE,
    OPEN_COMPONENT,
    OPEN_SCALE,
    PHI_CELL,
    PHI_SUM,
    PQ,
    PREVIOUS,
    PREVIOUS_ROWS,
    PRIOR_VARIANCE,
    SAMPLES,
    SQUARES,
    SUM,
    T_TODAY,
    TODAY,
    W_TODAY,
    WEIGHT,
    Bools,
    Floats,
    Integers,
    P,
    Singles,
    average,
    cell_phi,
    component_phi,
    natural_variance,
)

NONE, OPENED, CLOSED = 0, 1, -1
"""Transition of a cell's alert in a tick."""

MAX_GAINED: Final = 2.0
KNOWN_SHARE: Final = 1e-4
"""Rows that one tick may add to a share in any case, and the p(1 - p) below which it is one
row: two rows of a value that 300,000 have never had are 21 nats, and would fire alone.
"""
MAX_CLUSTER_RATIO: Final = 16.0
MAX_BELIEVED_PHI: Final = 3.0
"""Longer clusters extend over two ticks, so a second consecutive tick is clipped like the first."""
MEAN_ROWS_RATE: Final = 0.002
YOUNG_HOURS: Final = 24.0
REFERENCE_TICKS: Final = 12.0
MAX_YOUNG_WEIGHT: Final = 8.0

DECISIVE: Final = 25.0
"""Twice the log-likelihood by which another context has to beat the own one."""
CONTEXT_MEMORY: Final = 0.8
MAX_CONTEXT_DEVIATION: Final = 30.0
OTHER_DAY: Final = 3
MAX_OTHER_DAY_HOURS: Final = 96.0
OTHER_DAY_RECOVERY: Final = 0.25
CLOCK_MOVED: Final = 9.0
"""Twice the log-likelihood, over any time, of a neighbouring hour: well below every threshold."""
MAX_CLOCK_EVIDENCE: Final = 2.0 * CLOCK_MOVED
"""A clock that moves back is found as fast as one that has moved for a day."""

CLOSING_SHARE: Final = 0.4
"""An alert closes when less than this part of the change is left."""
CHANGE_RATE: Final = 0.001


@uncounted
def context_slot(slot: int, context: int) -> int:
    """Return the slot of a context: own, next hour, hour before, same hour of the other day."""
    hour, day = slot % 24, slot // 24
    if context == 1:
        hour = (hour + 1) % 24
    elif context == 2:
        hour = (hour + 23) % 24
    elif context == OTHER_DAY:
        day = 1 - day
    return day * 24 + hour


@uncounted
def context_deviation(
    sums: Floats,
    rows: Floats,
    constants: Floats,
    codes: Integers,
    season: Singles,
    offsets: Integers,
    slot: int,
    components: Singles,
    cells: Singles,
) -> float:
    """Squared deviations of a model from one slot of its season (1.6).

    Those of all seasonal means, and of the shares of cells that have no means. Shares add up to
    1, so each is weighted by 1 - p: the sum is then Pearson's chi-square.
    """
    total = 0.0
    for i in range(len(sums)):
        c = codes[i, CELL]
        if codes[i, IS_SEASONAL] == 0 or rows[c] <= 0.0:
            continue
        weight = 1.0
        if codes[i, IS_SHARE]:
            # Means come last in a cell.
            if codes[offsets[c + 1] - 1, IS_SHARE] == 0:
                continue
            weight = 1.0 - constants[i, P]
        d = sums[i] / rows[c] - constants[i, P] - float(season[slot, i])
        phi = max(1.0, float(components[i, PHI_SUM]) / max(float(cells[c, N_PHI]), 1.0))
        variance = phi * constants[i, PQ] / rows[c] + PRIOR_VARIANCE * constants[i, PQ]
        total += weight * min(d * d / variance, MAX_CONTEXT_DEVIATION)
    return total


@uncounted
def has_seasonal_means(codes: Integers) -> bool:
    """Return whether any mean of a model is seasonal."""
    found = False
    for i in range(len(codes)):
        found = found or (codes[i, IS_SEASONAL] == 1 and codes[i, IS_SHARE] == 0)
    return found


@uncounted
def choose_context(
    sums: Floats,
    rows: Floats,
    constants: Floats,
    codes: Integers,
    season: Singles,
    offsets: Integers,
    slot: int,
    is_guessed: Bools,
    tick_hours: float,
    components: Singles,
    cells: Singles,
    model: Singles,
    scratch: Floats,
) -> int:
    """Choose the context of a tick, one for the whole model (1.6).

    A context that is not guessed, because the clock or the calendar is declared, is skipped.
    Where only shares are seasonal, neighbouring hours are compared over as long as it takes: few
    rows do not tell them apart in half an hour, but a clock that has moved stays so. With means
    that would explain a part of a shift, for a part of the day.
    """
    own = len(sums)
    for a in range(N_CONTEXTS):
        scratch[own + a] = context_deviation(
            sums, rows, constants, codes, season, offsets, context_slot(slot, a), components, cells
        )
        model[a] = CONTEXT_MEMORY * float(model[a]) + scratch[own + a]
    clock = 0
    n_neighbours = 0 if has_seasonal_means(codes) else N_NEIGHBOURS
    for a in range(1, 1 + n_neighbours):
        k = CLOCK + a - 1
        gain = float(model[k]) + scratch[own] - scratch[own + a]
        model[k] = min(max(gain, 0.0), MAX_CLOCK_EVIDENCE)
        is_largest = clock == 0 or model[k] > model[CLOCK + clock - 1]
        is_found = is_guessed[a] and model[k] > CLOCK_MOVED and is_largest
        if is_found and scratch[own] > scratch[own + a]:
            clock = a
    best, now = 0, 0
    for a in range(1, N_CONTEXTS):
        if not is_guessed[a]:
            continue
        if model[a] < model[best]:
            best = a
        if scratch[own + a] < scratch[own + now]:
            now = a
    if now > 0 and scratch[own] - scratch[own + now] > DECISIVE:
        best = now
        model[0] = max(float(model[0]), float(model[now]) + DECISIVE + 1.0)
    is_beaten = best > 0 and float(model[0]) - float(model[best]) > DECISIVE
    spent = float(model[HOURS_OTHER_DAY])
    is_allowed = best != OTHER_DAY or spent < MAX_OTHER_DAY_HOURS
    if is_beaten and scratch[own] > scratch[own + best] and is_allowed:
        if best == OTHER_DAY:
            model[HOURS_OTHER_DAY] = spent + tick_hours
        return best
    if not is_beaten:
        model[HOURS_OTHER_DAY] = max(0.0, spent - OTHER_DAY_RECOVERY * tick_hours)
    return clock


@uncounted
def weigh(scales: Singles, cells: Singles, c: int, n: float, tick_hours: float) -> float:
    """Return the weight of a tick, and update the slow average of rows (1.3 step 1).

    The average of the reference's ticks counts as twelve: if the first tick of the stream
    replaced it, a single row would weigh as much as the hundreds of the next tick.
    """
    mean, age = float(cells[c, MEAN_ROWS]), float(cells[c, AGE])
    if mean <= 0.0:
        cells[c, MEAN_ROWS] = n
        return n
    if age < YOUNG_HOURS / tick_hours:
        before = REFERENCE_TICKS if float(scales[c, 0, SAMPLES]) >= MIN_SAMPLES else 1.0
        rate = max(MEAN_ROWS_RATE, 1.0 / (age + before))
        cells[c, MEAN_ROWS] = mean + (min(n, MAX_YOUNG_WEIGHT * mean) - mean) * rate
    elif n <= MAX_WEIGHT * mean:
        cells[c, MEAN_ROWS] = mean + (n - mean) * MEAN_ROWS_RATE
    else:
        cells[c, MEAN_ROWS] = mean * (1.0 + MEAN_ROWS_RATE)
    return min(n, MAX_WEIGHT * mean)


@uncounted
def clipped(
    deviation: float,
    previous: float,
    n_gained: float,
    per_row: float,
    per_previous_row: float,
    sampling: float,
    natural: float,
    is_believed: bool,
) -> float:
    """Limit the deviation of one tick; a second consecutive one is not limited (1.3 step 4).

    A share may gain ``n_gained`` rows in any case. Squares save most square roots.
    """
    limit = CLIP * CLIP * (sampling * per_row + natural)
    limit = max(limit, n_gained * n_gained * per_row * per_row)
    if deviation * deviation <= limit:
        return deviation
    up = math.sqrt(limit)
    down = -up
    if is_believed:
        before = CLIP * CLIP * (sampling * per_previous_row + natural)
        least = n_gained * per_previous_row
        before = max(before, least * least)
        if previous * previous > before:
            up = max(up, previous)
            down = min(down, previous)
    return min(max(deviation, down), up)


@uncounted
def follow(
    sums: Floats,
    n: float,
    slot: int,
    constants: Floats,
    codes: Integers,
    season: Singles,
    offsets: Integers,
    references: Floats,
    decay: Floats,
    tick_hours: float,
    is_learning: bool,
    c: int,
    components: Singles,
    scales: Singles,
    cells: Singles,
    phi: Floats,
) -> None:
    """Update the averages of a cell, and their design effects (steps 3 to 6)."""
    weight = weigh(scales, cells, c, n, tick_hours)
    per_row = 1.0 / n
    for s in range(N_SCALES):
        g = decay[s]
        scales[c, s, WEIGHT] = g * float(scales[c, s, WEIGHT]) + weight
        scales[c, s, SQUARES] = g * g * float(scales[c, s, SQUARES]) + weight * weight * per_row
    pooled = cell_phi(cells, references, c)
    ticks, n_previous = float(cells[c, N_PHI]), float(cells[c, PREVIOUS_ROWS])
    has_previous = n_previous > 0.0
    per_previous_row = 1.0 / n_previous if has_previous else 0.0
    per_difference = 1.0 / (per_row + per_previous_row)
    # Unclipped only while no scale has the samples to fire.
    is_first = not has_previous and float(scales[c, 0, SAMPLES]) < MIN_SAMPLES
    is_believed = has_previous and pooled < MAX_BELIEVED_PHI
    is_adding = is_learning and cells[c, IS_OPEN] != OPEN
    per_longest = 1.0 / float(scales[c, N_SCALES - 1, WEIGHT])
    total = 0.0
    for i in range(offsets[c], offsets[c + 1]):
        p, unit, is_share = constants[i, P], constants[i, PQ], codes[i, IS_SHARE]
        correction, previous = float(components[i, CORRECTION]), float(components[i, PREVIOUS])
        d = sums[i] * per_row - p - correction
        if codes[i, IS_SEASONAL]:
            d -= float(season[slot, i])
        own = component_phi(constants, codes, components, ticks, pooled, i)
        moved = d
        if not is_first:
            natural = natural_variance(components, scales, i, c, 0, unit)
            gained = 0.0
            if is_share:
                gained = MAX_GAINED if unit >= KNOWN_SHARE else 1.0
            moved = clipped(
                d, previous, gained, per_row, per_previous_row, own * unit, natural, is_believed
            )
        if has_previous:
            live_unit = unit
            if is_share:
                level = float(components[i, SUM + N_SCALES - 1]) * per_longest
                live = min(max(p + level, 0.0), 1.0)
                live_unit = max(unit, live * (1.0 - live))
            ratio = (d - previous) * (d - previous) * per_difference / live_unit
            ratio = min(ratio, MAX_CLUSTER_RATIO * own)
            total += ratio
            if is_adding:
                components[i, PHI_SUM] = float(components[i, PHI_SUM]) + ratio
        components[i, PREVIOUS] = d
        for s in range(N_SCALES):
            old = float(components[i, SUM + s])
            components[i, SUM + s] = decay[s] * old + weight * moved
        components[i, TODAY] = float(components[i, TODAY]) + weight * (moved + correction)
    if has_previous and is_adding:
        cells[c, N_PHI] += 1.0
        n_components = offsets[c + 1] - offsets[c]
        cells[c, PHI_CELL] = float(cells[c, PHI_CELL]) + total / n_components
    cells[c, PREVIOUS_ROWS] = n
    cells[c, AGE] += 1.0
    cells[c, W_TODAY] = float(cells[c, W_TODAY]) + weight
    cells[c, T_TODAY] += 1.0
    pooled, ticks = cell_phi(cells, references, c), float(cells[c, N_PHI])
    for i in range(offsets[c], offsets[c + 1]):
        phi[i] = component_phi(constants, codes, components, ticks, pooled, i)


@uncounted
def fire_or_close(
    constants: Floats,
    codes: Integers,
    hours: Floats,
    tick_hours: float,
    c: int,
    components: Singles,
    scales: Singles,
    cells: Singles,
    out_integers: Integers,
    out_floats: Floats,
) -> None:
    """Open the alert of a cell, or close it by evidence of its return (steps 10 and 12)."""
    margin = out_floats[c, 1]
    if cells[c, IS_OPEN] == 0.0:
        if margin < 0.0:
            return
        scale = max(int(out_integers[c, 2]), 1)
        # Where movement dominates, a single day can hide the change.
        if out_floats[c, 3] > out_floats[c, 4]:
            scale = min(scale + 1, N_SCALES - 2)
        cells[c, IS_OPEN] = OPEN
        cells[c, OPEN_COMPONENT] = out_integers[c, 1]
        cells[c, OPEN_SCALE] = scale
        cells[c, OPEN_CHANGE] = out_floats[c, 2]
        cells[c, N_BACK] = 0.0
        out_integers[c, 0] = OPENED
        return
    i, s = int(cells[c, OPEN_COMPONENT]), int(cells[c, OPEN_SCALE])
    m, change = average(constants, codes, components, scales, i, s), float(cells[c, OPEN_CHANGE])
    if m / change < CLOSING_SHARE and margin < -BACK_MARGIN:
        cells[c, N_BACK] += 1.0
    else:
        cells[c, N_BACK] = 0.0
    if abs(m) > abs(change) and m * change > 0.0:
        cells[c, OPEN_CHANGE] = (1.0 - CHANGE_RATE) * change + CHANGE_RATE * m
    if float(cells[c, N_BACK]) * tick_hours >= max(CLOSING_HOURS, hours[s]) * BARELY:
        cells[c, IS_OPEN] = 0.0
        out_integers[c, 0] = CLOSED


@uncounted
def tick(
    sums: Floats,
    rows: Floats,
    slot: int,
    constants: Floats,
    codes: Integers,
    season: Singles,
    offsets: Integers,
    references: Floats,
    hours: Floats,
    decay: Floats,
    every: Integers,
    sample_every: Integers,
    thresholds: Floats,
    tick_hours: float,
    is_guessed: Bools,
    is_learning: bool,
    is_firing: bool,
    components: Singles,
    scales: Singles,
    cells: Singles,
    model: Singles,
    phi: Floats,
    out_integers: Integers,
    out_floats: Floats,
) -> None:
    """Evaluate one tick of every cell.

    Parameters
    ----------
    sums : ndarray of float64, shape (I,)
        Counts of shares and sums of means in this tick, component by component.
    rows : ndarray of float64, shape (C,)
        Rows of each cell; a cell without rows is unchanged.
    slot : int
        Hour of the day, plus 24 at weekends.
    constants, codes, season, offsets, references
        Of the plan: :class:`detectors.multiscale.plan.ScalePlan`.
    hours, decay, every, sample_every, thresholds, tick_hours
        Of the rule: :class:`detectors.multiscale.rule.ScaleRule`.
    is_guessed : ndarray of bool, shape (4,)
        Contexts that are compared with the own hour; only without one is the first False.
    is_learning, is_firing : bool
        Whether variances are learned, alerts open and close.
    components, scales, cells, model
        :class:`detectors.multiscale.state.ScaleState`; updated.
    phi : ndarray of float64, shape (I + 4,)
        Scratch.
    out_integers : ndarray of int64, shape (C, 4)
        Transition, component, scale, context.
    out_floats : ndarray of float64, shape (C, 5)
        E, E - h, change, tau^2 and v of that component at that scale.
    """
    n_cells = len(offsets) - 1
    total = 0.0
    for c in range(n_cells):
        out_integers[c, 0], out_integers[c, 1], out_integers[c, 2] = NONE, -1, -1
        out_integers[c, 3] = 0
        out_floats[c, 0], out_floats[c, 1] = 0.0, -np.inf
        for k in range(2, 5):
            out_floats[c, k] = 0.0
        total += rows[c]
    if total <= 0.0:
        return
    context = 0
    if is_guessed[0] and is_firing:
        context = choose_context(
            sums,
            rows,
            constants,
            codes,
            season,
            offsets,
            slot,
            is_guessed,
            tick_hours,
            components,
            cells,
            model,
            phi,
        )
    own = context_slot(slot, context)
    # One pass, so that a cell is in the cache: the cells of a product come before it.
    for c in range(n_cells):
        n = rows[c]
        if n <= 0.0:
            continue
        out_integers[c, 3] = context
        follow(
            sums,
            n,
            own,
            constants,
            codes,
            season,
            offsets,
            references,
            decay,
            tick_hours,
            is_learning,
            c,
            components,
            scales,
            cells,
            phi,
        )
        if is_firing:
            strongest(
                constants,
                codes,
                season,
                offsets,
                references,
                hours,
                decay,
                every,
                thresholds,
                tick_hours,
                own,
                c,
                components,
                scales,
                cells,
                phi,
                out_integers,
                out_floats,
            )
            fire_or_close(
                constants,
                codes,
                hours,
                tick_hours,
                c,
                components,
                scales,
                cells,
                out_integers,
                out_floats,
            )
        if is_learning and is_firing:
            correct(
                constants,
                offsets,
                references,
                hours,
                tick_hours,
                c,
                components,
                scales,
                cells,
                phi,
            )
        if is_learning and cells[c, IS_OPEN] != OPEN:
            learn(
                constants,
                codes,
                offsets,
                hours,
                sample_every,
                tick_hours,
                c,
                components,
                scales,
                cells,
                phi,
            )
