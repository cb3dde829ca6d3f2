"""Panes out of the messages they travel in.

A message has several panes, or a pane is one message, or several that share a key but for its
last part, the chunk's number. A pane belongs to the range that holds the chunk which completes
it: so each pane is written once, wherever the ranges are cut. A set that is torn by a crash never
completes; its next owner publishes the whole again.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from monitor.core.windowing.codec import read_header, read_sound
from monitor.core.windowing.intake_message import NOT_PANES
from monitor.core.windowing.packed_pane import PackedPane
from monitor.transport.types import Message
from schemas.errors import DriftlineError
from schemas.panes import Pane

LOOKBACK_MESSAGES = 10_000
"""How far apart the chunks of one pane may stand. Longer sets were torn, and are dropped:
else one crash of ingest would have every restart read back to it."""


@dataclass(frozen=True, slots=True)
class UnreadableMessage:
    """A message that is no part of a pane, or completes a damaged one."""

    message: Message
    detail: str


@dataclass(slots=True)
class _ChunkSet:
    """The first chunks of one pane, in order."""

    version: int
    first_offset: int
    values: list[bytes]


class PaneSets:
    """The sets of one partition that wait for more chunks.

    Notes
    -----
    An owner writes a pane's chunks in order. So chunk 0 begins a new set, every other one
    continues it or is skipped; and the state here at an offset ``lo`` is exactly what
    the messages of [``first_offset``, lo) make of an empty one: after a restart they are read
    again, and no more is needed.

    Examples
    --------
    >>> sets = PaneSets()
    >>> sets.take([]), sets.first_offset
    (([], []), None)
    """

    def __init__(self) -> None:
        self._sets: dict[tuple[object, ...], _ChunkSet] = {}

    @property
    def first_offset(self) -> int | None:
        """Where the oldest set that waits begins; None when none waits."""
        return min((found.first_offset for found in self._sets.values()), default=None)

    def take(
        self, messages: Iterable[Message]
    ) -> tuple[list[tuple[Pane, Message]], list[UnreadableMessage]]:
        """Return the panes that these messages complete, and unreadable messages.

        Parameters
        ----------
        messages : iterable of Message
            The next of the log; tombstones, watermarks and intake panes are skipped.

        Returns
        -------
        panes : list of (Pane, Message)
            Each with the message that made it whole.
        refused : list of UnreadableMessage
        """
        panes, refused = [], []
        for message in messages:
            found, fault = self.take_one(message)
            panes += [(pane.unpack(), message) for pane in found]
            refused += [UnreadableMessage(message, fault)] if fault else []
        return panes, refused

    def take_one(self, message: Message) -> tuple[list[PackedPane], str]:
        """Return the panes that a message completes, and what is wrong with others of it."""
        if not message.value or message.key.startswith(NOT_PANES):
            return [], ""
        try:
            values = self._add(message)
            found, faults = read_sound(values) if values else ([], [])
        except DriftlineError as error:
            return [], str(error)
        return [each.packed for each in found], faults[0] if faults else ""

    def _add(self, message: Message) -> list[bytes]:
        """Take one message; return it, or the chunks which it makes whole."""
        head = read_header(message.value)
        key = (head.series, head.start_us, head.end_us, head.source, head.partition, head.owner)
        if head.chunk == 0:
            self._sets[key] = _ChunkSet(head.pane_version, message.offset, [])
        found = self._sets.get(key)
        if found is None or (head.pane_version, head.chunk) != (found.version, len(found.values)):
            return []
        found.values.append(message.value)
        if len(found.values) < head.chunks:
            return []
        del self._sets[key]
        return found.values

    def begin(self, before: Iterable[Message]) -> None:
        """Take what stood before the first range; it completes nothing that is new."""
        self.take(before)

    def drop_torn(self, position: int) -> None:
        """Give up sets that began too long before a position."""
        oldest = position - LOOKBACK_MESSAGES
        self._sets = {k: v for k, v in self._sets.items() if v.first_offset >= oldest}
