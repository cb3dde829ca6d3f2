"""How long the panes are that a replay stores: a function of the file and its config alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain

import numpy as np

from monitor.core.windowing.catalog import Catalog
from monitor.core.windowing.slot_length import rate_of, slot_of, stored_slot_us
from monitor.decode.decoder import Decoder
from schemas.batch import Chunk, Int64Array
from schemas.limits import MessageLimits

HEAD_ROWS = 50_000
"""Rows whose rate decides: so many are decoded twice. So many messages are read for them at
most, since few may be events of a known model."""


def slot_and_chunks(
    chunks: Iterable[Chunk],
    catalog: Catalog,
    limits: MessageLimits,
    slot_us: int | None = None,
) -> tuple[int, Iterator[Chunk]]:
    """Return the length of the panes to be stored, and the chunks that were given.

    Parameters
    ----------
    chunks : iterable of Chunk
        Predictions; the first of them are read here already.
    limits : MessageLimits
        Of the decoder.
    slot_us : int, optional
        The length where it is chosen already: nothing is read then.

    Returns
    -------
    slot_us : int
        Microseconds: the shortest length that divides the windows, is made of whole panes and
        holds 64 rows of a model on average.
    chunks : iterator of Chunk
        All of them.
    """
    if slot_us is not None:
        return slot_us, iter(chunks)
    rest = iter(chunks)
    head: list[Chunk] = []
    times: list[Int64Array] = []
    models: set[tuple[str, str]] = set()
    decoder = Decoder(catalog.schemas, limits=limits)
    for chunk in rest:
        head.append(chunk)
        for batch in chain.from_iterable(decoder.decode(p).batches for p in decoder.parts(chunk)):
            times.append(batch.time_us)
            models.add((batch.schema.tenant, batch.schema.model))
        if max(sum(map(len, times)), sum(map(len, head))) >= HEAD_ROWS:
            break
    n_rows, span_us = rate_of(np.concatenate([np.empty(0, np.int64), *times]))
    configs = catalog.configs.values()
    pane_us = min(config.window.pane_us for config in configs)
    n_rows //= max(len(models), 1)
    return stored_slot_us(slot_of(configs), pane_us, n_rows, span_us), chain(head, rest)
