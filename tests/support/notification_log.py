"""A notification log in a list, for tests of the notifier alone."""

from __future__ import annotations

from collections.abc import Sequence

from monitor.notify.delivery.log import LogEntry


class ListNotificationLog:
    """Keeps entries in order until the test ends.

    Parameters
    ----------
    entries : sequence of LogEntry, optional
        Kept already, oldest first.
    """

    def __init__(self, entries: Sequence[LogEntry] = ()) -> None:
        self.entries = list(entries)

    async def append(self, entry: LogEntry) -> None:
        """Keep one entry."""
        self.entries.append(entry)

    async def read(self) -> Sequence[LogEntry]:
        """Return all entries, oldest first."""
        return list(self.entries)
