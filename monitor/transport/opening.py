"""Opens files: decompression, detection of the format, and a source name for the content."""

from __future__ import annotations

import hashlib
import io
import lzma
import os
import secrets
import stat
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any, BinaryIO, cast

import pyarrow as pa

from monitor.transport.formats import EMPTY_ZIP, HEAD_BYTES, ZIP, Format, compression_of, format_of
from monitor.transport.tables import reading
from schemas.errors import TransportError

STANDARD_INPUT = "-"
_SAMPLE_BYTES = 64 << 10
_MAX_SAMPLES = 1024
_BUFFER_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class Opened:
    """An open file, positioned at its beginning."""

    file: Any
    format_: Format
    where: str
    """Name for messages."""
    source: str
    """Name with a digest of the content; random for a file that can be read only once."""
    n_bytes: int | None
    """Size in bytes of an uncompressed regular file, else None."""
    is_stream: bool
    """Whether it may be unbounded, such as a pipe."""


def open_input(path: str | Path) -> Opened:
    """Open a file, decompress it and detect its format.

    Parameters
    ----------
    path : str or Path
        ``-`` is standard input. gzip, zstd, bzip2, LZ4, xz, and zip archives of one file are
        decompressed.

    Returns
    -------
    Opened

    Raises
    ------
    TransportError
        If the file is missing, is a folder, cannot be opened, or has an unsupported format.
    """
    if str(path) == STANDARD_INPUT:
        file: Any = io.BufferedReader(cast(io.RawIOBase, sys.stdin.buffer), _BUFFER_BYTES)
        return _recognised(file, PurePath(), "standard input", "stdin")
    name = Path(path)
    file = _open(name)
    with closing_on_error(file):
        return _recognised(file, name, str(path), name.name)


@contextmanager
def closing_on_error(file: Any) -> Iterator[None]:
    """Close a file if what follows fails."""
    try:
        yield
    except BaseException:
        file.close()
        raise


class _Through(io.BufferedReader):
    """A decompressor as a file; closing it closes the compressed file too."""

    def __init__(self, stream: Any, compressed: Any) -> None:
        super().__init__(stream, _BUFFER_BYTES)
        self._compressed = compressed

    def close(self) -> None:
        """Close both."""
        super().close()
        self._compressed.close()


def _recognised(file: Any, name: PurePath, where: str, source: str) -> Opened:
    """Detect the format by the first decompressed bytes."""
    with reading(where, Format.JSONL):
        is_seekable = bool(name.name) and file.seekable()
        digest = _content_digest(file) if is_seekable else secrets.token_hex(4)
        n_bytes = _size(file) if is_seekable else None
        head = _head(file)
        if head.startswith((ZIP, EMPTY_ZIP)):
            file, name = _unzipped(file, where)
            head, n_bytes = _head(file), None
        if (compression := compression_of(head)) is not None:
            file = _decompressed(file, compression)
            head, n_bytes, name = _head(file), None, name.with_suffix("") if name.name else name
    format_ = format_of(head, name, where)
    if not head and format_ not in (Format.JSONL, Format.CSV):
        raise TransportError("is empty", where=where, fix="check that it was written completely")
    if format_ in (Format.PARQUET, Format.ARROW_FILE, Format.ORC) and not _can_seek(file):
        with reading(where, format_), file:
            file = pa.BufferReader(file.read())
    return Opened(file, format_, where, f"{source}@{digest}", n_bytes, not is_seekable)


def _head(file: Any) -> bytes:
    """Return the first bytes without consuming them."""
    return bytes(file.peek(HEAD_BYTES)[:HEAD_BYTES])


def _can_seek(file: Any) -> bool:
    """Return whether a file can seek cheaply, which a decompressed one cannot."""
    raw = getattr(file, "raw", None)
    return bool(file.seekable()) and isinstance(raw, io.FileIO)


def _decompressed(file: Any, compression: str) -> io.BufferedReader:
    """Return a file that decompresses another one."""
    if compression == "xz":
        stream: Any = lzma.LZMAFile(file)  # noqa: SIM115 (closed with its buffer)
    else:
        stream = pa.CompressedInputStream(pa.PythonFile(file, "r"), compression)
    return _Through(stream, file)


def _unzipped(file: Any, where: str) -> tuple[io.BufferedReader, PurePath]:
    """Open the only file of a zip archive; raise for any other archive.

    Raises
    ------
    TransportError
    """
    if not file.seekable():
        file = io.BytesIO(file.read())
    archive = zipfile.ZipFile(file)
    names = [info.filename for info in archive.infolist() if not info.is_dir()]
    to_parquet = "save the sheet as CSV or Parquet"
    if "xl/workbook.xml" in names or "xl/workbook.bin" in names:
        raise TransportError("is an Excel workbook, which is not read", where=where, fix=to_parquet)
    if "content.xml" in names and "mimetype" in names:
        what = "is an OpenDocument spreadsheet, which is not read"
        raise TransportError(what, where=where, fix=to_parquet)
    names = [name for name in names if not name.startswith("__MACOSX/")]
    if len(names) != 1:
        what = f"is a zip archive of {len(names)} files, and one is read"
        raise TransportError(what, where=where, fix="unpack it and name the files in it")
    try:
        member = archive.open(names[0])
    except (RuntimeError, NotImplementedError) as error:  # a password, an unknown method
        raise TransportError(
            f"cannot be unpacked: {error}"[:200], where=where, fix="unpack it, or use gzip"
        ) from None
    return _Through(member, file), PurePath(names[0])


def _open(path: Path) -> BinaryIO:
    """Open a file for reading; raise a one-line error if that fails."""
    try:
        return path.open("rb")
    except FileNotFoundError:
        raise TransportError("no such file", where=str(path), fix="check the path") from None
    except IsADirectoryError:
        raise TransportError("is a folder", where=str(path), fix="name a file in it") from None
    except (OSError, ValueError) as error:
        if path.is_socket():
            what, fix = "is a socket", "name a file, or pipe into standard input: -"
            raise TransportError(what, where=str(path), fix=fix) from None
        detail = getattr(error, "strerror", None) or str(error)
        raise TransportError(f"cannot be opened: {detail}", where=str(path)) from error


def _size(file: BinaryIO) -> int | None:
    """Return the size of a regular file, else None."""
    found = os.fstat(file.fileno())
    return found.st_size if stat.S_ISREG(found.st_mode) else None


def _content_digest(file: BinaryIO) -> str:
    """Return a digest of the content up to 64 MiB, or of evenly spaced samples of larger files."""
    size = file.seek(0, io.SEEK_END)
    n_samples = min(-(-size // _SAMPLE_BYTES), _MAX_SAMPLES)
    digest = hashlib.sha256(str(size).encode())
    for i in range(n_samples):
        file.seek(
            i * (size - _SAMPLE_BYTES) // max(n_samples - 1, 1) if size > _SAMPLE_BYTES else 0
        )
        digest.update(file.read(_SAMPLE_BYTES))
    file.seek(0)
    return digest.hexdigest()[:8]
