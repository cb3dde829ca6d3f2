"""Splits an INSERT into head and data."""

from __future__ import annotations

import re
from dataclasses import dataclass

from monitor.storage.serve.refusal import RefusedRequest

# The first of these outside quotes and comments determines the kind of INSERT.
_INSERT = re.compile(rb"\s*(?:(?:--[^\n]*\n|/\*.*?\*/)\s*)*INSERT\b", re.IGNORECASE | re.DOTALL)
_TOKEN = re.compile(
    rb"'(?:\\.|''|[^'\\])*'|\"(?:\\.|\"\"|[^\"\\])*\"|`(?:\\.|``|[^`\\])*`|--[^\n]*|/\*.*?\*/"
    rb"|(?P<open>\()|(?P<close>\))|\b(?P<settings>SETTINGS)\b|\bFORMAT\s+(?P<format>\w+)|\b(?P<values>VALUES)\b"
    rb"|\b(?P<select>SELECT|WITH|INFILE)\b",
    re.IGNORECASE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Insert:
    """An INSERT with inline data: its parts, and the offset of the data."""

    table: str
    """``INSERT INTO t (columns)``."""
    settings: str
    """``SETTINGS ...`` or empty."""
    format: str
    data_at: int
    """Offset of the first byte of data in the parsed text."""

    @property
    def head(self) -> str:
        """The statement without its data."""
        return f"{self.table} {self.settings} FORMAT {self.format}"

    def from_file(self, path: str) -> str:
        """Return the statement that reads its data from a file.

        Examples
        --------
        >>> split_insert(b"INSERT INTO t (a) VALUES (1)").from_file("/x")
        "INSERT INTO t (a) FROM INFILE '/x'  FORMAT Values"
        """
        quoted = path.replace("\\", "\\\\").replace("'", "\\'")
        return f"{self.table} FROM INFILE '{quoted}' {self.settings} FORMAT {self.format}"


def split_insert(text: bytes) -> Insert | None:
    """Find the end of an INSERT's head, as ClickHouse's parser does.

    Parameters
    ----------
    text : bytes
        The beginning of a statement; data may follow, in any encoding.

    Returns
    -------
    Insert or None
        None if it is not an INSERT, or an INSERT from a SELECT.

    Raises
    ------
    RefusedRequest
        If the head is not UTF-8.

    Examples
    --------
    >>> found = split_insert(b"INSERT INTO `FORMAT x` SETTINGS a = 1 FORMAT CSV\\n1,2")
    >>> found.table, found.settings, found.format, found.data_at
    ('INSERT INTO `FORMAT x`', 'SETTINGS a = 1', 'CSV', 49)
    >>> split_insert(b"INSERT INTO t SELECT 1") is None
    True
    """
    if not _INSERT.match(text):
        return None
    settings_at = None
    depth = 0
    for token in _TOKEN.finditer(text):
        depth += bool(token["open"]) - bool(token["close"])
        if depth:  # a column may be called "values"
            continue
        if token["select"]:
            return None
        if token["settings"] and settings_at is None:
            settings_at = token.start()
        if token["format"] or token["values"]:
            return _insert(text, token, settings_at)
    return None


def _insert(text: bytes, token: re.Match[bytes], settings_at: int | None) -> Insert:
    """Split an INSERT at the token that ends its head."""
    try:
        head = text[: token.start()].decode()
        table = text[: settings_at or token.start()].decode()
    except UnicodeDecodeError:
        raise RefusedRequest(36, "The statement is not UTF-8.") from None
    data_at = token.end()
    if token["format"]:
        # As in ClickHouse, blanks up to the end of the line belong to the head.
        while data_at < len(text) and text[data_at : data_at + 1] in (b" ", b"\t", b"\r", b"\f"):
            data_at += 1
        data_at += text[data_at : data_at + 1] in (b"\n", b";")
    format_ = token["format"].decode() if token["format"] else "Values"
    return Insert(table.strip(), head[len(table) :].strip(), format_, data_at)
