"""Rows of ``results`` from tables of statistics and verdicts, column by column. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

import numpy as np
import pyarrow as pa

from monitor.storage.rows import RESULTS, UNSET_VALUES, result_rows
from schemas.result_table import COUNTS, SHARED, ResultTable, VerdictColumns
from schemas.results import DetectorResult, Verdict

_TEXTS = [field.name for field in RESULTS if field.type == pa.string()]


def result_message_rows(messages: Sequence[list[DetectorResult] | ResultTable]) -> pa.Table:
    """Return rows of table ``results``: structs first, then the rows of tables.

    Parameters
    ----------
    messages : sequence of (list of DetectorResult, or ResultTable)
        All structs before all tables, and all statistics before all verdicts.

    Returns
    -------
    pyarrow.Table
        Texts are dictionary-coded.

    Examples
    --------
    >>> result_message_rows([]).num_rows
    0
    """
    structs = [one for each in messages if isinstance(each, list) for one in each]
    tables = [each for each in messages if isinstance(each, ResultTable)]
    rows = result_rows(structs)
    if not any(map(len, tables)):
        return rows
    by_kind = [list(own) for _, own in groupby(tables, key=lambda table: type(table.columns))]
    for name in _TEXTS:
        rows = rows.set_column(
            rows.column_names.index(name), name, rows.column(name).dictionary_encode()
        )
    found = [
        pa.Table.from_arrays([columns[name] for name in rows.column_names], schema=rows.schema)
        for columns in map(_table_columns, by_kind)
    ]
    return pa.concat_tables([rows, *found]).unify_dictionaries().combine_chunks()


def kind_of(value: Sequence[Any] | ResultTable) -> int:
    """Return the place of a message in the order in which rows of a kind are made together."""
    if not isinstance(value, ResultTable):
        return 0
    return 2 if isinstance(value.columns, VerdictColumns) else 1


def _table_columns(tables: Sequence[ResultTable]) -> dict[str, pa.Array]:
    """Return the columns of all tables of one kind, one after the other."""
    kind = type(tables[0].columns)
    sizes = np.array([len(table) for table in tables], np.int64)
    columns: dict[str, pa.Array] = {}
    for field in RESULTS:
        if field.name in SHARED:
            values = [getattr(table, field.name) for table in tables]
            columns[field.name] = (
                _repeated(values, sizes)
                if field.type == pa.string()
                else pa.array(np.repeat(np.array(values), sizes), field.type)
            )
        elif field.name in kind.codes:
            own = [getattr(table.columns, kind.codes[field.name]) for table in tables]
            columns[field.name] = _texts(own, [getattr(t.columns, field.name) for t in tables])
        elif field.name in (*kind.floats, *COUNTS):
            joined = np.concatenate([getattr(table.columns, field.name) for table in tables])
            is_null = ~np.isfinite(joined) if field.name in kind.floats else None
            columns[field.name] = pa.array(joined, field.type, mask=is_null)
        else:
            columns[field.name] = _constant(field, int(sizes.sum()))
    return columns


def _texts(names: Sequence[Sequence[str]], codes: Sequence[np.ndarray[Any, Any]]) -> pa.Array:
    """Return texts by their position in each table's own list, as one dictionary."""
    numbers: dict[str, int] = {}
    # Tables of one baseline share most lists of names; ``names`` keeps them, so ids are unique.
    known: dict[int, np.ndarray[Any, Any]] = {}
    for listed in names:
        if id(listed) not in known:
            own = [numbers.setdefault(name, len(numbers)) for name in listed]
            known[id(listed)] = np.array(own, np.int32)
    found = [known[id(listed)][own] for listed, own in zip(names, codes, strict=True)]
    return pa.DictionaryArray.from_arrays(np.concatenate(found), pa.array(numbers, pa.string()))


def _repeated(values: Sequence[str], sizes: np.ndarray[Any, Any]) -> pa.Array:
    """Return one text of each table, as often as the table has rows."""
    numbers: dict[str, int] = {}
    codes = [numbers.setdefault(str(value), len(numbers)) for value in values]
    names = pa.array(numbers, pa.string())
    return pa.DictionaryArray.from_arrays(np.repeat(np.array(codes, np.int32), sizes), names)


def _constant(field: pa.Field, n_rows: int) -> pa.Array:
    """Return a column that no table has."""
    value = Verdict.NONE.value if field.name == "verdict" else UNSET_VALUES.get(field.name)
    if field.type != pa.string():
        is_null = value is None
        return pa.nulls(n_rows, field.type) if is_null else pa.array([value] * n_rows, field.type)
    return pa.DictionaryArray.from_arrays(np.zeros(n_rows, np.int32), pa.array([value or ""]))
