"""In what order recorded streams are read: by their own time, never by the clock on the wall."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple, Protocol

from monitor.decode.arrow.decode_ahead import DecodedChunk
from schemas.batch import Chunk


class Timed(NamedTuple):
    """A chunk, and when its first message came."""

    time_us: int
    chunk: Chunk


class ReplayPipeline(Protocol):
    """What the order is kept for; ``monitor.app.in_process.ReplayPipeline`` has it."""

    @property
    def watermark_us(self) -> int:
        """How far the predictions have come."""
        ...

    def take_predictions(self, chunk: Chunk | DecodedChunk) -> None:
        """Read predictions."""
        ...

    def end_predictions(self) -> None:
        """Take note that no more predictions come."""
        ...

    def take_labels(self, chunk: Chunk) -> None:
        """Read labels."""
        ...

    def take_gpu(self, chunk: Chunk) -> None:
        """Read GPU telemetry."""
        ...

    def pump(self) -> None:
        """Run what is due in detect, notify and archive."""
        ...

    def finish(self) -> None:
        """Close what is open: the input has ended."""
        ...


def replay(
    pipeline: ReplayPipeline,
    predictions: Iterable[Chunk | DecodedChunk],
    labels: Iterable[Timed] = (),
    gpu: Iterable[Timed] = (),
    *,
    after_chunk: Callable[[Chunk], None] = lambda chunk: None,
) -> None:
    """Read every stream to its end.

    Parameters
    ----------
    predictions : iterable of Chunk or DecodedChunk
        They set the pace.
    labels, gpu : iterable of Timed
        Each chunk is read as soon as the predictions' watermark has passed its time,
        so that telemetry is known before the windows beside it are judged.
    after_chunk : callable, optional
        Called after each chunk of predictions, for progress.
    """
    labels_due, gpu_due = _Due(labels), _Due(gpu)
    for chunk in predictions:
        pipeline.take_predictions(chunk)
        for part in gpu_due.until(pipeline.watermark_us):
            pipeline.take_gpu(part)
        for part in labels_due.until(pipeline.watermark_us):
            pipeline.take_labels(part)
        pipeline.pump()
        after_chunk(chunk.chunk if isinstance(chunk, DecodedChunk) else chunk)
    pipeline.end_predictions()
    for part in gpu_due.rest():
        pipeline.take_gpu(part)
    for part in labels_due.rest():
        pipeline.take_labels(part)
    pipeline.finish()


def cut_by_time(chunk: Chunk, times_us: Sequence[int], span_us: int) -> Iterator[Timed]:
    """Cut a chunk into runs of messages that lie near to each other in time.

    So that a side stream is never read far ahead of the predictions.

    Parameters
    ----------
    times_us : sequence of int
        Of each message; -1 where it has none, which belongs to the run before it.
    span_us : int
        How far apart the messages of a run may be.

    Yields
    ------
    Timed
        In order; a run's time is that of its latest message.

    Examples
    --------
    >>> from monitor.decode.chunk import chunk_of
    >>> chunk = chunk_of([b"a", b"b", b"c"], "f")
    >>> [(t, len(part)) for t, part in cut_by_time(chunk, [0, 5, 40], 10)]
    [(5, 2), (40, 1)]
    """
    start, low, high = 0, None, -1
    for i, time_us in enumerate(times_us):
        if time_us < 0:
            continue
        if low is not None and max(high, time_us) - min(low, time_us) > span_us:
            yield Timed(high, _part(chunk, start, i))
            start, low, high = i, None, -1
        low, high = time_us if low is None else min(low, time_us), max(high, time_us)
    yield Timed(high, _part(chunk, start, len(times_us)))


def _part(chunk: Chunk, start: int, stop: int) -> Chunk:
    """Return some messages of a chunk."""
    return replace(
        chunk,
        offsets=chunk.offsets[start : stop + 1],
        log_offset=chunk.log_offset[start:stop],
        record_time_us=chunk.record_time_us[start:stop],
    )


class _Due:
    """A stream that is read up to a time, and then further."""

    def __init__(self, stream: Iterable[Timed]) -> None:
        self._stream = iter(stream)
        self._next = next(self._stream, None)

    def until(self, time_us: int) -> Iterator[Chunk]:
        """Return the chunks that begin by then."""
        while self._next is not None and self._next.time_us <= time_us:
            yield self._next.chunk
            self._next = next(self._stream, None)

    def rest(self) -> Iterator[Chunk]:
        """Return all that is left."""
        return self.until(1 << 62)
