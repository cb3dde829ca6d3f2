"""Thresholds of the multi-scale rule, from the budget of false alarms."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from schemas.errors import DomainError

HOURS_PER_MONTH: Final = 730.0
SCALE_HOURS: Final = (0.125, 0.5, 2.0, 8.0, 32.0, 128.0)
"""Time constants T of the six averages; an average of constant T holds about 2T."""
_N_ITERATIONS: Final = 60
_CROSSING: Final = 0.8
"""2 z phi(z) = .8 z exp(-z^2 / 2)."""


def thresholds(
    n_components: int,
    budget: float,
    tick_hours: float,
    scale_hours: Sequence[float] = SCALE_HOURS,
) -> NDArray[np.float64]:
    """Return the evidence each scale has to reach.

    Parameters
    ----------
    n_components : int
        M, the components of all cells of the model.
    budget : float
        Incidents without cause a model and month of 730 hours.
    tick_hours : float
        Length of a tick; an average cannot cross oftener than once in it.
    scale_hours : sequence of float, optional
        Time constants.

    Returns
    -------
    ndarray of float64, shape (S,)
        h_s, nats: the solution of h = ln(.8 sqrt(2h) (730 / T_s) M S / budget).

    Raises
    ------
    DomainError
        If a figure is not positive, or the budget so large that no threshold is above 1/2.

    Notes
    -----
    A stationary Ornstein-Uhlenbeck average leaves +-z at a rate of .8 z exp(-z^2 / 2) / T;
    Bonferroni over M S averages. Doubling the budget lowers h by ln 2 / (1 - 1 / (2h)).

    References
    ----------
    Decision rule 2, section 1.3 step 8; Pickands, Asymptotic properties of the maximum in a
    stationary Gaussian process, Trans. AMS 145, 1969 (alpha = 1).

    Examples
    --------
    >>> thresholds(342, 0.1, 1 / 12).round(1).tolist()
    [20.2, 18.8, 17.4, 16.0, 14.5, 13.1]
    """
    for name, value in (
        ("n_components", n_components),
        ("budget", budget),
        ("tick_hours", tick_hours),
    ):
        if not value > 0:
            raise DomainError(f"{name} is {value:g}", where="thresholds", fix="expected > 0")
    n_averages = n_components * len(scale_hours)
    return np.array(
        [_solve(HOURS_PER_MONTH / max(t, tick_hours) * n_averages / budget) for t in scale_hours]
    )


def _solve(crossings: float) -> float:
    """Solve h = ln(.8 sqrt(2h) x) by iteration; it contracts where h > 1/2."""
    h = 15.0
    for _ in range(_N_ITERATIONS):
        before = h
        h = math.log(_CROSSING * math.sqrt(2.0 * h) * crossings)
        if h <= 0.5:
            raise DomainError(
                f"one crossing in {1 / crossings:g}",
                where="thresholds",
                fix="choose a smaller budget",
            )
        if h == before:
            break
    return h
