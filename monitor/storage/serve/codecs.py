"""Content encodings of HTTP bodies: bounded compression and decompression."""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable, Iterator
from typing import Any

from monitor.storage.serve.refusal import RefusedRequest

PIECE_BYTES = 1 << 20
"""Maximum output of one step of decompression, so that bombs are detected early."""
PREFERRED = ("lz4", "zstd", "gzip", "deflate")
"""Preference order of answer encodings: fastest first."""


class Inflater:
    """Decompresses a body incrementally; supports concatenated frames.

    Parameters
    ----------
    encoding : str
        As in ``Content-Encoding``; ``""`` and ``identity`` return the pieces unchanged.

    Raises
    ------
    RefusedRequest
        If the encoding is unknown.

    Examples
    --------
    >>> import gzip
    >>> inflater = Inflater("gzip")
    >>> two = gzip.compress(b"a") + gzip.compress(b"b")
    >>> b"".join([*inflater.feed(two[:9]), *inflater.feed(two[9:])])
    b'ab'
    >>> inflater.finish()
    """

    def __init__(self, encoding: str) -> None:
        self._name = encoding
        self._new = _decompressor(encoding)
        self._frame: Any = None

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """Yield the decompressed data of a piece, in pieces of at most ``PIECE_BYTES``.

        Raises
        ------
        RefusedRequest
            If the data are not in this encoding.
        """
        if self._new is None:
            yield piece
            return
        try:
            yield from self._inflate(piece)
        except RefusedRequest:
            raise
        except Exception as error:  # each library raises its own errors
            raise RefusedRequest(271, f"The body is not {self._name}: {error}") from None

    def finish(self) -> None:
        """Raise if the body ended inside a frame."""
        if self._frame is not None:
            raise RefusedRequest(271, f"The body's {self._name} ends too early.")

    def _inflate(self, piece: bytes) -> Iterator[bytes]:
        """Decompress frames until the piece is consumed."""
        assert self._new is not None
        while piece:
            if self._frame is None:
                self._frame = self._new()
            out = self._frame.decompress(piece, PIECE_BYTES)
            while out:
                yield out
                if self._frame.eof or len(out) < PIECE_BYTES:
                    break
                out = self._frame.decompress(b"", PIECE_BYTES)
            if not self._frame.eof:
                return
            piece = self._frame.unused_data or b""
            self._frame = None


class _Zlib:
    """zlib's decompressor with the interface of the others; keeps unconsumed input."""

    def __init__(self, wbits: int) -> None:
        self._inner = zlib.decompressobj(wbits)
        self._rest = b""

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        """Return at most ``max_length`` bytes; the rest is returned by the next call."""
        out = self._inner.decompress(self._rest + data, max_length)
        self._rest = self._inner.unconsumed_tail
        return out


def choose_encoding(accepted: str) -> str:
    """Return the encoding for an answer, or ``""`` for none.

    Parameters
    ----------
    accepted : str
        The ``Accept-Encoding`` header.

    Examples
    --------
    >>> choose_encoding("gzip, lz4;q=0, br"), choose_encoding("identity")
    ('gzip', '')
    """
    names = set()
    for part in accepted.lower().split(","):
        name, _, weight = part.partition(";")
        if weight.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000"):
            names.add(name.strip())
    for name in PREFERRED:
        if name in names and _is_here(name):
            return name
    return ""


def deflater(encoding: str) -> Callable[[bytes, bool], bytes]:
    """Return a function that compresses an answer incrementally, at a fast level.

    It takes a piece and whether it is the last one, and returns the output so far.

    Examples
    --------
    >>> import gzip
    >>> pack = deflater("gzip")
    >>> gzip.decompress(pack(b"x" * 9, False) + pack(b"y", True))
    b'xxxxxxxxxy'
    """
    if encoding in ("gzip", "deflate"):
        zipper = zlib.compressobj(1, zlib.DEFLATED, 31 if encoding == "gzip" else 15)
        return lambda data, is_last: zipper.compress(data) + (zipper.flush() if is_last else b"")
    if encoding == "zstd":
        packer = _zstd().ZstdCompressor(1)
        return lambda data, is_last: bytes(
            packer.compress(data, packer.FLUSH_FRAME if is_last else packer.CONTINUE)
        )
    if encoding == "lz4":
        return _lz4_deflater()
    return lambda data, _: data


def _lz4_deflater() -> Callable[[bytes, bool], bytes]:
    """Return the function for LZ4 frames, which writes the frame header first."""
    import lz4.frame

    packer = lz4.frame.LZ4FrameCompressor()
    waiting = [packer.begin()]

    def pack(data: bytes, is_last: bool) -> bytes:
        head = waiting.pop() if waiting else b""
        return bytes(head + packer.compress(data) + (packer.flush() if is_last else b""))

    return pack


def _decompressor(encoding: str) -> Callable[[], Any] | None:
    """Return the factory of a frame's decompressor."""
    if encoding in ("", "identity"):
        return None
    if encoding == "gzip":
        return lambda: _Zlib(31)
    if encoding == "deflate":
        return lambda: _Zlib(15)
    if encoding in ("lz4", "zstd") and _is_here(encoding):
        if encoding == "zstd":
            return lambda: _zstd().ZstdDecompressor()
        import lz4.frame

        return lambda: lz4.frame.LZ4FrameDecompressor()
    raise RefusedRequest(89, f"Unknown compression method {encoding[:32]}; use gzip, lz4 or zstd.")


def _is_here(name: str) -> bool:
    """Return whether the library of an encoding is installed."""
    try:
        if name == "lz4":
            import lz4.frame  # noqa: F401
        elif name == "zstd":
            _zstd()
    except ImportError:
        return False
    return True


def _zstd() -> Any:
    """Return the zstd module: the standard library's from 3.14 on, else its backport."""
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd
    return zstd
