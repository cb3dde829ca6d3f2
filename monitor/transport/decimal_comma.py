"""Detects numbers with a decimal comma, as spreadsheets write them. Pure."""

from __future__ import annotations

import re

import pyarrow as pa
import pyarrow.compute as pc

_PATTERN = r"^\s*[+-]?\d+,\d+\s*$"
_ONE = re.compile(_PATTERN)
_SHARE = 0.9
_N_LOOKED_AT = 10_000
HOW_TO_FIX = (
    "write numbers with a point, e.g. with pandas: "
    "read_csv(FILE, sep=';', decimal=',').to_parquet(...)"
)


def has_decimal_comma(text: str) -> bool:
    """Return whether a text is a number with a decimal comma.

    Examples
    --------
    >>> [has_decimal_comma(text) for text in ("1,5", "-1,50 ", "1.5", "a,b", "1,500,000")]
    [True, True, False, False, False]
    """
    return _ONE.fullmatch(text) is not None


def decimal_comma_in(column: pa.ChunkedArray) -> str:
    """Return an example value if a column holds numbers with a decimal comma, else "".

    Parameters
    ----------
    column : pyarrow.ChunkedArray
        Of any type; in a text column, nine of ten of the first values must be such numbers.

    Examples
    --------
    >>> decimal_comma_in(pa.chunked_array([["1,5", "2,25", None]]))
    '1,5'
    """
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if kind not in (pa.string(), pa.large_string(), pa.binary(), pa.large_binary()):
        return ""
    first = column.slice(0, _N_LOOKED_AT).drop_null()
    try:
        texts = first.cast(pa.large_binary()).cast(pa.large_string())
    except pa.ArrowException:
        return ""  # not UTF-8, or a dictionary that cannot be cast
    is_like = pc.match_substring_regex(texts, _PATTERN)
    n_like = pc.sum(is_like).as_py() or 0
    if not n_like or n_like < _SHARE * len(texts):
        return ""
    return str(texts.filter(is_like)[0])[:40]
