"""The smallest change that would be found now, within 15 minutes, an hour, a day, a week."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from detectors.kernels.scale_evidence import SMALLEST_SHARE
from detectors.kernels.scale_state import CORRECTION, GATE, SMALLEST
from detectors.multiscale.averages import scales_in_use
from detectors.multiscale.evidence import AverageVariance, evidence
from detectors.multiscale.plan import ScalePlan
from detectors.multiscale.rule import ScaleRule
from detectors.multiscale.state import ScaleState
from detectors.multiscale.thresholds import SCALE_HOURS
from detectors.multiscale.variances import average_variances, newest_weights

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

HORIZON_HOURS: Final = (0.25, 1.0, 24.0, 168.0)
HORIZONS: Final = ("15 minutes", "an hour", "a day", "a week")
_N_HALVINGS: Final = 30
"""The largest mean of 8 in steps of 1e-8: no figure for people has more digits."""
_LARGEST_MEAN: Final = 8.0
"""Largest possible change of a polynomial's mean in practice; larger ones count as undetectable."""


@dataclass(frozen=True, slots=True)
class DetectableChange:
    """Smallest changes of I components, for each of H horizons."""

    change: Floats
    """Shape (H, I): growth of a share, change of a mean; NaN if undetectable."""
    scale: Integers
    """Shape (H, I): the scale that would detect it; -1 if none would."""
    natural_sd: Floats
    """Shape (H, I): by how much averages of that scale vary by themselves, for the text that
    has the reason; NaN without a scale.
    """
    is_natural: NDArray[np.bool_]
    """Shape (H, I): natural movement is more than half of the variance."""


def detectable_changes(
    plan: ScalePlan, rule: ScaleRule, state: ScaleState, only: Integers | None = None
) -> DetectableChange:
    """Return the smallest growth of every component that would be found within each horizon.

    Parameters
    ----------
    plan, rule, state
        Of a model whose stream has begun.
    only : ndarray of int64, optional
        Components to compute, for those who need few; the others are as if undetectable.

    Returns
    -------
    DetectableChange
        The size of a change, lasting from now on, at which the evidence it is expected to
        bring within the horizon equals the threshold, at the best scale that is in use: about
        half of such changes are found sooner. Never below the smallest change that matters.

    Notes
    -----
    After D hours a change d has moved an average of time constant T by
    d (1 - exp(-D / T)). The limit of 4.5 standard deviations a tick is not included: from the
    second tick on it does not bind. Scales with fewer than five samples are not in use, as in
    the kernel, so in the first hour of a stream nothing would be found.

    References
    ----------
    Decision rule 2, sections 1.3 and 1.4, protection (f).

    Examples
    --------
    >>> from detectors.multiscale.components import ComponentLayout, categorical_components
    >>> from detectors.multiscale.plan import plan_cells
    >>> from detectors.multiscale.rule import judge
    >>> counts = np.zeros((1, 64), np.int64)
    >>> counts[0, :2] = 5000
    >>> layout = ComponentLayout.of([categorical_components(("a", "b"))])
    >>> plan = plan_cells(layout, *layout.add_up(counts))
    >>> rule, state, rng = ScaleRule.of(layout.n_components), ScaleState.start(plan), np.random
    >>> for _ in range(300):
    ...     n = rng.default_rng(_).binomial(100, 0.5)
    ...     counts[0, :2] = n, 100 - n
    ...     _ = judge(plan, rule, state, *layout.add_up(counts))
    >>> found = detectable_changes(plan, rule, state).change[:, 0]
    >>> bool(found[0] > found[1] > found[2] > 0.02)
    True
    """
    is_share, p = plan.codes[:, 0] == 1, plan.constants[:, 0] + state.components[:, CORRECTION]
    variance = average_variances(plan, rule, state)
    chosen = np.arange(plan.n_components) if only is None else only
    needed = np.full((plan.n_components, len(SCALE_HOURS)), np.inf)
    needed[chosen] = _needed(
        rule,
        _of_components(variance, chosen),
        is_share[chosen],
        p[chosen],
        plan.constants[chosen],
        newest_weights(plan, rule, state)[chosen],
    )
    needed[~scales_in_use(state)[plan.codes[:, 3]]] = np.inf
    smallest = _smallest(plan, is_share, p)
    shape = (len(HORIZON_HOURS), plan.n_components)
    change, sd = np.full(shape, np.nan), np.full(shape, np.nan)
    scale, is_natural = np.full(shape, -1), np.zeros(shape, bool)
    component = np.arange(plan.n_components)
    for h, hours in enumerate(HORIZON_HOURS):
        moved = needed / (1 - np.exp(-hours / np.array(SCALE_HOURS)))
        best = moved.argmin(axis=1)
        found = np.maximum(moved[component, best], smallest)
        is_found = np.isfinite(found) & (~is_share | (p + found <= 1))
        change[h, is_found], scale[h, is_found] = found[is_found], best[is_found]
        natural, total = variance.natural[component, best], variance.total[component, best]
        sd[h, is_found] = np.sqrt(natural[is_found])
        is_natural[h] = is_found & (natural > total / 2)
    return DetectableChange(change, scale, sd, is_natural)


def _of_components(variance: AverageVariance, chosen: Integers) -> AverageVariance:
    """Return the variances of the averages of some components."""
    fields = {name: getattr(variance, name)[chosen] for name in variance.__dataclass_fields__}
    return replace(variance, **fields)


def _needed(
    rule: ScaleRule,
    variance: AverageVariance,
    is_share: NDArray[np.bool_],
    p: Floats,
    constants: Floats,
    newest: Floats,
) -> Floats:
    """Return the change of each average at which E = h, shape (I, 6); inf if unreachable."""
    shape = (len(p), len(SCALE_HOURS))
    share, base = is_share[:, None], np.clip(p, 0.0, 1.0)[:, None]
    low = np.zeros(shape)
    high = np.broadcast_to(np.where(share, 1 - base, _LARGEST_MEAN), shape).copy()
    g_max = constants[:, 2:3]

    def reached(m: Floats) -> NDArray[np.bool_]:
        found: NDArray[np.bool_] = (
            evidence(m, share, base, variance, g_max, newest) >= rule.thresholds
        )
        return found

    is_possible = reached(high)
    for _ in range(_N_HALVINGS):
        middle = (low + high) / 2
        is_enough = reached(middle)
        high, low = np.where(is_enough, middle, high), np.where(is_enough, low, middle)
    return np.where(is_possible, high, np.inf)


def _smallest(plan: ScalePlan, is_share: NDArray[np.bool_], p: Floats) -> Floats:
    """Growth at which the gate opens."""
    least = plan.references[plan.codes[:, 3], SMALLEST] * plan.constants[:, GATE]
    angle = np.arcsin(np.sqrt(np.clip(p, 0.0, 1.0))) + least / 2
    share = np.sin(np.minimum(angle, np.pi / 2)) ** 2 - np.clip(p, 0.0, 1.0)
    mean = least * np.sqrt(plan.constants[:, 1])
    found: Floats = np.where(is_share, np.maximum(share, SMALLEST_SHARE), mean)
    return found
