"""Current variance of every average, in units of which evidence is measured."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detectors.kernels.scale_evidence import MAX_FREEDOM, N_WINDOW_ROWS, N_YOUNG
from detectors.kernels.scale_state import (
    INFLATION,
    MEAN_ROWS,
    N_PHI,
    N_SCALES,
    PHI_PRIOR_TICKS,
    PRIOR_DECAY,
    PRIOR_SAMPLES,
    PRIOR_VARIANCE,
    SAMPLES,
    SQUARES,
    UNEXPLAINED,
    WEIGHT,
)
from detectors.multiscale.evidence import AverageVariance
from detectors.multiscale.movement import (
    design_effects,
    effective_shares,
    natural_variances,
    prior_samples,
)
from detectors.multiscale.plan import ScalePlan
from detectors.multiscale.rule import ScaleRule
from detectors.multiscale.state import ScaleState
from detectors.multiscale.thresholds import SCALE_HOURS

Floats = NDArray[np.float64]

_HOURS = np.array(SCALE_HOURS)


def movement_over(natural: Floats, span_hours: Floats) -> Floats:
    """Return the variance by natural movement of a mean over a stretch of the stream.

    Parameters
    ----------
    natural : ndarray of float64, shape (I, 6)
        tau^2.
    span_hours : ndarray of float64, shape (I,)
        H.

    Returns
    -------
    ndarray of float64, shape (I,)
        tau^2(T_H) min(1, 2 T_H / H), T_H the largest scale with 2T <= H.

    References
    ----------
    Decision rule 2, section 1.3 step 7.
    """
    span = np.maximum(span_hours, 0.25)
    longest = np.maximum((span[:, None] >= 2 * _HOURS).sum(axis=1) - 1, 0)
    own = natural[np.arange(len(natural)), longest]
    found: Floats = own * np.minimum(1.0, 2 * _HOURS[longest] / span)
    return found


def reference_variances(
    plan: ScalePlan, rule: ScaleRule, state: ScaleState, phi: Floats, natural: Floats
) -> Floats:
    """Return the variance of the reference's means, before the live correction.

    Returns
    -------
    ndarray of float64, shape (I,)
        phi unit / n0, and movement over the reference's span; one without times is taken
        for a stretch of this stream.
    """
    cell, unit = plan.codes[:, 3], plan.constants[:, 1]
    n, hours = plan.references[:, 0], plan.references[:, 1]
    in_stream = n * rule.tick_hours / np.maximum(state.cells[:, MEAN_ROWS], 1e-9)
    span = np.where(hours > 0, hours, in_stream)
    return phi * unit / n[cell] + movement_over(natural, span[cell])


def newest_weights(plan: ScalePlan, rule: ScaleRule, state: ScaleState) -> Floats:
    """Return by how much a newest row outweighs an average one in each average, less 1.

    Returns
    -------
    ndarray of float64, shape (I, 6)
        W / W2 - 1, at least g_s, its value where all ticks have the same rows. More as traffic
        falls: of an average of two hours at night a single row is a third.
    """
    weight = state.scales[:, :, WEIGHT].astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        found = np.fmax(rule.decay, weight / state.scales[:, :, SQUARES] - 1)
    return found[plan.codes[:, 3]]


def average_variances(
    plan: ScalePlan,
    rule: ScaleRule,
    state: ScaleState,
    own_unit: Floats | None = None,
) -> AverageVariance:
    """Return the variance of all averages, arrays of shape (I, 6).

    Parameters
    ----------
    own_unit : ndarray of float64, shape (I,), optional
        p(1 - p) in this slot of the season, where it is not that of the whole reference.

    References
    ----------
    Decision rule 2, section 1.3 step 7 and section 1.4.
    """
    cell, unit = plan.codes[:, 3], plan.constants[:, 1]
    own = unit if own_unit is None else own_unit
    phi, tau = design_effects(plan, state), natural_variances(plan, state)
    q_cell, samples = effective_shares(state), state.scales[:, :, SAMPLES].astype(np.float64)
    q, inflation = q_cell[cell], state.scales[:, :, INFLATION].astype(np.float64)
    sampling = phi[:, None] * own[:, None] * q
    pooled = ((PRIOR_SAMPLES + inflation) / (PRIOR_SAMPLES + samples) - 1)[cell]
    is_few = (plan.codes[:, 0] == 1)[:, None] & (plan.constants[:, :1] < N_WINDOW_ROWS * q)
    with np.errstate(invalid="ignore"):
        part = np.where(is_few, 1.0, np.fmax(0.0, 1 - samples / N_YOUNG)[cell])
        natural = np.fmax(tau, part * pooled * (phi * unit)[:, None] * q)
    prior = PRIOR_VARIANCE * unit[:, None] * PRIOR_DECAY ** np.arange(N_SCALES)
    reference = state.components[:, UNEXPLAINED] * reference_variances(plan, rule, state, phi, tau)
    largest = _longest_movement(tau, phi * unit, q, samples[cell])
    return AverageVariance(
        unit=own[:, None],
        q=q,
        sampling=sampling,
        natural=natural,
        natural_prior=prior * PRIOR_SAMPLES / (PRIOR_SAMPLES + samples[cell]),
        reference=reference[:, None],
        freedom_natural=_freedom(samples, cell, sampling + natural, largest),
        freedom_phi=PHI_PRIOR_TICKS + state.cells[cell, N_PHI].astype(np.float64)[:, None],
    )


def _longest_movement(tau: Floats, variance: Floats, q: Floats, samples: Floats) -> Floats:
    """Largest V_u T_u over the scales u beyond each scale that have three samples."""
    with np.errstate(invalid="ignore"):
        own = np.where(samples >= 3, (tau + variance[:, None] * q) * _HOURS, 0.0)
    largest = np.zeros(tau.shape)
    for s in range(N_SCALES - 1):
        largest[:, s] = own[:, s + 1 :].max(axis=1)
    return largest


def _freedom(samples: Floats, cell: NDArray[np.int64], variance: Floats, longer: Floats) -> Floats:
    """nu_tau: samples count less where a longer scale moves as much (1.3 step 7)."""
    own = variance * _HOURS
    with np.errstate(invalid="ignore", divide="ignore"):
        part = np.where(samples[cell] > 0, own / np.fmax(own, longer), 0.0)
    found = prior_samples(samples)[cell] + samples[cell] * part
    return np.where(samples[cell] > 0, np.minimum(found, MAX_FREEDOM), prior_samples(samples)[cell])
