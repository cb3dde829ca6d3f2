"""One layout as the kernel reads it: records of int64 and the literals they point into.

A *head* (``HEAD_BYTES``): addresses of steps, nodes and literals; columns that no such event
has; the layout's number; events that had it in this chunk, and how many of them had a member
that the last lesson added; how many of the columns that no event has are features or the score.

A *step* for each value in order (``STEP_BYTES``): place and length of the literal before it in
an event that has every member; kind, whether the last lesson added it, column; dictionary; the
node after the value before it. Behind the END the columns that no such event has.

A *node* (``NODE_BYTES``) for each member, and for the end of each object: kind; place and
length of the literal where a member came before it in its object, and where none did; its
step; the node after it and all it holds.
"""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from monitor.decode import kernel
from monitor.decode.layout import EventLayout, Group, Path, Slot, SlotKind
from schemas.batch import Int64Array

_END_BYTES = 8
"""Readable after the last literal."""
_COMMA = b","
Place = tuple[Path, str]
"""A member: the path of its object, and its name."""


@dataclass(slots=True)
class _Node:
    """One node, its literals as they are."""

    kind: int
    after_others: bytes
    as_first: bytes
    following: int
    step: int = 0


@dataclass(slots=True)
class _Flat:
    """A layout on its way into records."""

    layout: EventLayout
    nodes: list[_Node] = field(default_factory=list)
    slots: list[tuple[Slot, int, Place]] = field(default_factory=list)
    """Each with the node its search begins at."""
    _pending: bytes = b""
    _first_node: int = 0

    def lay_out(self) -> None:
        """Make the nodes and steps of the whole event."""
        opening, required = self.layout.head, kernel.REQUIRED
        self._add(_Node(kernel.OPENING | required, opening, opening, 0), opening)
        self._group((), self.layout.groups[()])
        tail = self.layout.tail
        self._add(_Node(kernel.VALUE | required, tail, tail, 0), tail)
        self._slot(SlotKind.END, 0, 0, ((), ""))

    def _group(self, path: Path, group: Group) -> None:
        """Make those of an object whose brace is open."""
        blanks, closing = group.opening or b"", group.closing or b"}"
        is_first = True
        for member in group.members:
            separator = member.separator or self._separator(group)
            is_object = member.kind is SlotKind.OBJECT
            key = member.key + (b"{" if is_object else b"")
            is_fixed = member.kind is SlotKind.FIXED
            kind = kernel.OTHER if is_fixed else kernel.OPENING if is_object else kernel.VALUE
            kind |= kernel.REQUIRED if member.is_required else 0
            node = _Node(kind, separator + key, blanks + key, 0)
            self._add(node, node.as_first if is_first else node.after_others)
            if is_object:
                inner = (*path, member.name)
                self._group(inner, self.layout.groups[inner])
                node.following = len(self.nodes)
            elif not is_fixed:
                self._slot(member.kind, member.column, member.dictionary, (path, member.name))
            is_first = False
        empty = group.empty or b"}"
        end = _Node(kernel.OTHER | kernel.REQUIRED, closing, empty, 0)
        self._add(end, empty if is_first else closing)

    def _separator(self, group: Group) -> bytes:
        """Guess what stands before a member that was always the first of its object."""
        groups = (group, self.layout.groups[()])
        known = (m.separator for g in groups for m in g.members if m.separator is not None)
        return next(known, _COMMA)

    def _add(self, node: _Node, literal: bytes) -> None:
        """Add a node; its literal belongs to the value that follows."""
        self.nodes.append(node)
        node.following = len(self.nodes)
        self._pending += literal

    def _slot(self, kind: SlotKind, column: int, dictionary: int, place: Place) -> None:
        """Add the step of the value after the node that was added last."""
        self.nodes[-1].step = len(self.slots)
        self.slots.append((Slot(self._pending, kind, column, dictionary), self._first_node, place))
        self._pending, self._first_node = b"", len(self.nodes)


def slots_of(layout: EventLayout) -> list[Slot]:
    """Return the values of an event that has every member, each with the literal before it.

    Examples
    --------
    >>> from monitor.decode.columns import assign_columns
    >>> from monitor.decode.learning.sketch import learn_layout
    >>> from schemas.batch import ModelSchema
    >>> columns = assign_columns(ModelSchema("default", "m", ("a",)), 0)
    >>> layout = learn_layout(b'{"model":"m","time_us":1,"features":{"a":2.5}}', columns)
    >>> [(s.literal, s.kind.name) for s in slots_of(layout)]
    [(b'{"model":"m","time_us":', 'TIME'), (b',"features":{"a":', 'NUMBER'), (b'}}', 'END')]
    """
    flat = _Flat(layout)
    flat.lay_out()
    return [slot for slot, _, _ in flat.slots]


class Piece:
    """A layout with its records.

    Parameters
    ----------
    number : int
        Written to ``Scratch.fits`` of the events that have the layout.
    model_hash : int
        Of the model's name as the kernel finds it in the event it was learned from.
    young : set of (path, name)
        Members that the last lesson added.

    Attributes
    ----------
    head : ndarray of int64, shape (8,)
    n_slots : int
    """

    def __init__(
        self, number: int, layout: EventLayout, model_hash: int, young: Set[Place] = frozenset()
    ) -> None:
        self.number, self.layout, self.model_hash, self.young = number, layout, model_hash, young
        flat = _Flat(layout)
        flat.lay_out()
        literals = _Literals()
        steps = [
            (
                *literals.place(slot.literal),
                slot.kind
                | (kernel.YOUNG if place in young else 0)
                | _column(slot.column)
                | _feature(slot.kind, slot.column, layout),
                slot.dictionary,
                node,
            )
            for slot, node, place in flat.slots
        ]
        absent = _absent(layout)
        steps += [(0, 0, target, 0, 0) for target in absent]
        nodes = [
            (
                node.kind,
                *literals.place(node.after_others),
                *literals.place(node.as_first),
                node.step,
                node.following,
            )
            for node in flat.nodes
        ]
        self.n_slots = len(flat.slots)
        self._arrays: tuple[Int64Array, Int64Array, NDArray[np.uint8]] = (
            np.array(steps, dtype=np.int64),
            np.array(nodes, dtype=np.int64),
            np.frombuffer(bytes(literals.content) + bytes(_END_BYTES), dtype=np.uint8),
        )
        addresses = [array.ctypes.data for array in self._arrays]
        n_features = sum(_is_noted(target) for target in absent)
        self.head: Int64Array = np.array(
            [*addresses, len(absent), number, 0, 0, n_features], np.int64
        )


class _Literals:
    """Literals one after the other, each zero-filled to whole words; equal ones once."""

    def __init__(self) -> None:
        self.content = bytearray()
        self._places: dict[bytes, int] = {}

    def place(self, literal: bytes) -> tuple[int, int]:
        """Return where a literal is and how long."""
        at = self._places.get(literal)
        if at is None:
            at = self._places[literal] = len(self.content)
            self.content += literal + bytes(-len(literal) % 8)
        return at, len(literal)


def _column(column: int) -> int:
    return column << kernel.COLUMN_SHIFT


def _absent(layout: EventLayout) -> list[int]:
    """Return the targets of the columns that no event of a layout has; features come first."""
    columns = layout.columns
    numbers = sorted(set(range(columns.n_numeric)) - layout.numbers())
    codes = sorted(set(range(len(columns.dictionaries))) - layout.codes())
    return [SlotKind.NUMBER | _column(c) for c in numbers] + [
        SlotKind.STRING | _column(c) | _feature(SlotKind.STRING, c, layout) for c in codes
    ]


def _is_noted(target: int) -> bool:
    """Return whether a column that events lack is a feature's, or the score's."""
    return target & kernel.KIND == SlotKind.NUMBER or bool(target & kernel.FEATURE)


def _feature(kind: SlotKind, column: int, layout: EventLayout) -> int:
    """Return the mark of a column of codes that is a categorical feature's."""
    is_code = kind in (SlotKind.STRING, SlotKind.CATEGORY)
    return kernel.FEATURE * (is_code and column < len(layout.columns.categorical))
