"""Every statistic as one size: the shift of a Gaussian that would give the same number.

PSI .1 and Wasserstein .1 mean different moves, so statistics are not sorted by their
values. A mean shift of d standard deviations between two unit Gaussians gives, exactly or
to first order in d (marked ~):

===================================================== ==================================
statistic                                             its value at a shift of d
===================================================== ==================================
PSI ~, KL                                             d^2, d^2 / 2
Jensen-Shannon divergence ~, distance ~               d^2 / 8, d / sqrt 8
Hellinger                                             sqrt(1 - exp(-d^2 / 8))
total variation, KS, Kuiper, any change of a share    2 Phi(d / 2) - 1
Wasserstein, quantile shift, mean shift, Welch's t    d standard deviations
energy ~                                              d sqrt(sd) / pi^(1/4)
Cramér-von Mises ~ (effect)                           d^2 / (2 pi sqrt 3)
Anderson-Darling ~ (effect)                           .48054 d^2
Mann-Whitney (effect)                                 Phi(-d / sqrt 2)
ratio of standard deviations ~                        exp(d / sqrt 2), by its PSI
Cramér's V ~, root of G / rows ~                      d sqrt(n0 n) / (n0 + n)
Fisher's odds ratio                                   exp(d pi / sqrt 3)
===================================================== ==================================

PSI, KL, Jensen-Shannon and Hellinger are taken less their mean without drift, which
fewer rows make larger. Of categories d is the same size, without the picture. It sorts, and
decides nothing.

References: Lin, Divergence measures based on the Shannon entropy, IEEE Trans. Inf. Theory
37 (1991); Chinn, A simple method for converting an odds ratio to effect size, Stat. Med. 19
(2000), for Fisher's; the others are integrals of the definitions over Gaussians.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

CRAMER_VON_MISES_SLOPE = 1 / (2 * math.pi * math.sqrt(3))
"""Integral of phi^3."""
ANDERSON_DARLING_SLOPE = 0.480538
"""Integral of phi^3 / (Phi (1 - Phi)), by quadrature."""
NEARLY_ONE = 1 - 1e-12


class Surroundings(NamedTuple):
    """What an effect size depends on besides the statistic."""

    sd: float
    """Standard deviation of the reference; NaN of categories."""
    n_reference: int
    n_current: int
    bias: float
    """Mean of PSI without drift."""


def shift_of(name: str, value: float, effect: float, around: Surroundings) -> float:
    """Return the Gaussian shift, in standard deviations, equivalent to a statistic.

    Parameters
    ----------
    name : str
        As in :data:`detectors.registry.DETECTORS`, or a share of data quality.
    value, effect : float
        Of the statistic.

    Returns
    -------
    float
        At least 0; NaN where the statistic is, or where there is no scale.

    Examples
    --------
    >>> around = Surroundings(sd=2.0, n_reference=1_000, n_current=1_000, bias=0.0)
    >>> f"{shift_of('psi', 0.1, 0.1, around):.3f} {shift_of('wasserstein', 0.2, 0.2, around):.3f}"
    '0.316 0.100'
    """
    if math.isnan(value) and math.isnan(effect):
        return math.nan
    return abs(_SHIFTS.get(name, _share)(value, effect, around))


def _root(square: float) -> float:
    """Return the square root, 0 of numbers that noise made negative."""
    return math.sqrt(max(square, 0.0))


def _share(value: float, effect: float, around: Surroundings) -> float:
    """Convert a share of rows that moved, in either direction."""
    from scipy.special import ndtri

    return float(2 * ndtri((1 + min(abs(effect), NEARLY_ONE)) / 2))


def _area(value: float, effect: float, around: Surroundings) -> float:
    """Convert the probability that a pair of rows is in reverse order."""
    from scipy.special import ndtri

    return float(math.sqrt(2) * ndtri(min(max(1 - effect, 1 - NEARLY_ONE), NEARLY_ONE)))


def _hellinger(value: float, effect: float, around: Surroundings) -> float:
    """Convert Hellinger's distance; exact for Gaussians."""
    square = min(max(value**2 - around.bias / 8, 0.0), NEARLY_ONE)
    return math.sqrt(-8 * math.log1p(-square))


def _scaled(value: float, effect: float, around: Surroundings) -> float:
    """Convert a shift in the variable's unit."""
    return value / around.sd if around.sd > 0 else math.nan


def _energy(value: float, effect: float, around: Surroundings) -> float:
    """Convert an energy distance, whose unit is the root of the variable's."""
    return value * math.pi**0.25 / math.sqrt(around.sd) if around.sd > 0 else math.nan


def _table(value: float, effect: float, around: Surroundings) -> float:
    """Convert Cramér's V, which is smaller where the numbers of rows are unequal."""
    n0, n = around.n_reference, around.n_current
    return effect * (n0 + n) / math.sqrt(n0 * n) if n0 and n else math.nan


def _ratio(value: float, effect: float, around: Surroundings) -> float:
    """Convert a ratio of standard deviations; NaN where one is 0."""
    return math.sqrt(2) * math.log(value) if value > 0 and around.sd > 0 else math.nan


def _odds(value: float, effect: float, around: Surroundings) -> float:
    """Convert an odds ratio; NaN where one side has no odds."""
    return math.log(value) * math.sqrt(3) / math.pi if 0 < value < math.inf else math.nan


_Map = Callable[[float, float, Surroundings], float]
_SHIFTS: Mapping[str, _Map] = {
    "psi": lambda v, e, a: _root(v - a.bias),
    "kl": lambda v, e, a: _root(2 * v - a.bias),
    "jensen_shannon": lambda v, e, a: _root(8 * v**2 - a.bias),
    "jensen_shannon_divergence": lambda v, e, a: _root(8 * v - a.bias),
    "hellinger": _hellinger,
    "wasserstein": _scaled,
    "quantile_shift": _scaled,
    "normed_wasserstein": lambda v, e, a: v if a.sd > 0 else math.nan,
    "mean_shift": lambda v, e, a: v if a.sd > 0 else math.nan,
    "welch_t": lambda v, e, a: e if a.sd > 0 else math.nan,
    "energy": _energy,
    "cramer_von_mises": lambda v, e, a: _root(e / CRAMER_VON_MISES_SLOPE),
    "anderson_darling": lambda v, e, a: _root(e / ANDERSON_DARLING_SLOPE),
    "mann_whitney": _area,
    "sd_shift": _ratio,
    "chi_square": _table,
    "g_test": _table,
    "cramers_v": _table,
    "fisher_exact": _odds,
}
"""Statistics that are not listed are changes of a share."""
