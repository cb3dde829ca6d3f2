"""Decisions on the kind of a column, with their reasons as text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitor.baseline.identifiers import EXACT, are_written_floats, key_reason
from schemas.baselines import Kind
from schemas.panes import N_BINS

MAX_SHOWN = 40
"""Maximum characters of a value in a reason."""
MAX_CODES = 20
"""Whole numbers with at most this many distinct values are codes.

Each value has its own counter either way; treated as numbers, codes would get meaningless
distances.
"""


class Shape(StrEnum):
    """Form of the values of a column."""

    NUMBER = "number"
    CATEGORY = "category"
    BOOLEAN = "boolean"
    CONSTANT = "constant"
    TIME = "time"
    MIXED = "mixed"
    IDENTIFIER = "identifier"
    TEXT = "text"
    VECTOR = "vector"
    EMPTY = "empty"
    UNSUPPORTED = "unsupported"


@dataclass(frozen=True, slots=True)
class KindDecision:
    """Decision on one column."""

    shape: Shape
    kind: Kind | None
    """Kind of the column; None if it is rejected."""
    reason: str


def refused(shape: Shape, reason: str) -> KindDecision:
    """Reject a column."""
    return KindDecision(shape, None, reason)


def empty() -> KindDecision:
    """Reject a column without values."""
    return refused(Shape.EMPTY, "it has no value at all")


def of_booleans(n_distinct: int, first: str) -> KindDecision:
    """Treat booleans as two categories."""
    if n_distinct == 1:
        return of_constant(Kind.CATEGORICAL, first)
    return KindDecision(
        Shape.BOOLEAN, Kind.CATEGORICAL, "truth values: the categories true and false"
    )


def of_constant(kind: Kind, value: str) -> KindDecision:
    """Accept a constant, of which every other value is counted as outside or unseen."""
    if len(value) > MAX_SHOWN:
        value = value[:MAX_SHOWN] + "..."
    outside = "is outside" if kind is Kind.NUMERIC else "is unseen"
    return KindDecision(Shape.CONSTANT, kind, f"always {value}: any other value {outside}")


def of_numbers(
    values: NDArray[Any], *, is_whole: bool, exact: Sequence[int] | None = None
) -> KindDecision:
    """Decide on a numeric column.

    Parameters
    ----------
    values : ndarray of numbers, shape (n,)
        In row order, without missing values.
    is_whole : bool
        Whether they are stored as integers, and so can be codes.
    exact : sequence of int, optional
        Exact integers, if ``values`` may have rounded them.
    """
    if not len(values):
        return empty()
    distinct = np.unique(values)
    low, high = map(_shown, distinct[[0, -1]].tolist())
    if len(distinct) == 1:
        return of_constant(Kind.NUMERIC, low)
    # Every double from 2**53 is whole, so being whole does not indicate keys.
    is_large = max(abs(float(distinct[0])), abs(float(distinct[-1]))) >= EXACT
    is_exact = not is_large or (is_whole and not are_written_floats(exact or distinct.tolist()))
    is_key = is_exact and (distinct == np.floor(distinct)).all()
    key = key_reason(values, distinct) if is_key else ""
    if key:
        return refused(Shape.IDENTIFIER, key)
    if is_whole and len(distinct) == 2:
        return KindDecision(Shape.BOOLEAN, Kind.CATEGORICAL, f"two whole numbers, {low} and {high}")
    if is_whole and len(distinct) <= MAX_CODES:
        reason = f"{len(distinct)} whole numbers from {low} to {high}: codes, or few enough to be"
        return KindDecision(Shape.CATEGORY, Kind.CATEGORICAL, reason)
    reason = f"{len(distinct):,} different numbers from {low} to {high}"
    return KindDecision(Shape.NUMBER, Kind.NUMERIC, reason)


def _shown(value: float) -> str:
    """Format the bounds: integers exactly, others with as few digits as keep them distinct."""
    is_short = value == round(value) and abs(value) < 1e15
    return str(round(value)) if is_short else f"{value:.6g}"


def of_times(n_distinct: int, example: str) -> KindDecision:
    """Decide on a column of dates or times."""
    if n_distinct == 1:
        return of_constant(Kind.CATEGORICAL, example)
    if n_distinct <= N_BINS:
        reason = f"{n_distinct} dates, as categories spelt like '{example}'; a new one is unseen"
        return KindDecision(Shape.TIME, Kind.CATEGORICAL, reason)
    return refused(
        Shape.TIME,
        f"{n_distinct:,} times like '{example}': times grow without limit; monitor how many days "
        "ago it was, its hour or weekday (`of:` and `derive: age_days` in the model's config)",
    )
