"""Evidence of the multi-scale rule, over arrays of components; the kernel has the same formulas."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detectors.kernels.scale_evidence import RARE_UPWARD, SMALLEST_SHARE

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class AverageVariance:
    """Parts of the variance of averages; arrays that broadcast over components."""

    unit: Floats
    """p(1 - p) of a share, 1 of a mean."""
    q: Floats
    """One over the effective number of rows of the average."""
    sampling: Floats
    """v = phi unit q."""
    natural: Floats
    """tau^2(s)."""
    natural_prior: Floats
    """The part of tau^2 that is prior only."""
    reference: Floats
    """v_ref, of the reference's own mean."""
    freedom_natural: Floats
    """nu_tau."""
    freedom_phi: Floats
    """nu_phi = 5 + ticks."""

    @property
    def total(self) -> Floats:
        """V = v + tau^2 + v_ref."""
        return self.sampling + self.natural + self.reference


def evidence(
    m: Floats,
    is_share: Bools,
    p: Floats,
    variance: AverageVariance,
    g_max: Floats,
    newest: Floats,
) -> Floats:
    """Return E of a change by m.

    Parameters
    ----------
    m : ndarray of float64
        Change of the share or mean in the average.
    is_share : ndarray of bool
        Shares are Bernoulli, means Gaussian.
    p : ndarray of float64
        Share of the baseline; not used for means.
    variance : AverageVariance
        Of the average.
    g_max : ndarray of float64
        Largest value of the polynomial; not used for shares.
    newest : ndarray of float64
        The newest rows weigh 1 + newest times an even share; g_s where all ticks have the same
        rows (:func:`detectors.multiscale.variances.newest_weights`).

    Returns
    -------
    ndarray of float64
        Nats, never below 0.

    Notes
    -----
    Three steps. G: the generalised likelihood ratio with as many rows as the variance is
    worth, of a changed share n1 KL(p1 | pooled) + n0 KL(p | pooled), of a mean m^2 / 2V;
    for growth of rare shares, and loss of all but certain ones, by Bennett's bound for weighted
    sums. Then the smaller of G and
    m^2 / (2 (V + c |m|)), Bernstein's bound for clusters of random size. Then the
    log-likelihood ratio of a t, (nu + 1) / 2 ln(1 + 2G / nu), nu by Satterthwaite. Nothing in
    it depends on how large a change has to be to matter.

    While tau^2 is given (``freedom_natural`` infinite), more rows in the same shares never
    lower E. With an estimated tau^2 they can: where sampling no longer hides it, E is known
    only as well as tau^2 is.

    References
    ----------
    Decision rule 2, section 1.3 step 7; Boucheron, Lugosi, Massart, Concentration
    inequalities, 2013, sections 2.4 and 2.7; Satterthwaite, Biometrics Bulletin 2, 1946.

    Examples
    --------
    >>> def of(rows: float) -> AverageVariance:
    ...     zero, q = np.zeros(1), np.array([1 / rows])
    ...     return AverageVariance(np.ones(1), q, q, zero, zero, zero, zero + 30, zero + 1e9)
    >>> one, mean = np.ones(1), np.zeros(1, bool)
    >>> [round(float(evidence(0.1 * one, mean, one, of(n), one, one)[0]), 1) for n in (1e3, 1e4)]
    [4.8, 48.4]
    """
    v = variance
    is_rare = ((p < RARE_UPWARD) & (m > 0)) | ((p > 1.0 - RARE_UPWARD) & (m < 0))
    weight = np.where(is_rare, 1.0 + newest, 1.0)
    now = np.clip(p + weight * m, 0.0, 1.0)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        n_now = v.unit / (v.sampling + v.natural) / weight**2
        n_reference = np.where(v.reference > 0, v.unit / v.reference, 1e12)
        pooled = (n_now * now + n_reference * p) / (n_now + n_reference)
        bernoulli = n_now * _entropy(now, pooled) + n_reference * _entropy(p, pooled)
        is_possible = (pooled > 0) & (pooled < 1)
        g = np.where(is_share, np.where(is_possible, bernoulli, 0.0), m * m / (2 * v.total))
        seen = v.sampling + np.maximum(0.0, v.natural - v.natural_prior)
        half = (np.maximum(1.0, seen / (v.unit * v.q)) - 1) / 2
        tail = np.where(is_share, v.q * half, v.q * g_max * (half + 1 / 3))
        g = np.minimum(g, m * m / (2 * (v.total + tail * np.abs(m))))
        uncertain = v.natural**2 / v.freedom_natural + v.sampling**2 / v.freedom_phi
        freedom = np.where(uncertain > 0, v.total**2 / uncertain, np.inf)
        student = (freedom + 1) / 2 * np.log1p(2 * g / freedom)
    found: Floats = np.maximum(0.0, np.where(freedom > 1e4, g, student))
    return found


def _entropy(p: Floats, q: Floats) -> Floats:
    return _relative(p, q) + _relative(1 - p, 1 - q)


def _relative(p: Floats, q: Floats) -> Floats:
    """As ``scipy.special.rel_entr``, whose import takes longer than most commands run."""
    with np.errstate(divide="ignore", invalid="ignore"):
        found = p * np.log(p / q)
    return np.where(p == 0, 0.0, np.where(p < 0, np.inf, found))


def size_of_change(m: Floats, is_share: Bools, p: Floats, unit: Floats) -> Floats:
    """Return how large a change is, whatever the evidence for it.

    Returns
    -------
    ndarray of float64
        Cohen's h of a share, 2 |asin sqrt(p + m) - asin sqrt(p)|, 0 where |m| < .002; |m| of
        a mean, about standard deviations. A cell fires from ``smallest`` on, .05.

    References
    ----------
    Decision rule 2, section 1.3 step 9; Cohen, Statistical power analysis, 1988, chapter 6.

    Examples
    --------
    >>> is_share, one = np.array([True, True, False]), np.ones(3)
    >>> m, p = np.array([0.001, 0.1, 0.1]), np.array([0.1, 0.5, 0.0])
    >>> size_of_change(m, is_share, p, one).round(3).tolist()
    [0.0, 0.201, 0.1]
    """
    now = np.clip(p + m, 0.0, 1.0)
    base = np.clip(p, 0.0, 1.0)
    h = 2 * np.abs(np.arcsin(np.sqrt(now)) - np.arcsin(np.sqrt(base)))
    h = np.where(np.abs(m) < SMALLEST_SHARE, 0.0, h)
    return np.where(is_share, h, np.abs(m) / np.sqrt(unit))
