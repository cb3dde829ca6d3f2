"""Ingest over a log in memory: each chunk is published and committed before the next is read."""

from __future__ import annotations

from monitor.ingest.stage import Ingest
from schemas.batch import Chunk


class InMemoryIngest(Ingest):
    """One owner of one source partition, in one process with the stages that read its panes."""

    def take(self, chunk: Chunk) -> None:
        """Decode and aggregate one chunk, publish what is due, and commit."""
        if len(chunk):
            self.add(chunk)
            self.publish()

    def finish(self) -> None:
        """Publish every pane: the input has ended."""
        self.publish(is_complete=True, is_end=True)
