"""Chunks as the stages read them: messages of a log in memory, or blank ones."""

from __future__ import annotations

import numpy as np

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


def blank_chunk(n: int, event_bytes: int = 100) -> Chunk:
    """Return ``n`` messages of zero bytes, for what depends on their number and size alone."""
    offsets = np.arange(n + 1, dtype=np.int64) * event_bytes
    zeros = np.zeros(n, np.int64)
    return Chunk("s", 0, np.zeros(n * event_bytes, np.uint8), offsets, zeros, zeros)
