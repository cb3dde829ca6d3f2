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


def _coded(column: pa.Array) -> pa.DictionaryArray | None:
    """Return the texts of a column or of a map's values if they are dictionary-coded."""
    values = column.items if pa.types.is_map(column.type) else column
    return values if pa.types.is_dictionary(values.type) else None


def _n_values(table: pa.Table) -> int:
    """Return the size of the longest dictionary of a table."""
    coded = (_coded(_piece(column)) for column in table.columns)
    return max((len(c.dictionary) for c in coded if c is not None), default=0)


def _merged(pieces: Sequence[pa.Array]) -> list[pa.Array]:
    """Return the chunks of a column with one shared dictionary."""
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
    """Replace the values of a map; Driftline's maps have no nulls and begin at offset 0."""
    return pa.MapArray.from_arrays(piece.offsets, piece.keys, values)
