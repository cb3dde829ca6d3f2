"""Every descriptive statistic of a window's cells in one pass over their counters.

What is computed is defined by ``detectors.evaluate.families`` and the statistics it calls,
which tests compare with; here are no arrays but those of the caller. Sums are added in the
order in which NumPy adds them, so that what cancels leaves the same digits.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from detectors.kernels.jit import kernel, uncounted
from detectors.kernels.tails import (
    chi_square_tail,
    kolmogorov_tail,
    two_sided,
    upper_normal_quantile,
)

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

N_BINS: Final = 60
UNDERFLOW, OVERFLOW, MISSING_COUNTER, UNSEEN_COUNTER = 60, 61, 62, 63
N_COUNTERS: Final = 64

(
    MISSING, PSI, JENSEN_SHANNON, HELLINGER, TOTAL_VARIATION, KS, WASSERSTEIN, WASSERSTEIN_RAW,
    MEAN_SHIFT, SD_RATIO, OUT_OF_RANGE, CHI_SQUARE, L_INFINITY, UNSEEN, RANGE,
) = range(15)  # fmt: skip
N_METRICS: Final = 15
"""First axis of ``rows`` and ``thresholds``."""

STATISTIC, P_VALUE, EFFECT, THRESHOLD = range(4)
"""Columns of ``out``; NaN where there is no number."""
SUM, SUM_SQ, MINIMUM, MAXIMUM = range(4)
"""Columns of ``values``."""
MEAN, SD = range(2)
"""Columns of ``moments``."""
SMALLEST_SD: Final = 1e-3
DESCRIPTIVE, TOO_FEW, NO_REFERENCE, NO_DATA = range(4)
"""Reasons, in the order of ``detectors.evaluate.cells.REASONS``."""


@uncounted
def _sum(values: Floats, k: int, n: int) -> float:
    """Add the first n <= 128 values of row k as NumPy does: in eight partial sums."""
    total: float = 0.0
    if n < 8:
        for i in range(n):
            total += values[k, i]
        return total
    a, b, c, d = values[k, 0], values[k, 1], values[k, 2], values[k, 3]
    e, f, g, h = values[k, 4], values[k, 5], values[k, 6], values[k, 7]
    whole = n - n % 8
    for i in range(8, whole, 8):
        a += values[k, i]
        b += values[k, i + 1]
        c += values[k, i + 2]
        d += values[k, i + 3]
        e += values[k, i + 4]
        f += values[k, i + 5]
        g += values[k, i + 6]
        h += values[k, i + 7]
    total = ((a + b) + (c + d)) + ((e + f) + (g + h))
    for i in range(whole, n):
        total += values[k, i]
    return total


@uncounted
def _put(
    out: Floats, row: int, statistic: float, p_value: float, effect: float, threshold: float
) -> None:
    """Write the numbers of one row; what is not finite is none."""
    out[row, STATISTIC] = statistic if math.isfinite(statistic) else math.nan
    out[row, P_VALUE] = p_value if math.isfinite(p_value) else math.nan
    out[row, EFFECT] = effect if math.isfinite(effect) else math.nan
    out[row, THRESHOLD] = threshold if math.isfinite(threshold) else math.nan


@uncounted
def _reason(n: int, n_reference: int, min_rows: int) -> int:
    """Return why a cell has numbers or none."""
    if n == 0:
        return NO_DATA
    if n_reference == 0:
        return NO_REFERENCE
    return TOO_FEW if n < min_rows else DESCRIPTIVE


@uncounted
def _share(out: Floats, row: int, hits: int, n: int, hits_reference: int, n_reference: int) -> None:
    """Write a share of rows and the pooled test of its change."""
    share, reference = hits / n, hits_reference / n_reference
    pooled = (hits + hits_reference) / (n + n_reference)
    sd = math.sqrt(pooled * (1.0 - pooled) * (1.0 / n + 1.0 / n_reference))
    effect = share - reference
    z = effect / sd if sd > 0.0 else 0.0
    _put(out, row, share, two_sided(z), effect, math.nan)


@uncounted
def _gaussian_shift(distance: float) -> float:
    """Return the mean shift d of a Gaussian whose KS, and total variation, is 2 Phi(d/2) - 1."""
    probability = (1.0 + min(distance, 1.0 - 1e-12)) / 2.0
    return 2.0 * upper_normal_quantile(1.0 - probability)


@uncounted
def _fill(counts: Integers, c: int, n: int, n_groups: int) -> float:
    """Return the share that PSI puts into empty groups."""
    smallest = math.inf
    for b in range(n_groups):
        if counts[c, b] > 0:
            smallest = min(smallest, counts[c, b] / n)
    return smallest / 1e6 if smallest <= 1e-4 else 1e-4


@uncounted
def _distances(
    p_groups: Integers,
    c: int,
    q_groups: Integers,
    n_groups: int,
    at: Integers,
    thresholds: Floats,
    scratch: Floats,
    out: Floats,
) -> None:
    """Write PSI, Jensen-Shannon, Hellinger and total variation over the same groups."""
    n0, n, n_held = 0, 0, 0
    for b in range(n_groups):
        n0 += p_groups[c, b]
        n += q_groups[0, b]
        n_held += p_groups[c, b] + q_groups[0, b] > 0
    if n0 == 0 or n == 0:
        return
    fill_p, fill_q = _fill(p_groups, c, n0, n_groups), _fill(q_groups, 0, n, n_groups)
    for b in range(n_groups):
        p, q = p_groups[c, b] / n0, q_groups[0, b] / n
        shown_p, shown_q = p if p > 0.0 else fill_p, q if q > 0.0 else fill_q
        scratch[0, b] = (shown_p - shown_q) * (math.log(shown_p) - math.log(shown_q))
        middle = (p + q) / 2.0
        of_p = p * math.log(p / middle) if p > 0.0 else 0.0
        of_q = q * math.log(q / middle) if q > 0.0 else 0.0
        scratch[1, b] = of_p + of_q
        apart = math.sqrt(p) - math.sqrt(q)
        scratch[2, b] = apart * apart
        scratch[3, b] = abs(p - q)
    stability = _sum(scratch, 0, n_groups)
    js = math.sqrt(max(_sum(scratch, 1, n_groups) / 2.0, 0.0))
    angle = math.sqrt(min(_sum(scratch, 2, n_groups) / 2.0, 1.0))
    moved = _sum(scratch, 3, n_groups) / 2.0
    bias = (n_held - 1.0) * (1.0 / n0 + 1.0 / n)
    d_psi = math.sqrt(max(stability - bias, 0.0))
    d_js = math.sqrt(8.0 * max(js * js - bias / 8.0, 0.0))
    beyond = min(max(angle * angle - bias / 8.0, 0.0), 1.0 - 1e-12)
    d_angle = math.sqrt(-8.0 * math.log1p(-beyond))
    nothing, d_moved = math.nan, _gaussian_shift(moved)
    _put(out, at[PSI], stability, nothing, d_psi, thresholds[PSI])
    _put(out, at[JENSEN_SHANNON], js, nothing, d_js, thresholds[JENSEN_SHANNON])
    _put(out, at[HELLINGER], angle, nothing, d_angle, thresholds[HELLINGER])
    _put(out, at[TOTAL_VARIATION], moved, nothing, d_moved, thresholds[TOTAL_VARIATION])


@uncounted
def _kolmogorov_smirnov(
    current: Integers,
    reference: Integers,
    c: int,
    n: int,
    n_reference: int,
    row: int,
    critical: float,
    out: Floats,
) -> None:
    """Write the largest gap between the cumulatives, bins from low to high."""
    p_total, q_total = 0, 0
    for b in range(N_BINS + 2):  # the counters of both ends follow the bins
        p_total += reference[c, b]
        q_total += current[c, b]
    gap = upto = 0.0
    for i in range(-1, N_BINS + 1):
        b = UNDERFLOW if i < 0 else i
        if i == N_BINS:
            b = OVERFLOW
        upto += reference[c, b] / p_total - current[c, b] / q_total
        gap = max(gap, abs(upto))
    root = math.sqrt(float(n_reference) * n / (n_reference + n))
    p_value = kolmogorov_tail(min(gap, 1.0) * root)
    _put(out, row, gap, p_value, _gaussian_shift(gap), critical / root)


@uncounted
def _mean_gap(left: float, right: float) -> float:
    """Mean of |a straight line| between two values."""
    total = abs(left) + abs(right)
    if left * right < 0.0:
        return (left * left + right * right) / (2.0 * total)
    return total / 2.0


@uncounted
def _wasserstein(
    current: Integers,
    reference: Integers,
    c: int,
    edges: Floats,
    v: int,
    values: Floats,
    mean_reference: float,
    scratch: Floats,
) -> float:
    """Return Wasserstein-1 from bins, corrected by the difference of the means."""
    below, above = current[c, UNDERFLOW], current[c, OVERFLOW]
    n0, n = 0, below + above
    for b in range(N_BINS):
        n0 += reference[c, b]
        n += current[c, b]
    n0 += reference[c, UNDERFLOW] + reference[c, OVERFLOW]
    if n0 == 0 or n == 0:
        return math.nan
    lower = below / n
    upto, left = 0.0, -lower
    for b in range(N_BINS):
        in_bin = reference[c, b]
        if b == 0:
            in_bin += reference[c, UNDERFLOW]
        if b == N_BINS - 1:
            in_bin += reference[c, OVERFLOW]
        p, q = in_bin / n0, current[c, b] / n
        upto += p - q
        right, width = upto - lower, edges[v, b + 1] - edges[v, b]
        scratch[0, b] = width * _mean_gap(left, right)
        scratch[1, b] = width * (left + right)
        scratch[2, b] = width * max(p, q)
        scratch[3, b] = current[c, b] * (edges[v, b] + edges[v, b + 1]) / 2.0
        scratch[4, b] = current[c, b] * width
        left = right
    size, signed = _sum(scratch, 0, N_BINS), _sum(scratch, 1, N_BINS) / 2.0
    inner_error, middle = _sum(scratch, 2, N_BINS), _sum(scratch, 3, N_BINS)
    slack = _sum(scratch, 4, N_BINS) / 2.0
    low, high = edges[v, 0], edges[v, N_BINS]
    reach_below = max(low - values[c, MINIMUM], 0.0) if below > 0 else 0.0
    reach_above = max(values[c, MAXIMUM] - high, 0.0) if above > 0 else 0.0
    most_below, most_above = below * reach_below, above * reach_above
    room_below, room_above = most_below - reach_below, most_above - reach_above
    room = room_below + room_above
    spare = (values[c, SUM] - middle - below * low - above * high) - (reach_above - most_below)
    share = min(max(spare / room if room > 0.0 else spare, 0.0), 1.0)
    far_below, far_above = most_below - share * room_below, reach_above + share * room_above
    error = min(slack, max(room_below, room_above))
    if below > 0 and above > 0:
        error = max(share, 1.0 - share) * room
    up = (size + signed) / 2.0 + far_above / n
    down = (size - signed) / 2.0 + far_below / n
    return _with_mean(up, down, values[c, SUM] / n - mean_reference, inner_error + error / n)


@uncounted
def _with_mean(up: float, down: float, move: float, error: float) -> float:
    """Correct both areas by the difference of the means, where it is known."""
    value = up + down
    is_known = math.isfinite(move)
    known = move if is_known else 0.0
    least = min(max(value - error, abs(known)), value + error)
    lacking = known - (up - down) if is_known else 0.0
    lean = (up - down) / value if value > 0.0 else 0.0
    return min(max(value + lacking * lean, least), value + error)


@uncounted
def _moves(
    current: Integers,
    reference: Integers,
    c: int,
    n: int,
    n_reference: int,
    edges: Floats,
    v: int,
    values: Floats,
    moments: Floats,
    at: Integers,
    thresholds: Floats,
    scratch: Floats,
    out: Floats,
) -> None:
    """Write Wasserstein, raw and normed, and the change of mean and spread."""
    nothing = math.nan
    mean_before, sd_before = moments[c, MEAN], moments[c, SD]
    scale = max(sd_before, SMALLEST_SD)
    distance = _wasserstein(current, reference, c, edges, v, values, mean_before, scratch)
    scaled = distance / scale
    _put(out, at[WASSERSTEIN], scaled, nothing, scaled, thresholds[WASSERSTEIN])
    _put(out, at[WASSERSTEIN_RAW], distance, nothing, scaled, nothing)
    mean = values[c, SUM] / n
    variance = values[c, SUM_SQ] / n - mean * mean
    sd = math.sqrt(variance) if not variance < 0.0 else 0.0
    difference = mean - mean_before
    error = math.sqrt(sd_before * sd_before / n_reference + sd * sd / n)
    z = difference / error if error > 0.0 else nothing
    if difference == 0.0:
        z = 0.0
    moved = difference / scale
    _put(out, at[MEAN_SHIFT], moved, two_sided(z), moved, nothing)
    ratio = sd / scale
    widened = math.log(ratio) if ratio > 0.0 else nothing
    _put(out, at[SD_RATIO], ratio, nothing, widened, nothing)


@uncounted
def _category_tests(
    current: Integers,
    reference: Integers,
    c: int,
    n: int,
    n_reference: int,
    critical: Floats,
    at: Integers,
    thresholds: Floats,
    scratch: Floats,
    out: Floats,
) -> None:
    """Write chi-square with its size, and the largest change of one category's share."""
    n_held, both = 0, float(n_reference) + float(n)
    for b in range(N_COUNTERS):
        n_held += current[c, b] + reference[c, b] > 0
    dof = max(n_held - 1, 0)
    half = 0.5 if dof == 1 else 0.0
    largest, change = -1.0, 0.0
    for b in range(N_COUNTERS):
        x, y = float(reference[c, b]), float(current[c, b])
        pooled = (x + y) / both
        for k in range(2):
            observed, rows = (x, float(n_reference)) if k == 0 else (y, float(n))
            expected = pooled * rows
            off = max(abs(observed - expected) - half, 0.0)
            scratch[k, b] = off * off / expected if expected > 0.0 else 0.0
        apart = y / n - x / n_reference
        scratch[2, b] = apart * apart / pooled if pooled > 0.0 else 0.0
        if abs(apart) > largest:
            largest, change = abs(apart), apart
    total = _sum(scratch, 0, N_COUNTERS) + _sum(scratch, 1, N_COUNTERS)
    phi2 = _sum(scratch, 2, N_COUNTERS) * (n_reference / both) * (n / both)
    p_value = chi_square_tail(dof, total) if dof > 0 else 1.0
    effect = math.sqrt(min(phi2, 1.0))
    _put(out, at[CHI_SQUARE], total, p_value, effect, critical[dof])
    _put(out, at[L_INFINITY], abs(change), math.nan, change, thresholds[L_INFINITY])


@uncounted
def _range(values: Floats, c: int, low: float, high: float, row: int, out: Floats) -> None:
    """Write how far the extremes lie beyond the configured range."""
    smallest, largest = values[c, MINIMUM], values[c, MAXIMUM]
    below = low - smallest if smallest < low else 0.0
    above = largest - high if largest > high else 0.0
    most = max(below, above)
    _put(out, row, most, math.nan, -most if below > above else most, 0.0)


@kernel
def describe(
    current: Integers,
    reference: Integers,
    values: Floats,
    moments: Floats,
    edges: Floats,
    is_numeric: NDArray[np.bool_],
    groups: NDArray[np.int8],
    p_groups: Integers,
    ranges: Floats,
    rows: Integers,
    strides: Integers,
    thresholds: Floats,
    critical: Floats,
    critical_ks: float,
    min_rows: int,
    out: Floats,
    out_n: Integers,
    out_n_reference: Integers,
    out_reason: NDArray[np.uint8],
) -> None:
    """Compute every statistic of every cell; cell c is segment c // V, variable c % V.

    Parameters
    ----------
    current, reference : ndarray of int64, shape (C, 64)
        Counters of the window and of the baseline.
    values : ndarray of float64, shape (C, 4)
        Sum, sum of squares, minimum and maximum of the window's numbers.
    moments : ndarray of float64, shape (C, 2)
        Mean and standard deviation of the baseline's numbers.
    edges : ndarray of float64, shape (V, 61)
        Of numeric variables; the last one repeated.
    is_numeric : ndarray of bool, shape (V,)
        False of categories.
    groups : ndarray of int8, shape (C, 64)
        Group of each counter of a numeric cell in the distances; -1 for none.
    p_groups : ndarray of int64, shape (C, 64)
        The baseline's counters by group: of categories the counters themselves.
    ranges : ndarray of float64, shape (V, 2)
        Allowed range.
    rows, strides : ndarray of int64, shape (15, V)
        Row of a metric of the first segment, and rows from one segment to the next; -1 where
        a variable does not have the metric.
    thresholds : ndarray of float64, shape (15,)
        Of metrics that have the same one for all cells.
    critical : ndarray of float64, shape (64,)
        Of chi-square by degrees of freedom.
    critical_ks : float
        Of Kolmogorov's tail.
    min_rows : int
        Cells with fewer rows get no number.
    out : ndarray of float64, shape (n_rows, 4)
        NaN before; gets the numbers that there are.
    out_n, out_n_reference, out_reason : ndarray, shape (n_rows,)
        Rows of both sides that a statistic is about, and why it has a number or none.
    """
    n_variables = len(is_numeric)
    n_groups = 11
    scratch, q_groups = np.empty((5, N_COUNTERS)), np.empty((1, N_COUNTERS), np.int64)
    at = np.empty(N_METRICS, np.int64)
    for c in range(len(current)):
        s, v = c // n_variables, c % n_variables
        n, n0 = 0, 0
        for b in range(N_COUNTERS):
            n += current[c, b]
            n0 += reference[c, b]
            q_groups[0, b] = 0 if is_numeric[v] else current[c, b]
        n_present = n - current[c, MISSING_COUNTER]
        n0_present = n0 - reference[c, MISSING_COUNTER]
        n_grouped = n
        if is_numeric[v]:
            n_grouped = 0
            for b in range(N_COUNTERS):
                if groups[c, b] >= 0:
                    q_groups[0, groups[c, b]] += current[c, b]
                    n_grouped += current[c, b]
        n0_grouped = 0
        for b in range(N_COUNTERS):
            n0_grouped += p_groups[c, b]
        for m in range(N_METRICS):
            at[m] = rows[m, v] + s * strides[m, v]
            if rows[m, v] < 0:
                continue
            rows_of, of_reference = n, n0
            if KS <= m <= SD_RATIO or m == RANGE:
                rows_of, of_reference = n_present, n0_present
            elif PSI <= m <= TOTAL_VARIATION:
                rows_of, of_reference = n_grouped, n0_grouped
            out_n[at[m]] = rows_of
            out_n_reference[at[m]] = of_reference
            out_reason[at[m]] = _reason(rows_of, of_reference, min_rows)
        if _reason(n, n0, min_rows) == DESCRIPTIVE:
            k = MISSING_COUNTER
            _share(out, at[MISSING], current[c, k], n, reference[c, k], n0)
            if is_numeric[v]:
                hits = current[c, UNDERFLOW] + current[c, OVERFLOW]
                before = reference[c, UNDERFLOW] + reference[c, OVERFLOW]
                _share(out, at[OUT_OF_RANGE], hits, n, before, n0)
            else:
                k = UNSEEN_COUNTER
                _share(out, at[UNSEEN], current[c, k], n, reference[c, k], n0)
                _category_tests(
                    current, reference, c, n, n0, critical, at, thresholds, scratch, out
                )
        if _reason(n_grouped, n0_grouped, min_rows) == DESCRIPTIVE:
            n_used = n_groups if is_numeric[v] else N_COUNTERS
            _distances(p_groups, c, q_groups, n_used, at, thresholds, scratch, out)
        if is_numeric[v] and _reason(n_present, n0_present, min_rows) == DESCRIPTIVE:
            _kolmogorov_smirnov(
                current, reference, c, n_present, n0_present, at[KS], critical_ks, out
            )
            _moves(
                current, reference, c, n_present, n0_present, edges, v, values, moments,
                at, thresholds, scratch, out,
            )  # fmt: skip
            if rows[RANGE, v] >= 0:
                _range(values, c, ranges[v, 0], ranges[v, 1], at[RANGE], out)
