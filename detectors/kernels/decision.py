"""One window's step of the decision rule, over all cells of a model.

The state is e^L, not L. Shiryaev-Roberts is then ``R <- (1 + R) e^l``: one
exponential a component, no logarithm, and no maximum to shift by, because the
cap bounds every factor. It is kept in float32: 1 + R forgets anything below
2^-24 anyway, which is stored as 0, and past 1e38 (87 nats) every threshold has
been reached. Sums are float64.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from detectors.kernels.jit import kernel

N_BETS = 4
N_RUNGS = 4
N_BINS = 60
N_COUNTERS = 64
FORGOTTEN = 2.0**-24
SATURATED = 1e38
NEGLIGIBLE = -24.0
"""With R <= 1, a factor below e^-24 leaves (1 + R) e^l < FORGOTTEN."""
ROUNDING = 1e-9
"""Two windows at the cap reach the threshold exactly; rounding must not lose that."""

WITHIN_TOLERANCE, ACCUMULATING, NOT_PERSISTENT, EVIDENCE, TOO_FEW, NO_BASELINE, NO_DATA = range(7)


@kernel
def loudest(
    counts: NDArray[np.int64],
    prefix: NDArray[np.int64],
    n: int,
    start: int,
    end: int,
    first: NDArray[np.int64],
    stop: NDArray[np.int64],
    extra: NDArray[np.int64],
    is_complement: NDArray[np.bool_],
    gain: NDArray[np.float64],
    loss: NDArray[np.float64],
    ratios: NDArray[np.float32],
) -> tuple[int, int]:
    """Return the set of a cell with the most evidence, and its rows.

    The one that gives most to M. A large shift takes many sets to the cap, where
    they give the same; of those within a factor of two of the most, the one whose
    evidence in this window would be largest without the cap. Disabled bets are ignored.
    """
    most = 0.0
    for t in range(start, end):
        total = 0.0
        for j in range(N_BETS):
            if gain[t, j] != 0.0:
                total += float(ratios[t, j])
        most = max(most, total)
    named, named_rows, named_peak = start, 0, -np.inf
    for t in range(start, end):
        rows = prefix[stop[t]] - prefix[first[t]]
        if extra[t] >= 0:
            rows += counts[extra[t]]
        if is_complement[t]:
            rows = n - rows
        total, peak = 0.0, -np.inf
        for j in range(N_BETS):
            if gain[t, j] != 0.0:
                total += float(ratios[t, j])
                peak = max(peak, rows * gain[t, j] + (n - rows) * loss[t, j])
        if 2.0 * total >= most and peak > named_peak:
            named, named_rows, named_peak = t, rows, peak
    return named, named_rows


@kernel
def step(
    counts: NDArray[np.int64],
    offsets: NDArray[np.int64],
    first: NDArray[np.int64],
    stop: NDArray[np.int64],
    extra: NDArray[np.int64],
    is_complement: NDArray[np.bool_],
    gain: NDArray[np.float64],
    loss: NDArray[np.float64],
    p_ref: NDArray[np.float64],
    n_reference: NDArray[np.int64],
    cap: NDArray[np.float64],
    threshold: float,
    m: int,
    min_rows: int,
    n_rungs: int,
    ratios: NDArray[np.float32],
    history: NDArray[np.uint32],
    n_windows: NDArray[np.int64],
    out_integers: NDArray[np.int64],
    out_floats: NDArray[np.float64],
) -> None:
    """Add one window to the evidence of every cell, and decide.

    Long, because the components are visited once, in the order they lie in
    memory, and all sums over them are computed in that pass.

    Parameters
    ----------
    counts : ndarray of int64, shape (C, 64)
        The window.
    offsets, first, stop, extra, is_complement, gain, loss, p_ref
        Sets and bets: :class:`detectors.decision_rule.tolerance.TolerancePlan`.
    n_reference, cap : ndarray, shape (C,)
        n0 and the cap of each cell.
    threshold, m, min_rows, n_rungs
        Of the rule; ``n_rungs`` is 4, or 1 to leave the severity rungs alone.
    ratios : ndarray of float32, shape (T, 16)
        e^L by set, rung and bet; updated.
    history : ndarray of uint32, shape (C,)
        Bit i: was the window i windows ago positive; updated.
    n_windows : ndarray of int64, shape (C,)
        Windows since the first positive one of this run; updated.
    out_integers : ndarray of int64, shape (C, 7)
        n, is_positive, has_fired, rung, set, n_windows, reason.
    out_floats : ndarray of float64, shape (C, 3)
        log M, window evidence, p(A) of the set named.
    """
    prefix = np.zeros(N_BINS + 1, np.int64)
    sums = np.zeros(N_RUNGS)
    mask = np.uint32((1 << (2 * m)) - 1)
    for c in range(len(offsets) - 1):
        n = 0
        for b in range(N_BINS):
            n += counts[c, b]
            prefix[b + 1] = n
        for b in range(N_BINS, N_COUNTERS):
            n += counts[c, b]
        start, end = offsets[c], offsets[c + 1]
        n_components = float(N_BETS * (end - start))
        is_idle = n == 0 or n_reference[c] == 0
        window = 0.0
        for r in range(N_RUNGS):
            sums[r] = 0.0
        widest, widest_gap, widest_rows = start, -2.0, 0
        for t in range(start, end):
            rows = prefix[stop[t]] - prefix[first[t]]
            if extra[t] >= 0:
                rows += counts[c, extra[t]]
            if is_complement[t]:
                rows = n - rows
            inside, outside = float(rows), float(n - rows)
            for j in range(N_BETS):
                ratio = float(ratios[t, j])
                if not is_idle:
                    factor = 1.0
                    if gain[t, j] != 0.0:
                        nats = inside * gain[t, j] + outside * loss[t, j]
                        factor = math.exp(min(nats, cap[c]))
                    window += factor
                    ratio = min((1.0 + ratio) * factor, SATURATED)
                    ratios[t, j] = ratio if ratio >= FORGOTTEN else 0.0
                sums[0] += ratio
            if is_idle:
                continue
            gap = inside / n - p_ref[t]
            if gap > widest_gap:
                widest, widest_gap, widest_rows = t, gap, rows
            for r in range(1, n_rungs):
                for j in range(r * N_BETS, (r + 1) * N_BETS):
                    ratio = float(ratios[t, j])
                    nats = inside * gain[t, j] + outside * loss[t, j]
                    if nats < NEGLIGIBLE and ratio <= 1.0:
                        ratios[t, j] = 0.0
                        continue
                    ratio = (1.0 + ratio) * math.exp(min(nats, cap[c]))
                    ratio = min(ratio, SATURATED)
                    ratios[t, j] = ratio if ratio >= FORGOTTEN else 0.0
                    sums[r] += ratio

        log_m = math.log(sums[0] / n_components) if sums[0] > 0.0 else -np.inf
        is_positive = window > n_components
        rung, has_fired = -1, False
        named, named_rows = widest, widest_rows
        if n == 0:
            reason = NO_DATA
        elif n_reference[c] == 0:
            reason = NO_BASELINE
        else:
            seen = ((history[c] << np.uint32(1)) | np.uint32(is_positive)) & mask
            history[c] = seen
            n_positive = 0
            for i in range(2 * m):
                n_positive += (seen >> np.uint32(i)) & np.uint32(1)
            if n_positive == 0:
                n_windows[c] = 0
            elif n_windows[c] > 0 or is_positive:
                n_windows[c] += 1
            is_over = log_m >= threshold - ROUNDING
            if is_over or is_positive:
                named, named_rows = loudest(
                    counts[c],
                    prefix,
                    n,
                    start,
                    end,
                    first,
                    stop,
                    extra,
                    is_complement,
                    gain,
                    loss,
                    ratios,
                )
            if n < min_rows:
                reason = TOO_FEW
            elif is_over and n_positive >= m:
                reason, has_fired = EVIDENCE, True
            elif is_over:
                reason = NOT_PERSISTENT
            elif n_positive > 0:
                reason = ACCUMULATING
            else:
                reason = WITHIN_TOLERANCE
        out_integers[c, 5] = n_windows[c]
        if has_fired:
            rung = 0
            for r in range(N_RUNGS):
                level = math.log(sums[r] / n_components) if sums[r] > 0.0 else -np.inf
                if level >= threshold - ROUNDING or r == 0:
                    rung = r
                    for t in range(start, end):
                        for j in range(r * N_BETS, (r + 1) * N_BETS):
                            ratios[t, j] = 0.0
            history[c] = np.uint32(0)
            n_windows[c] = 0
        out_integers[c, 0] = n
        out_integers[c, 1] = is_positive and not is_idle
        out_integers[c, 2] = has_fired
        out_integers[c, 3] = rung
        out_integers[c, 4] = -1 if is_idle else named
        out_integers[c, 6] = reason
        out_floats[c, 0] = log_m
        out_floats[c, 1] = math.log(window / n_components) if window > 0.0 else -np.inf
        out_floats[c, 2] = np.nan if is_idle else named_rows / n
