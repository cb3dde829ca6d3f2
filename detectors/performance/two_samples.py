"""Evidence that one group's rate exceeds another's by more than a tolerance.

For gaps between groups and for models that share no rows. Null: p_a - p_b <= c. The e-value
bets on rates that were fixed before the window, against the closest point of the null.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from schemas.errors import DomainError

_N_HALVINGS = 60
"""Of an interval of length 1: to the last bit of a float64."""


class Projection(NamedTuple):
    """The point of the null that a bet is measured against."""

    a: NDArray[np.float64]
    b: NDArray[np.float64]


def projected(
    n_a: ArrayLike, n_b: ArrayLike, q_a: ArrayLike, q_b: ArrayLike, tolerance: float
) -> Projection:
    """Return the point t_a = t_b + c that is closest to the bet, by Kullback-Leibler.

    Parameters
    ----------
    n_a, n_b : array_like of float
        Rows of the groups.
    q_a, q_b : array_like of float
        Rates that are bet on, in (0, 1).
    tolerance : float
        c, in (-1, 1).

    Notes
    -----
    The root of n_a (q_a - t_a) / (t_a (1 - t_a)) + n_b (q_b - t_b) / (t_b (1 - t_b)), which
    falls in t: 60 halvings. An e-value against it is valid at every point of the null, because
    the derivative along t_a = t_b + c is 0 (Turner, Ly, Grunwald, J. Stat. Plan. Inference 230,
    2024).

    Examples
    --------
    >>> point = projected(300, 150, 0.50, 0.40, 0.05)
    >>> print(f"{point.a:.6f} {point.b:.6f}")
    0.483145 0.433145
    """
    if not -1 < tolerance < 1:
        raise DomainError(f"tolerance is {tolerance}", where="projected", fix="use -1 < c < 1")
    a, b, qa, qb = np.broadcast_arrays(*(np.asarray(x, np.float64) for x in (n_a, n_b, q_a, q_b)))
    low = np.full(a.shape, max(0.0, -tolerance))
    high = np.full(a.shape, min(1.0, 1.0 - tolerance))
    for _ in range(_N_HALVINGS):
        t = (low + high) / 2
        s = t + tolerance
        with np.errstate(divide="ignore", invalid="ignore"):
            slope = a * (qa - s) / (s * (1 - s)) + b * (qb - t) / (t * (1 - t))
        low, high = np.where(slope > 0, t, low), np.where(slope > 0, high, t)
    t = (low + high) / 2
    return Projection(t + tolerance, t)


def log_evidence(
    k_a: ArrayLike,
    n_a: ArrayLike,
    k_b: ArrayLike,
    n_b: ArrayLike,
    q_a: ArrayLike,
    q_b: ArrayLike,
    tolerance: float,
) -> np.float64 | NDArray[np.float64]:
    """Return the log e-value that p_a - p_b exceeds a tolerance.

    Parameters
    ----------
    k_a, k_b : array_like of float
        Hits of the groups.
    n_a, n_b : array_like of float
        Rows of the groups.
    q_a, q_b : array_like of float
        The bet: rates in (0, 1), fixed before these rows were seen.
    tolerance : float
        c.

    Returns
    -------
    float64 or ndarray of float64
        In nats; its exponential has a mean of at most 1 under the null, whatever the rates.
        0 where the bet lies in the null.

    Notes
    -----
    ln Bin(k_a; q_a) / Bin(k_a; t_a) + ln Bin(k_b; q_b) / Bin(k_b; t_b), t of
    :func:`projected`. Needs a third of the windows of universal inference for groups of some
    hundred rows. Means of e-values over bets are e-values.

    Examples
    --------
    >>> print(f"{log_evidence(165, 300, 60, 150, 0.55, 0.40, 0.05):.6f}")
    2.020326
    >>> print(f"{log_evidence(150, 300, 60, 150, 0.50, 0.40, 0.05):.6f}")
    0.508422
    """
    hits_a, hits_b, a, b, qa, qb = np.broadcast_arrays(
        *(np.asarray(x, np.float64) for x in (k_a, k_b, n_a, n_b, q_a, q_b))
    )
    if np.any((qa <= 0) | (qa >= 1) | (qb <= 0) | (qb >= 1)):
        raise DomainError("a bet is 0 or 1", where="log_evidence", fix="bet on (k + .5) / (n + 1)")
    if np.any((hits_a < 0) | (hits_a > a) | (hits_b < 0) | (hits_b > b)):
        raise DomainError("more hits than rows", where="log_evidence")
    t = projected(a, b, qa, qb, tolerance)
    found = _log_ratio(hits_a, a, qa, t.a) + _log_ratio(hits_b, b, qb, t.b)
    return np.asarray(np.where(qa - qb > tolerance, found, 0.0))[()]


def _log_ratio(
    hits: NDArray[np.float64],
    rows: NDArray[np.float64],
    bet: NDArray[np.float64],
    null: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return the log ratio of two binomial likelihoods."""
    return np.asarray(hits * np.log(bet / null) + (rows - hits) * np.log((1 - bet) / (1 - null)))
