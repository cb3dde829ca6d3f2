"""Classifies text columns: numbers, dates, codes, categories, identifiers or prose."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from monitor.baseline.decisions import (
    MAX_SHOWN,
    KindDecision,
    Shape,
    empty,
    of_booleans,
    of_constant,
    of_numbers,
    of_times,
    refused,
)
from monitor.baseline.identifiers import EXACT, is_nearly_distinct, shape_reason
from monitor.transport.canonical import WORDS_FOR_MISSING, as_number
from monitor.transport.decimal_comma import decimal_comma_in
from schemas.baselines import Kind
from schemas.panes import N_BINS

_NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"
_WHOLE = r"^[+-]?\d+$"
_CODE = r"^[+-]?0\d"
_TIME = r"^\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}([.,]\d+)?)?\s*(Z|[+-]\d{2}:?\d{2})?)?$"
_MAX_DIGITS = 300
"""Most digits before the point of a float."""
_SPACES = r"\s+"
_MOSTLY_NUMBERS = 0.5
_WORDS_OF_PROSE = 5.0
_DISTINCT_SHARE_OF_PROSE = 0.5
"""Prose is mostly distinct; an answer chosen from a list may be a sentence, but repeats."""


@dataclass(frozen=True, slots=True)
class _Values:
    """Distinct values of a text column, without those that mean missing."""

    texts: pa.Array
    """Stripped of white space."""
    counts: NDArray[np.int64]

    @property
    def n(self) -> int:
        return int(self.counts.sum())

    def is_like(self, pattern: str) -> NDArray[np.bool_]:
        """Return which texts match a regular expression."""
        matched = pc.match_substring_regex(self.texts, pattern)
        return np.asarray(matched.to_numpy(zero_copy_only=False), bool)


def of_words(column: pa.ChunkedArray) -> KindDecision:
    """Infer the kind of a text column.

    Parameters
    ----------
    column : pyarrow.ChunkedArray of string or binary
        In row order.

    Returns
    -------
    KindDecision
        As :func:`monitor.baseline.kinds.infer_kind`.

    Notes
    -----
    All numbers: as a numeric column, but codes if there are leading zeros. Mixed numbers and text
    are categories up to 60 values; above that, if at least half of the rows are numbers, the column
    is rejected, because neither kind fits. Then, in this order: keys by their form, prose (five
    words per value, half of the values distinct) and nearly distinct values are rejected; all
    others are categories.

    Examples
    --------
    >>> of_words(pa.chunked_array([["007", "012", "007"]])).reason
    "2 categories: codes, digits that begin with 0 like '007'"
    """
    try:
        text = column.cast(pa.large_binary()).cast(pa.large_string())
    except pa.ArrowInvalid:
        return refused(Shape.UNSUPPORTED, "it holds bytes that are not UTF-8 text")
    values = _values(text)
    if not len(values.texts):
        return empty()
    first = values.texts[0].as_py()
    if values.is_like(r"^(?i)(true|false)$").all():
        return of_booleans(len(pc.unique(pc.utf8_lower(values.texts))), first.lower())
    if example := decimal_comma_in(pa.chunked_array([values.texts])):
        reason = f"numbers with a decimal comma, such as '{example}': write them with a point"
        return refused(Shape.MIXED, reason)
    is_number = values.is_like(_NUMBER)
    if is_number.all() and not values.is_like(_CODE).any():
        numbers = as_number(text).drop_null().to_numpy()
        is_whole = bool(values.is_like(_WHOLE).all())
        numbers = numbers[np.isfinite(numbers)]
        exact = _exact(values.texts) if is_whole and (abs(numbers) >= EXACT).any() else None
        return of_numbers(numbers, is_whole=is_whole, exact=exact)
    if values.is_like(_TIME).all():
        return of_times(len(values.texts), first)
    if len(values.texts) == 1:
        return of_constant(Kind.CATEGORICAL, f"'{first}'")
    return _mixed(values, is_number) or _identifier(values) or _categories(values, is_number)


def _exact(texts: pa.Array) -> list[int]:
    """Return exact integers, without those that have more digits than a float."""
    return [int(text) for text in texts.to_pylist() if len(text) < _MAX_DIGITS]


def _values(text: pa.ChunkedArray) -> _Values:
    """Return the distinct values with their counts."""
    found = pc.value_counts(text.drop_null())
    bare = pc.utf8_trim_whitespace(found.field("values"))
    words = pa.array(WORDS_FOR_MISSING, bare.type)
    is_there = pc.invert(pc.is_in(pc.utf8_lower(bare), value_set=words))
    counts = found.field("counts").filter(is_there).to_numpy(zero_copy_only=False)
    return _Values(bare.filter(is_there), counts.astype(np.int64))


def _mixed(values: _Values, is_number: NDArray[np.bool_]) -> KindDecision | None:
    """Decide on a column of numbers and text."""
    share = values.counts[is_number].sum() / values.n
    if not is_number.any() or is_number.all():
        return None
    odd = values.texts[int(np.argmin(is_number))].as_py()[:MAX_SHOWN]
    found = f"{100 * share:.3g} % of the rows are numbers, others are text like '{odd}'"
    if len(values.texts) <= N_BINS:
        reason = f"{found}: {len(values.texts)} categories"
        return KindDecision(Shape.MIXED, Kind.CATEGORICAL, reason)
    if share < _MOSTLY_NUMBERS:
        return None
    return refused(Shape.MIXED, f"{found}: correct the column, or name its kind in the config")


def _identifier(values: _Values) -> KindDecision | None:
    """Reject keys and prose."""
    shape = shape_reason(values.texts, values.n)
    if shape:
        return refused(Shape.IDENTIFIER, f"{shape}: nearly all later ones are new")
    n_distinct = len(values.texts)
    n_words = pc.mean(pc.count_substring_regex(values.texts, _SPACES)).as_py() + 1
    is_distinct = is_nearly_distinct(n_distinct, values.n)
    is_prose = n_words >= _WORDS_OF_PROSE and n_distinct >= _DISTINCT_SHARE_OF_PROSE * values.n
    if is_prose or (is_distinct and n_words >= 2):
        return refused(
            Shape.TEXT,
            f"{n_distinct:,} different texts in {values.n:,} rows, {n_words:.1f} words each: "
            "monitor numbers made of them (`of:` and `derive: length` in the model's config)",
        )
    if is_distinct:
        reason = f"{n_distinct:,} different values in {values.n:,} rows: nearly all later are new"
        return refused(Shape.IDENTIFIER, reason)
    return None


def _categories(values: _Values, is_number: NDArray[np.bool_]) -> KindDecision:
    """Accept categories."""
    n_distinct = len(values.texts)
    reason = f"{n_distinct:,} categories"
    if is_number.all():
        code = values.texts[int(np.argmax(values.is_like(_CODE)))].as_py()[:MAX_SHOWN]
        reason += f": codes, digits that begin with 0 like '{code}'"
    if n_distinct > N_BINS:
        commonest = np.sort(values.counts)[1 - N_BINS :].sum() / values.n
        reason += f": the {N_BINS - 1} commonest hold {100 * commonest:.3g} %, other the rest"
    return KindDecision(Shape.CATEGORY, Kind.CATEGORICAL, reason)
