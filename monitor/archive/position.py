"""Position of the archive in one partition, as encoded in its commit.

A commit's offset is ``lo``: everything before it is in the store. Its metadata is
``topic_id|hi|back``: whose offsets these are, the end of the range that was begun (none:
empty), and where reading back begins for what lies before ``lo`` and is not yet whole. Of the
panes topic ``;state`` follows (:mod:`monitor.core.windowing.stored.state`), which versions before
slots refuse, so that they do not write panes that are part of totals.
"""

from __future__ import annotations

from dataclasses import dataclass

from monitor.transport.types import Committed
from schemas.errors import TransportError


@dataclass(frozen=True, slots=True)
class ArchivePosition:
    """Position of the archive in one partition.

    Examples
    --------
    >>> ArchivePosition(7, hi=12, back=5).metadata("id")
    'id|12|5'
    >>> ArchivePosition(7, hi=12, slots="abc", is_switch=True).metadata("id")
    'id|12|;abc!'
    """

    lo: int
    """First offset that is not archived."""
    hi: int | None = None
    """End of the range that was begun: exactly [lo, hi) is read and inserted again."""
    back: int | None = None
    """First offset of what was not whole at ``lo``: chunks, slots; None where all was."""
    slots: str = ""
    """State of the slots at ``lo``; empty where panes are written one by one."""
    is_switch: bool = False
    """Whether the slots' lengths change at the end of the range that was begun."""

    def metadata(self, topic_id: str) -> str:
        """Return what is written beside ``lo``."""
        hi, back = ("" if n is None else str(n) for n in (self.hi, self.back))
        slots = f";{self.slots}{'!' * self.is_switch}" if self.slots else ""
        return f"{topic_id}|{hi}|{back}{slots}"


def position_of(committed: Committed | None, topic_id: str) -> ArchivePosition:
    """Read a commit.

    Parameters
    ----------
    topic_id : str
        Of the topic as it is now.

    Returns
    -------
    ArchivePosition
        At 0 where nothing was committed, or the commit was another topic's of the same
        name: a recreated topic repeats offsets. Offsets that were set by hand, without
        metadata, are accepted.

    Raises
    ------
    TransportError
        If the metadata is not the archive's.

    Examples
    --------
    >>> position_of(Committed(7, "id|12|"), "id")
    ArchivePosition(lo=7, hi=12, back=None, slots='', is_switch=False)
    >>> position_of(Committed(7, "id|12|5;abc!"), "id") == ArchivePosition(7, 12, 5, "abc", True)
    True
    >>> position_of(Committed(7, "id|12|"), "another") == position_of(None, "id")
    True
    """
    if committed is None:
        return ArchivePosition(0)
    if not committed.metadata:
        return ArchivePosition(committed.offset)
    whose, *numbers = committed.metadata.rsplit("|", 2)
    try:
        before, (behind, _, slots) = numbers[0], numbers[1].partition(";")
        hi, back = (int(n) if n else None for n in (before, behind))
    except (ValueError, IndexError):
        raise TransportError(
            f"commit metadata {committed.metadata[:80]!r} is not topic_id|hi|back",
            where="archive",
            fix="check that no other program commits under the archive's group",
        ) from None
    if whose != topic_id:
        return ArchivePosition(0)
    return ArchivePosition(committed.offset, hi, back, slots.rstrip("!"), slots.endswith("!"))
