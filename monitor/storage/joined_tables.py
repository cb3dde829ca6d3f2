"""Concatenates tables, with one dictionary per text column.

Arrow merges dictionaries with an unkeyed hash: sixty thousand texts that were chosen to collide
take 13 s. Python's hash is keyed.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

MAX_BY_ARROW = 1_000
"""Most values of a column, over all tables, that Arrow merges: at worst some milliseconds."""


def joined(tables: Sequence[pa.Table]) -> pa.Table:
    """Concatenate tables of one schema, with one dictionary per column.

    Parameters
    ----------
    tables : sequence of pyarrow.Table
        At least one; each column must have one chunk.

    Examples
    --------
    >>> tables = [pa.table({"a": pa.array(t).dictionary_encode()}) for t in (["x"], ["y", "x"])]
    >>> column = joined(tables)["a"].chunk(0)
    >>> column.dictionary.to_pylist(), column.indices.to_pylist()
    (['x', 'y'], [0, 1, 0])
    """
    if max(map(_n_values, tables)) * len(tables) > MAX_BY_ARROW:
        names = tables[0].schema.names
        pieces = [[_piece(table[name]) for table in tables] for name in names]
        merged = [_merged(column) for column in pieces]
        tables = [
            pa.table([column[i] for column in merged], names=names) for i in range(len(tables))
        ]
        return pa.concat_tables(tables).combine_chunks()
    return pa.concat_tables(tables).unify_dictionaries().combine_chunks()


def distinct(texts: Sequence[str]) -> tuple[list[str], np.ndarray]:
    """Return the distinct texts in order of first occurrence, and the index of each text.

    Examples
    --------
    >>> found, indices = distinct(["b", "a", "b"])
    >>> found, indices.tolist()
    (['b', 'a'], [0, 1, 0])
    """
    known: dict[str, int] = {}
    indices = [known.setdefault(text, len(known)) for text in texts]
    return list(known), np.array(indices, np.int32)


def _piece(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _coded(column: pa.Array) -> list[pa.DictionaryArray]:
    """Return what is dictionary-coded of a column, or of a map's keys and values."""
    parts = (column.keys, column.items) if pa.types.is_map(column.type) else (column,)
    return [part for part in parts if pa.types.is_dictionary(part.type)]


def _n_values(table: pa.Table) -> int:
    """Return the size of the longest dictionary of a table."""
    coded = (part for column in table.columns for part in _coded(_piece(column)))
    return max((len(part.dictionary) for part in coded), default=0)


def _merged(pieces: Sequence[pa.Array]) -> list[pa.Array]:
    """Return the chunks of a column with one shared dictionary."""
    if all(pa.types.is_map(piece.type) for piece in pieces):
        keys = _merged([piece.keys for piece in pieces])
        values = _merged([piece.items for piece in pieces])
        return [_mapped(*parts) for parts in zip(pieces, keys, values, strict=True)]
    if not all(pa.types.is_dictionary(piece.type) for piece in pieces):
        return list(pieces)
    texts = [piece.dictionary.to_pylist() for piece in pieces]
    words, indices = distinct([text for some in texts for text in some])
    dictionary, first, merged = pa.array(words, pa.string()), 0, []
    for piece, some in zip(pieces, texts, strict=True):
        places = pa.array(indices[first : first + len(some)]).take(piece.indices)
        merged.append(pa.DictionaryArray.from_arrays(places, dictionary))
        first += len(some)
    return merged


def _mapped(piece: pa.MapArray, keys: pa.Array, values: pa.Array) -> pa.MapArray:
    """Replace the entries of a map; Driftline's maps have no nulls and begin at offset 0."""
    return pa.MapArray.from_arrays(piece.offsets, keys, values)
