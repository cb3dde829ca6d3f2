"""One phrase on how a column changed: its median, or its most changed category. Pure."""

from __future__ import annotations

import numpy as np

from monitor.compare.samples import CategoryPair, NumberPair

MAX_CATEGORY_CHARACTERS = 20


def change_of(pair: NumberPair | CategoryPair) -> str:
    """Return one phrase on how the current rows differ from the reference.

    Returns
    -------
    str
        Medians of both sides, or where those are equal the ranges that hold nine in ten
        values; of categories the shares of the one whose share changed most. Empty where a
        side has no values.

    Examples
    --------
    >>> import pyarrow as pa
    >>> from monitor.compare.samples import category_pair, number_pair
    >>> change_of(number_pair(pa.chunked_array([[1, 2, 3]]), pa.chunked_array([[2, 3, 4.5]])))
    'median 2, now 3'
    >>> change_of(category_pair(pa.chunked_array([["a", "b"]]), pa.chunked_array([["a"]])))
    "'a' 50 % of rows, now 100 %"
    """
    if not all(pair.n_present):
        return ""
    return _of_numbers(pair) if isinstance(pair, NumberPair) else _of_categories(pair)


def _of_numbers(pair: NumberPair) -> str:
    """Compare medians, then spreads."""
    before, now = (np.quantile(x, (0.05, 0.5, 0.95)).tolist() for x in pair.values)
    texts = [[_number(value) for value in side] for side in (before, now)]
    if texts[0][1] != texts[1][1]:
        return f"median {texts[0][1]}, now {texts[1][1]}"
    (low, _, high), (new_low, _, new_high) = texts
    return f"90 % within {low} to {high}, now {new_low} to {new_high}"


def _number(value: float) -> str:
    """Format a number with few digits."""
    if 1e4 <= abs(value) < 1e12:
        return f"{value:,.0f}"
    return f"{value:.4g}" if abs(value) >= 100 else f"{value:.3g}"


def _of_categories(pair: CategoryPair) -> str:
    """Find the category whose share of the rows with a value changed most."""
    shares = [counts / counts.sum() for counts in pair.counts]
    most = int(np.argmax(np.abs(shares[1] - shares[0])))
    name = pair.categories[most]
    if len(name) > MAX_CATEGORY_CHARACTERS:
        name = name[:MAX_CATEGORY_CHARACTERS] + "..."
    before, now = (percent(float(share[most])) for share in shares)
    return f"{name!r} {before} of rows, now {now}"


def percent(share: float) -> str:
    """Format a share as a percentage; 0 % and 100 % only where it is exact.

    Examples
    --------
    >>> percent(0.123), percent(0.00004), percent(0.9999), percent(1.0)
    ('12 %', '< 0.1 %', '> 99.9 %', '100 %')
    """
    if 0 < share < 0.001:
        return "< 0.1 %"
    if 0.999 < share < 1:
        return "> 99.9 %"
    digits = 1 if share < 0.0995 or share > 0.9905 else 0
    return f"{100 * share:.{digits}f} %".replace(".0 %", " %")
