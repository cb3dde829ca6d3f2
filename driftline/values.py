"""Conversion of a model's values to the types of the wire contract.

A single value must not invalidate an event: a value without a canonical form
(:mod:`driftline.canonical`), or whose conversion raises, is sent as missing and counted.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from driftline.canonical import category_of, number_of
from driftline.scalars import Plain, plain

_LARGEST = 1 << 1023
"""Every smaller integer is within the range of float64."""
MAX_TEXT_BYTES = 1 << 18
"""A longer text is sent as missing: four of them would exceed the size of an event."""


class Values:
    """Convert values, and count those without a canonical form.

    Examples
    --------
    >>> values = Values()
    >>> values.feature(3.5, "a"), values.feature([1, 2], "b"), values.n_odd, values.error
    (3.5, None, 1, 'b: list is no number, text or boolean')
    """

    def __init__(self) -> None:
        self.n_odd = 0
        self.error = ""
        """Name and error of the last value without a canonical form."""

    def feature(self, value: Any, name: str) -> Plain:
        """Return a feature's value; None if it is missing or not finite."""
        found = self._plain(value, name)
        if isinstance(found, float) and not math.isfinite(found):
            return None
        if type(found) is int and not -(1 << 63) <= found < 1 << 63:
            if abs(found) >= _LARGEST:
                self._note(name, "an integer beyond the largest float")
                return None
            return float(found)  # JSON encoders stop at 64 bits
        return found

    def text(self, value: Any, name: str) -> str | None:
        """Return a class or a segment's value: text unchanged, others in canonical form."""
        found = self._plain(value, name)
        return found if isinstance(found, str) else category_of(found)

    def number(self, value: Any, name: str) -> float | None:
        """Return a number; text with a number is accepted."""
        try:
            return number_of(self._plain(value, name))
        except ValueError as error:
            self._note(name, str(error))
            return None

    def named(self, given: Any, field: str) -> Iterator[tuple[str, Any]]:
        """Yield the items of a mapping with their names as text."""
        if given is None:
            return
        if not isinstance(given, Mapping):
            self._note(field, f"{type(given).__name__} has no names")
            return
        for key, value in given.items():
            name = key if type(key) is str else self.text(key, f"a name in {field}")
            if name is not None:
                yield _encodable(name), value

    def _plain(self, value: Any, name: str) -> Plain:
        """Return the plain form of a value; count it and return None if it has none."""
        if value is None or type(value) in (int, float, bool):
            return value  # type: ignore[no-any-return]
        try:
            found = plain(value)
        except Exception as error:  # values can be of any class, which may raise anything
            self._note(name, _words(error))
            return None
        if isinstance(found, str):
            found = _encodable(found)
            if len(found) > MAX_TEXT_BYTES // 4 and len(found.encode()) > MAX_TEXT_BYTES:
                self._note(name, f"a text of {len(found)} characters is too long")
                return None
        return found

    def _note(self, name: str, why: str) -> None:
        """Count a value without a canonical form."""
        self.n_odd += 1
        self.error = f"{name}: {why}"[:200]


def _words(error: BaseException) -> str:
    """Return an error's message, or its class if ``str`` raises as well."""
    try:
        return str(error) or type(error).__name__
    except Exception:
        return type(error).__name__


def _encodable(text: str) -> str:
    """Return the text with lone surrogates replaced, so that UTF-8 can encode it."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text
