"""Panes out of the chunks they travel in.

A pane is one message, or several that share a key but for its last part, the chunk's
number. It belongs to the range that holds the chunk which completes it: so each pane
is written once, wherever the ranges are cut. A set that is torn by a crash never
completes; its next owner publishes the whole again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from monitor.archive.messages import Message
from schemas.errors import DriftlineError
from schemas.panes import Pane

LOOKBACK_MESSAGES = 256
"""How far before a range its first panes may have begun."""

_WATERMARK = b"wm|"


def begins_inside(messages: Sequence[Message]) -> bool:
    """Say whether every set of chunks in the range starts in the range."""
    seen = set()
    for message in messages:
        name, chunk = _split(message.key)
        if chunk > 0 and name not in seen:
            return False
        seen.add(name)
    return True


def assemble(
    before: Sequence[Message],
    messages: Sequence[Message],
    decode: Callable[[list[bytes]], Pane],
) -> list[Pane]:
    """Return the panes that a range of messages completes.

    Parameters
    ----------
    before : sequence of Message
        What stands just before the range; begins sets, completes none.
    messages : sequence of Message
        The range.
    decode : callable
        ``monitor.core.pane_codec.decode``; raises ``DriftlineError`` on a part of a set.

    Returns
    -------
    list of Pane

    Examples
    --------
    >>> assemble([], [], lambda chunks: None)
    []
    """
    started: dict[bytes, list[bytes]] = {}
    _complete(started, before, decode)
    return _complete(started, messages, decode)


def _complete(
    started: dict[bytes, list[bytes]],
    messages: Sequence[Message],
    decode: Callable[[list[bytes]], Pane],
) -> list[Pane]:
    """Feed messages to the sets begun so far; return what became whole."""
    panes = []
    for message in messages:
        if message.key.startswith(_WATERMARK):
            continue
        name, chunk = _split(message.key)
        if chunk == 0:
            started[name] = []
        chunks = started.setdefault(name, [])
        chunks.append(message.value)
        try:
            panes.append(decode(chunks))
        except DriftlineError:  # a part of a set, so far
            continue
        del started[name]
    return panes


def _split(key: bytes) -> tuple[bytes, int]:
    """Cut the chunk's number off a key; a key without one is a set of one chunk."""
    name, _, number = key.rpartition(b"|")
    return (name, int(number)) if number.isdigit() else (key, 0)
