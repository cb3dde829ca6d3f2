"""Limit laws of goodness-of-fit statistics, with their tails in full relative precision."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
from numpy.typing import ArrayLike

from detectors.statistics.gaps import FloatArray

SMALL_STATISTIC = 0.2
"""Below it the distribution's series converges in two terms, above it the tail's in six."""

N_NODES = 48
N_TERMS = 6
N_TERMS_ANDERSON = 30


def cramer_von_mises_tail(statistic: ArrayLike) -> FloatArray:
    """P(omega^2 >= x) of the one-sample Cramér-von Mises statistic with many rows.

    Parameters
    ----------
    statistic : array_like of float
        omega^2; any number of them.

    Returns
    -------
    ndarray of float64
        1 where x <= 0.

    Notes
    -----
    Above .2 Smirnov's integrals, alternating and falling like exp(-(2k - 1)^2 pi^2 x / 2),
    each taken by 48 Gauss-Legendre nodes after a substitution that removes both ends'
    root singularities: a p-value of 1e-100 keeps 11 digits, where 1 - cdf (scipy)
    has none below 1e-9. Below .2 the series of Bessel functions of the cdf.

    References
    ----------
    Anderson and Darling, Asymptotic theory of certain goodness of fit criteria, Ann.
    Math. Stat. 23 (1952), eq. 4.35 (the series). Csörgő and Faraway, The exact and
    asymptotic distributions of Cramér-von Mises statistics, J. R. Stat. Soc. B 58 (1996),
    eq. 1.3. Smirnov, On the distribution of the omega^2 criterion of von Mises, Rec.
    Math. 2 (1937), for the integrals: with weights 1 / u_j of squared normals and
    D(u) = prod (1 - u / u_j), the tail is the sum over k of (-1)^(k-1) / pi times the
    integral from u_{2k-1} to u_{2k} of exp(-u x / 2) / (u sqrt(-D(u))).

    Examples
    --------
    >>> print(f"{cramer_von_mises_tail(0.46136):.5f}")
    0.05000
    """
    x = np.asarray(statistic, np.float64)
    is_small = x < SMALL_STATISTIC
    tail = _smirnov(np.where(is_small, 1.0, x))
    return np.where(is_small, 1.0 - _bessel(np.minimum(x, SMALL_STATISTIC)), tail)


def anderson_darling_tail(statistic: ArrayLike) -> FloatArray:
    """P(A^2 >= x) of the one-sample Anderson-Darling statistic with many rows.

    Parameters
    ----------
    statistic : array_like of float
        A^2; any number of them.

    Returns
    -------
    ndarray of float64
        1 where x < .05, where the next digit is beyond double precision.

    Notes
    -----
    A^2 tends to the sum over j of chi^2_1 / (j (j + 1)). Its characteristic function is
    a root of -cos(pi sqrt(1 + 4u) / 2) / (pi u), u = 2it, and the tail the integrals
    between its zeros u = j (j + 1), as in :func:`cramer_von_mises_tail`.

    References
    ----------
    Anderson and Darling (1952), section 5. Marsaglia and Marsaglia, Evaluating
    the Anderson-Darling distribution, J. Stat. Softw. 9 (2004), for the values.

    Examples
    --------
    >>> print(f"{anderson_darling_tail(2.4924):.4f} {anderson_darling_tail(3.8781):.4f}")
    0.0500 0.0100
    """
    x = np.asarray(statistic, np.float64)
    safe = np.maximum(x, 0.05)
    s, smooth = _nodes()
    total = np.zeros(x.shape)
    for k in range(1, N_TERMS_ANDERSON + 1):
        w = 4 * k + s
        u = (w * w - 1) / 4
        terms = smooth * w / np.sqrt(u) * np.exp(-u * safe[..., None] / 2)
        total += (-1) ** (k - 1) * terms.sum(axis=-1)
    return np.where(x < 0.05, 1.0, np.clip(total / (2 * math.sqrt(math.pi)), 0.0, 1.0))


def kuiper_tail(statistic: ArrayLike) -> FloatArray:
    """P(sqrt(n) V >= x) of Kuiper's statistic with many rows; 1 where x < .4.

    Below .4 the next digit is beyond double precision.

    References
    ----------
    Kuiper, Tests concerning random points on a circle, Proc. K. Ned. Akad. Wet. A 63
    (1960): 2 sum over j of (4 j^2 x^2 - 1) exp(-2 j^2 x^2).

    Examples
    --------
    >>> print(f"{kuiper_tail(1.747):.3f}")
    0.050
    """
    x = np.asarray(statistic, np.float64)
    squares = (np.arange(1, 21) * np.maximum(x, 0.4)[..., None]) ** 2
    tail = 2 * ((4 * squares - 1) * np.exp(-2 * squares)).sum(axis=-1)
    return np.where(x < 0.4, 1.0, np.clip(tail, 0.0, 1.0))


def _bessel(x: FloatArray) -> FloatArray:
    """Anderson and Darling's series of the cdf, for x in (0, .2]."""
    from scipy.special import gammaln, kve

    total = np.zeros(x.shape)
    safe = np.maximum(x, 1e-3)  # the cdf is below 1e-50 there
    for k in range(4):
        y = 4 * k + 1
        q = y * y / (16 * safe)
        weight = math.exp(gammaln(k + 0.5) - gammaln(k + 1)) * math.sqrt(y) / math.pi**1.5
        total += weight / np.sqrt(safe) * np.exp(-2 * q) * kve(0.25, q)
    return np.where(x <= 1e-3, 0.0, total)


def _smirnov(x: FloatArray) -> FloatArray:
    """Smirnov's alternating integrals of the tail.

    With theta = (2k - 1/2) pi + (pi/2) s, -sin theta is cos(pi s / 2).
    """
    s, smooth = _nodes()
    total = np.zeros(x.shape)
    for k in range(1, N_TERMS + 1):
        theta = (2 * k - 0.5) * math.pi + (math.pi / 2) * s
        # (1/pi) dy / y sqrt(theta / -sin theta), y = theta^2 and dtheta = (pi/2) ds.
        terms = smooth / np.sqrt(theta) * np.exp(-(theta**2) * x[..., None] / 2)
        total += (-1) ** (k - 1) * terms.sum(axis=-1)
    return np.clip(total, 0.0, 1.0)


@cache
def _nodes() -> tuple[FloatArray, FloatArray]:
    """Nodes s in (-1, 1), and weights of ds / sqrt(cos(pi s / 2)); read, never written.

    s = sin phi cancels the roots at both ends. Kept, because finding them takes .5 ms.
    """
    nodes, weights = np.polynomial.legendre.leggauss(N_NODES)
    phi = nodes * (math.pi / 2)
    s = np.sin(phi)
    return s, np.cos(phi) / np.sqrt(np.cos(math.pi * s / 2)) * weights * (math.pi / 2)
