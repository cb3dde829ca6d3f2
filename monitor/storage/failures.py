"""Converts errors of ClickHouse: short, and without secrets."""

from __future__ import annotations

import errno
import re

from schemas.errors import QueryError, RowsRefusedError, StorageError, StoreFullError

MAX_DETAIL_CHARACTERS = 300

_PREFIX = re.compile(r"^(?:.*?Code: \d+\. DB::Exception: )+", re.DOTALL)
_SUFFIX = re.compile(r"\s*\(version [^)]*\)")
_URL = re.compile(r"\s*\(for url [^)]*\)")
_STATUS = re.compile(r"HTTP status (\d{3})")
_CODE = re.compile(r"Code: (\d+)")
_FULL_NAMES = ("NOT_ENOUGH_SPACE", "No space left on device", "errno: 28", "errno: 122")
_FULL_CODES = {243}
"""NOT_ENOUGH_SPACE; a write to a full disk is reported as an errno inside another code."""
_REFUSED_CODES = {
    6, 20, 26, 27, 38, 41, 53, 69, 70, 72, 117, 131, 307, 321, 349, 407, 469,
}  # fmt: skip
"""Codes of permanent errors of the rows.

They cannot be parsed or converted, are out of range, null in a non-nullable column, too long, or
violate a constraint.

Every other code may be temporary (memory, too many parts, a missing or read-only table, a
time-out), and callers that can wait retry.
"""
_NETWORK = (
    "HTTPConnectionPool",
    "Connection refused",
    "Max retries",
    "timed out",
    "Name or service",
)


def shorten(message: str) -> str:
    """Return ClickHouse's message without code and version, at most 300 characters.

    Examples
    --------
    >>> shorten("Code: 47. DB::Exception: Unknown x. (UNKNOWN_IDENTIFIER) (version 26.9.2.1)")
    'Unknown x. (UNKNOWN_IDENTIFIER)'
    """
    text = " ".join(_URL.sub("", _SUFFIX.sub("", _PREFIX.sub("", message))).split())
    if len(text) <= MAX_DETAIL_CHARACTERS:
        return text
    return text[: MAX_DETAIL_CHARACTERS - 4].rstrip() + " ..."


def is_disk_full(error: BaseException) -> bool:
    """Return whether an error means that no disk space or quota is left."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return True
    text = str(error)
    codes = {int(code) for code in _CODE.findall(text)}
    return bool(codes & _FULL_CODES) or any(name in text for name in _FULL_NAMES)


def translate(error: BaseException, where: str, *, is_insert: bool = False) -> StorageError:
    """Return the corresponding error of ``schemas.errors``.

    Parameters
    ----------
    error : BaseException
        Error of clickhouse_connect, chDB or the file system.
    where : str
        The store: a folder, or host and port. Never a URL, which may hold a password.
    is_insert : bool, optional
        Whether rows were being written.

    Returns
    -------
    StorageError
        ``StoreFullError``, ``RowsRefusedError``, ``QueryError`` or ``StorageError``.
        ``RowsRefusedError`` is permanent; the others may be retried.

    Examples
    --------
    >>> translate(OSError(28, "No space left on device"), "store")
    StoreFullError('no space left on the disk')
    """
    text = str(error)
    if is_disk_full(error):
        return StoreFullError(
            "no space left on the disk", where=where, fix="free some space and run it again"
        )
    if any(sign in text for sign in _NETWORK):
        return StorageError(
            "the store does not answer",
            where=where,
            fix="check that it is running and the port is right",
        )
    if "Error initializing EmbeddedServer" in text:
        return StorageError(
            "the engine cannot read what is in the folder",
            where=where,
            fix="move it away, or name another folder",
        )
    if "AUTHENTICATION_FAILED" in text:
        return StorageError(
            "the store rejected the user or the password",
            where=where,
            fix="set DRIFTLINE_STORE_USER and DRIFTLINE_STORE_PASSWORD",
        )
    if (status := _STATUS.search(text)) and not _CODE.search(text):
        # From a proxy: its HTML page has no information about the store.
        return StorageError(
            f"HTTP {status[1]} instead of an answer",
            where=where,
            fix="check the store's address and the proxy in front of it",
        )
    if code := _CODE.search(text):
        is_refused = is_insert and int(code[1]) in _REFUSED_CODES
        kind = RowsRefusedError if is_refused else QueryError
        return kind(shorten(text), where=where)
    return StorageError(shorten(text) or type(error).__name__, where=where)
