"""Canonical forms of values, the same for every input format.

A feature arrives as a Parquet column, a cell of CSV, a JSON value, an Arrow array or a
Python object. All inputs convert it by this table, so that training data in one format and live
data in another do not differ.

=========================== ================================ ==========================
value                       as a category                    as a number
=========================== ================================ ==========================
True, true, "True", "TRUE"  ``true`` (``false`` likewise)    1 (0)
7, 7.0, 7.00, "7.0", "-0"   its digits: ``7``, ``0``         the nearest float64
int of any size             its digits, exactly              the nearest float64
1e22, 1e300 as a float      digits below 1e40, ``1e+300``    the nearest float64
0.5, 0.50, "0.50", ".5"     the shortest digits that give    the nearest float64
                            the float64 back: ``0.5``
1e2, 1e-7 as a number       ``100``, ``1e-07``               100, 1e-7
"1e+16", "1e-05" as text    that number: computers write it  that number
"1e2", "007", "+7", "7."    the text: it may be a code       that number
float32, float16, bfloat16  the number with the fewest       the same: .1f is .1
                            digits that is this float
Decimal, Fraction           as an int or a float             the nearest float64
NaN, infinities             missing                          missing
text beyond all floats      the text                         missing
None, NA, NaT, null         missing                          missing
"", blanks                  missing                          missing
"NA", "N/A", "#N/A", "nan"  missing, in any case; see        missing
"null", "none", "<NA>"      ``verbatim``
"NaT", "inf", "\\N"
date, "2024-03-04"          ``2024-03-04``                   refused
datetime, timestamp, ISO    ``2024-03-04T10:00:00Z``, in     refused
text, with a zone           UTC
the same without a zone     ``2024-03-04T10:00:00``;         refused
                            midnight is the date
time of day                 ISO, ``10:00:00``                refused
timedelta, duration         its seconds, as a number         its seconds
Enum                        as its value                     as its value
bytes                       as UTF-8 text, else refused      as UTF-8 text
UUID                        lower case, with hyphens         refused
numpy, torch, TensorFlow    as what they hold                as what they hold
any other text              itself, code point by code point refused
lists, dicts, other objects refused                          refused
=========================== ================================ ==========================

Refused: the event is rejected; the SDK sends the value as missing, and counts it. Blanks around a
number, a boolean or a word for missing are ignored; around other text they are kept. Text is not
normalised (NFC): no input changes code points, and a model's encoder distinguishes the forms, so a
change between them affects the model too.

A feature, a segment or the prediction that a model's file lists under ``verbatim`` keeps its texts
unconverted: "NA" is Namibia, "1.10" differs from "1.1". Identifiers (``id``, ``host``,
``gpu_uuid``, ``model_version``) always do. Times of events: :mod:`driftline.times`.

A column with only ``true`` and ``false``, or only 0 and 1, in the reference is boolean: the other
spelling counts as the same category.

The conversion is idempotent.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection
from typing import Final

from driftline.times import form_of_moment

WORDS_FOR_MISSING: Final = (
    *("", "na", "n/a", "#n/a", "<na>", "nan", "-nan", "nat", "null", "none", "\\n"),
    *("inf", "+inf", "-inf", "infinity", "+infinity", "-infinity"),
)
"""Texts that mean a missing value, in lower case and without surrounding blanks."""

_LARGEST_WHOLE = 1e40
"""Decimals of tables have 38 digits."""
_MISSING = frozenset(WORDS_FOR_MISSING)
_LONGEST_WORD = max(map(len, WORDS_FOR_MISSING))
_BOOLEANS = {"true": 1.0, "false": 0.0}
_BOOLEAN_WORDS = frozenset(_BOOLEANS)
_BOOLEAN_DIGITS = frozenset(("0", "1"))
_NUMERAL = re.compile(r"-?(?:(0|[1-9][0-9]*)(\.[0-9]+)?|\.[0-9]+)([eE][+-][0-9]{1,3})?")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")


def is_missing_word(text: str) -> bool:
    """Return whether a text means a missing value.

    Examples
    --------
    >>> is_missing_word(" N/A "), is_missing_word("NAM")
    (True, False)
    """
    bare = text.strip()
    return len(bare) <= _LONGEST_WORD and bare.lower() in _MISSING


def category_of_text(text: str) -> str | None:
    """Return the category of a text; None if it is missing.

    Examples
    --------
    >>> [category_of_text(text) for text in ("True", "7.00", "007", "1e2", "NA", "web")]
    ['true', '7', '007', '1e2', None, 'web']
    >>> category_of_text("2024-03-04 10:00:00+01"), category_of_text("0.50")
    ('2024-03-04T09:00:00Z', '0.5')
    """
    bare = text.strip()
    lower = bare.lower() if len(bare) <= _LONGEST_WORD else bare
    if lower in _MISSING:
        return None
    if lower in _BOOLEANS:
        return lower
    if bare[0] in "-.0123456789":
        numeral = _NUMERAL.fullmatch(bare)
        if numeral is not None:
            return _numeral(numeral) or text
        return form_of_moment(bare) or text
    return text


def category_of_number(number: float) -> str | None:
    """Return the category of a number; None if it is not finite.

    Examples
    --------
    >>> [category_of_number(x) for x in (7, 7.0, -0.0, 0.1, 1e22, 1e-7, float("nan"))]
    ['7', '7', '0', '0.1', '10000000000000000000000', '1e-07', None]
    """
    if isinstance(number, int):
        return str(int(number))
    if not math.isfinite(number):
        return None
    is_spelled_out = abs(number) < _LARGEST_WHOLE and number == math.floor(number)
    return str(int(number)) if is_spelled_out else repr(float(number))


def category_of_json_number(token: str) -> str | None:
    """Return the category of a JSON number, from its text.

    Examples
    --------
    >>> [category_of_json_number(token) for token in ("3.0", "1e2", "-0", "12")]
    ['3', '100', '0', '12']
    """
    if token.lstrip("-").isdigit():
        return "0" if token == "-0" else token
    return category_of_number(float(token))


def category_of(value: str | float | bool | None) -> str | None:
    """Return the category of a plain value.

    Examples
    --------
    >>> [category_of(value) for value in (True, 3.0, "3.0", None)]
    ['true', '3', '3', None]
    """
    if value is None:
        return None
    if isinstance(value, str):
        return category_of_text(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return category_of_number(value)


def boolean_aliases(categories: Collection[str]) -> dict[str, str]:
    """Return the alternative spellings of the categories of a boolean column.

    One system writes a boolean as ``true``, another as 1, without a type. If a column has only one
    of the two spellings, the other one has the same meaning.

    Parameters
    ----------
    categories : collection of str
        All categories of the reference.

    Returns
    -------
    dict of str to str
        The other spelling of each category; empty if the column has other values.

    Examples
    --------
    >>> boolean_aliases(["true", "false"]), boolean_aliases(["1"]), boolean_aliases(["1", "2"])
    ({'1': 'true', '0': 'false'}, {'true': '1'}, {})
    """
    for spelling, other in ((_BOOLEAN_WORDS, _BOOLEAN_DIGITS), (_BOOLEAN_DIGITS, _BOOLEAN_WORDS)):
        if categories and spelling.issuperset(categories):
            pairs = zip(sorted(other, reverse=True), sorted(spelling, reverse=True), strict=True)
            return {alias: name for alias, name in pairs if name in categories}
    return {}


def number_of_text(text: str) -> float | None:
    """Return the number in a text; None if it is missing.

    Raises
    ------
    ValueError
        If the text is not a number.

    Examples
    --------
    >>> [number_of_text(text) for text in ("12.50", " 7 ", "1e2", "TRUE", "n/a", "1e999")]
    [12.5, 7.0, 100.0, 1.0, None, None]
    """
    bare = text.strip()
    lower = bare.lower() if len(bare) <= _LONGEST_WORD else bare
    if lower in _MISSING:
        return None
    if lower in _BOOLEANS:
        return _BOOLEANS[lower]
    if _NUMBER.fullmatch(bare) is None:
        raise ValueError(f"{text[:80]!r} is no number")
    number = float(bare) or 0.0  # no negative zero
    return number if math.isfinite(number) else None


def number_of(value: str | float | bool | None) -> float | None:
    """Return the number of a plain value; None if it is missing.

    Raises
    ------
    ValueError
        If it is text that is not a number.

    Examples
    --------
    >>> [number_of(value) for value in (True, 3, "3.5", None, float("inf"))]
    [1.0, 3.0, 3.5, None, None]
    """
    if value is None:
        return None
    if isinstance(value, str):
        return number_of_text(value)
    try:
        number = float(value)
    except OverflowError:
        raise ValueError("an integer beyond the largest float") from None
    return number if math.isfinite(number) else None


def _numeral(numeral: re.Match[str]) -> str | None:
    """Format a numeral; None if it is above the largest float."""
    whole, fraction, exponent = numeral.groups()
    if whole is not None and exponent is None and not (fraction or "").strip(".0"):
        digits = numeral[0].split(".")[0]
        return "0" if digits == "-0" else digits
    return category_of_number(float(numeral[0]))
