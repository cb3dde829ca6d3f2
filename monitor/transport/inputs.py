"""Inputs of commands: a file, a folder of parts, or standard input."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from monitor.transport.folders import Part, look_at_parts, open_folder_table, parts_of
from monitor.transport.formats import Format
from monitor.transport.json_layout import as_lines
from monitor.transport.lines import read_lines
from monitor.transport.opening import STANDARD_INPUT as STANDARD_INPUT
from monitor.transport.opening import Opened, closing_on_error, open_input
from monitor.transport.tables import TableSource, open_table, reading
from schemas.batch import Chunk

Progress = Callable[[float | None, int], None]
"""Called with the share of the input that has been read (None if unknown), and its rows."""


class Input(Protocol):
    """A source of rows that can be read once."""

    where: str
    """Name for messages."""
    source: str
    """Name with a digest of the content; random for an input that can be read only once."""
    is_table: bool
    """Whether it is a table; otherwise it is lines of JSON."""
    is_stream: bool
    """Whether it may be unbounded, such as a pipe."""

    def table(self, batch_rows: int) -> TableSource:
        """Open the input as a table, in pieces of about ``batch_rows`` rows."""
        ...

    def lines(self, chunk_rows: int, report: Progress) -> Iterator[Chunk]:
        """Read the input as JSON lines, at most ``chunk_rows`` lines per chunk."""
        ...

    def close(self) -> None:
        """Close the input."""
        ...


def open_any(path: str | Path) -> Input:
    """Open a file, a folder of parts, or standard input (``-``).

    Raises
    ------
    TransportError
        If it is missing, cannot be opened, or has a format that is not read.
    """
    folder = Path(path)
    if str(path) != STANDARD_INPUT and folder.is_dir():
        return _Folder(folder)
    return _File(open_input(path))


class _File:
    """One file, or standard input."""

    def __init__(self, opened: Opened) -> None:
        self._opened = opened
        self.where, self.source = opened.where, opened.source
        self.is_table = opened.format_ is not Format.JSONL
        self.is_stream = opened.is_stream

    def table(self, batch_rows: int) -> TableSource:
        """Open the file's table."""
        return open_table(self._opened.file, self._opened.format_, batch_rows, self.where)

    def lines(self, chunk_rows: int, report: Progress) -> Iterator[Chunk]:
        """Read the file's lines; it is closed at their end."""
        return _lines(self._opened, chunk_rows, report)

    def close(self) -> None:
        """Close the file."""
        self._opened.file.close()


class _Folder:
    """A folder of parts, read one after the other."""

    is_stream = False

    def __init__(self, folder: Path) -> None:
        self._parts = parts_of(folder)
        looked, self.source = look_at_parts(folder, self._parts)
        self.where = str(folder)
        self.is_table = looked[0].format_ is not Format.JSONL

    def table(self, batch_rows: int) -> TableSource:
        """Concatenate the tables of all parts."""
        return open_folder_table(self._parts, batch_rows, self.where)

    def lines(self, chunk_rows: int, report: Progress) -> Iterator[Chunk]:
        """Read the lines of all parts, with consecutive offsets."""
        first = n_rows = 0
        for part in self._parts:
            end = first
            for chunk in self._part_lines(part, chunk_rows):
                offsets = chunk.log_offset + first
                end = int(offsets[-1]) + 1
                n_rows += len(chunk)
                report(None, n_rows)
                yield replace(chunk, source=self.source, log_offset=offsets)
            first = end

    def _part_lines(self, part: Part, chunk_rows: int) -> Iterator[Chunk]:
        """Read the lines of one part."""
        opened = open_input(part.path)
        with closing_on_error(opened.file):
            yield from _lines(opened, chunk_rows, lambda share, n_rows: None)

    def close(self) -> None:
        """Do nothing: each part is closed after it has been read."""


def _lines(opened: Opened, chunk_rows: int, report: Progress) -> Iterator[Chunk]:
    """Read lines of JSON and count them."""
    n_rows = n_read = 0

    def read(n_bytes: int) -> bytes:
        nonlocal n_read
        with reading(opened.where, Format.JSONL):
            block: bytes = opened.file.read(n_bytes)
        n_read += len(block)
        return block

    with opened.file:
        lines = as_lines(read, opened.where)
        for chunk in read_lines(lines, opened.source, chunk_rows, opened.where):
            n_rows += len(chunk)
            total = opened.n_bytes
            report(min(n_read / total, 1.0) if total else None, n_rows)
            yield chunk
