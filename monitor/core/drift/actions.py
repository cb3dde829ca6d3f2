"""Actions of persons as messages. Pure."""

from __future__ import annotations

from typing import Final

import msgspec

from monitor.core.bounds import DECODE_ERRORS, MAX_OFFSET, check_number, check_text, check_time
from schemas.actions import Action, ActionKind, Label
from schemas.errors import DomainError, TransportError

MAX_CELLS: Final = 10_000
MAX_COMMENT_CHARS: Final = 2_000
_DECODER: Final = msgspec.json.Decoder(Action)


def encode_action(action: Action) -> bytes:
    """Return an action as a message value, JSON.

    Examples
    --------
    >>> action = Action(action_id="1", kind=ActionKind.CLOSE, label=Label.FAULT, by="ann",
    ...                 time_us=0, incident_id="i", tenant="t", model="m")
    >>> ActionDecoder().decode(encode_action(action)) == action
    True
    """
    return msgspec.json.encode(action)


class ActionDecoder:
    """Reads what :func:`encode_action` wrote."""

    def decode(self, value: bytes) -> Action:
        """Return the action of a message.

        Raises
        ------
        TransportError
            If it is none, or holds a value that none can have.
        """
        try:
            found = _DECODER.decode(value)
            _check(found)
        except (*DECODE_ERRORS, DomainError) as error:
            raise TransportError(str(error), where="actions") from None
        return found


def _check(action: Action) -> None:
    """Check what the types do not say."""
    for name in ("action_id", "by", "incident_id", "tenant", "model"):
        if not check_text(name, getattr(action, name)):
            raise DomainError(f"{name} is empty")
    check_text("comment", action.comment, MAX_COMMENT_CHARS)
    check_time("time_us", action.time_us)
    check_number("cells", len(action.cells), 0, MAX_CELLS)
    for cell in action.cells:
        for name in ("model_version", "feature", "segment"):
            check_text(name, getattr(cell, name))
        check_number("opened_at_us", cell.opened_at_us, -MAX_OFFSET, MAX_OFFSET)
    if (action.kind is ActionKind.CLOSE) != (action.label is not Label.NONE):
        raise DomainError(f"a {action.kind.value} with the label {action.label.value!r}")
