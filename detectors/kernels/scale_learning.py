"""Learning of the multi-scale rule: natural movement, and the live correction of the baseline."""

from __future__ import annotations

from typing import Final

from detectors.kernels.jit import uncounted
from detectors.kernels.scale_state import (
    AGE,
    BARELY,
    CONFIRMED,
    CORRECTION,
    EXCESS,
    INFLATION,
    IS_OPEN,
    IS_SHARE,
    N_BACK,
    N_SCALES,
    PQ,
    RARE_SHARE,
    SAMPLES,
    SEASON_FACTOR,
    SUM,
    T_CONFIRMED,
    T_TODAY,
    T_YESTERDAY,
    TODAY,
    UNEXPLAINED,
    W_CONFIRMED,
    W_TODAY,
    W_YESTERDAY,
    WEIGHT,
    YESTERDAY,
    Floats,
    Integers,
    P,
    Singles,
    average,
    effective_share,
    natural_variance,
    reference_variance,
    spread_over,
)

EARLY_LIMIT: Final = 6.0
LATE_LIMIT: Final = 2.5
"""Cap of a sample relative to the estimate; the second one applies after 20 samples."""
LATE_MEAN: Final = 0.81
"""E[min(x, 2.5)] of the square x of a standard Gaussian."""
N_EARLY: Final = 20.0
MAX_LEVEL_SHARE: Final = 0.6
"""A scale is not sampled while the longest average is nearly as noisy as its own."""
DAY_HOURS: Final = 24.0
CORRECTION_HOURS: Final = 336.0
"""Confirmed hours after which the correction no longer changes: a trend stays visible."""


@uncounted
def correct(
    constants: Floats,
    offsets: Integers,
    references: Floats,
    hours: Floats,
    tick_hours: float,
    c: int,
    components: Singles,
    scales: Singles,
    cells: Singles,
    phi: Floats,
) -> None:
    """Correct the baseline of a cell within the sampling error of the reference (1.5).

    A day is confirmed when the next one has passed without an alert. N_BACK of a cell without an
    alert says that one has closed since the last day ended: that day holds its rows.
    """
    if float(cells[c, T_TODAY]) * tick_hours < DAY_HOURS * BARELY:
        return
    first, stop = offsets[c], offsets[c + 1]
    is_complete = float(cells[c, T_CONFIRMED]) * tick_hours >= CORRECTION_HOURS * BARELY
    if cells[c, IS_OPEN] != 0.0 or cells[c, N_BACK] > 0.0 or is_complete:
        if cells[c, IS_OPEN] == 0.0:
            cells[c, N_BACK] = 0.0
        for k in (W_TODAY, W_YESTERDAY, T_TODAY, T_YESTERDAY):
            cells[c, k] = 0.0
        for i in range(first, stop):
            components[i, TODAY] = 0.0
            components[i, YESTERDAY] = 0.0
        return
    cells[c, W_CONFIRMED] += cells[c, W_YESTERDAY]
    cells[c, T_CONFIRMED] += cells[c, T_YESTERDAY]
    cells[c, W_YESTERDAY], cells[c, T_YESTERDAY] = cells[c, W_TODAY], cells[c, T_TODAY]
    cells[c, W_TODAY] = 0.0
    cells[c, T_TODAY] = 0.0
    weight = float(cells[c, W_CONFIRMED])
    span = float(cells[c, T_CONFIRMED]) * tick_hours
    for i in range(first, stop):
        components[i, CONFIRMED] += components[i, YESTERDAY]
        components[i, YESTERDAY] = components[i, TODAY]
        components[i, TODAY] = 0.0
        if weight <= 0.0:
            continue
        unit = constants[i, PQ]
        reference = reference_variance(
            references, components, scales, cells, hours, tick_hours, phi[i], i, c, unit
        )
        live = phi[i] * unit / weight
        live += spread_over(components, scales, hours, i, c, unit, span)
        share = reference / (reference + live)
        before = float(components[i, CORRECTION])
        components[i, CORRECTION] = float(components[i, CONFIRMED]) / weight * share
        components[i, UNEXPLAINED] = live / (reference + live)
        moved = before - float(components[i, CORRECTION])
        for s in range(N_SCALES):
            components[i, SUM + s] = float(components[i, SUM + s]) + moved * float(
                scales[c, s, WEIGHT]
            )


@uncounted
def learn(
    constants: Floats,
    codes: Integers,
    offsets: Integers,
    hours: Floats,
    sample_every: Integers,
    tick_hours: float,
    c: int,
    components: Singles,
    scales: Singles,
    cells: Singles,
    phi: Floats,
) -> None:
    """Add one sample of natural movement to every scale that is due (1.4).

    Movement is learned about the stream's own level, the longest average, and never about
    the baseline: a constant distance from the baseline is a finding.
    """
    age = int(cells[c, AGE])
    longest = N_SCALES - 1
    q_level = effective_share(scales, c, longest)
    for s in range(N_SCALES):
        if age % sample_every[s] != 0 or age * tick_hours < 2.0 * hours[s] * BARELY:
            continue
        q = effective_share(scales, c, s)
        if s < longest and q_level > MAX_LEVEL_SHARE * q:
            continue
        scales[c, s, SAMPLES] += 1.0
        is_early = scales[c, s, SAMPLES] <= N_EARLY
        total, n, total_means = 0.0, 0, 0.0
        for i in range(offsets[c], offsets[c + 1]):
            m = average(constants, codes, components, scales, i, s)
            level, scatter = 0.0, 1.0
            if s < longest:
                level = average(constants, codes, components, scales, i, longest)
                scatter = 1.0 - q_level / q
            unit = constants[i, PQ]
            sampling = phi[i] * unit * q
            natural = natural_variance(components, scales, i, c, s, unit)
            sample = (m - level) * (m - level) / scatter * constants[i, SEASON_FACTOR]
            if codes[i, IS_SHARE]:
                live = min(max(constants[i, P] + level, 0.0), 1.0)
                sampling = max(sampling, phi[i] * live * (1.0 - live) * q)
            if is_early:
                sample = min(sample, EARLY_LIMIT * (sampling + natural))
            else:
                sample = min(sample, LATE_LIMIT * (sampling + natural)) / LATE_MEAN
            components[i, EXCESS + s] = float(components[i, EXCESS + s]) + (sample - sampling)
            if codes[i, IS_SHARE] and constants[i, P] >= RARE_SHARE:
                total += sample / sampling
                n += 1
            elif not codes[i, IS_SHARE]:
                total_means += sample / sampling
        added, n_all = 1.0, offsets[c + 1] - offsets[c]
        if n > 0:
            added = total / n
        elif n_all > 1 and not codes[offsets[c], IS_SHARE]:  # a cell of products has no shares
            added = total_means / n_all
        scales[c, s, INFLATION] = float(scales[c, s, INFLATION]) + added
