"""One metric of performance, with its interval, or the reason why it has no value."""

from __future__ import annotations

import math
from dataclasses import dataclass

from detectors.statistics.intervals import Interval, wilson_interval
from detectors.statistics.normal import normal_quantile


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric of one window."""

    value: float | None
    """None where it is undefined."""
    n: float
    """Rows of its own denominator."""
    interval: Interval | None = None
    """None where no interval is known."""
    reason: str = ""
    """Why there is no value."""


def undefined(reason: str, n: float = 0) -> Metric:
    """Return a metric without a value.

    Examples
    --------
    >>> undefined("no positives").value is None
    True
    """
    return Metric(None, n, None, reason)


def share(n_hits: float, n_rows: float, reason: str, *, phi: float = 1.0) -> Metric:
    """Return a share of rows with Wilson's interval, widened by the design effect.

    Parameters
    ----------
    reason : str
        Of an undefined share: what there is none of.
    phi : float, default 1
        Design effect: variance of the share over that of independent rows.

    Examples
    --------
    >>> recall = share(81, 263, "no positives")
    >>> print(f"{recall.value:.4f} ({recall.interval.low:.4f} to {recall.interval.high:.4f})")
    0.3080 (0.2553 to 0.3662)
    >>> share(0, 0, "no positives").reason
    'no positives'
    """
    if n_rows <= 0:
        return undefined(reason)
    return Metric(n_hits / n_rows, n_rows, wilson_interval(n_hits / phi, n_rows / phi))


def normal_metric(
    value: float, variance: float, n: float, *, low: float = -math.inf, high: float = math.inf
) -> Metric:
    """Return a metric with the interval of a normal distribution, within bounds.

    Examples
    --------
    >>> metric = normal_metric(0.9, 0.01, 50, high=1.0)
    >>> print(f"{metric.interval.low:.3f} {metric.interval.high:.3f}")
    0.704 1.000
    """
    if not math.isfinite(variance):
        return Metric(value, n)
    half = normal_quantile(0.975) * math.sqrt(max(variance, 0.0))
    return Metric(value, n, Interval(max(value - half, low), min(value + half, high)))
