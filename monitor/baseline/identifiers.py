"""Detects identifiers: columns whose values identify rows, so that shares are meaningless."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

MIN_VALUES = 200
"""With fewer values, distinctness is not evidence."""
DISTINCT_SHARE = 0.9
"""Share of distinct values from which they count as nearly all distinct.

At least 80 % of them then occur once, and by Good and Turing the same share of later rows has new
values.
"""
_SHAPED_SHARE = 0.95
_SHAPED_DISTINCT_SHARE = 0.2
"""Values in the form of a key need less evidence than others.

But a product's UUID in every tenth row is an ordinary category.
"""
EXACT = 2**53
"""From here all doubles are whole numbers."""
_ENOUGH_DOUBLES = 64
_ODD_SHARE = 0.25
_SHAPES = (
    ("UUIDs", r"^(?i)\{?[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\}?$"),
    (
        "hexadecimal hashes",
        r"^(?i)(0x)?([0-9a-f]{32}|[0-9a-f]{40}|[0-9a-f]{64}|[0-9a-f]{128})$",
    ),
    ("ULIDs", r"^[0-7][0-9A-HJKMNP-TV-Z]{25}$"),
    ("e-mail addresses", r"^[^@\s]+@[^@\s]+\.[^@\s]+$"),
)


def is_nearly_distinct(n_distinct: int, n_values: int) -> bool:
    """Return whether there are enough values and nearly all are distinct.

    Examples
    --------
    >>> is_nearly_distinct(950, 1_000), is_nearly_distinct(500, 1_000), is_nearly_distinct(9, 9)
    (True, False, False)
    """
    return n_values >= MIN_VALUES and n_distinct >= DISTINCT_SHARE * n_values


def key_reason(values: NDArray[Any], distinct: NDArray[Any]) -> str:
    """Return the reason why whole numbers are keys, or "".

    Parameters
    ----------
    values : ndarray of numbers, shape (n,)
        Whole numbers in row order, without doubles from 2**53, which are always whole.
    distinct : ndarray of numbers, shape (d,)
        Distinct values, sorted.

    Returns
    -------
    str
        Empty if there is no evidence.

    Notes
    -----
    Keys increase (or decrease) strictly; or they are sorted and fill a range, each for a few rows
    (of a household); or they are nearly all distinct and fill half of a range, where independent
    draws would repeat much earlier (of n draws from s values s (1 - exp(-n / s)) are distinct, so
    half of s are distinct only if n >= .69 s, and then at most .73 n are); or they are nearly all
    distinct and above 2**53.

    Examples
    --------
    >>> import numpy as np
    >>> rows = np.arange(1_000)
    >>> key_reason(rows, rows)
    '1,000 whole numbers, each larger than the one before: a key or a time'
    >>> key_reason(rows % 90, np.arange(90))
    ''
    """
    n, d = len(values), len(distinct)
    if n < MIN_VALUES:
        return ""
    low, high = int(distinct[0]), int(distinct[-1])
    is_dense = high - low + 1 <= 2 * d
    is_growing = bool((values[1:] >= values[:-1]).all())
    is_falling = bool((values[1:] <= values[:-1]).all())
    is_sorted = is_growing or is_falling
    if is_sorted and d == n:
        than = "larger" if is_growing else "smaller"
        return f"{n:,} whole numbers, each {than} than the one before: a key or a time"
    if is_sorted and is_dense and 3 * d >= n:
        span = f"{shown_whole(low)} to {shown_whole(high)}"
        return f"{d:,} sorted whole numbers fill {span}, {n / d:.1f} rows each: a key"
    if is_nearly_distinct(d, n) and is_dense:
        span = f"{shown_whole(low)} to {shown_whole(high)}"
        return f"{d:,} different whole numbers of {n:,} fill {span}: a shuffled key"
    if is_nearly_distinct(d, n) and max(abs(low), abs(high)) >= EXACT:
        largest = shown_whole(max(low, high))
        return f"{d:,} different whole numbers of {n:,}, up to {largest}: a key"
    return ""


def are_written_floats(values: Sequence[float]) -> bool:
    """Return whether whole numbers above 2**53 are formatted doubles.

    Notes
    -----
    All of them are then exactly doubles, and about half have an odd mantissa. Of independent
    integers of 19 digits at most one in 128 is a double; keys composed of a time and a counter may
    all be doubles, but end in zero bits, so their mantissas are even.

    Examples
    --------
    >>> import numpy as np
    >>> doubles = np.floor(np.random.default_rng(0).lognormal(40, 1, 500))
    >>> are_written_floats([int(value) for value in doubles])
    True
    >>> [are_written_floats([2**60 + step * i for i in range(500)]) for step in (1, 4096)]
    [False, False]
    """
    large = [whole for value in values if abs(whole := int(value)) >= EXACT]
    if len(large) < _ENOUGH_DOUBLES or any(int(float(whole)) != whole for whole in large):
        return False
    n_odd = sum(whole // int(math.ulp(float(whole))) % 2 for whole in large)
    return n_odd >= _ODD_SHARE * len(large)


def shown_whole(value: int) -> str:
    """Format a whole number with at most 15 digits.

    Examples
    --------
    >>> shown_whole(1_234_567), shown_whole(10**300)
    ('1,234,567', '1e+300')
    """
    return f"{value:,}" if abs(value) < 10**15 else f"{value:.6g}"


def shape_reason(values: pa.Array, n_values: int) -> str:
    """Return the reason why texts are keys by their form, or "".

    Parameters
    ----------
    values : pyarrow.Array of string
        Distinct values.
    n_values : int
        Number of all values.

    Returns
    -------
    str
        Empty if they do not have the form of keys, or are few.

    Examples
    --------
    >>> hashes = pa.array([f"{i:032x}" for i in range(300)])
    >>> shape_reason(hashes, 300), shape_reason(hashes, 30_000)
    ('300 different hexadecimal hashes in 300 rows', '')
    """
    if n_values < MIN_VALUES or len(values) < _SHAPED_DISTINCT_SHARE * n_values:
        return ""
    for name, pattern in _SHAPES:
        n_like = pc.sum(pc.match_substring_regex(values, pattern)).as_py() or 0
        if n_like >= _SHAPED_SHARE * len(values):
            return f"{len(values):,} different {name} in {n_values:,} rows"
    return ""
