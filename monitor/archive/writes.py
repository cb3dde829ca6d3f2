"""The archive's inserts: rows into a table, under a token that makes it repeatable."""

from __future__ import annotations

from collections import Counter

import pyarrow as pa

from monitor.storage.clickhouse import Store


def range_token(topic_id: str, partition: int, lo: int, hi: int) -> str:
    """Spell the token of the rows of [lo, hi) of one partition.

    Notes
    -----
    The topic's *id*, because a recreated topic repeats offsets, and rows under a token
    that was used before are dropped silently. Files are distinguished by
    ``Chunk.source``, which carries a digest of the file.

    Examples
    --------
    >>> range_token("dx3", 2, 100, 200)
    'dx3:2:100:200'
    """
    return f"{topic_id}:{partition}:{lo}:{hi}"


class Archive:
    """Writes what flows into the store. Running again with the same token adds nothing.

    Parameters
    ----------
    store : Store
        Migrated.

    Attributes
    ----------
    n_rows : Counter of str
        Rows handed to the store by table, repeated ones included.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self.n_rows: Counter[str] = Counter()

    def write(self, table: str, rows: pa.Table, token: str) -> None:
        """Write rows that are made already; nothing for none."""
        if rows.num_rows:
            self.n_rows[table] += self._store.insert(table, rows, token)
