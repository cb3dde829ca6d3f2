"""Natural movement of the stream, estimated from the state."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detectors.kernels.scale_state import (
    EXCESS,
    N_PHI,
    N_SCALES,
    PHI_CELL,
    PHI_PRIOR_TICKS,
    PHI_SHRINKAGE,
    PHI_SUM,
    PRIOR_DECAY,
    PRIOR_SAMPLES,
    PRIOR_VARIANCE,
    RARE_SHARE,
    SAMPLES,
    SQUARES,
    WEIGHT,
)
from detectors.multiscale.plan import ScalePlan
from detectors.multiscale.state import ScaleState

Floats = NDArray[np.float64]


def prior_samples(samples: Floats) -> Floats:
    """Return kappa_s, the weight of the prior of each scale, in samples.

    Parameters
    ----------
    samples : ndarray of float64, shape (C, 6)
        B_s.

    Returns
    -------
    ndarray of float64, shape (C, 6)
        4, plus a quarter of the samples of the next shorter scale, of 40 at most.
    """
    found = np.full(samples.shape, PRIOR_SAMPLES)
    found[:, 1:] += 0.25 * np.minimum(samples[:, :-1], 40.0)
    return found


def natural_variances(plan: ScalePlan, state: ScaleState) -> Floats:
    """Return tau^2(s): by how much averages of a scale vary by themselves.

    Returns
    -------
    ndarray of float64, shape (I, 6)
        Without sampling and clusters. The square root is what people read: "averages of
        16 hours vary by .08 sd by themselves".

    Notes
    -----
    tau^2(0) = (4 t0 + A_0) / (4 + B_0); tau^2(s) = max(0, (kappa_s r tau^2(s - 1) + A_s) /
    (kappa_s + B_s)), r the ratio of the two shorter scales within [.25, 1], .5 while the
    next shorter one has fewer than 8 samples.

    References
    ----------
    Decision rule 2, section 1.4.
    """
    cell, unit = plan.codes[:, 3], plan.constants[:, 1]
    samples = state.scales[:, :, SAMPLES].astype(np.float64)
    weights = prior_samples(samples)[cell]
    excess = state.components[:, EXCESS : EXCESS + N_SCALES].astype(np.float64)
    samples = samples[cell]
    found = np.empty(excess.shape)
    prior = PRIOR_VARIANCE * unit
    for s in range(N_SCALES):
        if s > 0:
            ratio = np.full(len(unit), PRIOR_DECAY)
            if s > 1:
                shorter = found[:, s - 2]
                is_seen = (samples[:, s - 1] >= 8) & (shorter > 0)
                seen = found[:, s - 1] / np.where(is_seen, shorter, 1.0)
                ratio = np.where(is_seen, np.clip(seen, 0.25, 1.0), ratio)
            prior = ratio * found[:, s - 1]
        total = weights[:, s] * prior + excess[:, s]
        found[:, s] = np.maximum(0.0, total / (weights[:, s] + samples[:, s]))
    return found


def design_effects(plan: ScalePlan, state: ScaleState) -> Floats:
    """Return phi of every component: its clusters, shrunk to those of its cell.

    Returns
    -------
    ndarray of float64, shape (I,)
        max(1, (10 PHI + sum r) / (10 + ticks)); of a component with p < .02 at least PHI.

    References
    ----------
    Decision rule 2, section 1.3 step 5.
    """
    cell = plan.codes[:, 3]
    ticks = state.cells[:, N_PHI].astype(np.float64)
    own = PHI_PRIOR_TICKS * plan.references[:, 3] + state.cells[:, PHI_CELL]
    pooled = (own / (PHI_PRIOR_TICKS + ticks))[cell]
    total = PHI_SHRINKAGE * pooled + state.components[:, PHI_SUM]
    phi = np.maximum(1.0, total / (PHI_SHRINKAGE + ticks[cell]))
    is_rare = (plan.codes[:, 0] == 1) & (plan.constants[:, 0] < RARE_SHARE)
    return np.where(is_rare, np.maximum(phi, pooled), phi)


def effective_shares(state: ScaleState) -> Floats:
    """Return q of every average: one over its effective number of rows.

    Returns
    -------
    ndarray of float64, shape (C, 6)
        NaN before the first row.
    """
    weight = state.scales[:, :, WEIGHT].astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        return state.scales[:, :, SQUARES] / weight**2
