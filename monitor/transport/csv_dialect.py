"""Detects the delimiter and the header of a CSV file from its first records. Pure."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass

DELIMITERS = ",;\t|"
_N_RECORDS = 20
"""Records that are examined; more do not improve the result."""
_HINT = "sep="
"""First line in files of Excel; it declares the delimiter and is not a header."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """What a reader needs before the first row."""

    delimiter: str
    names: tuple[str, ...]
    """The header's columns."""
    n_skipped_lines: int = 0
    """Lines without data before the header."""


def dialect_of(text: str, *, is_whole: bool) -> Dialect:
    """Detect the delimiter and read the header.

    Parameters
    ----------
    text : str
        The beginning of the file.
    is_whole : bool
        False if ``text`` may end within a record, which is then ignored.

    Returns
    -------
    Dialect
        The delimiter with which the first records have the same number of columns, more than one;
        of several, the one with most columns. Delimiters inside quotes are ignored. For a file of
        one column it is a comma.

    Examples
    --------
    >>> dialect_of('"amount, EUR";"size, cm"\\n1;2\\n', is_whole=True)
    Dialect(delimiter=';', names=('amount, EUR', 'size, cm'), n_skipped_lines=0)
    >>> dialect_of("a|b\\r1|2\\r", is_whole=True).names
    ('a', 'b')
    """
    first = text.split("\n", 1)[0].rstrip("\r")
    if first.lower().startswith(_HINT) and len(first) == len(_HINT) + 1:
        delimiter = first[-1]
        records = _records(text.split("\n", 1)[-1], delimiter, is_whole=is_whole)
        return Dialect(delimiter, tuple(records[0]) if records else (), 1)
    found = {d: _records(text, d, is_whole=is_whole, is_strict=True) for d in DELIMITERS}
    if not any(map(_fitness, found.values())):  # quotes within a field
        found = {d: _records(text, d, is_whole=is_whole) for d in DELIMITERS}
    delimiter = max(DELIMITERS, key=lambda d: _fitness(found[d]))
    records = found[delimiter]
    return Dialect(delimiter, tuple(records[0]) if records else ())


def _records(
    text: str, delimiter: str, *, is_whole: bool, is_strict: bool = False
) -> list[list[str]]:
    """Read the first records, without a last one that may be incomplete."""
    records: list[list[str]] = []
    lines = io.StringIO(text, newline="")
    try:
        for record in csv.reader(lines, delimiter=delimiter, strict=is_strict):
            if record:
                records.append(record)
            if len(records) > _N_RECORDS:
                break
    except csv.Error as error:
        if is_strict and "end of data" not in str(error):
            return []  # a closing quote before something else: not this delimiter
    is_cut = not is_whole and 1 < len(records) <= _N_RECORDS
    return records[:-1] if is_cut else records[:_N_RECORDS]


def _fitness(records: list[list[str]]) -> tuple[float, ...]:
    """Return how many records are as wide as the header, and how wide that is; () if one."""
    width = len(records[0]) if records else 0
    if width < 2:
        return ()
    return sum(len(record) == width for record in records) / len(records), width
