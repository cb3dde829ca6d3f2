"""Tails and quantiles of the distributions that statistics are compared with, one number each."""

from __future__ import annotations

import math

from detectors.kernels.jit import uncounted

_ROOT_HALF = math.sqrt(0.5)
_ROOT_TWO_PI = math.sqrt(2.0 * math.pi)
_ROOT_PI = math.sqrt(math.pi)


@uncounted
def two_sided(z: float) -> float:
    """Return the probability that a standard normal is at least |z| away from 0."""
    return math.erfc(abs(z) * _ROOT_HALF)


@uncounted
def kolmogorov_tail(x: float) -> float:
    """Return Kolmogorov's limiting tail Q(x).

    Below 1 the theta function's other series converges faster; of either three terms leave
    less than 1e-15.

    References
    ----------
    Marsaglia, Tsang, Wang, Evaluating Kolmogorov's distribution, J. Stat. Softw. 8 (2003).
    """
    if math.isnan(x):
        return x
    if x <= 0.0:
        return 1.0
    total = 0.0
    if x < 1.0:
        for k in range(1, 8, 2):
            total += math.exp(-(k * k) * math.pi * math.pi / (8.0 * x * x))
        return 1.0 - _ROOT_TWO_PI / x * total
    sign = 1.0
    for k in range(1, 6):
        total += sign * math.exp(-2.0 * k * k * x * x)
        sign = -sign
    return 2.0 * total


@uncounted
def chi_square_tail(dof: int, x: float) -> float:
    """Return the probability that chi-square with ``dof`` >= 1 degrees is at least x.

    A finite sum of positive terms, because degrees are whole numbers.

    References
    ----------
    Abramowitz and Stegun (1964), 26.4.4 and 26.4.5.
    """
    if math.isnan(x):
        return x
    if x <= 0.0:
        return 1.0
    half = 0.5 * x
    if dof % 2 == 0:
        term = math.exp(-half)
        total = term
        for i in range(1, dof // 2):
            term *= half / i
            total += term
        return min(total, 1.0)
    total = math.erfc(math.sqrt(half))
    term = math.exp(-half) * 2.0 * math.sqrt(half) / _ROOT_PI
    for i in range(1, (dof + 1) // 2):
        total += term
        term *= half / (i + 0.5)
    return min(total, 1.0)


@uncounted
def upper_normal_quantile(tail: float) -> float:
    """Return the x that a standard normal exceeds with probability ``tail`` in (0, 1/2].

    References
    ----------
    Wichura, Algorithm AS 241: The percentage points of the normal distribution, Applied
    Statistics 37 (1988), PPND16.
    """
    q = 0.5 - tail
    if q <= 0.425:
        r = 0.180625 - q * q
        above = (
            ((2.5090809287301226727e3 * r + 3.3430575583588128105e4) * r + 6.7265770927008700853e4)
            * r
            + 4.5921953931549871457e4
        ) * r + 1.3731693765509461125e4
        above = ((above * r + 1.9715909503065514427e3) * r + 1.3314166789178437745e2) * r
        below = (
            ((5.2264952788528545610e3 * r + 2.8729085735721942674e4) * r + 3.9307895800092710610e4)
            * r
            + 2.1213794301586595867e4
        ) * r + 5.3941960214247511077e3
        below = ((below * r + 6.8718700749205790830e2) * r + 4.2313330701600911252e1) * r
        return q * (above + 3.3871328727963666080) / (below + 1.0)
    r = math.sqrt(-math.log(tail))
    if r <= 5.0:
        r -= 1.6
        above = (
            (
                (7.7454501427834140764e-4 * r + 2.27238449892691845833e-2) * r
                + 2.41780725177450611770e-1
            )
            * r
            + 1.27045825245236838258
        ) * r + 3.64784832476320460504
        above = ((above * r + 5.76949722146069140550) * r + 4.63033784615654529590) * r
        below = (
            (
                (1.05075007164441684324e-9 * r + 5.47593808499534494600e-4) * r
                + 1.51986665636164571966e-2
            )
            * r
            + 1.48103976427480074590e-1
        ) * r + 6.89767334985100004550e-1
        below = ((below * r + 1.67638483018380384940) * r + 2.05319162663775882187) * r
        return (above + 1.42343711074968357734) / (below + 1.0)
    r -= 5.0
    above = (
        (
            (2.01033439929228813265e-7 * r + 2.71155556874348757815e-5) * r
            + 1.24266094738807843860e-3
        )
        * r
        + 2.65321895265761230930e-2
    ) * r + 2.96560571828504891230e-1
    above = ((above * r + 1.78482653991729133580) * r + 5.46378491116411436990) * r
    below = (
        (
            (2.04426310338993978564e-15 * r + 1.42151175831644588870e-7) * r
            + 1.84631831751005468180e-5
        )
        * r
        + 7.86869131145613259100e-4
    ) * r + 1.48753612908506148525e-2
    below = ((below * r + 1.36929880922735805310e-1) * r + 5.99832206555887937690e-1) * r
    return (above + 6.65790464350110377720) / (below + 1.0)
