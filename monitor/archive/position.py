"""Position of the archive in one partition, as encoded in its commit.

A commit's offset is ``lo``: everything before it is in the store. Its metadata is
``topic_id|hi|back``: whose offsets these are, the end of the range that was begun (none:
empty), and where reading back begins for what lies before ``lo`` and is not yet whole.
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
    """

    lo: int
    """First offset that is not archived."""
    hi: int | None = None
    """End of the range that was begun: exactly [lo, hi) is read and inserted again."""
    back: int | None = None
    """First offset of a set of chunks that was not whole at ``lo``; None where all were."""

    def metadata(self, topic_id: str) -> str:
        """Return what is written beside ``lo``."""
        hi, back = ("" if n is None else str(n) for n in (self.hi, self.back))
        return f"{topic_id}|{hi}|{back}"


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
    ArchivePosition(lo=7, hi=12, back=None)
    >>> position_of(Committed(7, "id|12|"), "another"), position_of(None, "id")
    (ArchivePosition(lo=0, hi=None, back=None), ArchivePosition(lo=0, hi=None, back=None))
    """
    if committed is None:
        return ArchivePosition(0)
    if not committed.metadata:
        return ArchivePosition(committed.offset)
    whose, *numbers = committed.metadata.rsplit("|", 2)
    try:
        hi, back = (int(n) if n else None for n in numbers)
    except ValueError:
        raise TransportError(
            f"commit metadata {committed.metadata[:80]!r} is not topic_id|hi|back",
            where="archive",
            fix="check that no other program commits under the archive's group",
        ) from None
    return ArchivePosition(committed.offset, hi, back) if whose == topic_id else ArchivePosition(0)
