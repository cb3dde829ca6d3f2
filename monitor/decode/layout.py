"""What events of one producer look like: text that is always the same, between values.

A producer writes the same keys in the same order, and leaves out those that have no value.
An :class:`EventLayout` lists the members in that order, learned from several events
(:mod:`monitor.decode.learning`); the kernel compares the text between two values as a whole,
and where it is another one looks which members are absent.

``features`` and ``segments`` are objects with members of their own, and so is the ``data`` of a
CloudEvents envelope. Whatever else is an object or an array is one value, which is ignored: its
length and what it holds leave the layout alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

from monitor.decode.columns import Columns

MAX_LAYOUTS = 16
MAX_MEMBERS = 4_096

Path = tuple[str, ...]
"""Keys from the event to a member; of the event itself ()."""


class SlotKind(IntEnum):
    """What the kernel does with a value."""

    NUMBER = 0
    TIME = 1
    """Microseconds, or ISO 8601 text."""
    SENT = 2
    """The time of an envelope: ISO 8601 text or null, the event's where it has none."""
    ID = 3
    SENDER_ID = 4
    """The id of an envelope: a string, the event's where it has none."""
    STRING = 5
    """An identifier: a string or null, dictionary-coded."""
    CATEGORY = 6
    """A string, number, boolean or null, dictionary-coded as text."""
    IGNORED = 7
    """Any JSON at all; its syntax is checked."""
    END = 8
    """After the last literal: the event must end exactly here."""
    TEXT = 9
    """A string that is checked and ignored."""
    FIXED = 10
    """In layouts only: a value that belongs to the text between values."""
    OBJECT = 11
    """In layouts only: an object whose members have places of their own."""


@dataclass(frozen=True, slots=True)
class Member:
    """One member of an object."""

    name: str
    key: bytes
    """As it is written, with the colon and the blanks beside it; of FIXED with the value."""
    kind: SlotKind
    column: int = 0
    dictionary: int = 0
    is_required: bool = False
    """Whether an event without it is rejected, or another model's."""
    separator: bytes | None = None
    """The comma before it and the blanks beside that; None if it was always the first."""


@dataclass(frozen=True, slots=True)
class Group:
    """One object: its members in order, and how it begins and ends."""

    members: tuple[Member, ...]
    opening: bytes | None
    """Blanks before the first member; None if it was always empty."""
    closing: bytes | None
    """The brace, and the blanks before it."""
    empty: bytes | None
    """The same where it has no members; None if it always had some."""
    orders: frozenset[tuple[str, str]] = field(default=frozenset(), compare=False)
    """Pairs of names of which the second was met right after the first."""


@dataclass(frozen=True, slots=True)
class Slot:
    """A value's place in an event that has every member: the literal before it, its kind."""

    literal: bytes
    kind: SlotKind
    column: int = 0
    dictionary: int = 0


@dataclass(frozen=True, slots=True)
class EventLayout:
    """One producer's way of writing one model's events."""

    columns: Columns = field(compare=False, repr=False)
    groups: dict[Path, Group]
    """Of the event itself under (), of objects within it under their path."""
    head: bytes
    """The first brace, and the blanks before it."""
    tail: bytes
    """Blanks behind the last brace."""

    def numbers(self) -> set[int]:
        """Return the number columns that such events fill."""
        return {m.column for m in self._members() if m.kind is SlotKind.NUMBER}

    def codes(self) -> set[int]:
        """Return the code columns that such events fill."""
        kinds = (SlotKind.STRING, SlotKind.CATEGORY)
        return {m.column for m in self._members() if m.kind in kinds}

    def _members(self) -> list[Member]:
        return [member for group in self.groups.values() for member in group.members]

    @property
    def n_members(self) -> int:
        """Members of all objects together."""
        return sum(len(group.members) for group in self.groups.values())
