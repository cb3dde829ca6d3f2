"""What one producer's events look like: fixed text between value slots.

A producer writes the same keys in the same order. From one accepted event a
:class:`EventLayout` is learnt: the literal segments (keys, punctuation, spacing, and
the values of ``model`` and ``tenant``, so that a layout belongs to one model) and
between them the slots, each with the kind of its value and its column. The kernel
compares the literals and parses the slots in place.

No layout is learnt from an event with duplicate keys, a ``specversion`` (an
envelope), a value nested deeper than eight levels, or more than ``MAX_SLOTS``
slots. Values in arrays of unknown fields are slots too, so arrays of varying
length make a layout each: layouts are capped and forgotten, least recently met
first.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

from monitor.decode.columns import Columns
from schemas.names import SCORE

MAX_LAYOUTS = 64
MAX_SLOTS = 4_096
_MAX_DEPTH = 8

_TOKEN = re.compile(
    rb'[ \t\n\r]*+(?:([{}\[\]:,])|("(?:[^"\\]|\\.)*+")|([^ \t\n\r{}\[\]:,"]++))', re.DOTALL
)


class SlotKind(IntEnum):
    """What the kernel does with a slot."""

    NUMBER = 0
    TIME = 1
    ID = 2
    STRING = 3
    """An identifier: a string or null, dictionary-coded."""
    CATEGORY = 4
    """A string, number, boolean or null, dictionary-coded as text."""
    IGNORED = 5
    """Any scalar of an ignored field."""
    END = 6
    """After the last literal: the event must end exactly here."""


@dataclass(frozen=True, slots=True)
class Slot:
    """A value's place: the literal before it, its kind, its column and dictionary."""

    literal: bytes
    kind: SlotKind
    column: int = 0
    dictionary: int = 0


@dataclass(frozen=True, slots=True)
class EventLayout:
    """One producer's way of writing one model's events."""

    columns: Columns
    slots: tuple[Slot, ...]
    """The last one is the END."""
    absent_numbers: tuple[int, ...]
    """Number columns such an event does not fill: missing."""
    absent_codes: tuple[int, ...]
    has_id: bool


class _Unlearnable(Exception):
    """No layout can be made of this event."""


@dataclass(slots=True)
class _Scan:
    """Walks the tokens of one event, which is known to be valid JSON."""

    payload: bytes
    columns: Columns
    tokens: Iterator[re.Match[bytes]]
    slots: list[Slot]
    copied: int = 0
    """How much of the payload is already in literals."""

    def value(self, path: tuple[str, ...], match: re.Match[bytes]) -> None:
        """One value: a slot, literal text, or a container of such."""
        if len(path) > _MAX_DEPTH:
            raise _Unlearnable
        if match[1] == b"{":
            self.members(path)
        elif match[1] == b"[":
            self.elements(path)
        elif path not in (("model",), ("tenant",)):
            self.slot(path, match)

    def members(self, path: tuple[str, ...]) -> None:
        """Members of an object, up to its closing brace."""
        seen: set[str] = set()
        while (match := next(self.tokens))[1] != b"}":
            if match[1] == b",":
                match = next(self.tokens)
            key = json.loads(match[2].decode())
            if key in seen or (not path and key == "specversion"):
                raise _Unlearnable
            seen.add(key)
            next(self.tokens)
            self.value((*path, key), next(self.tokens))

    def elements(self, path: tuple[str, ...]) -> None:
        """Elements of an ignored array, up to its closing bracket."""
        while (match := next(self.tokens))[1] != b"]":
            if match[1] != b",":
                self.value((*path, ""), match)

    def slot(self, path: tuple[str, ...], match: re.Match[bytes]) -> None:
        """End the literal before a scalar and place it."""
        if not path or len(self.slots) >= MAX_SLOTS:
            raise _Unlearnable
        start, end = match.span(match.lastindex or 0)
        self.slots.append(_place(path, self.payload[self.copied : start], self.columns))
        self.copied = end


def _place(path: tuple[str, ...], literal: bytes, columns: Columns) -> Slot:
    """The slot of a scalar at ``path``."""
    top = path[0]
    if path == ("time_us",):
        return Slot(literal, SlotKind.TIME)
    if path == ("id",):
        return Slot(literal, SlotKind.ID)
    if path == (SCORE,):
        return Slot(literal, SlotKind.NUMBER, columns.score)
    kind, column = SlotKind.STRING, None
    if len(path) == 1:
        column = columns.names.get(top)
        kind = SlotKind.CATEGORY if top == "prediction" else SlotKind.STRING
    elif len(path) == 2 and top == "features":
        if path[1] in columns.numeric:
            return Slot(literal, SlotKind.NUMBER, columns.numeric[path[1]])
        kind, column = SlotKind.CATEGORY, columns.categorical.get(path[1])
    elif len(path) == 2 and top == "segments":
        kind, column = SlotKind.CATEGORY, columns.segments.get(path[1])
    if column is None:
        return Slot(literal, SlotKind.IGNORED)
    return Slot(literal, kind, column, columns.dictionaries[column])


def learn_layout(payload: bytes, columns: Columns) -> EventLayout | None:
    """Learn a layout from one event.

    Parameters
    ----------
    payload : bytes
        An event that the strict path has accepted for this model.
    columns : Columns
        The model's columns.

    Returns
    -------
    EventLayout or None
        None where no layout can be made of the event.

    Notes
    -----
    About 50 us for 20 fields; the decoder rations it (:class:`Ration`).

    Examples
    --------
    >>> from monitor.decode.columns import assign_columns
    >>> from schemas.batch import ModelSchema
    >>> columns = assign_columns(ModelSchema("default", "m", ("a",)), 0)
    >>> event = b'{"model":"m","time_us":1,"features":{"a":2.5}}'
    >>> [(s.literal, s.kind.name) for s in learn_layout(event, columns).slots]
    [(b'{"model":"m","time_us":', 'TIME'), (b',"features":{"a":', 'NUMBER'), (b'}}', 'END')]
    """
    scan = _Scan(payload, columns, _TOKEN.finditer(payload), [])
    try:
        scan.value((), next(scan.tokens))
    except (_Unlearnable, StopIteration, ValueError):
        return None
    slots = (*scan.slots, Slot(payload[scan.copied :], SlotKind.END))
    if not any(s.kind is SlotKind.TIME for s in slots):
        return None
    numbers = {s.column for s in slots if s.kind is SlotKind.NUMBER}
    codes = {s.column for s in slots if s.kind in (SlotKind.STRING, SlotKind.CATEGORY)}
    return EventLayout(
        columns=columns,
        slots=slots,
        absent_numbers=tuple(sorted(set(range(columns.n_numeric)) - numbers)),
        absent_codes=tuple(sorted(set(range(len(columns.dictionaries))) - codes)),
        has_id=any(s.kind is SlotKind.ID for s in slots),
    )


@dataclass(slots=True)
class Ration:
    """When learning is worth its cost: rarely after layouts that were not used.

    An event that deviates by a value, not by its layout, would be learnt in vain
    again and again. So each vain lesson doubles the number of refused events the
    next one costs, up to 4,096; a layout that met a further event makes it 1 again.
    """

    price: int = 1
    saved: int = 0

    def may_learn(self) -> bool:
        """Count one refused event; True when the price has been saved up."""
        self.saved += 1
        if self.saved < self.price:
            return False
        self.saved = 0
        return True

    def learnt(self, is_useful: bool) -> None:
        """Set the next price by what the last lesson was worth."""
        self.price = 1 if is_useful else min(2 * self.price, 4_096)
