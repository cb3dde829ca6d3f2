"""Messages of the panes topic into the panes that are stored: totals of slots, late panes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from monitor.archive.blocks import Place
from monitor.archive.pane_sets import LOOKBACK_MESSAGES, PaneSets, UnreadableMessage
from monitor.archive.position import ArchivePosition
from monitor.core.windowing.stored.folding import StoredSlots, since_of
from monitor.core.windowing.stored.spans import Spans
from monitor.core.windowing.stored.state import SlotState
from monitor.core.windowing.watermark import NO_WATERMARK
from monitor.core.windowing.watermark_message import KEY_PREFIX, WatermarkMessage, parse
from monitor.transport.types import Message
from schemas.errors import DriftlineError
from schemas.names import SCORE
from schemas.panes import Pane

Written = tuple[Pane, Message]
"""A pane, and the message that had it written."""
ReadBack = Callable[[int, int], Iterable[Message]]
"""Reads messages of the partition again, [start, end)."""


class PaneReader:
    """Puts the names of their variables beside panes, and says how they are stored.

    Parameters
    ----------
    variables : mapping of (tenant, model) to sequence of str
        ``ModelSchema.variables`` of each model.
    spans : Spans, optional
        Lengths of the stored slots; without them every pane is stored.
    skew_us : int, optional
        How far an event may be ahead of the watermark of its partition.
    """

    def __init__(
        self,
        variables: Mapping[tuple[str, str], Sequence[str]],
        spans: Spans | None = None,
        skew_us: int = 0,
    ) -> None:
        self._variables = variables
        self.spans, self.skew_us = spans, skew_us

    def named(self, pane: Pane) -> tuple[Pane, Sequence[str]]:
        """Put the names beside the pane; numbers where the model is gone from the config."""
        whose = (pane.series.tenant, pane.series.model)
        n_variables = pane.segments.counts.shape[1]
        names = self._variables.get(whose, ())
        if len(names) == n_variables:
            return pane, names
        return pane, [*(str(i) for i in range(n_variables - 1)), SCORE]

    def taken_over(self, archived: ArchivePosition) -> ArchivePosition:
        """Return where a partition of the panes topic goes on, as its next intent has it.

        Parameters
        ----------
        archived : ArchivePosition
            In the commit. A range that was begun is repeated as it was.
        """
        if archived.hi is not None or self.spans is None:
            return archived
        if archived.slots:
            is_switch = SlotState.parse(archived.slots).spans != self.spans
            return replace(archived, is_switch=is_switch)
        if archived.lo == 0:
            return replace(archived, slots=SlotState([], spans=self.spans).text())
        return archived


@dataclass(slots=True)
class PaneFold:
    """What waits in one partition: chunks of panes, and panes of slots.

    Parameters
    ----------
    sets : PaneSets
        Chunks of panes that are not whole.
    slots : StoredSlots, optional
        Without them every pane is stored.
    """

    sets: PaneSets
    slots: StoredSlots | None = None

    @property
    def back(self) -> int | None:
        """Where reading back begins for what is not whole yet."""
        offsets = (self.sets.first_offset, self.slots.first_offset if self.slots else None)
        return min((offset for offset in offsets if offset is not None), default=None)

    @property
    def state(self) -> str:
        """State of the slots, as in a commit."""
        return self.slots.state().text() if self.slots is not None else ""

    def begin(self, before: Iterable[Message]) -> None:
        """Take what stood before the first range; it writes nothing that is new."""
        for message in before:
            for pane in self.sets.take_one(message)[0]:
                if self.slots is not None:
                    self.slots.restore(pane, message.offset)

    def take(
        self, messages: Iterable[Message], hi: int, switch_to: Spans | None = None
    ) -> tuple[list[Written], list[UnreadableMessage]]:
        """Return what the messages of a range have written, and those that cannot be read.

        Parameters
        ----------
        hi : int
            The end of the range.
        switch_to : Spans, optional
            Lengths of slots after the range.
        """
        written, refused = list[Written](), list[UnreadableMessage]()
        for message in messages:
            if message.key.startswith(KEY_PREFIX):
                written += [(pane, message) for pane in self._observe(message)]
                continue
            panes, fault = self.sets.take_one(message)
            refused += [UnreadableMessage(message, fault)] if fault else []
            if self.slots is None:
                written += [(pane.unpack(), message) for pane in panes]
                continue
            for pane in panes:
                written += [(each, message) for each in self.slots.add(pane, message.offset)]
        self.sets.drop_torn(hi)
        if switch_to is not None and self.slots is not None:
            end = Message(hi - 1, b"", b"", -1)
            written += [(pane, end) for pane in self.slots.adopt(switch_to, end.offset)]
        return written, refused

    def _observe(self, message: Message) -> list[Pane]:
        """Take a watermark; detect makes a dead letter of one that cannot be read."""
        with suppress(DriftlineError):
            if self.slots is not None and message.value:
                return self.slots.observe(_word(message), message.offset)
        return []


def fold_at(
    archived: ArchivePosition, hi: int, place: Place, reader: PaneReader, read: ReadBack
) -> PaneFold:
    """Return what waited where a range begins.

    Parameters
    ----------
    archived : ArchivePosition
        In the commit, see :meth:`PaneReader.taken_over`.
    hi : int
        The end of the range.
    read : callable
        ``read(start, end)``.
    """
    state = _state_at(archived, hi, reader, read)
    slots = StoredSlots(place.partition, place.source, state) if state is not None else None
    fold = PaneFold(PaneSets(), slots)
    if archived.back is not None:
        fold.begin(read(archived.back, archived.lo))
    return fold


def _state_at(
    archived: ArchivePosition, hi: int, reader: PaneReader, read: ReadBack
) -> SlotState | None:
    """Return the state in a commit, or that after a version that stored every pane."""
    if archived.slots:
        return SlotState.parse(archived.slots)
    if reader.spans is None:
        return None
    newest_us, mark_us = _newest(read(max(archived.lo - LOOKBACK_MESSAGES, 0), hi))
    since_us = since_of(newest_us, mark_us, reader.skew_us)
    return SlotState([], since_us=since_us, spans=reader.spans)


def _newest(messages: Iterable[Message]) -> tuple[int, int]:
    """Return the latest end of a pane, and the highest watermark."""
    sets, newest_us, mark_us = PaneSets(), 0, 0
    for message in messages:
        if message.key.startswith(KEY_PREFIX) and message.value:
            with suppress(DriftlineError):
                mark_us = max(mark_us, _word(message).watermark_us)
        ends_us = [pane.end_us for pane in sets.take_one(message)[0]]
        newest_us = max(newest_us, *ends_us, NO_WATERMARK)
    return newest_us, mark_us


def _word(message: Message) -> WatermarkMessage:
    """Read a watermark."""
    return parse(message.value, message.timestamp_us)
