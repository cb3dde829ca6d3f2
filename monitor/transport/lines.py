"""Splits JSONL into chunks, one event per line, without parsing it.

The decoder validates the lines. Blank lines are skipped but counted: an event's log offset is its
line number, from 0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from schemas.batch import Chunk
from schemas.errors import TransportError

BLOCK_BYTES = 4 << 20
MAX_LINE_BYTES = 256 << 20
"""Far above the decoder's limit of 1 MiB; the decoder hashes the whole of an oversized event.

Bounded, because a file without line ends must not fill the memory.
"""
_NEWLINE = 10
_BLANK_BYTES = 16
"""No event is this short, so only lines up to this length are checked for being blank."""


def read_lines(
    read: Callable[[int], bytes], source: str, chunk_rows: int, where: str
) -> Iterator[Chunk]:
    """Split a byte stream into chunks of at most ``chunk_rows`` lines.

    Parameters
    ----------
    read : callable
        ``read(n)`` returns up to n bytes, none at the end.
    source : str
        Source of the chunks.
    chunk_rows : int
        Maximum number of lines per chunk.
    where : str
        The file, for messages.

    Yields
    ------
    Chunk
        Partition 0, record times -1.

    Raises
    ------
    TransportError
        If a line is longer than ``MAX_LINE_BYTES``.

    Notes
    -----
    Memory: three times a block of 4 MiB or the longest line; chunks are views.

    Examples
    --------
    >>> import io
    >>> [chunk] = read_lines(io.BytesIO(b'{"a":1}\\n\\n{}\\n').read, "f", 10, "f")
    >>> bytes(chunk.buffer), chunk.offsets.tolist(), chunk.log_offset.tolist()
    (b'{"a":1}{}', [0, 7, 9], [0, 2])
    """
    first_line = 0
    for text in _whole_lines(read, where):
        block = _cut(text)
        for cut in range(0, len(block.lines), chunk_rows):
            yield _chunk(block, cut, cut + chunk_rows, source, first_line)
        first_line += block.n_lines


@dataclass(frozen=True, slots=True)
class _Block:
    """Lines joined without line ends: line i is ``data[offsets[i]:offsets[i + 1]]``."""

    data: NDArray[np.uint8]
    offsets: NDArray[np.int64]
    lines: NDArray[np.int64]
    """Number of each line within the block, without blank ones."""
    n_lines: int
    """Including blank ones."""


def _whole_lines(read: Callable[[int], bytes], where: str) -> Iterator[bytes]:
    """Yield pieces that end with a newline; one is added to the last line if missing."""
    pieces: list[bytes] = []
    n_bytes = 0
    while block := read(BLOCK_BYTES):
        cut = block.rfind(b"\n") + 1
        if cut:
            yield b"".join([*pieces, block[:cut]])
            pieces, n_bytes = [], 0
        pieces.append(block[cut:])
        n_bytes += len(block) - cut
        if n_bytes > MAX_LINE_BYTES:
            raise TransportError(
                f"a line of more than {MAX_LINE_BYTES >> 20} MiB",
                where=where,
                fix="write one JSON event a line",
            )
    if n_bytes:
        yield b"".join([*pieces, b"\n"])


def _cut(text: bytes) -> _Block:
    """Split a piece into lines. ``bytes.replace`` joins them six times as fast as a NumPy mask."""
    if b"\r" in text:  # one byte uses memchr; searching for both cost ten times the rest
        text = text.replace(b"\r\n", b"\n")
    ends = np.flatnonzero(np.frombuffer(text, np.uint8) == _NEWLINE)
    n_lines = len(ends)
    lines = np.arange(n_lines)
    lengths = np.diff(ends, prepend=-1) - 1
    short = np.flatnonzero(lengths <= _BLANK_BYTES)
    if len(short):
        blank = [i for i in short if not text[ends[i] - lengths[i] : ends[i]].strip()]
        lines = np.delete(lines, blank)
        text = b"\n".join([text[ends[i] - lengths[i] : ends[i]] for i in lines])
        lengths = lengths[lines]
    offsets = np.concatenate((np.zeros(1, np.int64), np.cumsum(lengths)))
    return _Block(np.frombuffer(text.replace(b"\n", b""), np.uint8), offsets, lines, n_lines)


def _chunk(block: _Block, start: int, stop: int, source: str, first_line: int) -> Chunk:
    """Return a range of the lines as a chunk; a view, no copy."""
    offsets = block.offsets[start : stop + 1]
    lines = block.lines[start:stop]
    return Chunk(
        source=source,
        partition=0,
        buffer=block.data[offsets[0] : offsets[-1]],
        offsets=offsets - offsets[0],
        log_offset=first_line + lines,
        record_time_us=np.full(len(lines), -1, np.int64),
    )
