"""Ingest over a log in memory: each chunk is published and committed before the next is read."""

from __future__ import annotations

from monitor.decode.arrow.decode_ahead import DecodedChunk
from monitor.ingest.stage import Ingest
from schemas.batch import Chunk


class InMemoryIngest(Ingest):
    """One owner of one source partition, in one process with the stages that read its panes."""

    def take(self, part: Chunk | DecodedChunk) -> None:
        """Decode and aggregate one chunk, publish what is due, and commit."""
        chunk, decoded = part if isinstance(part, DecodedChunk) else (part, None)
        if len(chunk):
            self.add(chunk, decoded)
            self.publish()

    def finish(self) -> None:
        """Publish every pane: the input has ended."""
        self.publish(is_complete=True, is_end=True)
