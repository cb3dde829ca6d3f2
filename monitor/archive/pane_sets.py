"""Panes out of the chunks they travel in.

A pane is one message, or several that share a key but for its last part, the chunk's
number. It belongs to the range that holds the chunk which completes it: so each pane
is written once, wherever the ranges are cut. A set that is torn by a crash never
completes; its next owner publishes the whole again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from monitor.archive.messages import Message
from monitor.core.pane_codec import PaneAssembler
from monitor.core.watermark_message import KEY_PREFIX
from schemas.errors import DriftlineError
from schemas.panes import Pane

LOOKBACK_MESSAGES = 256
"""How far before a range its first panes may have begun."""


def begins_inside(messages: Sequence[Message]) -> bool:
    """Say whether every set of chunks in the range starts in the range."""
    seen = set()
    for message in messages:
        name, chunk = _split(message.key)
        if chunk > 0 and name not in seen:
            return False
        seen.add(name)
    return True


@dataclass(frozen=True, slots=True)
class Refused:
    """A message that is no part of a pane, or completes a damaged one."""

    message: Message
    detail: str


def assemble(
    before: Sequence[Message], messages: Sequence[Message]
) -> tuple[list[Pane], list[Refused]]:
    """Return the panes that a range of messages completes, and what nobody can read.

    Parameters
    ----------
    before : sequence of Message
        What stands just before the range; begins sets, completes none.
    messages : sequence of Message
        The range.

    Returns
    -------
    panes : list of Pane
    refused : list of Refused
        Of the range only; watermarks are neither.

    Examples
    --------
    >>> assemble([], [])
    ([], [])
    """
    assembler = PaneAssembler()
    _complete(assembler, before)
    return _complete(assembler, messages)


def _complete(
    assembler: PaneAssembler, messages: Sequence[Message]
) -> tuple[list[Pane], list[Refused]]:
    """Feed messages to the sets begun so far; return what became whole."""
    panes, refused = [], []
    for message in messages:
        if message.key.startswith(KEY_PREFIX):
            continue
        try:
            whole = assembler.add(message.value, message.offset)
        except DriftlineError as error:
            refused.append(Refused(message, str(error)))
        else:
            panes += [whole.pane] if whole is not None else []
    return panes, refused


def _split(key: bytes) -> tuple[bytes, int]:
    """Cut the chunk's number off a key; a key without one is a set of one chunk."""
    name, _, number = key.rpartition(b"|")
    return (name, int(number)) if number.isdigit() else (key, 0)
