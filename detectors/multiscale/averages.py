"""The averages of all components now, and the evidence that they are beyond limits."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detectors.kernels import scale_state as at
from detectors.multiscale.evidence import evidence, size_of_change
from detectors.multiscale.plan import ScalePlan
from detectors.multiscale.rule import ScaleRule
from detectors.multiscale.state import ScaleState
from detectors.multiscale.thresholds import SCALE_HOURS
from detectors.multiscale.variances import average_variances, newest_weights

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


def averages(plan: ScalePlan, state: ScaleState) -> Floats:
    """Return m of every component and scale, less the product of two others where it has one.

    Returns
    -------
    ndarray of float64, shape (I, 6)
        Change of the share or mean in each average; NaN before the first row of a cell.
    """
    weight = state.scales[plan.codes[:, at.CELL], :, at.WEIGHT].astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        m = state.components[:, at.SUM : at.SUM + at.N_SCALES] / weight
    first, second = plan.codes[:, at.FIRST], plan.codes[:, at.SECOND]
    product = plan.constants[:, at.PRODUCT, None] * m[first] * m[second]
    return np.where(first[:, None] >= 0, m - product, m)


def expected_shares(plan: ScalePlan, state: ScaleState, slot: int) -> tuple[Floats, Floats]:
    """Return the expected share of every component, and its p(1 - p), in a slot of the season.

    Returns
    -------
    p : ndarray of float64, shape (I,)
        With the live correction and the season; of a mean that of the plan.
    unit : ndarray of float64, shape (I,)
        At least a quarter of that of the whole reference; 1 of a mean.
    """
    is_share = plan.codes[:, at.IS_SHARE] == 1
    p = plan.constants[:, at.P] + state.components[:, at.CORRECTION]
    p = np.where(is_share, np.clip(p, 0.0, 1.0), plan.constants[:, at.P])
    unit = plan.constants[:, at.PQ].copy()
    is_moving = (plan.codes[:, at.IS_SEASONAL] == 1) & is_share
    if is_moving.any():
        seasonal = np.clip(p + plan.season[slot], 1e-6, 1 - 1e-6)
        p = np.where(is_moving, seasonal, p)
        unit = np.where(is_moving, np.maximum(p * (1 - p), 0.25 * unit), unit)
    return p, unit


def scales_in_use(state: ScaleState) -> Bools:
    """Return the scales with enough samples of their variance to fire, shape (C, 6)."""
    samples = state.scales[:, :, at.SAMPLES]
    is_used: Bools = samples >= at.MIN_SAMPLES
    is_used[:, 1:] |= samples[:, :-1] >= 4 * at.MIN_SAMPLES
    return is_used


def can_fire(rule: ScaleRule, state: ScaleState) -> Bools:
    """Return the cells of which at least one average is old enough to be judged, shape (C,).

    Until then only a total loss is found: :func:`detectors.multiscale.rule.ticks_to_first_verdict`.
    """
    hours = state.cells[:, at.AGE, None] * rule.tick_hours
    is_used = scales_in_use(state) & (hours >= 2 * np.array(SCALE_HOURS) * at.BARELY)
    found: Bools = np.any(is_used, axis=1)
    return found


def margins_beyond(
    plan: ScalePlan,
    rule: ScaleRule,
    state: ScaleState,
    low: Floats | float = 0.0,
    high: Floats | float = 0.0,
    slot: int = 0,
) -> Floats:
    """Return E - h of the part of every average that is beyond its limits.

    Parameters
    ----------
    low, high : ndarray of float64, shape (I, 6), or float
        Change of each average that is allowed: low is at most 0, high at least 0. With 0 it
        is the margin by which the kernel fires.
    slot : int, optional
        Slot of the season.

    Returns
    -------
    ndarray of float64, shape (I, 6)
        Negative where the part beyond is smaller than the smallest change that matters;
        -inf at scales that are not in use.
    """
    cell = plan.codes[:, at.CELL]
    is_share = plan.codes[:, at.IS_SHARE, None] == 1
    p, unit = expected_shares(plan, state, slot)
    m = averages(plan, state)
    allowed = np.clip(m, low, high)
    base = np.where(is_share, np.clip(p[:, None] + allowed, 0.0, 1.0), p[:, None])
    variance = average_variances(plan, rule, state, unit)
    beyond, g_max = m - allowed, plan.constants[:, at.G_MAX, None]
    newest = newest_weights(plan, rule, state)
    found = evidence(beyond, is_share, base, variance, g_max, newest) - rule.thresholds
    size = size_of_change(beyond, is_share, base, plan.constants[:, at.PQ, None])
    least = (plan.references[cell, at.SMALLEST] * plan.constants[:, at.GATE])[:, None]
    found = np.where(size < least, np.minimum(found, -1e-6), found)
    hours = state.cells[:, at.AGE, None] * rule.tick_hours
    is_used = scales_in_use(state) & (hours >= 2 * np.array(SCALE_HOURS) * at.BARELY)
    return np.where(is_used[cell], found, -np.inf)


__all__ = ["averages", "can_fire", "expected_shares", "margins_beyond", "scales_in_use"]
