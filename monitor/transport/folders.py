"""Tables in a folder of part files, as Spark, Dask, pandas and DuckDB write them."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

import pyarrow as pa

from monitor.transport.formats import Format, is_data_file
from monitor.transport.opening import Opened, closing_on_error, open_input
from monitor.transport.part_types import cast_column, common_type
from monitor.transport.tables import TableSource, open_table
from schemas.errors import TransportError

MAX_PARTS = 100_000
_NULL_PARTITION = "__HIVE_DEFAULT_PARTITION__"
_TABLE_LOGS = {
    "_delta_log": "a Delta table",
    "metadata": "an Iceberg table",
    ".hoodie": "a Hudi table",
}
_DIGITS = re.compile(r"(\d+)")


@dataclass(frozen=True, slots=True)
class Part:
    """One file of a folder."""

    path: Path
    partition: dict[str, str | None]
    """Columns encoded in folder names, such as ``country=DE``; None is null."""


def parts_of(folder: Path) -> list[Part]:
    """Return the data files of a folder.

    Returns
    -------
    list of Part
        Sorted by name, with numbers in names compared as numbers. Names that begin with ``_`` or
        ``.`` (``_SUCCESS``, checksums), empty files, and files that are not data by their first
        bytes and names are omitted.

    Raises
    ------
    TransportError
        If there is no such file, or the folder is a table whose current files are listed in a log
        only.
    """
    where = str(folder)
    _refuse_logged_table(folder)
    try:
        found = sorted(_files(folder), key=lambda path: _natural(path.relative_to(folder)))
        parts = [Part(path, _partition(path.relative_to(folder))) for path in found]
    except OSError as error:
        what = f"cannot be listed: {error.strerror}"
        raise TransportError(what, where=error.filename or where) from None
    if not parts:
        raise TransportError(
            "is a folder without data files", where=where, fix="name a file, or a folder of parts"
        )
    if len({tuple(part.partition) for part in parts}) > 1:
        raise TransportError(
            "is a folder whose parts lie at different depths of key=value folders",
            where=where,
            fix="name the files of one table",
        )
    return parts


def _refuse_logged_table(folder: Path) -> None:
    """Raise for tables whose current files are listed in a log only."""
    for name, what in _TABLE_LOGS.items():
        inside = folder / name
        if inside.is_dir() and (name != "metadata" or any(inside.glob("*.metadata.json"))):
            raise TransportError(
                f"is {what}, whose log lists the current files",
                where=str(folder),
                fix="write its rows as Parquet, and name that",
            )


def _files(folder: Path) -> Iterator[Path]:
    """Yield every file below a folder that may hold rows."""
    n = 0
    for root, names, files in os.walk(folder, onerror=_raise):
        names[:] = [name for name in names if not name.startswith(("_", "."))]
        for name in files:
            path = Path(root, name)
            if name.startswith(("_", ".")) or not path.is_file() or not _holds_rows(path):
                continue
            n += 1
            if n > MAX_PARTS:
                what = f"holds more than {MAX_PARTS:,} files"
                raise TransportError(what, where=str(folder), fix="name the files to be read")
            yield path


def _holds_rows(path: Path) -> bool:
    """Return whether a file is a non-empty data file."""
    with path.open("rb") as file:
        head = file.read(8)
    return bool(head) and is_data_file(head, path)


def _raise(error: OSError) -> None:
    """Raise if a folder cannot be listed."""
    raise error


def _natural(path: Path) -> list[tuple[int, str]]:
    """Return a sort key in which part-2 comes before part-10."""
    pieces = _DIGITS.split(str(path))
    return [(int(piece), "") if i % 2 else (-1, piece) for i, piece in enumerate(pieces)]


def _partition(path: Path) -> dict[str, str | None]:
    """Decode the columns in the names of folders.

    Examples
    --------
    >>> _partition(Path("day=2016-01-01/country=D%20E/part-0.parquet"))
    {'day': '2016-01-01', 'country': 'D E'}
    """
    found: dict[str, str | None] = {}
    for name in path.parts[:-1]:
        key, equals, value = name.partition("=")
        if equals and key:
            found[unquote(key)] = None if value == _NULL_PARTITION else unquote(value)
    return found


def look_at_parts(folder: Path, parts: Sequence[Part]) -> tuple[list[Opened], str]:
    """Return the formats of all parts, and one source name for their content.

    Returns
    -------
    opened : list of Opened
        Already closed; formats and sources are valid.
    source : str
        The folder's name with a digest of the names and contents of its parts.

    Raises
    ------
    TransportError
        If a part cannot be opened, or some hold lines of JSON and others tables.
    """
    digest = hashlib.sha256()
    looked: list[Opened] = []
    for part in parts:
        opened = open_input(part.path)
        opened.file.close()
        digest.update(f"{part.path.relative_to(folder)}|{opened.source}\n".encode())
        looked.append(opened)
    kinds = {opened.format_ is Format.JSONL for opened in looked}
    if len(kinds) > 1:
        first, second = (next(o for o in looked if (o.format_ is Format.JSONL) is k) for k in kinds)
        raise TransportError(
            f"is a folder of files in different formats: {first.where} is {first.format_}, "
            f"{second.where} is {second.format_}",
            where=str(folder),
            fix="name the files to be read",
        )
    return looked, f"{folder.resolve().name}@{digest.hexdigest()[:8]}"


def open_folder_table(parts: Sequence[Part], batch_rows: int, where: str) -> TableSource:
    """Concatenate the tables of a folder.

    Parameters
    ----------
    parts : sequence of Part
        Tables, in reading order.
    batch_rows : int
        Rows wanted in a piece.
    where : str
        The folder, for messages.

    Returns
    -------
    TableSource
        The type of a column holds the values of all parts; it is null in parts without it. Columns
        from folder names are last, as text.

    Raises
    ------
    TransportError
        If a part cannot be read, or a column has incompatible types; also while the pieces are
        read.
    """
    schemas: list[pa.Schema] = []
    n_rows: int | None = 0
    for part in parts:
        opened = open_input(part.path)
        with opened.file:
            table = open_table(opened.file, opened.format_, batch_rows, opened.where)
        schemas.append(table.schema)
        n_rows = None if n_rows is None or table.n_rows is None else n_rows + table.n_rows
    schema = _common_schema(parts, schemas, where)
    return TableSource(schema, _pieces(parts, schema, batch_rows), n_rows)


def _common_schema(parts: Sequence[Part], schemas: Sequence[pa.Schema], where: str) -> pa.Schema:
    """Return the columns of all parts, each with one type."""
    kinds: dict[str, list[tuple[Part, pa.DataType]]] = {}
    for part, schema in zip(parts, schemas, strict=True):
        for field in schema:
            kinds.setdefault(field.name, []).append((part, field.type))
    fields: dict[str, pa.DataType] = {}
    for name, found in kinds.items():
        kind = common_type([kind for _, kind in found])
        if kind is None:
            first, first_kind = found[0]
            other, other_kind = next(f for f in found if common_type([first_kind, f[1]]) is None)
            raise TransportError(
                f"column {name!r} is {first_kind} in {first.path.name} and {other_kind} in "
                f"{other.path.name}",
                where=where,
                fix="write all parts with the same types",
            )
        fields[name] = kind
    fields |= {name: pa.string() for name in parts[0].partition if name not in fields}
    return pa.schema(list(fields.items()))


def _pieces(parts: Sequence[Part], schema: pa.Schema, batch_rows: int) -> Iterator[pa.Table]:
    """Yield the pieces of all parts in order."""
    for part in parts:
        opened = open_input(part.path)
        with closing_on_error(opened.file), opened.file:
            table = open_table(opened.file, opened.format_, batch_rows, opened.where)
            for piece in table.pieces:
                yield _fitted(piece, schema, part.partition)


def _fitted(piece: pa.Table, schema: pa.Schema, partition: dict[str, str | None]) -> pa.Table:
    """Return a piece with the schema of the whole table."""
    n = piece.num_rows
    columns = []
    for field in schema:
        if field.name in piece.column_names:
            columns.append(cast_column(piece[field.name], field.type))
        else:
            value = partition.get(field.name)
            lacking = pa.nulls(n, field.type) if value is None else pa.repeat(value, n)
            columns.append(pa.chunked_array([lacking]))
    return pa.table(columns, schema=schema)
