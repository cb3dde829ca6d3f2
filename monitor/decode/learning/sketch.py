"""One event as a layout."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from typing import NamedTuple

from monitor.decode.columns import Columns
from monitor.decode.layout import MAX_MEMBERS, EventLayout, Group, Member, Path, SlotKind
from schemas.names import SCORE

_BLANKS = rb"[ \t\n\r]*+"
_TEXT = rb'"(?:[^"\\]++|\\.)*+"'
_HEAD = re.compile(_BLANKS + rb"\{")
_MEMBER = re.compile(
    rb"(%b,?+%b)(%b)(%b:%b)" % (_BLANKS, _BLANKS, _TEXT, _BLANKS, _BLANKS), re.DOTALL
)
_CLOSING = re.compile(_BLANKS + rb"\}")
_SCALAR = re.compile(rb'%b|[^ \t\n\r{}\[\]:,"]++' % _TEXT, re.DOTALL)
_BRACKET = re.compile(rb'(?:[^"\[\]{}]++|%b)*+([\[\]{}])' % _TEXT, re.DOTALL)

_SPECVERSION, _DATA = "specversion", "data"


class _Unlearnable(Exception):
    """No layout can be made of this event."""


def learn_layout(payload: bytes, columns: Columns) -> EventLayout | None:
    """Make a layout of one event.

    Parameters
    ----------
    payload : bytes
        An event that the strict path has accepted for this model, bare or in an envelope.
    columns : Columns
        The model's columns.

    Returns
    -------
    EventLayout or None
        None where no layout can be made of the event: a key occurs twice, or there are more
        than ``MAX_MEMBERS`` members.

    Notes
    -----
    About 60 us for 20 members; the decoder rations it
    (:class:`monitor.decode.learning.ration.Ration`).

    Examples
    --------
    >>> from monitor.decode.columns import assign_columns
    >>> from schemas.batch import ModelSchema
    >>> columns = assign_columns(ModelSchema("default", "m", ("a",)), 0)
    >>> layout = learn_layout(b'{"model":"m","time_us":1,"features":{"a":2.5}}', columns)
    >>> [(m.key, m.kind.name) for m in layout.groups[()].members]
    [(b'"model":"m"', 'FIXED'), (b'"time_us":', 'TIME'), (b'"features":', 'OBJECT')]
    >>> [(m.key, m.kind.name) for m in layout.groups[("features",)].members]
    [(b'"a":', 'NUMBER')]
    """
    try:
        return _Sketch(payload, columns).layout()
    except (_Unlearnable, ValueError):
        return None


class _Sketch:
    """Walks one event, which is known to be JSON."""

    def __init__(self, payload: bytes, columns: Columns) -> None:
        self._payload, self._columns = payload, columns
        self._groups: dict[Path, Group] = {}
        self._n_members = 0

    def layout(self) -> EventLayout:
        """Make the layout."""
        head = _match(_HEAD, self._payload, 0)
        end = self._object((), head.end())
        tail = self._payload[end:]
        if tail.strip(b" \t\n\r"):
            raise _Unlearnable
        return EventLayout(self._columns, self._groups, head[0], tail)

    def _object(self, path: Path, at: int) -> int:
        """Read one object from its first brace on; return where it ends."""
        payload, found, opening = self._payload, [], None
        while (match := _MEMBER.match(payload, at)) is not None:
            if opening is None:
                opening = match[1]
            at = _value_end(payload, match.end())
            found.append((match, at))
        closing = _match(_CLOSING, payload, at)
        names = [_name(match[2]) for match, _ in found]
        self._n_members += len(names)
        if len(set(names)) < len(names) or self._n_members > MAX_MEMBERS:
            raise _Unlearnable
        is_enveloped = _SPECVERSION in names if not path else path[0] == _DATA
        members = [
            self._member((*path, name), match, end, is_enveloped, i == 0)
            for i, (name, (match, end)) in enumerate(zip(names, found, strict=True))
        ]
        self._groups[path] = Group(
            members=tuple(members),
            opening=opening,
            closing=closing[0] if found else None,
            empty=None if found else closing[0],
            orders=frozenset(pairwise(names)),
        )
        return closing.end()

    def _member(
        self, path: Path, match: re.Match[bytes], end: int, is_enveloped: bool, is_first: bool
    ) -> Member:
        """Read one member."""
        place = _place(path, self._columns, is_enveloped)
        key, at = match[2] + match[3], match.end()
        first = self._payload[at : at + 1]
        if place.kind is SlotKind.FIXED:
            if first != b'"':
                raise _Unlearnable
            key += self._payload[at:end]
        elif place.kind is SlotKind.OBJECT:
            if first != b"{":
                raise _Unlearnable
            self._object(path, at + 1)
        return Member(path[-1], key, *place, separator=None if is_first else match[1])


def _name(key: bytes) -> str:
    """Return the name that a key spells."""
    return str(json.loads(key.decode())) if b"\\" in key else key[1:-1].decode()


def _match(pattern: re.Pattern[bytes], payload: bytes, at: int) -> re.Match[bytes]:
    """Match what must be there."""
    match = pattern.match(payload, at)
    if match is None:
        raise _Unlearnable
    return match


def _value_end(payload: bytes, at: int) -> int:
    """Return where a value ends."""
    if payload[at : at + 1] not in (b"{", b"["):
        return _match(_SCALAR, payload, at).end()
    depth = 0
    while True:
        match = _match(_BRACKET, payload, at)
        depth += 1 if match[1] in b"{[" else -1
        at = match.end()
        if depth == 0:
            return at


class _Place(NamedTuple):
    """What is done with a value."""

    kind: SlotKind
    column: int = 0
    dictionary: int = 0
    is_required: bool = False


_IGNORED = _Place(SlotKind.IGNORED)
_NAMED = {
    "model": _Place(SlotKind.FIXED, is_required=True),
    "tenant": _Place(SlotKind.FIXED, is_required=True),
    "features": _Place(SlotKind.OBJECT),
    "segments": _Place(SlotKind.OBJECT),
    "id": _Place(SlotKind.ID),
}
_ATTRIBUTES = {
    _SPECVERSION: _Place(SlotKind.FIXED, is_required=True),
    "id": _Place(SlotKind.SENDER_ID, is_required=True),
    "source": _Place(SlotKind.TEXT, is_required=True),
    "type": _Place(SlotKind.TEXT, is_required=True),
    "time": _Place(SlotKind.SENT),
    _DATA: _Place(SlotKind.OBJECT, is_required=True),
}
"""Of an envelope; the others are ignored."""
_CHECKED = ("model", "tenant", "data_base64")
"""Attributes whose type msgspec checks."""


def _place(path: Path, columns: Columns, is_enveloped: bool) -> _Place:
    """Return what is done with the value at a path."""
    name = path[-1]
    if is_enveloped and len(path) == 1:
        if name in _CHECKED:
            raise _Unlearnable
        return _ATTRIBUTES.get(name, _IGNORED)
    path = path[1:] if is_enveloped else path
    if len(path) == 2:
        return _inner(path, columns)
    if name in _NAMED:
        return _NAMED[name]
    if name == "time_us":
        return _Place(SlotKind.TIME, is_required=not is_enveloped)
    if name == SCORE:
        return _Place(SlotKind.NUMBER, columns.score)
    kind = SlotKind.CATEGORY if name == "prediction" else SlotKind.STRING
    return _coded(kind, columns.names.get(name), columns)


def _inner(path: Path, columns: Columns) -> _Place:
    """Return what is done with a feature or a segment."""
    part, name = path
    if part == "features" and name in columns.numeric:
        return _Place(SlotKind.NUMBER, columns.numeric[name])
    known = columns.categorical if part == "features" else columns.segments
    return _coded(SlotKind.CATEGORY, known.get(name), columns)


def _coded(kind: SlotKind, column: int | None, columns: Columns) -> _Place:
    """Return what is done with the value of a code column; ignored where there is none."""
    return _IGNORED if column is None else _Place(kind, column, columns.dictionaries[column])
