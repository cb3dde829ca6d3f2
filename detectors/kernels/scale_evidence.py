"""Evidence of the multi-scale rule: one component at one scale, and the strongest of a cell."""

from __future__ import annotations

import math
from typing import Final

from detectors.kernels.jit import uncounted
from detectors.kernels.scale_state import (
    AGE,
    BARELY,
    CORRECTION,
    FIRST,
    G_MAX,
    GATE,
    INFLATION,
    IS_OPEN,
    IS_SEASONAL,
    IS_SHARE,
    MIN_SAMPLES,
    N_BACK,
    N_PHI,
    N_SCALES,
    OPEN_SCALE,
    PHI_PRIOR_TICKS,
    PQ,
    PRIOR_DECAY,
    PRIOR_SAMPLES,
    PRIOR_VARIANCE,
    SAMPLES,
    SMALLEST,
    SQUARES,
    SUM,
    UNEXPLAINED,
    WEIGHT,
    Floats,
    Integers,
    P,
    Singles,
    average,
    effective_share,
    natural_variance,
    reference_variance,
)

MAX_FREEDOM: Final = 30.0
"""Degrees of freedom of a learned variance, at most."""
SMALLEST_SHARE: Final = 0.002
"""A change of a share below it never matters."""
RARE_UPWARD: Final = 0.05
"""Below this share growth follows Bennett's bound for a weighted sum of rare events; so does
the loss of a share beyond 1 - .05, the same event counted the other way.
"""
BACK_MARGIN: Final = 3.0
"""An alert closes only below h - 3."""
CLOSING_HOURS: Final = 1.0
"""An alert closes after so long on end below h - 3, or one time constant if that is longer."""
SKIPPED: Final = 12.0
"""m^2 / V below which a component is not evaluated: less than 6 nats."""
TIE_NATS: Final = 1e-5
"""Of components whose evidence differs by less, the first is reported, despite rounding.
"""
N_WINDOW_ROWS: Final = 20.0
"""Rows in an average below which a share's movement is not yet estimated."""
N_YOUNG: Final = 30.0
"""Samples of a scale before which a component has, in a falling part, at least the movement of
all shares of its cell. Clusters move every component; one that happened to be still for the five
samples of a young scale would otherwise have none (Smyth, Statistical Applications in Genetics
and Molecular Biology 3, 2004: moderated t).
"""


@uncounted
def relative_entropy(p: float, q: float) -> float:
    """KL divergence of two Bernoulli laws, nats."""
    found = 0.0
    if p > 0.0:
        found += p * math.log(p / q)
    if p < 1.0:
        found += (1.0 - p) * math.log((1.0 - p) / (1.0 - q))
    return found


@uncounted
def likelihood_ratio(
    is_share: int,
    p: float,
    m: float,
    unit: float,
    noise: float,
    reference: float,
    rare_weight: float,
) -> float:
    """Nats of "the mean changed by m" against "it did not" (1.3 step 7), G before corrections."""
    if not is_share:
        return m * m / (2.0 * (noise + reference))
    is_rare = (p < RARE_UPWARD and m > 0.0) or (p > 1.0 - RARE_UPWARD and m < 0.0)
    weight = rare_weight if is_rare else 1.0
    now = min(max(p + weight * m, 0.0), 1.0)
    n_now = unit / noise / (weight * weight)
    n_reference = unit / reference if reference > 0.0 else 1e12
    pooled = (n_now * now + n_reference * p) / (n_now + n_reference)
    if pooled <= 0.0 or pooled >= 1.0:
        return 0.0
    return n_now * relative_entropy(now, pooled) + n_reference * relative_entropy(p, pooled)


@uncounted
def corrected(
    is_share: int,
    g: float,
    m: float,
    unit: float,
    sampling: float,
    natural: float,
    natural_prior: float,
    reference: float,
    q: float,
    g_max: float,
    freedom_natural: float,
    freedom_phi: float,
) -> float:
    """Correct G for exponential tails of clusters, then for an estimated variance (1.3 step 7)."""
    total = sampling + natural + reference
    inflation = max(1.0, (sampling + max(0.0, natural - natural_prior)) / (unit * q))
    half = (inflation - 1.0) / 2.0
    tail = q * half if is_share else q * g_max * (half + 1.0 / 3.0)
    g = min(g, m * m / (2.0 * (total + tail * abs(m))))
    uncertain = natural * natural / freedom_natural + sampling * sampling / freedom_phi
    if uncertain <= 0.0:
        return g
    freedom = total * total / uncertain
    if freedom > 1e4:
        return g
    return 0.5 * (freedom + 1.0) * math.log1p(2.0 * g / freedom)


@uncounted
def freedom_of_natural(
    components: Singles,
    scales: Singles,
    hours: Floats,
    i: int,
    c: int,
    s: int,
    unit: float,
    phi: float,
    variance: float,
) -> float:
    """Degrees of freedom of tau^2(s); less where a longer scale moves as much.

    Twenty-four hours of one day are one sample if days differ.
    """
    prior = PRIOR_SAMPLES
    if s > 0:
        prior += 0.25 * min(float(scales[c, s - 1, SAMPLES]), 40.0)
    samples = float(scales[c, s, SAMPLES])
    if samples <= 0.0:
        return prior
    own = variance * float(hours[s])
    largest = own
    for u in range(s + 1, N_SCALES):
        if float(scales[c, u, SAMPLES]) >= 3.0:
            longer = natural_variance(components, scales, i, c, u, unit)
            longer += phi * unit * effective_share(scales, c, u)
            largest = max(largest, longer * float(hours[u]))
    return min(prior + samples * min(1.0, own / largest), MAX_FREEDOM)


@uncounted
def size_of_change(is_share: int, p: float, m: float, unit: float) -> float:
    """Cohen's h of a share, 0 below .002; |m| of a mean, in units of its sd (1.3 step 9)."""
    if not is_share:
        return abs(m) / math.sqrt(unit)
    if abs(m) < SMALLEST_SHARE:
        return 0.0
    now = min(max(p + m, 0.0), 1.0)
    return 2.0 * abs(math.asin(math.sqrt(now)) - math.asin(math.sqrt(p)))


@uncounted
def is_due(
    scales: Singles,
    cells: Singles,
    every: Integers,
    hours: Floats,
    tick_hours: float,
    c: int,
    s: int,
) -> bool:
    """Return whether a scale is evaluated in this tick.

    All of them are in the tick in which an alert would close: an average of 32 hours is
    otherwise evaluated every four hours, and the alert would open again at the next.
    """
    age = int(cells[c, AGE])
    is_watched = False
    if cells[c, IS_OPEN] != 0.0:
        own = int(cells[c, OPEN_SCALE])
        wait = max(CLOSING_HOURS, float(hours[own]))
        is_watched = s == own or (float(cells[c, N_BACK]) + 1.0) * tick_hours >= wait * BARELY
    if age % int(every[s]) != 0 and not is_watched:
        return False
    if age * tick_hours < 2.0 * float(hours[s]) * BARELY:
        return False
    if float(scales[c, s, SAMPLES]) >= MIN_SAMPLES:
        return True
    return s > 0 and float(scales[c, s - 1, SAMPLES]) >= 4.0 * MIN_SAMPLES


@uncounted
def strongest(
    constants: Floats,
    codes: Integers,
    season: Singles,
    offsets: Integers,
    references: Floats,
    hours: Floats,
    decay: Floats,
    every: Integers,
    thresholds: Floats,
    tick_hours: float,
    slot: int,
    c: int,
    components: Singles,
    scales: Singles,
    cells: Singles,
    phi: Floats,
    out_integers: Integers,
    out_floats: Floats,
) -> None:
    """Return the component and scale of a cell with the largest E - h (1.3 steps 7 to 10).

    Writes component and scale, and E, E - h, the change, tau^2 and v of it. Where no
    component is beyond ``SKIPPED``, the component is -1 and E - h is -inf.
    """
    freedom_phi = PHI_PRIOR_TICKS + float(cells[c, N_PHI])
    for s in range(N_SCALES):
        if not is_due(scales, cells, every, hours, tick_hours, c, s):
            continue
        q = effective_share(scales, c, s)
        samples = float(scales[c, s, SAMPLES])
        pooled = (PRIOR_SAMPLES + float(scales[c, s, INFLATION])) / (PRIOR_SAMPLES + samples) - 1.0
        shrinkage = max(0.0, 1.0 - samples / N_YOUNG)
        heaviest = max(1.0 + decay[s], float(scales[c, s, WEIGHT]) / float(scales[c, s, SQUARES]))
        # E <= 1.25 G <= 1.25 m^2 / 2V while nu >= 4.
        least = min(SKIPPED, max(0.0, 1.6 * (thresholds[s] - BACK_MARGIN)))
        per_weight = 1.0 / float(scales[c, s, WEIGHT])
        for i in range(offsets[c], offsets[c + 1]):
            if codes[i, FIRST] < 0:
                m = float(components[i, SUM + s]) * per_weight
            else:
                m = average(constants, codes, components, scales, i, s)
            is_share, p, unit = codes[i, IS_SHARE], constants[i, P], constants[i, PQ]
            own = unit
            if is_share:
                p = min(max(p + float(components[i, CORRECTION]), 0.0), 1.0)
                if codes[i, IS_SEASONAL]:
                    p = min(max(p + float(season[slot, i]), 1e-6), 1.0 - 1e-6)
                    own = max(p * (1.0 - p), 0.25 * unit)
            sampling = phi[i] * own * q
            if m * m < least * sampling:
                continue
            natural = natural_variance(components, scales, i, c, s, unit)
            is_few = is_share and constants[i, P] < N_WINDOW_ROWS * q
            least_natural = pooled if is_few else pooled * shrinkage
            natural = max(natural, least_natural * phi[i] * unit * q)
            if m * m < least * (sampling + natural):
                continue
            reference = float(components[i, UNEXPLAINED]) * reference_variance(
                references, components, scales, cells, hours, tick_hours, phi[i], i, c, unit
            )
            freedom = freedom_of_natural(
                components, scales, hours, i, c, s, unit, phi[i], sampling + natural
            )
            prior = PRIOR_VARIANCE * unit * PRIOR_DECAY**s * PRIOR_SAMPLES
            prior /= PRIOR_SAMPLES + samples
            g = likelihood_ratio(is_share, p, m, own, sampling + natural, reference, heaviest)
            e = corrected(
                is_share,
                g,
                m,
                own,
                sampling,
                natural,
                prior,
                reference,
                q,
                constants[i, G_MAX],
                freedom,
                freedom_phi,
            )
            margin = e - thresholds[s]
            least_size = references[c, SMALLEST] * constants[i, GATE]
            if size_of_change(is_share, p, m, unit) < least_size:
                margin = min(margin, -1e-6)
            if margin > out_floats[c, 1] + TIE_NATS:
                out_integers[c, 1], out_integers[c, 2] = i, s
                out_floats[c, 0], out_floats[c, 1], out_floats[c, 2] = e, margin, m
                out_floats[c, 3], out_floats[c, 4] = natural, sampling


__all__ = ["corrected", "likelihood_ratio", "size_of_change", "strongest"]
