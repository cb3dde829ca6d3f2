"""Errors in ClickHouse's form: code, message, name, HTTP status."""

from __future__ import annotations

import re
from pathlib import Path

from monitor.storage.failures import is_disk_full

NAMES = {
    27: "CANNOT_PARSE_INPUT_ASSERTION_FAILED",
    36: "BAD_ARGUMENTS",
    48: "NOT_IMPLEMENTED",
    62: "SYNTAX_ERROR",
    89: "UNKNOWN_COMPRESSION_METHOD",
    159: "TIMEOUT_EXCEEDED",
    164: "READONLY",
    202: "TOO_MANY_SIMULTANEOUS_QUERIES",
    209: "SOCKET_TIMEOUT",
    210: "NETWORK_ERROR",
    243: "NOT_ENOUGH_SPACE",
    271: "CANNOT_DECOMPRESS",
    307: "TOO_MANY_BYTES",
    394: "QUERY_WAS_CANCELLED",
    452: "SETTING_CONSTRAINT_VIOLATION",
    497: "ACCESS_DENIED",
    516: "AUTHENTICATION_FAILED",
    1002: "UNKNOWN_EXCEPTION",
}
_STATUS = {
    27: 400, 36: 400, 48: 501, 53: 400, 62: 400, 89: 400, 271: 400, 457: 400,
    46: 404, 404: 404, 47: 404, 60: 404, 73: 404, 81: 404, 115: 404,
    159: 408, 202: 429, 209: 408, 307: 413, 497: 403, 516: 401,
}  # fmt: skip
"""HTTP status by code, as in ClickHouse; every other code is 500."""

_CODES = re.compile(r"^(?:Code: (\d+)\. DB::Exception: )+")
_VERSION = re.compile(r"\s*\(version [^)]*\)\.?")
_REPEATED_NAME = re.compile(r"(\(([A-Z_]+)\))\.?(?:\s*\(\2\))+$")
_SPELLING = re.compile(r"\s*: In scope SELECT formatQuerySingleLine\(.*\)\.?(?= \()", re.DOTALL)
_NO_SUCH_TABLE = re.compile(r"necessary to have the grant READ ON FILE\b")
"""Error of a missing table: the default database looks for a file, which the role denies."""
_STACK = re.compile(r"\n?Stack trace:.*", re.DOTALL)
_BODY = re.compile(r"file/uri /<store>/spool/[\w.]+")
_OTHER_PATH = re.compile(r"(?<![\w/:<>])/(?:[\w.+@<>-]+/)+[\w.+@-]*")
_MARKER = re.compile(r"\s*/\* driftline [0-9a-f]{32} \*/")


class RefusedRequest(Exception):
    """A request that is answered with an error.

    Parameters
    ----------
    code : int
        ClickHouse's error code.
    text : str
        Message without code and name.
    name : str, optional
        ClickHouse's name of the code; by default looked up.

    Examples
    --------
    >>> print(RefusedRequest(164, "Only queries that read."))
    Code: 164. DB::Exception: Only queries that read. (READONLY)
    """

    def __init__(self, code: int, text: str, name: str = "") -> None:
        self.code = code
        self.text = text
        self.name = name or NAMES.get(code, "UNKNOWN_EXCEPTION")
        super().__init__(f"Code: {code}. DB::Exception: {text} ({self.name})")

    @property
    def status(self) -> int:
        """HTTP status of this code in ClickHouse."""
        return _STATUS.get(self.code, 500)


def refusal_of(error: BaseException, store: Path | None = None) -> RefusedRequest:
    """Convert an error of the engine or the file system.

    Parameters
    ----------
    error : BaseException
        Error of chDB or the operating system.
    store : Path, optional
        Folder of the store, which is removed from the message.

    Returns
    -------
    RefusedRequest
        Without repeated prefixes of the engine and without a stack trace.

    Examples
    --------
    >>> twice = "Code: 115. DB::Exception: Code: 115. DB::Exception: Unknown. (X) (version 2). (X)"
    >>> print(refusal_of(RuntimeError(twice)))
    Code: 115. DB::Exception: Unknown. (X)
    """
    if isinstance(error, RefusedRequest):
        return error
    text = _without_paths(_SPELLING.sub(".", _MARKER.sub("", str(error))), store)
    if is_disk_full(error) and not _CODES.match(text):
        return RefusedRequest(243, "No space left on device.")
    found = _CODES.match(text)
    if found is None:
        return RefusedRequest(1002, text or type(error).__name__)
    text = _REPEATED_NAME.sub(r"\1", _VERSION.sub("", text[found.end() :]).strip())
    if _NO_SUCH_TABLE.search(text):
        return RefusedRequest(60, "There is no table of this name.", "UNKNOWN_TABLE")
    body, _, name = text.rpartition(" (")
    if not body or not name.endswith(")"):
        return RefusedRequest(int(found[1]), text)
    return RefusedRequest(int(found[1]), body, name.rstrip(")"))


def _without_paths(text: str, store: Path | None) -> str:
    """Replace paths of this machine, and remove a stack trace."""
    if store is not None:
        text = text.replace(str(store), "/<store>")
    text = _BODY.sub("the body", _STACK.sub("", text))
    return _OTHER_PATH.sub("<path>", text)
