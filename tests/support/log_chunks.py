"""Messages of a log in memory as the chunks that stages read."""

from __future__ import annotations

from monitor.archive.blocks import Place
from monitor.archive.raw import chunk_of_messages
from monitor.transport.memory import MemoryLog
from schemas.batch import Chunk


def fetch_chunk(
    log: MemoryLog, topic: str, partition: int, offset: int, max_messages: int
) -> Chunk:
    """Return up to ``max_messages`` messages from ``offset`` on as one buffer."""
    messages = log.fetch(topic, partition, offset, max_messages)
    return chunk_of_messages(messages, Place(topic, partition))
