"""How long the panes are that a replay stores: a function of the file and its config alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain

import numpy as np

from monitor.core.table_rows import TableRows
from monitor.core.windowing.catalog import Catalog
from monitor.core.windowing.slot_length import rate_of, slot_of, stored_slot_us
from monitor.decode.decoder import Decoder
from schemas.batch import Chunk, Int64Array
from schemas.config.values import format_duration
from schemas.errors import ConfigError
from schemas.limits import MessageLimits

HEAD_ROWS = 50_000
"""Rows whose rate decides: so many are decoded twice. So many messages are read for them at
most, since few may be events of a known model."""


def pane_option(asked_us: int | None, stored_us: int | None, window_us: int) -> int | None:
    """Return the length of the panes of a replay, whose events the store may have already.

    Parameters
    ----------
    asked_us : int, optional
        What ``--pane`` asks for.
    stored_us : int, optional
        Length in which the store has panes of the same events.
    window_us : int
        See ``slot_of``.

    Returns
    -------
    int or None
        None if neither says anything.

    Raises
    ------
    ConfigError
        If the panes would be of another length: the store would count each event twice.

    Examples
    --------
    >>> pane_option(None, 30, 60), pane_option(20, None, 60)
    (30, 20)
    """
    if stored_us is None:
        return asked_us
    has_stored, elsewhere = format_duration(stored_us), "replay into another store"
    if asked_us not in (None, stored_us):
        raise ConfigError(
            f"the store has panes of these events already, of {has_stored}; of "
            f"{format_duration(asked_us)} each event would be counted twice",
            where="--pane",
            fix=f"replay with --pane {has_stored}, or {elsewhere}",
        )
    if window_us % stored_us:
        raise ConfigError(
            f"the store has panes of these events already, of {has_stored}, and windows of "
            f"{format_duration(window_us)} are not made of them",
            where="--pane",
            fix=f"{elsewhere}, or make window.length a multiple of {has_stored}",
        )
    return stored_us


def slot_and_chunks(
    chunks: Iterable[Chunk | TableRows],
    catalog: Catalog,
    limits: MessageLimits,
    slot_us: int | None = None,
) -> tuple[int, Iterator[Chunk | TableRows]]:
    """Return the length of the panes to be stored, and the chunks that were given.

    Parameters
    ----------
    chunks : iterable of Chunk or TableRows
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
    chunks : iterator of Chunk or TableRows
        All of them.
    """
    if slot_us is not None:
        return slot_us, iter(chunks)
    rest = iter(chunks)
    head: list[Chunk | TableRows] = []
    times: list[Int64Array] = []
    models: set[tuple[str, str]] = set()
    decoder = Decoder(catalog.schemas, limits=limits)
    n_messages = 0
    for chunk in _read_into(head, rest):
        n_messages += len(chunk)
        for batch in chain.from_iterable(decoder.decode(p).batches for p in decoder.parts(chunk)):
            times.append(batch.time_us)
            models.add((batch.schema.tenant, batch.schema.model))
        if max(sum(map(len, times)), n_messages) >= HEAD_ROWS:
            break
    n_rows, span_us = rate_of(np.concatenate([np.empty(0, np.int64), *times]))
    configs = catalog.configs.values()
    pane_us = min(config.window.pane_us for config in configs)
    n_rows //= max(len(models), 1)
    return stored_slot_us(slot_of(configs), pane_us, n_rows, span_us), chain(head, rest)


def _read_into(head: list[Chunk | TableRows], rest: Iterator[Chunk | TableRows]) -> Iterator[Chunk]:
    """Yield chunks one by one, and note what was read for them."""
    for piece in rest:
        head.append(piece)
        yield from piece.chunks() if isinstance(piece, TableRows) else (piece,)
