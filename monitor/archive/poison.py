"""Rows the store refuses for good: found by halving, kept as dead letters.

One bad row must not keep the others out, nor stop the archive. A row that is refused alone
is the culprit. Halves go in under tokens of their own, so the search can be repeated after
a crash and adds nothing twice.
"""

from __future__ import annotations

from collections.abc import Callable

from monitor.archive.blocks import InsertBlock
from monitor.archive.stage import letter_rows
from monitor.metrics import REJECTED
from monitor.storage.clickhouse import Store
from schemas.errors import RowsRefusedError, StorageError
from schemas.refused import DeadLetter

MIN_REFUSED_ROWS = 100
"""From here on the archive stops if most rows so far were refused: that is no poison but a
table that does not fit, and the rows are better left in the log."""


def insert_what_fits(store: Store, block: InsertBlock, go_on: Callable[[], None]) -> int:
    """Insert a block; what the store refuses for good becomes dead letters in the store.

    Parameters
    ----------
    go_on : callable
        Called before each further insert; may raise to give up.

    Returns
    -------
    int
        Rows that were refused.

    Raises
    ------
    StorageError
        If the store cannot take anything now (the same call again completes it), or
        refuses so many rows that something else must be wrong.
    """
    refused: list[DeadLetter] = []
    _insert_part(store, block, 0, len(block), refused, go_on)
    if refused and block.table != "dead_letters":
        go_on()
        store.insert("dead_letters", letter_rows(refused).rows, f"{block.token}:poison")
    if refused:
        REJECTED.labels("archive", block.table, "refused_by_store").inc(len(refused))
    return len(refused)


def _insert_part(
    store: Store,
    block: InsertBlock,
    start: int,
    stop: int,
    refused: list[DeadLetter],
    go_on: Callable[[], None],
) -> None:
    """Insert rows [start, stop), or each half of them."""
    is_whole = (start, stop) == (0, len(block))
    token = block.token if is_whole else f"{block.token}/{start}-{stop}"
    try:
        store.insert(block.table, block.placed.rows.slice(start, stop - start), token)
    except RowsRefusedError as error:
        if stop - start == 1:
            refused.append(block.letter(start, error.what))
            _check_share(refused, stop, error)
            return
        middle = (start + stop) // 2
        for half in ((start, middle), (middle, stop)):
            go_on()
            _insert_part(store, block, *half, refused, go_on)


def _check_share(refused: list[DeadLetter], n_seen: int, error: StorageError) -> None:
    """Stop where it is not a row that is wrong."""
    if len(refused) >= MIN_REFUSED_ROWS and 2 * len(refused) > n_seen:
        raise TableMisfitError(
            f"{len(refused)} of the first {n_seen} rows of an insert were rejected: {error.what}",
            where=error.where,
            fix="check that the table has the columns that `Store.migrate` creates",
        ) from error


class TableMisfitError(StorageError):
    """Most rows of an insert are refused: waiting does not help, nor do dead letters."""
