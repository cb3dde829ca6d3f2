"""Frames Native blocks for clients of ClickHouse's newer protocol.

chDB writes Native in revision 0. A client that sends ``client_protocol_version`` >= 54454
(clickhouse-go, which Grafana's plugin uses) requires block information before each block, and a
byte for "no custom serialisation" before each column's data. A column's data have no length prefix,
so they are traversed by type and copied unchanged.
"""

from __future__ import annotations

import io
import re
import struct

from monitor.storage.serve.answers import Body
from monitor.storage.serve.refusal import RefusedRequest

BLOCK_INFO = b"\x01\x00\x02" + struct.pack("<i", -1) + b"\x00"
"""Field 1, overflow rows: no. Field 2, bucket: -1. End."""

MAX_FRAMED_BYTES = 64 << 20
"""Maximum size, because answers are framed in memory: for dashboards, not for exports."""

_WIDTHS = {
    "Bool": 1, "Int8": 1, "UInt8": 1, "Enum8": 1, "Nothing": 1,
    "Int16": 2, "UInt16": 2, "Enum16": 2, "Date": 2, "BFloat16": 2,
    "Int32": 4, "UInt32": 4, "Float32": 4, "Date32": 4, "DateTime": 4, "IPv4": 4, "Time": 4,
    "Int64": 8, "UInt64": 8, "Float64": 8, "DateTime64": 8, "Time64": 8,
    "Int128": 16, "UInt128": 16, "UUID": 16, "IPv6": 16, "Int256": 32, "UInt256": 32,
}  # fmt: skip
_NESTED = re.compile(r"(\w+)(?:\((.*)\))?$", re.DOTALL)
_NAMED = re.compile(r"(?:`(?:\\.|[^`\\])*`|\w+) (?=[A-Z])")
_DECIMAL_WIDTHS = ((9, 4), (18, 8), (38, 16), (76, 32))
_KEY_WIDTHS = (1, 2, 4, 8)


def framed(body: Body) -> Body:
    """Return the framed answer, and close the original one.

    Raises
    ------
    RefusedRequest
        396 if it is too long to be framed, 48 as :func:`with_revision`.
    """
    try:
        if body.n_bytes > MAX_FRAMED_BYTES:
            raise RefusedRequest(
                396,
                f"Native for this client is limited to {MAX_FRAMED_BYTES} bytes; "
                "use another FORMAT.",
                "TOO_MANY_ROWS_OR_BYTES",
            )
        data = with_revision(body.read())
        return Body(io.BytesIO(data), len(data), lambda: None)
    finally:
        body.close()


def with_revision(data: bytes) -> bytes:
    """Convert Native blocks of revision 0 to revision 54454 and later.

    Parameters
    ----------
    data : bytes
        Complete blocks.

    Returns
    -------
    bytes

    Raises
    ------
    RefusedRequest
        For a type whose data cannot be traversed (AggregateFunction, Dynamic, JSON).

    Notes
    -----
    Columns of numbers take constant time, strings about .1 us each: for a dashboard's answers, not
    for exports.

    Examples
    --------
    >>> one = b"\\x01\\x01" + b"\\x01a" + b"\\x05UInt8" + b"\\x07"
    >>> with_revision(one)[8:]
    b'\\x01\\x01\\x01a\\x05UInt8\\x00\\x07'
    """
    out: list[bytes] = []
    at = 0
    while at < len(data):
        start = at
        n_columns, at = _number(data, at)
        n_rows, at = _number(data, at)
        out += (BLOCK_INFO, data[start:at])
        for _ in range(n_columns):
            start = at
            _, at = _text(data, at)
            kind, at = _text(data, at)
            end = _end(data, _prefix_end(kind, at), kind, n_rows) if n_rows else at
            out += (data[start:at], b"\0", data[at:end])
            at = end
    return b"".join(out)


def _end(data: bytes, at: int, kind: str, n: int) -> int:
    """Return the end of n values of a type that begin at ``at``."""
    name, inner = _parts(kind)
    if name in _WIDTHS:
        return at + n * _WIDTHS[name]
    if name == "String":
        for _ in range(n):
            length, at = _number(data, at)
            at += length
        return at
    if name == "Nullable":
        return _end(data, at + n, inner[0], n)
    if name in ("Array", "Map"):
        n_inner = struct.unpack_from("<Q", data, at + 8 * (n - 1))[0] if n else 0
        for kind_ in inner:
            at = _end(data, at + 8 * n if kind_ is inner[0] else at, kind_, n_inner)
        return at
    if name == "Tuple":
        for kind_ in inner:
            at = _end(data, at, kind_, n)
        return at
    if name == "LowCardinality":
        return _low_cardinality_end(data, at, inner[0], n)
    return at + n * _width(name, inner, kind)


def _low_cardinality_end(data: bytes, at: int, kind: str, n: int) -> int:
    """Skip the dictionary, then the keys."""
    if n == 0:
        return at
    flags, n_keys = struct.unpack_from("<QQ", data, at)
    at = _end(data, at + 16, kind.removeprefix("Nullable(").removesuffix(")"), n_keys)
    return at + 8 + n * _KEY_WIDTHS[flags & 0xFF]


def _prefix_end(kind: str, at: int) -> int:
    """Skip the versions that LowCardinality columns write before all data."""
    return at + 8 * len(re.findall(r"\bLowCardinality\(", kind))


def _width(name: str, inner: list[str], kind: str) -> int:
    """Return the width of a type with parameters."""
    if name == "FixedString":
        return int(inner[0])
    if name == "Decimal":
        precision = int(inner[0])
        return next(width for most, width in _DECIMAL_WIDTHS if precision <= most)
    raise RefusedRequest(48, f"Native for this client cannot hold {kind[:80]}; use FORMAT JSON.")


def _parts(kind: str) -> tuple[str, list[str]]:
    """Split a type into its name and its parameters."""
    found = _NESTED.match(kind)
    if found is None:
        raise RefusedRequest(
            48, f"Native for this client cannot hold {kind[:80]}; use FORMAT JSON."
        )
    name, inner = found[1], found[2] or ""
    if name in ("Enum8", "Enum16", "DateTime", "DateTime64", "Time64"):
        return name, []
    parts = _split(inner)
    if name == "SimpleAggregateFunction":
        return _parts(parts[1])
    if name == "Point":
        return "Tuple", ["Float64", "Float64"]
    if name == "Tuple":
        parts = [_NAMED.sub("", part, count=1) if _NAMED.match(part) else part for part in parts]
    return name, parts


def _split(inner: str) -> list[str]:
    """Split at commas outside brackets and quotes."""
    parts, depth, start = [], 0, 0
    for token in re.finditer(r"`(?:\\.|[^`\\])*`|'(?:\\.|[^'\\])*'|[(),]", inner):
        if token[0] == "(":
            depth += 1
        elif token[0] == ")":
            depth -= 1
        elif token[0] == "," and not depth:
            parts.append(inner[start : token.start()].strip())
            start = token.end()
    rest = inner[start:].strip()
    return [*parts, rest] if rest else parts


def _number(data: bytes, at: int) -> tuple[int, int]:
    """Read a variable-length number; return it and its end."""
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def _text(data: bytes, at: int) -> tuple[str, int]:
    """Read a length-prefixed string; return it and its end."""
    length, at = _number(data, at)
    return data[at : at + length].decode(), at + length
