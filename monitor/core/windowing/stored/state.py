"""What the slots of one panes partition need to go on, as the text in a commit."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from zlib import compress, decompress
from zlib import error as ZlibError  # noqa: N812

import msgspec

from monitor.core.bounds import DECODE_ERRORS
from monitor.core.windowing.stored.spans import Span, Spans
from monitor.core.windowing.watermark import NO_WATERMARK, SourceMarks
from schemas.errors import TransportError

MAX_TEXT = 3_500
"""Brokers take 4,096 bytes of metadata by default."""
_VERSION = 1


class SlotState(msgspec.Struct, array_like=True):
    """State of the slots at an offset; with the panes of open slots it is all there is.

    Examples
    --------
    >>> state = SlotState([SourceMarks("s", 2, {0: 70}, [1])], 40, 10, Spans())
    >>> SlotState.parse(state.text()) == state
    True
    """

    sources: list[SourceMarks]
    horizon_us: int = NO_WATERMARK
    """Slots that end by this time, less the lateness, have been written."""
    since_us: int = NO_WATERMARK
    """No slot that begins before this is written any more: panes are, one by one."""
    spans: Spans = Spans()

    def text(self) -> str:
        """Return at most :data:`MAX_TEXT` characters.

        Notes
        -----
        About seven characters for each source partition. Beyond 450 of them the lowest
        watermarks are left out, which idle partitions have: a pane that such a partition
        publishes twice, before and after a restart of the archive, would count twice.
        """
        while len(text := self._text()) > MAX_TEXT and self.sources:
            self._drop_lowest()
        return text

    def _text(self) -> str:
        """Encode everything; watermarks relative to the highest."""
        newest = max((max(s.watermarks.values(), default=0) for s in self.sources), default=0)
        sources = [
            (s.source, s.n_partitions, _as_list(s.watermarks, newest), s.idle) for s in self.sources
        ]
        exceptions = {number: tuple(span) for number, span in self.spans.exceptions.items()}
        document = (_VERSION, newest, sources, self.horizon_us, self.since_us)
        raw = msgspec.msgpack.encode((*document, tuple(self.spans.base), exceptions))
        return urlsafe_b64encode(compress(raw, 9)).decode().rstrip("=")

    def _drop_lowest(self) -> None:
        """Leave out a quarter of the watermarks, and sources that have none left."""
        marks = sorted((wm, s.source, p) for s in self.sources for p, wm in s.watermarks.items())
        dropped = {(source, p) for _, source, p in marks[: len(marks) // 4 + 1]}
        for each in self.sources:
            left = {p: wm for p, wm in each.watermarks.items() if (each.source, p) not in dropped}
            each.watermarks = left
        self.sources = [each for each in self.sources if each.watermarks]

    @staticmethod
    def parse(text: str) -> SlotState:
        """Read :meth:`text` back.

        Raises
        ------
        TransportError
            If it is none.
        """
        try:
            raw = decompress(urlsafe_b64decode(text + "=" * (-len(text) % 4)))
            found = msgspec.msgpack.decode(raw, type=_Document)
            if found.version != _VERSION:
                raise ValueError(f"version {found.version}")
        except (*DECODE_ERRORS, ZlibError, ValueError) as error:
            raise TransportError(
                f"the state of slots in a commit cannot be read: {error}",
                where="archive",
                fix="run the version of Driftline that wrote it",
            ) from None
        sources = [
            SourceMarks(name, n, _as_marks(behind, found.newest_us), idle)
            for name, n, behind, idle in found.sources
        ]
        exceptions = {number: Span(*span) for number, span in found.exceptions.items()}
        spans = Spans(Span(*found.base), exceptions)
        return SlotState(sources, found.horizon_us, found.since_us, spans)


class _Document(msgspec.Struct, array_like=True):
    """As written."""

    version: int
    newest_us: int
    sources: list[tuple[str, int, list[int | None], list[int]]]
    horizon_us: int
    since_us: int
    base: tuple[int, int]
    exceptions: dict[int, tuple[int, int]]


def _as_list(watermarks: dict[int, int], newest_us: int) -> list[int | None]:
    """Return how far each partition is behind the newest; None without a watermark."""
    behind = {partition: newest_us - wm for partition, wm in watermarks.items()}
    return [behind.get(partition) for partition in range(max(behind, default=-1) + 1)]


def _as_marks(behind: list[int | None], newest_us: int) -> dict[int, int]:
    """Return what :func:`_as_list` was made of."""
    return {p: newest_us - us for p, us in enumerate(behind) if us is not None}
