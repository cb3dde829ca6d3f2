"""Two layouts of one producer joined: every member of both, in an order that holds for both."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TypeVar

from monitor.decode.layout import EventLayout, Group, Member, SlotKind

T = TypeVar("T")

MOST_IGNORED = 64
"""Members of an object that nothing reads: keys that never come again would be looked for in
every event."""


class _Conflict(Exception):
    """The two cannot be joined."""


def joined(known: EventLayout, new: EventLayout) -> EventLayout | None:
    """Join the layout of an event with a known one.

    Returns
    -------
    EventLayout or None
        None where they differ in more than the members an event has: in the order of keys, in
        blanks, in the model.

    Examples
    --------
    >>> from monitor.decode.columns import assign_columns
    >>> from monitor.decode.learning.sketch import learn_layout
    >>> from schemas.batch import ModelSchema
    >>> columns = assign_columns(ModelSchema("default", "m", ("a",)), 0)
    >>> first = learn_layout(b'{"model":"m","time_us":1,"score":2}', columns)
    >>> second = learn_layout(b'{"model":"m","host":"h","time_us":1}', columns)
    >>> [member.name for member in joined(first, second).groups[()].members]
    ['model', 'host', 'time_us', 'score']
    """
    if (known.head, known.tail) != (new.head, new.tail):
        return None
    groups = dict(known.groups)
    try:
        for path, group in new.groups.items():
            groups[path] = _group(groups[path], group) if path in groups else group
    except _Conflict:
        return None
    return replace(known, groups=groups)


def _group(known: Group, new: Group) -> Group:
    """Join one object."""
    is_reversed = any((second, first) in known.orders for first, second in new.orders)
    if is_reversed or _required(known) != _required(new):
        raise _Conflict
    members = {member.name: member for member in known.members}
    names = list(members)
    at = 0
    for member in new.members:
        if member.name in members:
            members[member.name] = _member(members[member.name], member)
            at = names.index(member.name) + 1
        else:
            members[member.name] = member
            names.insert(at, member.name)
            at += 1
    if sum(member.kind is SlotKind.IGNORED for member in members.values()) > MOST_IGNORED:
        raise _Conflict
    orders = known.orders | new.orders
    place = {name: i for i, name in enumerate(names)}
    if any(place[first] > place[second] for first, second in new.orders):
        names = _in_order(names, orders)
    return Group(
        members=tuple(members[name] for name in names),
        opening=_either(known.opening, new.opening),
        closing=_either(known.closing, new.closing),
        empty=_either(known.empty, new.empty),
        orders=orders,
    )


def _required(group: Group) -> set[str]:
    return {member.name for member in group.members if member.is_required}


def _member(known: Member, new: Member) -> Member:
    """Join one member."""
    if known == new:
        return known
    separator = _either(known.separator, new.separator)
    if replace(known, separator=separator) != replace(new, separator=separator):
        raise _Conflict
    return replace(known, separator=separator)


def _either(known: T | None, new: T | None) -> T | None:
    """Return the one that is known; both must be equal where both are."""
    if known is not None and new is not None and known != new:
        raise _Conflict
    return new if known is None else known


def _in_order(names: Sequence[str], orders: Iterable[tuple[str, str]]) -> list[str]:
    """Sort names topologically: the first of each pair before the second.

    Of several names that may come next, the one that stood first in ``names`` does.

    References
    ----------
    A. B. Kahn, Topological sorting of large networks, Communications of the ACM 5(11), 1962.
    """
    place = {name: i for i, name in enumerate(names)}
    later: dict[str, list[str]] = defaultdict(list)
    n_before = dict.fromkeys(names, 0)
    for first, second in orders:
        later[first].append(second)
        n_before[second] += 1
    free = [place[name] for name, n in n_before.items() if n == 0]
    heapq.heapify(free)
    found: list[str] = []
    while free:
        name = names[heapq.heappop(free)]
        found.append(name)
        for following in later[name]:
            n_before[following] -= 1
            if n_before[following] == 0:
                heapq.heappush(free, place[following])
    if len(found) < len(names):
        raise _Conflict
    return found
