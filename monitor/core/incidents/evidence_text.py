"""Evidence as text: how rarely it is reached by chance."""

from __future__ import annotations

import math

_SCALES = ((1e12, "trillion"), (1e9, "billion"), (1e6, "million"))
_LARGEST = 990e12


def rarity_text(log_m: float) -> str:
    """Format e^log_m with two significant digits.

    Parameters
    ----------
    log_m : float
        Evidence in nats: log M of the decision rule.

    Returns
    -------
    str
        At least 1, and bounded so that it stays readable.

    Examples
    --------
    >>> [rarity_text(x) for x in (-3.0, 2.3, 7.0, 13.1, 14.3, 21.0, 80.0)]
    ['1', '10', '1,100', '490,000', '1.6 million', '1.3 billion', '990 trillion']
    """
    n = min(math.exp(min(max(log_m, 0.0), 700.0)), _LARGEST)
    for size, name in _SCALES:
        # 995,000 rounds to a million.
        if n >= 0.995 * size:
            return f"{_two_digits(n / size)} {name}"
    return _two_digits(n)


def _two_digits(n: float) -> str:
    """Round to two significant digits."""
    return f"{float(f'{n:.2g}'):,.15g}"


def rarity_ticks(lowest: float, highest: float) -> list[tuple[float, str]]:
    """Return ticks at powers of ten for an axis of evidence.

    Parameters
    ----------
    lowest, highest : float
        Ends of the axis, in nats.

    Returns
    -------
    list of (float, str)
        Position in nats and label, in ascending order; about six.

    Examples
    --------
    >>> [label for _, label in rarity_ticks(-4.0, 16.0)]
    ['1', '100', '10 k', '1 M']
    """
    first = max(0.0, lowest)
    n_powers = math.floor((highest - first) / math.log(10)) + 1
    step = next(s for s in (1, 2, 3, 6, 12, 40) if n_powers <= 6 * s or s == 40)
    labels = ("", " k", " M", " bn", " tn")
    return [
        (power * math.log(10), f"{10 ** (power % 3)}{labels[power // 3]}")
        for power in range(0, n_powers, step)
        if power // 3 < len(labels)
    ]
