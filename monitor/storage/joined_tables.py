"""Texts of several tables under one dictionary each.

Arrow merges dictionaries by a hash without a secret: of texts that were chosen to collide
sixty thousand take 13 s. Python's own hash has one.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

MAX_BY_ARROW = 1_000
"""Values of a column, over all tables, that Arrow may merge: at worst some milliseconds."""


def joined(tables: Sequence[pa.Table]) -> pa.Table:
    """Concatenate tables of one schema, with one dictionary a column.

    Parameters
    ----------
    tables : sequence of pyarrow.Table
        At least one; each column of each in one piece.

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
    """Return the distinct texts in the order they come, and the index of each.

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


def _coded(column: pa.Array) -> pa.DictionaryArray | None:
    """Return the texts of a column or of a map's values, if they are a dictionary."""
    values = column.items if pa.types.is_map(column.type) else column
    return values if pa.types.is_dictionary(values.type) else None


def _n_values(table: pa.Table) -> int:
    """Return how many values the longest dictionary of a table holds."""
    coded = (_coded(_piece(column)) for column in table.columns)
    return max((len(c.dictionary) for c in coded if c is not None), default=0)


def _merged(pieces: Sequence[pa.Array]) -> list[pa.Array]:
    """Give the pieces of a column one dictionary."""
    coded = [found for piece in pieces if (found := _coded(piece)) is not None]
    if len(coded) != len(pieces):
        return list(pieces)
    texts = [piece.dictionary.to_pylist() for piece in coded]
    words, indices = distinct([text for some in texts for text in some])
    dictionary, first, merged = pa.array(words, pa.string()), 0, []
    for piece, codes, some in zip(pieces, coded, texts, strict=True):
        places = pa.array(indices[first : first + len(some)]).take(codes.indices)
        values = pa.DictionaryArray.from_arrays(places, dictionary)
        is_map = pa.types.is_map(piece.type)
        merged.append(_mapped(piece, values) if is_map else values)
        first += len(some)
    return merged


def _mapped(piece: pa.MapArray, values: pa.Array) -> pa.MapArray:
    """Put other values into a map; Driftline's have no nulls and begin at 0."""
    return pa.MapArray.from_arrays(piece.offsets, piece.keys, values)
