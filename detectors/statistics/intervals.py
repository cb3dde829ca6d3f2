"""Confidence intervals of rates and of their differences."""

from __future__ import annotations

import math
from dataclasses import dataclass

from detectors.statistics.normal import normal_quantile
from schemas.errors import DomainError


@dataclass(frozen=True, slots=True)
class Interval:
    """A confidence interval."""

    low: float
    high: float


def wilson_interval(n_hits: float, n_rows: float, confidence: float = 0.95) -> Interval:
    """Confidence interval of one rate; prefer it to rate +- 2 sd, which fails near 0 and 1.

    Parameters
    ----------
    n_hits, n_rows : float
        ``n_rows`` must be positive. Fractions are rows divided by a design effect.
    confidence : float, default .95
        Coverage of the interval, in (0, 1).

    Returns
    -------
    Interval
        Within [0, 1].

    Raises
    ------
    DomainError
        If there are no rows, more hits than rows, or confidence is not inside (0, 1).

    References
    ----------
    Wilson, Probable inference, JASA 22 (1927). Newcombe, Two-sided confidence
    intervals for the single proportion, Stat. Med. 17 (1998), method 3.

    Examples
    --------
    >>> interval = wilson_interval(81, 263)
    >>> print(f"{interval.low:.4f} {interval.high:.4f}")
    0.2553 0.3662
    """
    if not 0 <= n_hits <= n_rows or n_rows == 0:
        raise DomainError(f"{n_hits} hits of {n_rows} rows", where="wilson_interval")
    z = _quantile(confidence)
    rate = n_hits / n_rows
    scale = 1 + z * z / n_rows
    middle = (rate + z * z / (2 * n_rows)) / scale
    half = z * math.sqrt(rate * (1 - rate) / n_rows + (z / (2 * n_rows)) ** 2) / scale
    # The limits at no hits and at all hits are exact; rounding leaves 1e-18.
    low = 0.0 if n_hits == 0 else max(middle - half, 0.0)
    return Interval(low, 1.0 if n_hits == n_rows else min(middle + half, 1.0))


def newcombe_interval(x: int, n: int, y: int, m: int, confidence: float = 0.95) -> Interval:
    """Confidence interval of the difference x / n - y / m of two independent rates.

    Prefer it to Wald's, which is too short for small groups and gives nothing at 0.

    Parameters
    ----------
    x, n : int
        Hits and rows of the first group.
    y, m : int
        Hits and rows of the second.
    confidence : float, default .95
        Coverage of the interval, in (0, 1).

    Returns
    -------
    Interval
        Within [-1, 1].

    Raises
    ------
    DomainError
        As :func:`wilson_interval`.

    References
    ----------
    Newcombe, Interval estimation for the difference between independent
    proportions, Stat. Med. 17 (1998) 873-890, method 10; the example is the first
    column of its table II.

    Examples
    --------
    >>> interval = newcombe_interval(56, 70, 48, 80)
    >>> print(f"{interval.low:.4f} {interval.high:.4f}")
    0.0524 0.3339
    """
    first, second = wilson_interval(x, n, confidence), wilson_interval(y, m, confidence)
    p, q = x / n, y / m
    down = math.hypot(p - first.low, second.high - q)
    up = math.hypot(first.high - p, q - second.low)
    return Interval(p - q - down, p - q + up)


def check_confidence(confidence: float) -> None:
    """Raise DomainError unless 0 < confidence < 1."""
    if not 0 < confidence < 1:
        raise DomainError(f"confidence is {confidence}", where="interval", fix="use 0.95")


def _quantile(confidence: float) -> float:
    """Two-sided standard normal quantile."""
    check_confidence(confidence)
    return normal_quantile(0.5 + confidence / 2)
