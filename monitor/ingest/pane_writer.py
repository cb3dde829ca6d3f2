"""Panes of one owner as messages: which of them share one, and under which key."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from monitor.core.topics import PANES
from monitor.core.windowing.codec import encode_batch, encode_one, pane_key, pane_partition
from monitor.core.windowing.packed_pane import PackedPane
from monitor.core.windowing.pane_batch import batch_key, batches
from monitor.core.write import Write
from schemas.panes import SeriesId


class PaneWriter:
    """Messages of the panes that one owner of a source partition publishes.

    Parameters
    ----------
    n_partitions : int
        Of the panes topic.

    Notes
    -----
    :mod:`monitor.core.windowing.pane_batch` says why panes that were published before get
    messages of their own.
    """

    def __init__(self, n_partitions: int) -> None:
        self._n_partitions = n_partitions
        self._published: dict[tuple[int, int], set[SeriesId]] = {}
        """By start and end: whose panes were published."""
        self._n_batches = 0

    def writes(self, panes: Sequence[PackedPane]) -> Iterator[Write]:
        """Yield the messages of one flush, whose panes have the same version."""
        groups: dict[int, list[PackedPane]] = {}
        for pane in panes:
            series = pane.series
            partition = pane_partition(series.tenant, series.model, self._n_partitions)
            published = self._published.setdefault((pane.start_us, pane.end_us), set())
            if series in published:
                yield from _own(pane, partition)
            else:
                published.add(series)
                groups.setdefault(partition, []).append(pane)
        for partition, own in groups.items():
            for some in batches(own):
                yield from self._shared(some, partition)

    def _shared(self, panes: Sequence[PackedPane], partition: int) -> Iterator[Write]:
        """Yield the message of panes that are published for the first time."""
        if len(panes) == 1:
            yield from _own(panes[0], partition)
            return
        key = batch_key(panes[0], self._n_batches)
        self._n_batches += 1
        yield Write(PANES, key, encode_batch(panes), partition)

    def forget(self, retired_us: int) -> None:
        """Forget panes that end by this time: they are retired, and not published again."""
        for span in [span for span in self._published if span[1] <= retired_us]:
            del self._published[span]


def _own(pane: PackedPane, partition: int) -> Iterator[Write]:
    """Yield the message of one pane, in chunks if it is large."""
    for i, value in enumerate(encode_one(pane)):
        yield Write(PANES, pane_key(pane, i).encode(), value, partition)
