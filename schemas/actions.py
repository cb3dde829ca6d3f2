"""What persons do about incidents: close one as normal or as a fault, and undo that.

An action is a message of the topic ``driftline.actions``, JSON. Detect applies it together with its
state, so that it has its effect once; the archive stores it in table ``actions``.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec


class ActionKind(StrEnum):
    """What is done."""

    CLOSE = "close"
    UNDO = "undo"
    """Takes back the last ``close`` of the incident."""


class Label(StrEnum):
    """What an incident was, according to a person."""

    NORMAL = "normal"
    """It is part of the stream: its cells learn again, and one more like it is not reported."""
    FAULT = "fault"
    """Nothing of it is learned."""
    NONE = ""
    """Of an undo."""


class ActionCell(msgspec.Struct, frozen=True, array_like=True):
    """The alert of one cell that belongs to an incident."""

    model_version: str
    feature: str
    segment: str
    opened_at_us: int


class Action(msgspec.Struct, frozen=True, kw_only=True):
    """One action of a person on one incident of one model."""

    action_id: str
    kind: ActionKind
    label: Label = Label.NONE
    by: str
    """Who did it."""
    time_us: int
    """When, by that person's clock."""
    incident_id: str
    tenant: str
    model: str
    comment: str = ""
    cells: tuple[ActionCell, ...] = ()
    """Alerts of the incident that a ``close`` concerns."""
