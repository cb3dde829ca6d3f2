"""File formats, detected by first bytes, then by name. Pure."""

from __future__ import annotations

from enum import StrEnum
from pathlib import PurePath

from schemas.errors import TransportError

HEAD_BYTES = 512
"""Number of leading bytes that suffice to detect every known format."""


class Format(StrEnum):
    """Format that a file is read as."""

    JSONL = "JSONL"
    CSV = "CSV"
    PARQUET = "Parquet"
    ARROW_FILE = "an Arrow file"
    ARROW_STREAM = "an Arrow stream"
    ORC = "ORC"


_MAGICS = (
    (b"PAR1", Format.PARQUET),
    (b"ARROW1", Format.ARROW_FILE),
    (b"\xff\xff\xff\xff", Format.ARROW_STREAM),
    (b"ORC", Format.ORC),
)
_SUFFIXES = {
    ".parquet": Format.PARQUET,
    ".pq": Format.PARQUET,
    ".csv": Format.CSV,
    ".tsv": Format.CSV,
    ".tab": Format.CSV,
    ".psv": Format.CSV,
    ".arrow": Format.ARROW_FILE,
    ".feather": Format.ARROW_FILE,
    ".ipc": Format.ARROW_FILE,
    ".arrows": Format.ARROW_STREAM,
    ".orc": Format.ORC,
}
_JSON_SUFFIXES = (".json", ".jsonl", ".ndjson")
_COMPRESSED_SUFFIXES = (".gz", ".zst", ".zstd", ".bz2", ".lz4", ".xz", ".zip")
_TEXT_SUFFIXES = (".txt", ".dat", ".data", ".asc")
"""Suffixes of either JSON or columns; the first character decides."""
_COMPRESSIONS = (
    (b"\x1f\x8b", "gzip"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"BZh", "bz2"),
    (b"\x04\x22\x4d\x18", "lz4"),
    (b"\xfd7zXZ\x00", "xz"),
)
ZIP = b"PK\x03\x04"
EMPTY_ZIP = b"PK\x05\x06"
_TO_PARQUET = "write it as Parquet, e.g. with pandas: read_{}(FILE).to_parquet(...)"
_AS_UTF8 = "save it as UTF-8, e.g. iconv -f {} -t UTF-8 FILE > NEW"
_UNREAD = (
    (b"\xff\x06\x00\x00sNaPpY", "framed Snappy", "decompress it, or compress with gzip or zstd"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", "unpack it"),
    (b"Rar!", "a RAR archive", "unpack it"),
    (b"FEA1", "Feather version 1", _TO_PARQUET.format("feather")),
    (b"Obj\x01", "Avro", "write it as Parquet, or as JSON, one event a line"),
    (b"PARE", "encrypted Parquet", "write it without encryption"),
    (b"\x89HDF", "HDF5", _TO_PARQUET.format("hdf")),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook (xls)", _TO_PARQUET.format("excel")),
    (b"SQLite format 3", "an SQLite database", _TO_PARQUET.format("sql")),
    (b"\x93NUMPY", "a NumPy array", "write it as Parquet with named columns"),
    (b"\x80\x04\x95", "a Python pickle", _TO_PARQUET.format("pickle")),
    (b"\x80\x05\x95", "a Python pickle", _TO_PARQUET.format("pickle")),
    (b"SEQ\x06", "a Hadoop sequence file", "write it as Parquet"),
    (b"%PDF", "a PDF document", "name a file of rows"),
    (b"<!DOCTYPE", "an HTML page", "name the file itself, not a page about it"),
    (b"<html", "an HTML page", "name the file itself, not a page about it"),
    (b"<?xml", "XML", _TO_PARQUET.format("xml")),
    (b"version https://git-lfs", "a Git LFS pointer", "fetch the file: git lfs pull"),
    (b"\xff\xfe\x00\x00", "UTF-32 text", _AS_UTF8.format("UTF-32")),
    (b"\x00\x00\xfe\xff", "UTF-32 text", _AS_UTF8.format("UTF-32")),
    (b"\xff\xfe", "UTF-16 text", _AS_UTF8.format("UTF-16")),
    (b"\xfe\xff", "UTF-16 text", _AS_UTF8.format("UTF-16")),
)
_BOM = b"\xef\xbb\xbf"


def compression_of(head: bytes) -> str | None:
    """Return the compression of a file by its first bytes, or None.

    Examples
    --------
    >>> compression_of(b"BZh91AY"), compression_of(b"PAR1")
    ('bz2', None)
    """
    return next((name for magic, name in _COMPRESSIONS if head.startswith(magic)), None)


def is_data_file(head: bytes, name: PurePath) -> bool:
    """Return whether a file in a folder is a data file, by its first bytes or its name.

    Examples
    --------
    >>> is_data_file(b"a,b", PurePath("part-0.csv.gz")), is_data_file(b"a: 1", PurePath("m.yaml"))
    (True, False)
    """
    if any(head.startswith(magic) for magic, _ in _MAGICS):
        return True
    suffix = _inner_suffix(name)
    return suffix in _SUFFIXES or suffix in _JSON_SUFFIXES


def is_named_json(name: PurePath) -> bool:
    """Return whether a file is named as JSON, compressed or not.

    Examples
    --------
    >>> is_named_json(PurePath("e.ndjson.zst")), is_named_json(PurePath("e.csv.gz"))
    (True, False)
    """
    return _inner_suffix(name) in _JSON_SUFFIXES


def _inner_suffix(name: PurePath) -> str:
    """Return the suffix of a file's name without the suffix of its compression."""
    is_compressed = name.suffix.lower() in _COMPRESSED_SUFFIXES
    return (name.with_suffix("") if is_compressed else name).suffix.lower()


def format_of(head: bytes, name: PurePath, where: str) -> Format:
    """Return the format by first bytes, then by name; a name of a table needs matching bytes.

    Parameters
    ----------
    head : bytes
        The first ``HEAD_BYTES``, decompressed.
    name : PurePath
        Without the suffix of a compression; empty for standard input.
    where : str
        The file, for messages.

    Returns
    -------
    Format

    Raises
    ------
    TransportError
        If the first bytes are those of a known unsupported format; the message has a way to convert
        it.

    Examples
    --------
    >>> format_of(b"PAR1", PurePath("a.csv"), "a.csv").value
    'Parquet'
    >>> format_of(b"Obj\\x01", PurePath("a.avro"), "a.avro")
    Traceback (most recent call last):
    driftline.errors.TransportError: a.avro: is Avro, which is not read (write it as Parquet, or \
as JSON, one event a line)
    """
    for magic, format_ in _MAGICS:
        if head.startswith(magic):
            return format_
    for magic, what, fix in (*_UNREAD, *_tar(head)):
        if head.startswith(magic):
            raise TransportError(f"is {what}, which is not read", where=where, fix=fix)
    if (encoding := _wide_encoding(head)) is not None:
        fix = _AS_UTF8.format(encoding)
        raise TransportError(f"is {encoding} text, which is not read", where=where, fix=fix)
    suffix = name.suffix.lower()
    is_json = head.removeprefix(_BOM).lstrip()[:1] in (b"{", b"[", b"")
    if suffix in _TEXT_SUFFIXES or (not suffix and _is_header(head)):
        return Format.JSONL if is_json else Format.CSV
    return _SUFFIXES.get(suffix, Format.JSONL)


def _is_header(head: bytes) -> bool:
    """Return whether text without a known suffix begins with a header of several columns."""
    line = head.removeprefix(_BOM).lstrip().replace(b"\r", b"\n").split(b"\n", 1)[0]
    return b"\x00" not in head and any(mark in line for mark in (b",", b";", b"\t", b"|"))


def _tar(head: bytes) -> tuple[tuple[bytes, str, str], ...]:
    """Return the entry for a tar archive, whose magic is at byte 257."""
    return ((head[:1], "a tar archive", "unpack it"),) if head[257:262] == b"ustar" else ()


def _wide_encoding(head: bytes) -> str | None:
    """Detect UTF-16 without a byte order mark: every other byte of plain text is zero."""
    if len(head) < 4 or b"\x00" not in head:
        return None
    even, odd = head[0::2], head[1::2]
    if odd.count(0) > 0.8 * len(odd) and even.count(0) < 0.1 * len(even):
        return "UTF-16LE"
    if even.count(0) > 0.8 * len(even) and odd.count(0) < 0.1 * len(odd):
        return "UTF-16BE"
    return None
