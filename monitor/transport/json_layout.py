"""Converts JSON text of any layout to one event per line.

Files hold one event per line, one array over many lines, or objects printed over several lines
each. The last two are split here, so that later steps read lines.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from schemas.errors import TransportError

BLOCK_BYTES = 4 << 20
MAX_EVENT_TEXT_BYTES = 256 << 20
"""Most text that is buffered until an event ends; far above what the decoder accepts."""
_BOM = b"\xef\xbb\xbf"
_ESCAPE = re.compile(rb"\\.", re.DOTALL)
_SEPARATORS = b" \t\r\n,[]"
_QUOTE, _OPEN, _CLOSE = 34, (123, 91), (125, 93)

_BY_COLUMNS = re.compile(rb'\s*\{\s*"(?:[^"\\]|\\.)*"\s*:\s*\{\s*"(?:[^"\\]|\\.)*"\s*:\s*[^\s{\[]')
_BY_PARTS = re.compile(rb'\s*\{\s*"(?:columns|index|schema|data)"\s*:\s*[\[{]')
"""Beginning of a table that is one object: ``{"amount":{"0":`` or ``{"columns":[``."""

Read = Callable[[int], bytes]


def as_lines(read: Read, where: str) -> Read:
    """Return a reader of the same events, one per line.

    Parameters
    ----------
    read : callable
        ``read(n)`` returns up to n bytes, none at the end.
    where : str
        The file, for messages.

    Returns
    -------
    callable
        Like ``read``, but blocks may have any length. A byte order mark is removed, and line ends
        of a lone CR become LF. Text with one event per line is otherwise unchanged.

    Raises
    ------
    TransportError
        If the text is one table written by columns; while reading, if an event is longer than
        ``MAX_EVENT_TEXT_BYTES``.

    Examples
    --------
    >>> import io
    >>> text = io.BytesIO(b'[\\n {"a": 1},\\n {"a":\\n  2}\\n]')
    >>> as_lines(text.read, "f")(100)
    b'{"a": 1}\\n{"a":   2}\\n'
    """
    first = read(BLOCK_BYTES).removeprefix(_BOM)
    _refuse_by_columns(first, where)
    blocks = _blocks(first, read)
    if _is_laid_out(first):
        return _reader(_Splitter(where, is_array=first.lstrip()[:1] == b"[").lines(blocks))
    if b"\r" in first and b"\n" not in first:
        return _reader(block.replace(b"\r", b"\n") for block in blocks)
    return _reader(blocks)


def _refuse_by_columns(text: bytes, where: str) -> None:
    """Raise for a table in one object, as pandas' ``to_json`` writes it by default.

    Raises
    ------
    TransportError
    """
    if _BY_COLUMNS.match(text) is None and _BY_PARTS.match(text) is None:
        return
    if len(text) < BLOCK_BYTES:
        try:
            table = json.loads(text)
        except (ValueError, RecursionError):
            return
        if "model" in table or not _is_table(table):
            return
    elif b"\n" in text:
        return
    raise TransportError(
        "is one table written by columns, as pandas' to_json does, and not one event a row",
        where=where,
        fix="write it as Parquet or CSV, e.g. with to_parquet or to_csv",
    )


def _is_table(fields: dict[str, Any]) -> bool:
    """Return whether an object holds columns or rows of the same members, or rows in parts."""
    if isinstance(fields.get("data"), list):
        return bool({"columns", "schema"} & fields.keys())
    members = [tuple(value) if isinstance(value, dict) else () for value in fields.values()]
    is_same = len(set(members)) == 1 and bool(members[0])
    return is_same and (len(members) > 1 or all(map(str.isdigit, members[0])))


def _blocks(first: bytes, read: Read) -> Iterator[bytes]:
    """Yield the blocks already read, then the remaining ones."""
    while first:
        yield first
        first = read(BLOCK_BYTES)


def _reader(blocks: Iterator[bytes]) -> Read:
    """Return a function that reads the next block; empty blocks do not end it."""
    return lambda n_bytes: next((block for block in blocks if block), b"")


def _is_laid_out(text: bytes) -> bool:
    """Return whether the first value is valid and spans several lines.

    A truncated line is left to the decoder, which rejects that line only.
    """
    body = text.lstrip()
    if body[:1] not in (b"{", b"["):
        return False
    splitter = _Splitter("", is_array=body[:1] == b"[")
    line = body.split(b"\n", 1)[0]
    if splitter.ends_at_top(line) and (b"\n" in body or len(text) < BLOCK_BYTES):
        return False
    event = next(_Splitter("", is_array=body[:1] == b"[").found(body), None)
    if event is None:
        return False
    try:
        json.loads(event)
    except (ValueError, RecursionError):
        return False
    return True


class _Splitter:
    """Finds the events of JSON text by its brackets, block by block.

    Parameters
    ----------
    where : str
        The file, for messages.
    is_array : bool
        Whether the events are the elements of arrays; else they are the outermost objects.
    """

    def __init__(self, where: str, *, is_array: bool) -> None:
        self._where = where
        self._base = int(is_array)
        self._depth = 0
        self._is_in_string = False
        self._held = b""
        """Text not yet emitted, up to the position to which brackets were counted."""
        self._rest = b""
        """A lone backslash at the end of a block: it belongs to the next byte."""

    def lines(self, blocks: Iterator[bytes]) -> Iterator[bytes]:
        """Yield the events of all blocks as lines, including an incomplete one at the end."""
        for block in blocks:
            yield b"".join(_line(event) for event in self.found(block))
            if len(self._held) > MAX_EVENT_TEXT_BYTES:
                raise TransportError(
                    f"an event does not end within {MAX_EVENT_TEXT_BYTES >> 20} MiB",
                    where=self._where,
                    fix="check that every bracket is closed, or write one event a line",
                )
        left = (self._held + self._rest).strip(_SEPARATORS)
        if left or self._depth:
            # The decoder rejects it, so that a truncated file is counted as such.
            yield _line(b"[" + left if self._base else left)

    def ends_at_top(self, text: bytes) -> bool:
        """Return whether all brackets of a text are closed."""
        self._brackets(text)
        return self._depth == 0 and not self._is_in_string

    def found(self, block: bytes) -> Iterator[bytes]:
        """Yield the events that end in a block, and any text between them."""
        block = self._rest + block
        n_slashes = len(block) - len(block.rstrip(b"\\"))
        self._rest = b"\\" if n_slashes % 2 else b""
        block = block[: len(block) - len(self._rest)]
        n_held = len(self._held)
        before = self._depth
        places, depths = self._brackets(block)
        text = self._held + block
        earlier = np.concatenate(([before], depths))[:-1]
        starts = places[(earlier == self._base) & (depths == self._base + 1)] + n_held
        ends = places[(earlier == self._base + 1) & (depths == self._base)] + n_held + 1
        if before > self._base:
            starts = np.concatenate(([0], starts))  # the buffered text begins with an event
        done = 0
        for start, end in zip(starts.tolist(), ends.tolist(), strict=False):
            between = text[done:start].strip(_SEPARATORS)
            if between:
                yield between
            yield text[start:end]
            done = end
        self._held = text[done:]
        if self._depth <= self._base:
            left = self._held.strip(_SEPARATORS)
            self._held = left
        elif len(starts) > len(ends):
            start = int(starts[len(ends)])
            between = text[done:start].strip(_SEPARATORS)
            if between:
                yield between
            self._held = text[start:]

    def _brackets(self, text: bytes) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the positions of brackets outside strings, and the depth after each."""
        plain = _ESCAPE.sub(b"__", text) if b"\\" in text else text
        codes = np.frombuffer(plain, np.uint8)
        is_open = (codes == _OPEN[0]) | (codes == _OPEN[1])
        is_close = (codes == _CLOSE[0]) | (codes == _CLOSE[1])
        quotes = np.flatnonzero(codes == _QUOTE)
        places = np.flatnonzero(is_open | is_close)
        n_quotes = np.searchsorted(quotes, places) + self._is_in_string
        places = places[n_quotes % 2 == 0]
        depths = self._depth + np.cumsum(np.where(is_open[places], 1, -1))
        self._is_in_string = bool((len(quotes) + self._is_in_string) % 2)
        self._depth = int(depths[-1]) if len(depths) else self._depth
        return places, depths


def _line(event: bytes) -> bytes:
    """Return an event on one line; its line ends become spaces."""
    return event.replace(b"\r", b" ").replace(b"\n", b" ") + b"\n"
